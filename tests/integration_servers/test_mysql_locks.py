# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup locks on a real MySQL server: granted in milliseconds, given up at the deadline, nobody hangs behind them."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.ddl_watch_mysql import read_dictionary
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    Cancelled,
    ConnectionFailed,
    LockTimeout,
    MissingPrivilege,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.locks_mysql import (
    MysqlLocks,
    non_transactional_tables,
    require_table_privileges,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.user_tables import UserTable
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.sessions import busy, holding, opener, wait_for

# what an account needs where there are such tables; it may not look at locks
PRIVILEGES = "BACKUP_ADMIN, PROCESS, RELOAD, REPLICATION CLIENT, LOCK TABLES, SELECT"


@pytest.fixture(scope="module")
def shared() -> Iterator[MySQLServer]:
    """One server for all tests of this file."""
    directory = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    made = MySQLServer(directory / "server")
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def server(shared: MySQLServer) -> MySQLServer:
    """That server with new tables of two kinds, and nothing that another test has left."""
    if not shared.running:
        shared.start()
    shared.execute(
        "SET GLOBAL read_only = OFF",
        "DROP DATABASE IF EXISTS `odd-name`",
        "DROP DATABASE IF EXISTS shop",
        "CREATE DATABASE shop",
        "CREATE TABLE shop.trx (a INT PRIMARY KEY) ENGINE=InnoDB",
        "CREATE TABLE shop.isam (a INT, KEY (a)) ENGINE=MyISAM",
        "INSERT INTO shop.trx VALUES (1)",
        "INSERT INTO shop.isam VALUES (1), (2)",
    )
    return shared


@contextlib.contextmanager
def all_locks(server: MySQLServer, deadline: float = 5, warnings: list[str] | None = None) -> Iterator[MysqlLocks]:
    """Both locks, as a backup takes them."""
    open_one = opener(server)
    with open_one() as connection, MysqlLocks(connection, open_one, deadline, warnings=warnings) as locks:
        locks.lock_instance()
        locks.lock_tables()
        yield locks


def go_through(server: MySQLServer, deadline: float = 5, warnings: list[str] | None = None) -> MysqlLocks:
    """Take and release everything."""
    with all_locks(server, deadline, warnings) as locks:
        assert list(locks.held) == ["instance", "tables"]
        locks.unlock_tables()
        assert list(locks.held) == ["instance"]
    assert not locks.held
    return locks


def refused(server: MySQLServer, statement: str) -> bool:
    """Whether ``statement`` is still waiting for a lock after a second."""
    with server.session() as client, client.cursor() as cursor:
        cursor.execute("SET lock_wait_timeout = 1")
        try:
            cursor.execute(statement)
        except pymysql.MySQLError as error:
            if error.args[0] != 1205:  # ER_LOCK_WAIT_TIMEOUT
                raise
            return True
    return False


def assert_nobody_is_blocked(server: MySQLServer, number: int = 100) -> None:
    """DDL, a commit, and reads and writes of MyISAM succeed at once."""
    for statement in (
        f"CREATE TABLE shop.later{number} (a INT)",
        f"INSERT INTO shop.trx VALUES ({number})",
        "INSERT INTO shop.isam VALUES (2)",
        "SELECT COUNT(a) FROM shop.isam",
        "SELECT COUNT(*) FROM shop.trx",
    ):
        assert not refused(server, statement), statement


def open_count(server: MySQLServer) -> int:
    """How often shop.isam says it is open: bytes 24 and 25 of a .MYI file; what is not closed is not whole."""
    return int.from_bytes((server.datadir / "shop" / "isam.MYI").read_bytes()[24:26], "big")


# --- granted -------------------------------------------------------------------------------------


def test_an_idle_server_grants_both_locks_at_once_and_the_times_are_known(server: MySQLServer) -> None:
    locks = go_through(server)
    assert set(locks.times_ms) == {"instance", "instance_wait", "tables", "tables_wait"}
    assert all(0 <= milliseconds < 1000 for milliseconds in locks.times_ms.values())
    assert_nobody_is_blocked(server)


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
    "statement",
    [
        "SELECT SLEEP(60) FROM shop.trx",
        "INSERT INTO shop.trx SELECT 5 + SLEEP(60)",
    ],
)
def test_a_long_query_on_transactional_tables_holds_up_nothing(server: MySQLServer, statement: str) -> None:
    with busy(server, statement):
        locks = go_through(server, 3)
    assert locks.times_ms["tables_wait"] < 1000


def test_an_open_transaction_holds_up_nothing(server: MySQLServer) -> None:
    with holding(server, "BEGIN", "INSERT INTO shop.trx VALUES (5)"):
        go_through(server, 3)


@pytest.mark.parametrize("user", ["root", "backup"])
@pytest.mark.parametrize(
    ("statement", "lock"),
    [
        ("CREATE TABLE shop.copy AS SELECT SLEEP(60)", "instance"),
        ("INSERT INTO shop.isam SELECT SLEEP(60)", "tables"),
        ("SELECT SLEEP(60) FROM shop.isam", "tables"),
    ],
)
def test_at_the_deadline_everything_is_released_and_the_query_is_named(
    server: MySQLServer, statement: str, lock: str, user: str
) -> None:
    """Exactly, with an account that may look at locks; told from the process list with another one."""
    server.create_account("backup", "", PRIVILEGES)
    server.execute("REVOKE SELECT ON *.* FROM backup@localhost", "GRANT SELECT ON shop.* TO backup@localhost")
    open_one = opener(server, user)
    with busy(server, statement) as culprit, holding(server, "SELECT 1"), open_one() as connection:
        began = time.monotonic()
        with pytest.raises(LockTimeout) as caught, MysqlLocks(connection, open_one, 1) as locks:
            locks.lock_instance()
            locks.lock_tables()
        assert time.monotonic() - began < 3
        assert caught.value.details["stage"] == lock
        (blocker,) = caught.value.details["blockers"]
        assert (blocker["id"], blocker["info"]) == (culprit, statement)
        assert statement in caught.value.message
        # the others go on while the culprit still runs, and the session of the backup is still there
        assert connection.ping()
        assert not refused(server, "CREATE TABLE shop.meanwhile (a INT)")
        assert not refused(server, "INSERT INTO shop.trx VALUES (4)")
        assert not refused(server, "SELECT COUNT(a) FROM shop.isam")


@pytest.mark.parametrize(
    "statements",
    [
        ("BEGIN", "SELECT * FROM shop.isam"),
        ("LOCK TABLES shop.isam READ",),
        ("FLUSH TABLES WITH READ LOCK",),
        ("HANDLER shop.isam OPEN",),
    ],
    ids=["transaction", "lock_tables", "global_lock", "handler"],
)
def test_an_idle_session_that_holds_a_table_is_named(server: MySQLServer, statements: tuple[str, ...]) -> None:
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


class DeafConnection(Connection):
    """A session on which the server's own lock timeout is out of order."""

    def execute(self, sql: str, args: Any = (), *, secrets: Any = ()) -> None:
        if not sql.startswith("SET SESSION lock_wait_timeout"):
            super().execute(sql, args, secrets=secrets)


def test_a_lock_that_does_not_obey_its_timeout_is_killed(server: MySQLServer) -> None:
    parameters = ConnectionParameters(unix_socket=str(server.socket), user="root")
    with busy(server, "INSERT INTO shop.isam SELECT SLEEP(60)") as culprit, DeafConnection(parameters) as deaf:
        began = time.monotonic()
        with pytest.raises(LockTimeout) as caught, MysqlLocks(deaf, lambda: DeafConnection(parameters), 1) as locks:
            locks.lock_instance()
            locks.lock_tables()
        assert 1.5 < time.monotonic() - began < 3.5
        assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [culprit]
        assert not refused(server, "CREATE TABLE shop.meanwhile (a INT)")


def test_any_error_inside_the_block_releases_the_locks_and_stays_itself(server: MySQLServer) -> None:
    open_one = opener(server)
    with open_one() as connection:
        with pytest.raises(Cancelled, match="mine"), MysqlLocks(connection, open_one, 5) as locks:
            locks.lock_instance()
            locks.lock_tables()
            raise Cancelled("mine")
        assert not locks.held
        assert_nobody_is_blocked(server)


def test_a_signal_during_the_wait_ends_the_wait_and_releases(server: MySQLServer) -> None:
    def cancel(_number: int, _frame: Any) -> None:
        raise Cancelled("stopped by signal")

    previous = signal.signal(signal.SIGALRM, cancel)
    try:
        with busy(server, "INSERT INTO shop.isam SELECT SLEEP(60)"):
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(Cancelled):
                go_through(server, 30)
            waiting = "SELECT COUNT(*) = 0 FROM performance_schema.processlist WHERE INFO LIKE 'LOCK %'"
            wait_for(server, waiting, 3)
            assert not refused(server, "CREATE TABLE shop.meanwhile (a INT)")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("lost", ["instance", "tables"])
def test_losing_a_session_under_its_lock_is_an_error_not_a_success(server: MySQLServer, lost: str) -> None:
    open_one = opener(server)
    with (
        open_one() as connection,
        pytest.raises(ConnectionFailed),
        MysqlLocks(connection, open_one, 5) as locks,
    ):
        locks.lock_instance()
        locks.lock_tables()
        idle = f"SELECT ID FROM performance_schema.processlist WHERE COMMAND = 'Sleep' AND ID <> {connection.thread_id}"
        number = connection.thread_id if lost == "instance" else server.value(idle)
        server.execute(f"KILL {number}")
    assert_nobody_is_blocked(server)


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


def test_more_tables_than_files_that_may_be_open_and_a_trigger_that_writes_to_innodb_are_no_hindrance(
    server: MySQLServer,
) -> None:
    server.execute(
        "CREATE TABLE shop.caught (a INT) ENGINE=MyISAM",
        "CREATE TRIGGER shop.writes AFTER INSERT ON shop.caught FOR EACH ROW INSERT INTO shop.trx VALUES (NEW.a)",
    )
    warnings: list[str] = []
    go_through(server, warnings=warnings)
    assert len(warnings) == 1
    server.execute("DROP TABLE shop.caught")
    server.execute(*(f"CREATE TABLE shop.t{number} (a INT) ENGINE=MyISAM" for number in range(150)))
    server.execute("FLUSH TABLES")
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{server.pid}/fd")) + 80, limits[1]))
    try:
        go_through(server, warnings=warnings)
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    assert len(warnings) == 2
    assert max(map(len, warnings)) < 1000
    assert_nobody_is_blocked(server)


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


def test_a_killed_process_leaves_no_lock_behind(server: MySQLServer) -> None:
    connection = opener(server)()
    MysqlLocks(connection, opener(server), 5).lock_instance()
    connection._raw._force_close()  # what the end of a process does: no goodbye
    wait_for(server, f"SELECT COUNT(*) = 0 FROM performance_schema.processlist WHERE ID = {connection.thread_id}")
    assert_nobody_is_blocked(server)
