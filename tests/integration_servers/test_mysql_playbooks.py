# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks on MySQL hosts, run by ansible-playbook: what differs from MariaDB's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal, wait_until_caught_up
from ansible_collections.innodb.xtrabackup.tests.support.estate import PASSWORDS, Estate
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.plays import failed, succeeded
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, program

GTIDS = {"gtid_mode": "ON", "enforce_gtid_consistency": "ON"}


@pytest.fixture
def estate(workdir: Path) -> Iterator[Estate]:
    """An estate of MySQL servers, all of which end with the test."""
    made = Estate(workdir, flavor="mysql")
    try:
        yield made
    finally:
        made.close()


@pytest.mark.slow
def test_what_cannot_work_is_refused_before_anything_is_touched(estate: Estate) -> None:
    replica = estate.host("replica", {"server_id": 1, "gtid_mode": "OFF"})

    def say(**options: str | int) -> None:
        replica.set_options(options)
        replica.write_option_file()

    failed(estate.play(), "Each server of a replication needs one of its own")
    say(server_id=2)
    failed(estate.play(), "set gtid_mode=ON and enforce_gtid_consistency=ON there")
    say(**GTIDS)
    failed(estate.play(xtrabackup_server_program=program("mariadbd")), "is MariaDB", "primary runs MySQL")
    failed(estate.play(xtrabackup_flavor="mariadb"), "mariadbd is not installed on replica")
    estate.host("other", {"server_id": 2})
    failed(estate.play(xtrabackup_serial=2), "which is that of replica.", "which is that of other.")
    estate.servers.pop("other")
    estate.primary.execute(
        "REVOKE REPLICATION_SLAVE_ADMIN ON *.* FROM backup@localhost",
        "REVOKE SELECT ON performance_schema.log_status FROM backup@localhost",
    )
    failed(
        estate.play(),
        "lacks privileges; run there: GRANT REPLICATION_SLAVE_ADMIN ON *.* TO its account; "
        "GRANT SELECT ON performance_schema.log_status TO its account",
    )
    estate.primary.execute(
        "GRANT REPLICATION_SLAVE_ADMIN ON *.* TO backup@localhost",
        "GRANT SELECT ON performance_schema.log_status TO backup@localhost",
    )
    failed(estate.play("--check", xtrabackup_replication_password="x" * 33), "can use no more than 32")
    # a primary that does not pass on what it replicates itself
    estate.primary.restart({"log_replica_updates": "OFF"})
    estate.primary.execute("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1")
    failed(estate.play(), "it is a replica itself, and its log_replica_updates is OFF")
    assert not replica.datadir.exists()
    assert estate.leftovers() == []


@pytest.mark.slow
def test_data_of_others_need_consent_and_a_freshly_installed_server_does_not(estate: Estate) -> None:
    replica = estate.host("replica")
    replica.start()
    replica.execute("CREATE DATABASE precious", "CREATE TABLE precious.t (a INT)", "INSERT INTO precious.t VALUES (1)")
    failed(estate.play(), "Nothing was touched", "databases: precious", "xtrabackup_replica_rebuild: true")
    assert replica.value("SELECT a FROM precious.t") == 1
    replica.execute("DROP DATABASE precious")
    assert "freshly installed" in succeeded(estate.play()).output
    estate.assert_replica(replica)
    assert estate.leftovers() == []


@pytest.mark.slow
def test_a_replica_of_a_replica_follows_that_one_only(estate: Estate) -> None:
    with MySQLServer(estate.directory / "top", server_id=100) as top:
        top.create_account("repl", PASSWORDS["xtrabackup_replication_password"], "REPLICATION SLAVE")
        top.execute("RESET BINARY LOGS AND GTIDS")
        here = top.rows("SHOW BINARY LOG STATUS")[0]
        estate.primary.execute(
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={top.port}, SOURCE_USER='repl', "
            f"SOURCE_PASSWORD='{PASSWORDS['xtrabackup_replication_password']}', SOURCE_SSL=1, "
            f"SOURCE_LOG_FILE='{here['File']}', SOURCE_LOG_POS={here['Position']} FOR CHANNEL 'from_top'",
            "START REPLICA",
        )
        # a server that would take up channels by itself if it found some
        replica = estate.host("replica", {"relay_log_recovery": "ON"})
        succeeded(estate.play())
        assert [row["Source_Port"] for row in replica.rows("SHOW REPLICA STATUS")] == [estate.primary.port]
        top.execute("CREATE DATABASE late", "CREATE TABLE late.t (a INT PRIMARY KEY)", "INSERT INTO late.t VALUES (1)")
        wait_until_caught_up(top, estate.primary)
        estate.assert_replica(replica)
        assert replica.value("SELECT a FROM late.t") == 1


@pytest.mark.slow
def test_without_gtids_a_replica_follows_by_file_and_position(workdir: Path) -> None:
    off = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}
    estate = Estate(workdir, off, flavor="mysql")
    try:
        replica = estate.host("replica", off)
        with WriteLoad(estate.primary, per_second=100):
            succeeded(estate.play())
        assert replica.rows("SHOW REPLICA STATUS")[0]["Auto_Position"] == 0
        executed_all(estate.primary, replica)
        assert_tables_equal(estate.primary, replica)
        assert set(succeeded(estate.play()).changed.values()) == {0}
    finally:
        estate.close()


def executed_all(primary: DatabaseServer, replica: DatabaseServer) -> None:
    """Wait until ``replica`` has executed all that ``primary``, which is idle, has in its binary log."""
    row = primary.rows("SHOW BINARY LOG STATUS")[0]
    assert replica.value("SELECT SOURCE_POS_WAIT(%s, %s, 60)", [row["File"], row["Position"]]) is not None
