# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xtrabackup_replica between two real MariaDB servers: what MySQL does not have."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.replica_pairs import MariaDBPair, Pair


@pytest.fixture(scope="module")
def family() -> Family:
    return Family.MARIADB


def test_a_fresh_restore_stands_at_no_position_and_catches_up_without_a_target(pair: Pair) -> None:
    assert pair.reached() == ""
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    done = pair.change(caught_up_within="30s")
    assert done["replication"]["gtid_slave_pos"] == pair.position_of(pair.source)
    assert_tables_equal(pair.source, pair.replica)


def test_with_consent_the_replica_follows_a_sibling_that_was_promoted(
    replicating: Pair, make_server: ServerFactory
) -> None:
    other = make_server("other", {"log_slave_updates": "ON"})  # has all of the source's binary log
    sibling = MariaDBPair(replicating.source, other, "")
    sibling.run(coordinates={"gtid": ""}, caught_up_within="30s")
    other.create_account("unused", "x", "USAGE")
    sibling.run(state="absent")
    other.execute("INSERT INTO shop.t VALUES (9, 'nine')")
    replicating.change(source_port=other.port, allow_repoint=True, caught_up_within="30s")
    assert_tables_equal(other, replicating.replica)


def test_a_server_with_writes_of_its_own_is_no_fresh_restore(pair: Pair) -> None:
    for number in range(10, 40):
        pair.replica.execute(f"INSERT INTO shop.t VALUES ({number}, 'own')")
    refused = pair.run(fails=True)
    assert "transactions of its own" in refused["msg"]
    assert pair.channel() is None
    assert pair.replica.value("SELECT @@gtid_slave_pos") == ""


def test_a_position_of_another_history_is_refused(pair: Pair) -> None:
    domain, _server, sequence = pair.gtid.split("-")
    pair.replica.execute(f"SET GLOBAL gtid_slave_pos = '{domain}-99-{sequence}'")
    assert "different histories" in pair.run(fails=True)["msg"]
    assert pair.channel() is None


def test_an_account_without_privileges_gets_the_grant_before_anything_is_touched(pair: Pair) -> None:
    pair.replica.create_account("nobody", "x", "USAGE")
    failed = pair.run(login_user="nobody", login_password="x", fails=True)
    assert failed["error"]["code"] == "missing_privilege"
    pair.replica.execute(failed["error"]["details"]["grant"])
    assert pair.run(login_user="nobody", login_password="x")["changed"] is True


def test_nothing_says_where_to_begin_is_an_error(pair: Pair) -> None:
    assert "nothing says where" in pair.run(coordinates=None, fails=True)["msg"]
