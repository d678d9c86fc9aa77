# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup locks on a real MySQL server: what MariaDB does not have, and that nobody hangs behind them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pymysql
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    ConnectionFailed,
    LockTimeout,
    MissingPrivilege,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.locks import (
    MysqlLocks,
    non_transactional_tables,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.user_tables import UserTable
from ansible_collections.innodb.xtrabackup.tests.support.backup_locks import (
    assert_nobody_is_blocked,
    new_tables,
    one_server,
    refused,
)
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_locks import (
    PRIVILEGES,
    all_locks,
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


# --- granted -------------------------------------------------------------------------------------


def test_ddl_is_blocked_while_transactions_go_on(server: MySQLServer) -> None:
    open_one = opener(server)
    with open_one() as connection, MysqlLocks(connection, open_one, 5) as locks:
        locks.lock_instance()
        assert refused(server, "CREATE TABLE shop.x (a INT)")
        assert refused(server, "ALTER TABLE shop.trx ADD b INT, ALGORITHM=INSTANT")
        assert not refused(server, "INSERT INTO shop.trx VALUES (7)")
        assert not refused(server, "INSERT INTO shop.isam VALUES (7)")
    assert_nobody_is_blocked(server)


def test_the_lock_on_tables_holds_up_writes_to_them_and_nothing_else(server: MySQLServer) -> None:
    with all_locks(server) as locks:
        assert refused(server, "INSERT INTO shop.isam VALUES (7)")
        assert not refused(server, "INSERT INTO shop.trx VALUES (7)")
        locks.unlock_tables()
        assert not refused(server, "INSERT INTO shop.isam VALUES (7)")


def test_the_instance_stays_locked_when_the_tables_are_unlocked(server: MySQLServer) -> None:
    """UNLOCK TABLES in the session of the instance lock would release both in silence."""
    with all_locks(server) as locks:
        locks.unlock_tables()
        assert refused(server, "CREATE TABLE shop.x (a INT)")


def test_under_the_lock_files_are_complete_and_closed(server: MySQLServer) -> None:
    server.execute("ALTER TABLE shop.isam DELAY_KEY_WRITE = 1")
    with server.session() as client, client.cursor() as cursor:
        cursor.execute(f"INSERT INTO shop.isam SELECT seq FROM {server.numbers(5000)}")
        assert open_count(server) == 1
        with all_locks(server):
            assert open_count(server) == 0
            state = (server.datadir / "shop" / "isam.MYI").read_bytes()
        server.kill()
    assert (server.datadir / "shop" / "isam.MYI").read_bytes() == state
    server.start()
    assert {row["Msg_text"] for row in server.rows("CHECK TABLE shop.isam EXTENDED")} == {"OK"}
    assert server.value("SELECT COUNT(*) FROM shop.isam") == 5002


def test_a_server_without_such_tables_locks_none(server: MySQLServer) -> None:
    server.execute("DROP TABLE shop.isam")
    open_one = opener(server)
    with open_one() as connection, MysqlLocks(connection, open_one, 5) as locks:
        locks.lock_instance()
        locks.lock_tables()
        assert list(locks.held) == ["instance"]
    assert "tables" not in locks.times_ms


def test_tables_are_found_by_their_names_whatever_the_account_may_see(server: MySQLServer) -> None:
    server.execute(
        "CREATE DATABASE `odd-name`",
        "CREATE TABLE `odd-name`.`wäre/d``as` (a INT) ENGINE=MyISAM",
        "CREATE TABLE shop.csv (a INT NOT NULL) ENGINE=CSV",
        "CREATE TABLE shop.old (a INT) ENGINE=ARCHIVE",
        "CREATE TABLE shop.both (a INT, KEY (a)) ENGINE=MERGE UNION=(shop.isam)",
        "CREATE TABLE shop.mem (a INT) ENGINE=MEMORY",
        "CREATE TABLE shop.hole (a INT) ENGINE=BLACKHOLE",
    )
    server.create_account("blind", "x", "USAGE")
    with opener(server, "blind", "x")() as connection:
        found = non_transactional_tables(connection)
    assert set(found) == {
        UserTable("odd-name", "wäre/d`as", "MyISAM"),
        UserTable("shop", "isam", "MyISAM"),
        UserTable("shop", "csv", "CSV"),
        UserTable("shop", "old", "ARCHIVE"),
        UserTable("shop", "both", "MRG_MYISAM"),
    }
    go_through(server)


# --- who is in the way ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statements",
    [
        ("BEGIN", "SELECT * FROM shop.isam"),
        ("FLUSH TABLES WITH READ LOCK",),
        ("HANDLER shop.isam OPEN",),
    ],
    ids=["transaction", "global_lock", "handler"],
)
def test_an_idle_session_that_uses_a_table_is_named(server: MySQLServer, statements: tuple[str, ...]) -> None:
    with holding(server, *statements) as culprit, pytest.raises(LockTimeout) as caught:
        go_through(server, 1)
    assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [culprit]
    assert_nobody_is_blocked(server)


def test_a_schema_change_that_waits_for_us_goes_on_afterwards_without_an_error(server: MySQLServer) -> None:
    """The global read lock would end it with a deadlock error."""
    errors: list[BaseException] = []

    def change(statement: str) -> None:
        try:
            server.execute(statement)
        except pymysql.MySQLError as error:
            errors.append(error)

    open_one = opener(server)
    with open_one() as connection, MysqlLocks(connection, open_one, 5) as locks:
        locks.lock_instance()
        changes = ["CREATE TABLE shop.new (a INT)", "ALTER TABLE shop.isam ADD b INT", "DROP TABLE shop.trx"]
        threads = [threading.Thread(target=change, args=[statement]) for statement in changes]
        for thread in threads:
            thread.start()
        waiting = "SELECT COUNT(*) = 3 FROM performance_schema.processlist WHERE STATE = 'Waiting for backup lock'"
        wait_for(server, waiting)
        locks.lock_tables()
        wait_for(server, waiting)
    for thread in threads:
        thread.join(10)
    assert errors == []
    assert server.value("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'") == 2


def test_another_backup_is_not_in_the_way(server: MySQLServer) -> None:
    with holding(server, "LOCK INSTANCE FOR BACKUP"):
        go_through(server, 1)


def test_on_a_read_only_server_the_tables_can_be_read_and_stay_locked_with_the_instance(server: MySQLServer) -> None:
    server.create_account("backup", "x", PRIVILEGES)
    server.execute("SET GLOBAL super_read_only = ON")
    open_one = opener(server, "backup", "x")
    with open_one() as connection, MysqlLocks(connection, open_one, 5) as locks:
        locks.lock_instance()
        locks.lock_tables()
        assert list(locks.held) == ["instance", "tables"]
        assert not refused(server, "SELECT COUNT(a) FROM shop.isam")
        locks.unlock_tables()
        assert list(locks.held) == ["instance", "tables"]
        server.execute("SET GLOBAL super_read_only = OFF")
        assert refused(server, "INSERT INTO shop.isam VALUES (9)")
        assert refused(server, "CREATE TABLE shop.x (a INT)")
    assert set(locks.times_ms) == {"instance", "instance_wait", "tables", "tables_wait"}
    assert_nobody_is_blocked(server)


def test_on_a_read_only_server_a_long_query_leaves_nobody_hanging(server: MySQLServer) -> None:
    server.create_account("backup", "x", PRIVILEGES)
    server.execute("SET GLOBAL read_only = ON")
    open_one = opener(server, "backup", "x")
    statement = "SELECT SLEEP(60) FROM shop.isam"
    with busy(server, statement) as culprit, open_one() as connection:
        with pytest.raises(LockTimeout) as caught, MysqlLocks(connection, open_one, 1) as locks:
            locks.lock_instance()
            locks.lock_tables()
        assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [culprit]
        server.execute("SET GLOBAL read_only = OFF")
        with server.session(read_timeout=3) as client, client.cursor() as cursor:
            cursor.execute("SELECT COUNT(a) FROM shop.isam")


def test_the_tables_that_may_not_be_read_are_named_with_grants_that_work(server: MySQLServer) -> None:
    server.create_account("backup", "x", "BACKUP_ADMIN, PROCESS, RELOAD, REPLICATION CLIENT")
    server.execute("CREATE DATABASE `odd-name`", "CREATE TABLE `odd-name`.`wäre/d``as` (a INT) ENGINE=MyISAM")
    open_one = opener(server, "backup", "x")
    with (
        open_one() as connection,
        pytest.raises(MissingPrivilege) as caught,
        MysqlLocks(connection, open_one, 5) as one,
    ):
        one.lock_instance()
        one.lock_tables()
    assert "shop.isam" in caught.value.details["tables"]
    assert "GRANT SELECT ON `shop`.`isam` TO 'backup'@'localhost';" in caught.value.message
    assert_nobody_is_blocked(server)
    server.execute(*caught.value.details["grants"])
    with open_one() as connection, MysqlLocks(connection, open_one, 5) as locks:
        locks.lock_instance()
        locks.lock_tables()
        assert list(locks.held) == ["instance", "tables"]


# --- never left behind ---------------------------------------------------------------------------


def test_losing_the_session_of_the_tables_is_an_error_not_a_success(server: MySQLServer) -> None:
    open_one = opener(server)
    with (
        open_one() as connection,
        pytest.raises(ConnectionFailed),
        MysqlLocks(connection, open_one, 5) as locks,
    ):
        locks.lock_instance()
        locks.lock_tables()
        idle = f"SELECT ID FROM performance_schema.processlist WHERE COMMAND = 'Sleep' AND ID <> {connection.thread_id}"
        server.execute(f"KILL {server.value(idle)}")
    assert_nobody_is_blocked(server)
