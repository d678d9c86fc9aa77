# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup stages on a real server: granted in milliseconds, given up at the deadline, never left behind."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    Cancelled,
    ConnectionFailed,
    LockTimeout,
    ServerError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.locks import BackupStages
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer
from ansible_collections.innodb.xtrabackup.tests.support.sessions import busy, holding, opener, wait_for

STAGES = ("start", "flush", "block_ddl", "block_commit")


@pytest.fixture
def server(make_server: ServerFactory) -> MariaDBServer:
    """A server with one table of each kind."""
    made = make_server()
    made.execute(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.trx (a INT PRIMARY KEY) ENGINE=InnoDB",
        "CREATE TABLE shop.isam (a INT) ENGINE=MyISAM",
        "CREATE TABLE shop.aria (a INT) ENGINE=Aria TRANSACTIONAL=0",
        "INSERT INTO shop.trx VALUES (1)",
        "INSERT INTO shop.isam VALUES (1)",
    )
    return made


def go_through(server: MariaDBServer, deadline: float, connection: Connection | None = None) -> BackupStages:
    """All stages, on ``connection`` or on a session of their own."""
    open_one = opener(server)
    own = contextlib.nullcontext(connection) if connection else open_one()
    with own as session, BackupStages(session, open_one, deadline) as stages:
        for stage in STAGES:
            getattr(stages, stage)()
        assert stages.stage == "BLOCK_COMMIT"
    return stages


def assert_nobody_is_blocked(server: MariaDBServer) -> None:
    """DDL, a commit and a MyISAM write succeed within two seconds."""
    with server.session() as client, client.cursor() as cursor:
        cursor.execute("SET lock_wait_timeout = 2")
        cursor.execute("CREATE OR REPLACE TABLE shop.later (a INT)")
        cursor.execute("INSERT INTO shop.trx VALUES (UUID_SHORT() % 1000000)")
        cursor.execute("INSERT INTO shop.isam VALUES (2)")


def test_an_idle_server_grants_every_stage_at_once_and_the_times_are_known(server: MariaDBServer) -> None:
    stages = go_through(server, 5)
    assert set(stages.times_ms) == {*STAGES, *(f"{stage}_wait" for stage in STAGES)}
    assert all(0 <= milliseconds < 1000 for milliseconds in stages.times_ms.values())
    assert stages.stage is None
    assert_nobody_is_blocked(server)


def test_the_time_under_a_stage_is_measured(server: MariaDBServer) -> None:
    open_one = opener(server)
    with open_one() as connection, BackupStages(connection, open_one, 5) as stages:
        stages.start()
        stages.block_ddl()
        time.sleep(0.25)
        stages.block_commit()
    assert 250 <= stages.times_ms["block_ddl"] < 1000
    assert stages.times_ms["start"] < 200


def test_commits_and_ddl_really_are_blocked_meanwhile(server: MariaDBServer) -> None:
    open_one = opener(server)
    with open_one() as connection, BackupStages(connection, open_one, 5) as stages:
        stages.start()
        stages.block_ddl()
        stages.block_commit()
        for statement in ("INSERT INTO shop.trx VALUES (77)", "CREATE TABLE shop.x (a INT)"):
            with server.session() as client, client.cursor() as cursor:
                cursor.execute("SET lock_wait_timeout = 1")
                with pytest.raises(pymysql.MySQLError, match="Lock wait timeout"):
                    cursor.execute(statement)
    assert_nobody_is_blocked(server)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT SLEEP(60) FROM shop.trx",
        "SELECT SLEEP(60) FROM shop.isam",
        "INSERT INTO shop.trx SELECT 5 + SLEEP(60)",
    ],
)
def test_a_long_query_on_transactional_tables_or_a_read_holds_up_nothing(server: MariaDBServer, statement: str) -> None:
    with busy(server, statement):
        stages = go_through(server, 3)
    assert stages.times_ms["block_ddl_wait"] < 1000


def test_an_open_transaction_holds_up_nothing(server: MariaDBServer) -> None:
    with holding(server, "BEGIN", "INSERT INTO shop.trx VALUES (5)"):
        go_through(server, 3)


@pytest.mark.parametrize(
    ("statement", "stage"),
    [
        ("INSERT INTO shop.isam SELECT SLEEP(60)", "BLOCK_DDL"),
        ("INSERT INTO shop.aria SELECT SLEEP(60)", "BLOCK_DDL"),
        ("CREATE TABLE shop.copy AS SELECT SLEEP(60)", "START"),
    ],
)
def test_at_the_deadline_the_locks_are_released_and_the_query_is_named(
    server: MariaDBServer, statement: str, stage: str
) -> None:
    with busy(server, statement) as culprit, opener(server)() as connection:
        began = time.monotonic()
        with pytest.raises(LockTimeout) as caught:
            go_through(server, 2, connection)
        assert time.monotonic() - began < 4
        assert caught.value.details["stage"] == stage
        (blocker,) = caught.value.details["blockers"]
        assert (blocker["id"], blocker["info"]) == (culprit, statement)
        assert statement in caught.value.message
        # the others go on while the culprit still runs, and the session of the backup is still there
        assert connection.ping()
        server.execute("INSERT INTO shop.trx VALUES (4)", "CREATE TABLE shop.meanwhile (a INT)")


def test_a_session_that_holds_a_table_lock_is_named_although_it_is_idle(server: MariaDBServer) -> None:
    with holding(server, "LOCK TABLES shop.trx WRITE") as culprit, pytest.raises(LockTimeout) as caught:
        go_through(server, 1)
    assert culprit in [blocker["id"] for blocker in caught.value.details["blockers"]]
    assert_nobody_is_blocked(server)


def test_with_the_plugin_exactly_the_holder_is_named(server: MariaDBServer) -> None:
    server.execute("INSTALL SONAME 'metadata_lock_info'")
    lock = "LOCK TABLES shop.trx WRITE"
    with holding(server, "SELECT 1"), holding(server, lock) as culprit, pytest.raises(LockTimeout) as caught:
        go_through(server, 1)
    assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [culprit]


def test_another_backup_is_in_the_way_until_its_end(server: MariaDBServer) -> None:
    with holding(server, "BACKUP STAGE START"), pytest.raises(LockTimeout, match="START was not granted within 1 s"):
        go_through(server, 1)
    go_through(server, 5)


class DeafConnection(Connection):
    """A session on which the server's own lock timeout is out of order."""

    def execute(self, sql: str, args: Any = (), *, secrets: Any = ()) -> None:
        if not sql.startswith("SET SESSION lock_wait_timeout"):
            super().execute(sql, args, secrets=secrets)


def test_a_stage_that_does_not_obey_its_timeout_is_killed(server: MariaDBServer) -> None:
    deaf = DeafConnection(ConnectionParameters(unix_socket=str(server.socket), user="root"))
    with busy(server, "INSERT INTO shop.isam SELECT SLEEP(60)") as culprit:
        began = time.monotonic()
        with pytest.raises(LockTimeout) as caught, BackupStages(deaf, opener(server), 1) as stages:
            stages.start()
            stages.block_ddl()
        assert 1.5 < time.monotonic() - began < 3.5
        assert deaf.ping()
        assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [culprit]
        server.execute("CREATE TABLE shop.meanwhile (a INT)")
    deaf.close()


def test_any_error_inside_the_block_releases_the_locks_and_stays_itself(server: MariaDBServer) -> None:
    open_one = opener(server)
    with open_one() as connection:
        with pytest.raises(Cancelled, match="mine"), BackupStages(connection, open_one, 5) as stages:
            stages.start()
            stages.block_ddl()
            raise Cancelled("mine")
        assert_nobody_is_blocked(server)
        assert stages.stage is None


def test_a_signal_during_the_wait_ends_the_wait_and_releases(server: MariaDBServer) -> None:
    def cancel(_number: int, _frame: Any) -> None:
        raise Cancelled("stopped by signal")

    previous = signal.signal(signal.SIGALRM, cancel)
    try:
        with busy(server, "INSERT INTO shop.isam SELECT SLEEP(60)"):
            signal.setitimer(signal.ITIMER_REAL, 1)
            with pytest.raises(Cancelled):
                go_through(server, 30)
            backups = "SELECT COUNT(*) = 0 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'BACKUP STAGE%'"
            wait_for(server, backups, 3)
            server.execute("CREATE TABLE shop.meanwhile (a INT)", "INSERT INTO shop.trx VALUES (4)")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_losing_the_session_under_a_lock_is_an_error_not_a_success(server: MariaDBServer) -> None:
    open_one = opener(server)
    connection = open_one()
    with pytest.raises(ConnectionFailed), BackupStages(connection, open_one, 5) as stages:
        stages.start()
        stages.block_ddl()
        server.execute(f"KILL {connection.thread_id}")
    assert_nobody_is_blocked(server)


def test_stages_in_the_wrong_order_are_the_servers_error(server: MariaDBServer) -> None:
    open_one = opener(server)
    with open_one() as connection, pytest.raises(ServerError), BackupStages(connection, open_one, 5) as stages:
        stages.block_ddl()
    assert_nobody_is_blocked(server)


def test_a_killed_process_leaves_no_lock_behind(server: MariaDBServer, workdir: Path) -> None:
    connection = opener(server)()
    BackupStages(connection, opener(server), 5).start()
    connection.execute("BACKUP STAGE BLOCK_COMMIT")
    connection._raw._force_close()  # what the end of a process does: no goodbye
    wait_for(server, f"SELECT COUNT(*) = 0 FROM information_schema.PROCESSLIST WHERE ID = {connection.thread_id}")
    assert_nobody_is_blocked(server)
