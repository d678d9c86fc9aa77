# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The means of proof themselves: each must see what it is there to see, or the tests built on it prove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums, datasets, load
from ansible_collections.innodb.xtrabackup.tests.support.servers import ServerFailed


def test_the_zoo_has_every_kind_of_file_and_equals_itself(make_server: ServerFactory) -> None:
    server = make_server()
    datasets.create_zoo(server)
    found = {path.suffix[1:] for path in (server.datadir / "zoo").iterdir()}
    assert found == set(datasets.ZOO_EXTENSIONS)
    assert checksums.assert_tables_equal(server, server, at_least=20) >= 20
    checksums.assert_definitions_equal(server, server)


def test_a_changed_row_and_a_changed_definition_are_seen(make_server: ServerFactory) -> None:
    left, right = make_server("left"), make_server("right")
    for server in (left, right):
        datasets.create_zoo(server)
    assert checksums.assert_tables_equal(left, right) >= 20
    right.execute("INSERT INTO zoo.csv_1 VALUES (0, '')")
    with pytest.raises(checksums.NotEqual, match=r"1 of .* tables differ: zoo\.csv_1"):
        checksums.assert_tables_equal(left, right)
    right.execute("DROP EVENT zoo.nightly")
    with pytest.raises(checksums.NotEqual, match="events differ"):
        checksums.assert_definitions_equal(left, right)


def test_comparing_nothing_with_nothing_is_no_success(make_server: ServerFactory) -> None:
    server = make_server()
    with pytest.raises(checksums.NotEqual, match="only 0 tables"):
        checksums.assert_tables_equal(server, server)


def test_a_load_keeps_its_invariants_and_their_check_sees_each_one_broken(make_server: ServerFactory) -> None:
    server = make_server()
    with load.WriteLoad(server, step_engines=("MyISAM", "Aria"), schema_changes=True) as writes:
        writes.wait_for(100)
    assert writes.report is not None
    assert writes.report.transactions >= 100
    assert writes.report.schema_changes > 0
    load.check_invariants(server)
    add_one = "UPDATE load_test.accounts SET balance = balance + 1 WHERE id = {}"
    server.execute(add_one.format(1))
    with pytest.raises(load.LoadFailed, match="add up"):
        load.check_invariants(server)
    server.execute("UPDATE load_test.accounts SET balance = balance - 1 WHERE id = 2")
    with pytest.raises(load.LoadFailed, match="2 accounts do not agree with their ledger"):
        load.check_invariants(server)
    server.execute("UPDATE load_test.accounts SET balance = balance - 1 WHERE id = 1", add_one.format(2))
    load.check_invariants(server)
    server.execute("DELETE FROM load_test.step_1_myisam WHERE writer = 0")
    with pytest.raises(load.LoadFailed, match="not in step"):
        load.check_invariants(server)


def test_a_load_on_a_server_that_dies_fails_unless_that_is_expected(make_server: ServerFactory) -> None:
    server = make_server()
    with pytest.raises(load.LoadFailed, match="the load failed"), load.WriteLoad(server) as writes:
        writes.wait_for(10)
        server.kill()
        writes.wait_until_ended()
    server.start()
    with load.WriteLoad(server, may_lose_server=True) as writes:
        writes.wait_for(10)
        server.kill()
        writes.wait_until_ended()
    assert writes.report is not None
    assert writes.report.errors


def test_a_replica_that_is_behind_is_not_caught_up(make_server: ServerFactory) -> None:
    primary, replica = make_server("primary"), make_server("replica")
    primary.create_account("repl", "secret", "REPLICATION SLAVE")
    replica.execute(
        f"CHANGE MASTER TO master_host = '127.0.0.1', master_port = {primary.port}, master_user = 'repl', "
        "master_password = 'secret', master_use_gtid = slave_pos",
        "START SLAVE",
    )
    with load.WriteLoad(primary) as writes:
        writes.wait_for(50)
    checksums.wait_until_caught_up(primary, replica)
    assert checksums.assert_tables_equal(primary, replica) >= 3
    replica.execute("STOP SLAVE SQL_THREAD")
    primary.execute("CREATE DATABASE later")
    with pytest.raises(checksums.NotCaughtUp):
        checksums.wait_until_caught_up(primary, replica, timeout=2)


def test_a_server_that_cannot_start_says_why(make_server: ServerFactory, workdir: Path) -> None:
    with pytest.raises(ServerFailed, match="unknown variable 'no_such_option=1'"):
        make_server("broken", {"no_such_option": 1})
