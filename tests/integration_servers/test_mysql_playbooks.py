# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks on MySQL hosts, run by ansible-playbook: what differs from MariaDB's, and the whole of it once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal, wait_until_caught_up
from ansible_collections.innodb.xtrabackup.tests.support.estate import PASSWORDS, Estate
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad, check_invariants
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


def test_an_empty_host_becomes_a_replica_under_load_and_a_second_run_changes_nothing(estate: Estate) -> None:
    replica = estate.host("replica")  # event_scheduler is on by default
    estate.create_ticking_event()
    # for tables that are not InnoDB's
    estate.primary.execute("GRANT LOCK TABLES, SELECT ON *.* TO backup@localhost")
    with WriteLoad(estate.primary, per_second=100, step_engines=("MyISAM",)):
        predicted = succeeded(estate.play("--check", "--diff"))
        assert predicted.changed["replica"] > 0
        assert "Would copy primary to" in predicted.output
        assert not replica.datadir.exists()
        assert estate.leftovers() == []

        first = succeeded(estate.play(xtrabackup_replica_report=str(estate.directory / "report.json")))
        assert first.changed["replica"] > 0
        estate.assert_replica(replica)
        assert estate.leftovers() == []
        assert '"get_source_public_key": false' in (estate.directory / "report.json").read_text()

        assert set(succeeded(estate.play()).changed.values()) == {0}
        # by its server_uuid the primary is known under any name
        renamed = succeeded(estate.play(xtrabackup_primary_address="localhost"))
        assert f"which it knows as 127.0.0.1:{estate.primary.port}" in renamed.output
        assert set(renamed.changed.values()) == {0}
        estate.assert_replica(replica)
        estate.assert_events_fire_on_the_primary_only(replica)
    check_invariants(replica)
    for result in (predicted, first):
        assert not any(password in result.output for password in PASSWORDS.values())
    # two servers, two identities; the replica has made no transaction of its own
    uuids = {server.value("SELECT @@server_uuid") for server in (estate.primary, replica)}
    assert len(uuids) == 2
    assert replica.value("SELECT @@server_uuid") not in replica.value("SELECT @@GLOBAL.gtid_executed")
    assert replica.rows("SHOW REPLICA STATUS")[0]["Source_SSL_Allowed"] == "Yes"


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


@pytest.mark.slow
def test_a_backup_is_taken_once_a_day_and_restored_once(estate: Estate) -> None:
    target = estate.host("target")
    backups = estate.directory / "backups"
    names = {"xtrabackup_backup_directory": str(backups), "xtrabackup_backup_name": "monday"}
    assert succeeded(estate.play(playbook="backup.yml", **names)).changed["primary"] > 0
    assert succeeded(estate.play(playbook="backup.yml", **names)).changed["primary"] == 0
    restore = {
        "xtrabackup_hosts": "target",
        "xtrabackup_restore_src": str(backups / "monday"),
        "xtrabackup_restore_prepared_dir": str(estate.directory / "prepared"),
    }
    assert succeeded(estate.play("--check", playbook="restore.yml", **restore)).changed["target"] > 0
    assert not target.datadir.exists()
    assert succeeded(estate.play(playbook="restore.yml", **restore)).changed["target"] > 0
    assert_tables_equal(estate.primary, target)
    assert succeeded(estate.play(playbook="restore.yml", **restore)).changed["target"] == 0
