# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xtrabackup_replica between two real MySQL servers: what MariaDB does not have."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import RESTORED_NAME
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, PairFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.replica_pairs import OTHER_UUID, MySQLPair, Pair, Stopped
from ansible_collections.innodb.xtrabackup.tests.support.servers import OptionValue


@pytest.fixture(scope="module")
def family() -> Family:
    return Family.MYSQL


def test_what_a_restored_server_lacks_of_the_set_becomes_purged_exactly(pair: Pair) -> None:
    assert pair.reached() == pair.gtid  # the data brought it with them
    pair.replica.execute("RESET BINARY LOGS AND GTIDS")  # the data stay, what is known of them goes
    lost = str(int(pair.gtid.rpartition("-")[2]) - 2)
    known = f"{pair.gtid.rpartition('-')[0]}-{lost}"
    pair.replica.execute(f"SET GLOBAL gtid_purged = '{known}'")
    done = pair.run(caught_up_within="30s")
    assert [statement.split()[0] for statement in done["statements"]] == ["SET", "CHANGE", "START"]
    assert known not in done["statements"][0]
    assert pair.reached() == pair.gtid
    assert "".join(str(pair.replica.value("SELECT @@GLOBAL.gtid_purged")).split()) == pair.gtid
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    pair.run(caught_up_within="30s", caught_up_to=pair.position_of(pair.source))
    assert_tables_equal(pair.source, pair.replica)


def test_without_gtids_the_backups_file_and_position_are_the_place(make_pair: PairFactory) -> None:
    off: Mapping[str, OptionValue | bool] = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}
    pair = make_pair(off, off)
    binlog = {**pair.log_position(), "gtid": ""}
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    pair.write_record(pair.replica.datadir / RESTORED_NAME, binlog)
    done = pair.change(coordinates={"backup": str(pair.replica.datadir)}, caught_up_within="30s")
    assert done["replication"]["using_gtid"] == "No"
    assert_tables_equal(pair.source, pair.replica)
    pair.run(state="absent")
    assert "gtid_mode is OFF" in pair.run(fails=True)["msg"]


def test_file_and_position_serve_as_well_and_a_tagged_transaction_can_be_waited_for(pair: Pair) -> None:
    coordinates = pair.log_position()
    pair.source.execute("SET SESSION gtid_next = 'AUTOMATIC:nightly'", "INSERT INTO shop.t VALUES (3, 'three')")
    target = pair.position_of(pair.source)
    assert ":nightly:1" in target
    done = pair.change(coordinates=coordinates, caught_up_within="30s", caught_up_to=target)
    assert done["replication"]["using_gtid"] == "No"
    assert done["replication"]["gtid_executed"] == target
    assert_tables_equal(pair.source, pair.replica)


def test_an_account_with_the_documented_privileges_is_enough(pair: Pair) -> None:
    pair.replica.execute("RESET BINARY LOGS AND GTIDS")
    pair.without_log(
        "CREATE USER manager@localhost IDENTIFIED BY 'x'",
        "GRANT REPLICATION_SLAVE_ADMIN, REPLICATION CLIENT ON *.* TO manager@localhost",
    )
    login: dict[str, Any] = {"login_user": "manager", "login_password": "x"}
    for asked in ({"state": "absent"}, {}):
        lacking = pair.run(**{**login, **asked}, fails=True)["error"]
        assert lacking["code"] == "missing_privilege"
        assert pair.reached() == ""
        pair.without_log(lacking["details"]["grant"])
    assert pair.run(**login, caught_up_within="30s")["changed"] is True
    assert pair.run(**login, state="absent")["changed"] is True
    pair.without_log("CREATE USER nobody@localhost IDENTIFIED BY 'x'")
    refused = pair.run(login_user="nobody", login_password="x", fails=True)
    assert refused["error"]["code"] == "missing_privilege"
    pair.without_log(refused["error"]["details"]["grant"])
    assert pair.run(login_user="nobody", login_password="x")["changed"] is True


def test_with_consent_the_replica_follows_a_sibling_that_was_promoted(
    replicating: Pair, make_mysql: MySQLFactory, stopped: Stopped
) -> None:
    other = make_mysql("other", start=False)
    stopped.restore_to(other.datadir)
    other.start()
    sibling = MySQLPair(replicating.source, other, replicating.gtid)
    sibling.run(caught_up_within="30s")
    sibling.run(state="absent")
    other.execute("INSERT INTO shop.t VALUES (9, 'nine')")
    replicating.change(source_port=other.port, allow_repoint=True, caught_up_within="30s")
    assert_tables_equal(other, replicating.replica)


def test_positions_that_are_not_proven_are_refused_and_nothing_is_touched(pair: Pair) -> None:
    behind = pair.gtid.rpartition("-")[0] + "-3"
    pair.replica.execute("RESET BINARY LOGS AND GTIDS", f"SET GLOBAL gtid_purged = '{OTHER_UUID}:1-5'")
    assert "different histories" in pair.run(fails=True)["msg"]
    # a transaction of the source that it has executed itself: its data have moved on since they were put there
    uuid, _colon, _rest = pair.gtid.partition(":")
    pair.replica.execute(
        "RESET BINARY LOGS AND GTIDS",
        f"SET GLOBAL gtid_purged = '{behind}'",
        f"SET SESSION gtid_next = '{uuid}:4'",
        "INSERT INTO shop.t VALUES (40, 'applied')",
    )
    assert "is no fresh restore" in pair.run(fails=True)["msg"]
    pair.replica.execute("RESET BINARY LOGS AND GTIDS", f"SET GLOBAL gtid_purged = '{pair.gtid}'")
    pair.replica.execute("INSERT INTO shop.t VALUES (41, 'own')")
    refused = pair.run(fails=True)
    assert "transactions of its own" in refused["msg"]
    pair.replica.execute("RESET BINARY LOGS AND GTIDS")
    assert "nothing says where" in pair.run(coordinates=None, fails=True)["msg"]
    assert pair.reached() == ""
    assert pair.channel() is None


def test_a_member_of_group_replication_is_never_given_gtids(make_pair: PairFactory) -> None:
    group = {"plugin_load_add": "group_replication.so", "loose_group_replication_group_name": OTHER_UUID}
    pair = make_pair(replica={**group, "loose_group_replication_start_on_boot": "OFF"})
    pair.replica.execute("RESET BINARY LOGS AND GTIDS")
    assert "group replication" in pair.run(fails=True)["msg"]
    assert pair.reached() == ""


def test_without_tls_an_account_needs_the_public_key_which_is_said_at_once(pair: Pair) -> None:
    began = time.monotonic()
    failed = pair.run(source_ssl=False, fails=True)
    assert time.monotonic() - began < 15
    assert failed["error"]["details"]["io_errno"] == 2061
    assert "get_source_public_key" in failed["error"]["remedy"]
    done = pair.change(source_ssl=False, get_source_public_key=True, caught_up_within="30s")
    assert [statement.split()[0] for statement in done["statements"]] == ["STOP", "CHANGE", "START"]
    assert done["diff"]["after"]["get_source_public_key"] is True


def test_a_certificate_that_is_not_the_sources_is_refused(pair: Pair) -> None:
    verified: dict[str, Any] = {"source_ssl_verify": True, "source_ssl_ca": str(pair.source.datadir / "ca.pem")}
    failed = pair.run(**verified, fails=True)  # the certificate that a server makes for itself names no host
    assert "source_ssl" in failed["error"]["remedy"]
    own: dict[str, Any] = {"source_ssl_verify": False, "source_ssl_ca": str(pair.source.datadir / "ca.pem")}
    assert pair.run(**own, caught_up_within="30s")["changed"] is True
