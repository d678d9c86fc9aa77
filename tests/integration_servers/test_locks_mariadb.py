# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup stages on a real MariaDB server: what MySQL does not have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import LockTimeout, ServerError
from ansible_collections.innodb.xtrabackup.tests.support.backup_locks import (
    LockableMariaDB,
    new_tables,
    one_server,
    refused,
)
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer
from ansible_collections.innodb.xtrabackup.tests.support.sessions import busy, holding


@pytest.fixture(scope="module")
def shared() -> Iterator[MariaDBServer]:
    """One server for all tests of this file."""
    with one_server(MariaDBServer) as made:
        yield made


@pytest.fixture
def lockable(shared: MariaDBServer) -> LockableMariaDB:
    """That server with one new table of each kind, and nothing that another test has left."""
    return LockableMariaDB(new_tables(shared))


def test_commits_and_ddl_really_are_blocked_meanwhile(lockable: LockableMariaDB) -> None:
    open_one = lockable.opener()
    with open_one() as connection, lockable.locks(connection, open_one, 5) as stages:
        stages.start()
        stages.block_ddl()
        stages.block_commit()
        assert refused(lockable.server, "INSERT INTO shop.trx VALUES (77)")
        assert refused(lockable.server, "CREATE TABLE shop.x (a INT)")
    lockable.assert_nobody_is_blocked()


def test_a_long_read_holds_up_nothing(lockable: LockableMariaDB) -> None:
    with busy(lockable.server, "SELECT SLEEP(60) FROM shop.isam"):
        stages = lockable.go_through(3)
    assert all(stages.times_ms[f"{stage}_wait"] < 1000 for stage in lockable.names)


def test_a_global_read_lock_holds_up_nothing(lockable: LockableMariaDB) -> None:
    """No stage waits for it, where MySQL's locks do."""
    with holding(lockable.server, "FLUSH TABLES WITH READ LOCK"):
        lockable.go_through(3)
    lockable.assert_nobody_is_blocked()


def test_without_the_plugin_that_names_holders_an_idle_one_is_among_those_that_are_named(
    lockable: LockableMariaDB,
) -> None:
    with holding(lockable.server, "LOCK TABLES shop.trx WRITE") as culprit, pytest.raises(LockTimeout) as caught:
        lockable.go_through(1)
    assert culprit in [blocker["id"] for blocker in caught.value.details["blockers"]]
    lockable.assert_nobody_is_blocked()


def test_another_backup_is_in_the_way_until_its_end(lockable: LockableMariaDB) -> None:
    another = holding(lockable.server, "BACKUP STAGE START")
    with another, pytest.raises(LockTimeout, match="START was not granted within 1 s"):
        lockable.go_through(1)
    lockable.go_through(5)


def test_stages_in_the_wrong_order_are_the_servers_error(lockable: LockableMariaDB) -> None:
    open_one = lockable.opener()
    with open_one() as connection, pytest.raises(ServerError), lockable.locks(connection, open_one, 5) as stages:
        stages.block_ddl()
    lockable.assert_nobody_is_blocked()
