# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of a MySQL server that cannot be locked one by one, and a dictionary that is waited for, on a real server."""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.dictionary import read_dictionary
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    LockTimeout,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.locks import (
    MysqlLocks,
    require_table_privileges,
)
from ansible_collections.innodb.xtrabackup.tests.support.backup_locks import (
    assert_nobody_is_blocked,
    new_tables,
    one_server,
    refused,
)
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_locks import (
    PRIVILEGES,
    go_through,
    open_count,
)
from ansible_collections.innodb.xtrabackup.tests.support.sessions import busy, holding, opener, wait_for


@pytest.fixture(scope="module")
def shared() -> Iterator[MySQLServer]:
    """One server for all tests of this file."""
    with one_server(MySQLServer) as made:
        yield made


@pytest.fixture
def server(shared: MySQLServer) -> MySQLServer:
    """That server with new tables of two kinds, and nothing that another test has left."""
    return new_tables(shared)


# --- tables that cannot be locked ----------------------------------------------------------------


def break_tables(server: MySQLServer) -> None:
    """Two tables that cannot be opened, a MERGE of a table that is gone, and many that are as they should be."""
    server.execute(
        *(f"CREATE TABLE shop.`{kind}` (a INT, KEY (a)) ENGINE=MyISAM" for kind in ("no data", "damaged", "part")),
        *(f"CREATE TABLE shop.`one of the others {number}` (a INT) ENGINE=MyISAM" for number in range(40)),
        "CREATE TABLE shop.`parts` (a INT, KEY (a)) ENGINE=MERGE UNION=(shop.isam, shop.part)",
        "DROP TABLE shop.part",
    )
    server.stop()
    (server.datadir / "shop" / "no@0020data.MYD").unlink()
    damaged = server.datadir / "shop" / "damaged.MYI"
    damaged.write_bytes(b"\0" * damaged.stat().st_size)
    server.start()


@pytest.mark.parametrize("read_only", ["OFF", "ON"])
def test_where_tables_cannot_be_opened_all_writes_wait_and_the_broken_ones_are_named(
    server: MySQLServer, read_only: str
) -> None:
    break_tables(server)
    server.create_account("backup", "x", PRIVILEGES)
    server.execute(f"SET GLOBAL super_read_only = {read_only}")
    open_one, warnings = opener(server, "backup", "x"), list[str]()
    with open_one() as connection, MysqlLocks(connection, open_one, 5, warnings=warnings) as locks:
        require_table_privileges(connection)
        locks.lock_instance()
        locks.lock_tables()
        assert list(locks.held) == ["instance", "tables"]
        assert open_count(server) == 0
        if read_only == "OFF":
            assert refused(server, "INSERT INTO shop.isam VALUES (9)")
            assert refused(server, "INSERT INTO shop.trx VALUES (9)")
        locks.unlock_tables()
        assert list(locks.held) == ["instance"]
        server.execute("SET GLOBAL read_only = OFF")
        assert refused(server, "CREATE TABLE shop.x (a INT)")
    (warning,) = warnings
    for wrong in (
        "shop.no data (its .MYD file is missing)",
        "shop.damaged (its .MYI file is damaged)",
        "shop.parts (its table part is missing or no MyISAM table)",
    ):
        assert wrong in warning
    assert "others" not in warning.partition("(broken: ")[2]
    assert len(warning) < 1200
    assert "tables" in locks.times_ms
    assert_nobody_is_blocked(server)


def test_a_trigger_that_writes_to_innodb_is_no_hindrance(server: MySQLServer) -> None:
    server.execute(
        "CREATE TABLE shop.caught (a INT) ENGINE=MyISAM",
        "CREATE TRIGGER shop.writes AFTER INSERT ON shop.caught FOR EACH ROW INSERT INTO shop.trx VALUES (NEW.a)",
    )
    warnings: list[str] = []
    go_through(server, warnings=warnings)
    assert len(warnings) == 1
    assert_nobody_is_blocked(server)


@pytest.fixture
def few_files(workdir: Path) -> Iterator[MySQLServer]:
    """A server that may open 400 files and has many MyISAM tables."""
    made = MySQLServer(workdir / "few", {"open_files_limit": 400, "max_connections": 20, "table_open_cache": 50})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, limits[1]))  # a server never lowers what it inherits
    try:
        made.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    try:
        new_tables(made)
        made.execute(*(f"CREATE TABLE shop.t{number} (a INT) ENGINE=MyISAM" for number in range(150)))
        made.execute("FLUSH TABLES")
        yield made
    finally:
        made.kill()


def opened_tables(server: MySQLServer) -> int:
    """How many times the server has opened a table."""
    with server.session() as client, client.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Opened_tables'")
        return int(cursor.fetchall()[0][1])


@pytest.mark.parametrize("read_only", ["OFF", "ON"])
def test_more_tables_than_files_that_may_be_open_never_take_the_last_file_from_the_server(
    few_files: MySQLServer, read_only: str
) -> None:
    """A server whose InnoDB can open no file ends: "Operating system error number 24", "Cannot continue operation"."""
    few_files.execute(f"SET GLOBAL read_only = {read_only}")
    opened = opened_tables(few_files)
    warnings: list[str] = []
    go_through(few_files, warnings=warnings)
    assert opened_tables(few_files) - opened < 150
    assert len(warnings) == 1
    assert "open_files_limit (400" in warnings[0]
    assert len(warnings[0]) < 1000
    few_files.execute("SET GLOBAL read_only = OFF")
    assert_nobody_is_blocked(few_files)


@pytest.mark.parametrize(
    "statement", ["SELECT SLEEP(60) FROM shop.trx", "INSERT INTO shop.trx SELECT 5 + SLEEP(60)", None]
)
def test_all_writes_are_not_blocked_behind_a_long_statement_which_is_named(
    server: MySQLServer, statement: str | None
) -> None:
    """Had the lock been asked for, everybody would wait until the statement ends, also when it is given up."""
    break_tables(server)
    with contextlib.ExitStack() as stack:
        if statement is None:
            culprit = stack.enter_context(holding(server, "LOCK TABLES shop.trx WRITE"))
        else:
            culprit = stack.enter_context(busy(server, statement))
            wait_for(server, f"SELECT TIME >= 2 FROM performance_schema.processlist WHERE ID = {culprit}")
        with pytest.raises(LockTimeout) as caught:
            go_through(server, 2)
        assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [culprit]
        assert not refused(server, "CREATE TABLE shop.meanwhile (a INT)")
        assert not refused(server, "INSERT INTO shop.isam VALUES (9)")


def test_a_schema_change_that_waits_for_the_backup_is_let_go_before_all_writes_are_blocked(server: MySQLServer) -> None:
    """The lock would wait for it, and it for the backup."""
    break_tables(server)
    change = threading.Thread(target=server.execute, args=["CREATE TABLE shop.new (a INT)"])
    open_one = opener(server)
    with open_one() as connection, pytest.raises(LockTimeout) as caught, MysqlLocks(connection, open_one, 30) as locks:
        locks.lock_instance()
        change.start()
        waiting = "SELECT COUNT(*) = 1 FROM performance_schema.processlist WHERE STATE = 'Waiting for backup lock'"
        wait_for(server, waiting)
        locks.lock_tables()
    change.join(10)
    assert not change.is_alive()
    assert [blocker["info"] for blocker in caught.value.details["blockers"]] == ["CREATE TABLE shop.new (a INT)"]
    assert "shop.damaged" in caught.value.remedy


def test_the_backups_own_sessions_are_in_nobodys_way(server: MySQLServer) -> None:
    open_one = opener(server, "root")
    own: set[int] = set()
    with (
        busy(server, "SELECT SLEEP(60) FROM shop.isam"),
        open_one() as connection,
        open_one() as other,
        pytest.raises(LockTimeout) as caught,
        MysqlLocks(connection, open_one, 1, own) as locks,
    ):
        locks.lock_instance()
        own.add(other.thread_id)
        # one that would be taken for the culprit
        other.execute("BEGIN")
        other.query("SELECT * FROM shop.isam")
        locks.lock_tables()
    assert other.thread_id not in [blocker["id"] for blocker in caught.value.details["blockers"]]


# --- the dictionary ------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["root", "backup"])
def test_a_schema_change_that_the_dictionary_waits_for_is_named_at_the_deadline(server: MySQLServer, user: str) -> None:
    server.create_account("backup", "", "BACKUP_ADMIN, PROCESS, RELOAD, REPLICATION CLIENT")
    open_one = opener(server, user)
    change = "ALTER TABLE shop.trx ADD COLUMN b INT, ALGORITHM=COPY"
    with holding(server, "BEGIN", "SELECT * FROM shop.trx") as reader, open_one() as connection:
        queued = threading.Thread(target=server.execute, args=[change])
        queued.start()
        wait_for(
            server, f"SELECT COUNT(*) = 1 FROM performance_schema.processlist WHERE INFO = '{change}' AND TIME > 0"
        )
        began = time.monotonic()
        with pytest.raises(LockTimeout) as caught, MysqlLocks(connection, open_one, 2) as locks:
            locks.reading(lambda: read_dictionary(connection))
        assert time.monotonic() - began < 20
        assert caught.value.details["stage"] == "dictionary"
        blockers = {blocker["id"]: blocker["info"] for blocker in caught.value.details["blockers"]}
        assert change in blockers.values()
        assert connection.thread_id not in blockers
        assert (reader in blockers) == (user == "root")
        assert connection.ping()
    queued.join(20)
    with open_one() as connection, MysqlLocks(connection, open_one, 2) as locks:
        assert locks.reading(lambda: read_dictionary(connection)).names
