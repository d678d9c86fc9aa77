# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locks of a backup on a real server of each family: granted in milliseconds, given up at the deadline, never left
behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    Cancelled,
    ConnectionFailed,
    LockTimeout,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.tests.support.backup_locks import (
    LOCKABLE,
    Lockable,
    new_tables,
    one_server,
    refused,
)
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer
from ansible_collections.innodb.xtrabackup.tests.support.sessions import busy, holding, wait_for


@pytest.fixture(scope="module", params=list(Family), ids=[family.value for family in Family])
def family(request: pytest.FixtureRequest) -> Family:
    wanted: Family = request.param
    return wanted


@pytest.fixture(scope="module")
def shared(family: Family) -> Iterator[DatabaseServer]:
    """One server of each family for all tests of this file."""
    with one_server(LOCKABLE[family].kind) as made:
        yield made


@pytest.fixture
def lockable(shared: DatabaseServer, family: Family) -> Lockable:
    """That server with one new table of each kind, and nothing that another test has left."""
    return LOCKABLE[family](new_tables(shared))


# --- granted -------------------------------------------------------------------------------------


def test_an_idle_server_grants_every_lock_at_once_and_the_times_are_known(lockable: Lockable) -> None:
    locks = lockable.go_through()
    assert set(locks.times_ms) == {*lockable.names, *(f"{name}_wait" for name in lockable.names)}
    assert all(0 <= milliseconds < 1000 for milliseconds in locks.times_ms.values())
    lockable.assert_nobody_is_blocked()


def test_the_time_under_a_lock_is_measured(lockable: Lockable) -> None:
    open_one = lockable.opener()
    with open_one() as connection, lockable.locks(connection, open_one, 5) as locks:
        lockable.block_schema_changes(locks)
        time.sleep(0.25)
        lockable.block_writes(locks)
    assert 250 <= locks.times_ms[lockable.schema_lock] < 1000
    assert locks.times_ms[lockable.other_lock] < 200


# --- who is in the way ---------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["SELECT SLEEP(60) FROM shop.trx", "INSERT INTO shop.trx SELECT 5 + SLEEP(60)"])
def test_a_long_query_on_transactional_tables_holds_up_nothing(lockable: Lockable, statement: str) -> None:
    with busy(lockable.server, statement):
        locks = lockable.go_through(3)
    assert all(locks.times_ms[f"{name}_wait"] < 1000 for name in lockable.names)


def test_an_open_transaction_holds_up_nothing(lockable: Lockable) -> None:
    with holding(lockable.server, "BEGIN", "INSERT INTO shop.trx VALUES (5)"):
        lockable.go_through(3)


@pytest.mark.parametrize("user", ["root", "backup"])
@pytest.mark.parametrize("reason", ["schema_change", "write", "own"])
def test_at_the_deadline_everything_is_released_and_the_query_is_named(
    lockable: Lockable, reason: str, user: str
) -> None:
    """Exactly, with an account that may look at locks; told from the process list with another one."""
    server, (statement, lock) = lockable.server, lockable.in_the_way[reason]
    lockable.create_backup_account()
    open_one = lockable.opener(user)
    with busy(server, statement) as culprit, holding(server, "SELECT 1"), open_one() as connection:
        began = time.monotonic()
        with pytest.raises(LockTimeout) as caught, lockable.locks(connection, open_one, 1) as locks:
            lockable.take(locks)
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


def test_an_idle_session_that_locks_a_table_is_named(lockable: Lockable) -> None:
    locking = holding(lockable.server, lockable.table_lock)
    with lockable.naming_holders(), locking as culprit, holding(lockable.server, "SELECT 1"):
        with pytest.raises(LockTimeout) as caught:
            lockable.go_through(1)
        assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [culprit]
    lockable.assert_nobody_is_blocked()


# --- never left behind ---------------------------------------------------------------------------


class DeafConnection(Connection):
    """A session on which the server's own lock timeout is out of order."""

    def execute(self, sql: str, args: Any = (), *, secrets: Any = ()) -> None:
        if not sql.startswith("SET SESSION lock_wait_timeout"):
            super().execute(sql, args, secrets=secrets)


def test_a_lock_that_does_not_obey_its_timeout_is_killed(lockable: Lockable) -> None:
    server = lockable.server
    parameters = ConnectionParameters(unix_socket=str(server.socket), user="root")
    with busy(server, "INSERT INTO shop.isam SELECT SLEEP(60)") as culprit, DeafConnection(parameters) as deaf:
        began = time.monotonic()
        with pytest.raises(LockTimeout) as caught, lockable.locks(deaf, lambda: DeafConnection(parameters), 1) as locks:
            lockable.take(locks)
        assert 1.5 < time.monotonic() - began < 3.5
        assert deaf.ping()
        assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [culprit]
        assert not refused(server, "CREATE TABLE shop.meanwhile (a INT)")


def test_any_error_inside_the_block_releases_the_locks_and_stays_itself(lockable: Lockable) -> None:
    open_one = lockable.opener()
    with open_one() as connection:
        with pytest.raises(Cancelled, match="mine"), lockable.locks(connection, open_one, 5) as locks:
            lockable.take(locks)
            raise Cancelled("mine")
        assert not lockable.held(locks)
        lockable.assert_nobody_is_blocked()


def test_a_signal_during_the_wait_ends_the_wait_and_releases(lockable: Lockable) -> None:
    def cancel(_number: int, _frame: Any) -> None:
        raise Cancelled("stopped by signal")

    server = lockable.server
    previous = signal.signal(signal.SIGALRM, cancel)
    try:
        with busy(server, "INSERT INTO shop.isam SELECT SLEEP(60)"):
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(Cancelled):
                lockable.go_through(30)
            wait_for(server, f"SELECT COUNT(*) = 0 FROM {lockable.processlist} WHERE INFO LIKE '{lockable.asking}'", 3)
            assert not refused(server, "CREATE TABLE shop.meanwhile (a INT)")
            assert not refused(server, "INSERT INTO shop.trx VALUES (4)")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_losing_the_session_under_its_locks_is_an_error_not_a_success(lockable: Lockable) -> None:
    open_one = lockable.opener()
    with (
        open_one() as connection,
        pytest.raises(ConnectionFailed),
        lockable.locks(connection, open_one, 5) as locks,
    ):
        lockable.take(locks)
        lockable.server.execute(f"KILL {connection.thread_id}")
    lockable.assert_nobody_is_blocked()


def test_a_killed_process_leaves_no_lock_behind(lockable: Lockable) -> None:
    sessions: list[Connection] = []
    open_one = lockable.opener()

    def open_noted() -> Connection:
        sessions.append(open_one())
        return sessions[-1]

    lockable.take(lockable.locks(open_noted(), open_noted, 5))
    assert refused(lockable.server, "INSERT INTO shop.isam VALUES (9)")
    ids = ", ".join(str(session.thread_id) for session in sessions)
    for session in sessions:
        session._raw._force_close()  # what the end of a process does: no goodbye
    wait_for(lockable.server, f"SELECT COUNT(*) = 0 FROM {lockable.processlist} WHERE ID IN ({ids})")
    lockable.assert_nobody_is_blocked()
