# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks, run by ansible-playbook: what they do, what they refuse, and how a failed run heals."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.tests.support import plays
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal, wait_until_caught_up
from ansible_collections.innodb.xtrabackup.tests.support.estate import PASSWORDS, Estate
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.plays import failed, run_playbook, succeeded, write_private
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

EACH_FLAVOR = pytest.mark.parametrize("estate", ["mariadb", "mysql"], indirect=True)


@EACH_FLAVOR
def test_an_empty_host_becomes_a_replica_under_load_and_a_second_run_changes_nothing(estate: Estate) -> None:
    mysql = estate.primary.flavor == "mysql"
    replica = estate.host("replica", {"event_scheduler": "ON"})
    estate.create_ticking_event()
    if mysql:  # for tables that are not InnoDB's
        estate.primary.execute("GRANT LOCK TABLES, SELECT ON *.* TO backup@localhost")
    with WriteLoad(estate.primary, per_second=100, step_engines=("MyISAM",) if mysql else ("MyISAM", "Aria")):
        predicted = succeeded(estate.play("--check", "--diff"))
        assert predicted.changed["replica"] > 0
        assert "Would copy primary to" in predicted.output
        assert f'+    "source": "127.0.0.1:{estate.primary.port}"' in predicted.output
        assert not replica.datadir.exists()
        assert estate.leftovers() == []

        first = succeeded(estate.play(xtrabackup_replica_report=str(estate.directory / "report.json")))
        assert first.changed["replica"] > 0
        estate.assert_replica(replica)
        assert estate.leftovers() == []
        report = (estate.directory / "report.json").read_text()

        assert set(succeeded(estate.play()).changed.values()) == {0}
        assert set(succeeded(estate.play("--check", "--diff")).changed.values()) == {0}
        renamed = estate.play(xtrabackup_primary_address="localhost")
        if mysql:  # a channel has its source's server_uuid, by which the primary is known under any name
            assert f"which it knows as 127.0.0.1:{estate.primary.port}" in succeeded(renamed).output
            assert set(renamed.changed.values()) == {0}
        else:
            failed(renamed, "may be it by another name", "allow_repoint")
            assert "xtrabackup_replica_rebuild" not in renamed.output
        estate.assert_replica(replica)
        estate.assert_events_fire_on_the_primary_only(replica)
    for result in (predicted, first):
        assert not any(password in result.output for password in PASSWORDS.values())
    if mysql:
        check_invariants(replica)
        _assert_two_servers_over_tls(estate.primary, replica)
        assert '"get_source_public_key": false' in report


def _assert_two_servers_over_tls(primary: DatabaseServer, replica: DatabaseServer) -> None:
    """Two MySQL servers, two identities; the replica has made no transaction of its own."""
    uuids = {server.value("SELECT @@server_uuid") for server in (primary, replica)}
    assert len(uuids) == 2
    assert replica.value("SELECT @@server_uuid") not in replica.value("SELECT @@GLOBAL.gtid_executed")
    assert replica.rows("SHOW REPLICA STATUS")[0]["Source_SSL_Allowed"] == "Yes"


@pytest.mark.slow
def test_data_of_others_are_refused_and_replaced_with_consent_only(estate: Estate) -> None:
    replica = estate.host("replica")
    replica.start()
    replica.execute("CREATE DATABASE precious", "CREATE TABLE precious.t (a INT)", "INSERT INTO precious.t VALUES (1)")
    failed(estate.play(), "Nothing was touched", "databases: precious", "xtrabackup_replica_rebuild: true")
    failed(estate.play("--check"), "Nothing was touched")
    assert replica.running
    assert replica.value("SELECT a FROM precious.t") == 1
    assert estate.leftovers() == []

    succeeded(estate.play(xtrabackup_replica_rebuild=True))
    estate.assert_replica(replica)
    assert replica.value("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'precious'") == 0
    assert estate.leftovers() == []


@pytest.mark.slow
def test_a_failed_sender_or_start_leaves_nothing_behind_and_the_next_run_goes_on_there(estate: Estate) -> None:
    replica = estate.host("replica")
    with estate.primary.session() as connection, connection.cursor() as cursor:
        cursor.execute("BACKUP STAGE START")  # somebody else's backup
        failed(estate.play(xtrabackup_lock_timeout="2s"), "No backup has arrived", "Take the backup on the primary")
    # a receiver to which nobody comes is told to stop
    away = estate.play(xtrabackup_replica_address="127.0.0.2", xtrabackup_transfer_connect_timeout="3s")
    failed(away, "127.0.0.2", "The log of the receiver is ")
    assert not replica.datadir.exists()
    jobs = ["primary/run/jobs/sender-replica", "replica/run/jobs/replica-replica"]
    assert estate.leftovers() == sorted(["replica/data.incoming.journal", *jobs])
    for job in jobs:
        assert stat.S_IMODE((estate.directory / job).stat().st_mode) == 0o700
        assert stat.S_IMODE((estate.directory / job / "status.log").stat().st_mode) == 0o600
    processes = Path("/proc").glob("[0-9]*/cmdline")
    assert not [path for path in processes if _names(path, f"{estate.directory}/replica/run")]

    failed(estate.play(xtrabackup_server_start_command=["/bin/false"]), "/bin/false")
    assert estate.leftovers() == ["replica/data.incoming.journal", "replica/run/jobs/replica-replica"]
    result = succeeded(estate.play())
    assert "an earlier run was interrupted there" in result.output
    assert "Take the backup on the primary" not in result.output
    estate.assert_replica(replica)
    assert estate.leftovers() == []


@pytest.mark.slow
def test_a_replica_that_has_drifted_is_made_anew_when_it_is_named(estate: Estate) -> None:
    replica = estate.host("replica")
    succeeded(estate.play())
    replica.execute("INSERT INTO shop.items VALUES (1000000, 'written on the replica')")
    drifted = "SELECT COUNT(*) FROM shop.items WHERE id = 1000000"
    for consent in ({"xtrabackup_replica_rebuild": True}, {"xtrabackup_replica_rebuild_healthy": "primary,other"}):
        result = succeeded(estate.play(**consent))
        assert result.recap["replica"]["changed"] == 0
        assert replica.value(drifted) == 1
    result = succeeded(estate.play("--check", xtrabackup_replica_rebuild_healthy="replica"))
    assert "Would copy primary" in result.output
    assert replica.value(drifted) == 1
    succeeded(estate.play(xtrabackup_replica_rebuild_healthy="replica"))
    assert replica.value(drifted) == 0
    estate.assert_replica(replica)
    assert estate.leftovers() == []


def _names(path: Path, text: str) -> bool:
    try:
        return os.fsencode(text) in path.read_bytes()
    except OSError:
        return False


@pytest.mark.slow
def test_a_fresh_server_needs_no_consent_and_a_run_that_ended_before_placing_uses_what_has_arrived(
    estate: Estate,
) -> None:
    replica = estate.host("replica")
    replica.start()
    failed(estate.play(xtrabackup_server_stop_command=["/bin/false"]), "freshly installed", "/bin/false")
    assert replica.running
    result = succeeded(estate.play())
    assert "Take the backup on the primary" not in result.output
    estate.assert_replica(replica)
    assert estate.leftovers() == []


LATE_DATA = """
import os, shutil, subprocess, sys
import pymysql
socket, datadir, disk, *stop = sys.argv[1:]
with pymysql.connect(unix_socket=socket, user="root", autocommit=True) as connection, connection.cursor() as cursor:
    for statement in ("CREATE DATABASE crm", "CREATE TABLE crm.t (a INT)", "INSERT INTO crm.t VALUES (1)"):
        cursor.execute(statement)
subprocess.run(stop, check=True)
shutil.move(os.path.join(datadir, "crm"), disk)
os.symlink(disk, os.path.join(datadir, "crm"))
"""


def test_data_behind_a_link_and_data_that_came_during_the_copy_are_not_replaced(estate: Estate) -> None:
    replica = estate.host("replica")
    replica.start()
    stop = plays.host_variables(replica)["xtrabackup_server_stop_command"]
    places = [str(replica.socket), str(replica.datadir), str(estate.directory / "disk")]
    late = [sys.executable, "-c", LATE_DATA, *places, *stop]
    # in the last moment
    failed(estate.play(xtrabackup_server_stop_command=late), "Nothing was touched", "data were put into", "crm")
    assert replica.value("SELECT a FROM crm.t") == 1
    # and in the next run, which would take up where that one has ended
    failed(estate.play(), "Nothing was touched", "databases: crm", "xtrabackup_replica_rebuild: true")
    assert replica.value("SELECT a FROM crm.t") == 1


@pytest.mark.slow
def test_broken_replication_is_only_rebuilt_with_consent(estate: Estate) -> None:
    replica = estate.host("replica")
    succeeded(estate.play())
    replica.execute("SET SESSION sql_log_bin = 0", "DELETE FROM shop.items WHERE id = 1")
    estate.primary.execute("UPDATE shop.items SET name = 'new' WHERE id = 1")
    with pytest.raises(AssertionError):
        wait_until_caught_up(estate.primary, replica, timeout=10)
    failed(estate.play(), "its replication is broken", "xtrabackup_replica_rebuild: true")
    succeeded(estate.play(xtrabackup_replica_rebuild=True))
    estate.assert_replica(replica)
    assert estate.leftovers() == []


@pytest.mark.slow
def test_state_of_replication_outside_of_data_that_are_gone_is_replaced_with_consent_only(estate: Estate) -> None:
    state = estate.directory / "channel"
    state.mkdir()
    places = {"relay_log": "relay", "master_info_file": "master.info", "relay_log_info_file": "relay-log.info"}
    replica = estate.host("replica", {name: str(state / place) for name, place in places.items()})
    for name in ("master.info", "relay-log.info"):
        (state / name).write_text("of data that are gone\n")
    failed(estate.play(), str(state / "master.info"))
    succeeded(estate.play(xtrabackup_replica_rebuild=True))
    estate.assert_replica(replica)
    assert estate.leftovers() == []


@pytest.mark.slow
def test_a_replica_keeps_of_its_channel_what_nobody_gives_and_what_would_change_is_told(estate: Estate) -> None:
    tls = make_certificate(estate.directory)
    estate.primary.restart({"ssl_cert": str(tls / "cert.pem"), "ssl_key": str(tls / "key.pem")})
    replica = estate.host("replica")
    succeeded(estate.play())
    estate.primary.create_account("other", "another password", "REPLICATION SLAVE")
    estate.assert_replica(replica)
    replica.execute("STOP SLAVE", "RESET SLAVE ALL")
    replica.execute(
        f"CHANGE MASTER 'main' TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {estate.primary.port}, "
        f"MASTER_USER = 'other', MASTER_PASSWORD = 'another password', MASTER_SSL = 1, "
        f"MASTER_SSL_CA = '{tls / 'cert.pem'}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 7",
        "START SLAVE 'main'",
    )

    def channels() -> list[tuple[str, ...]]:
        names = ("Connection_name", "Master_User", "Master_SSL_Allowed", "Master_SSL_CA_File")
        return [tuple(row[name] for name in names) for row in replica.rows("SHOW ALL SLAVES STATUS")]

    estate.primary.execute("UPDATE shop.items SET name = 'over TLS' WHERE id = 1")
    estate.assert_replica(replica)
    kept = [("main", "other", "Yes", str(tls / "cert.pem"))]
    assert channels() == kept
    nothing = {"xtrabackup_replication_user": "", "xtrabackup_replication_password": ""}
    result = succeeded(estate.play(**nothing))
    assert "Will keep the replica as it is" in result.output
    assert set(result.changed.values()) == {0}
    assert channels() == kept

    given: dict[str, Any] = {"xtrabackup_replication_ssl": False, "xtrabackup_replication_ssl_verify": False}
    reported = succeeded(estate.play("--check", "--diff", **given))
    assert "Would keep the replica and set anew, of its channel: source_user, source_ssl" in reported.output
    assert '"source_ssl": true' in reported.output
    assert reported.changed["replica"] > 0
    assert channels() == kept
    assert succeeded(estate.play(**given)).changed["replica"] > 0
    assert channels() == [("main", "repl", "No", str(tls / "cert.pem"))]


def make_certificate(directory: Path) -> Path:
    """A certificate that signs itself, and its key, for 127.0.0.1: cert.pem and key.pem in a new directory."""
    place = directory / "tls"
    place.mkdir()
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return place


@pytest.mark.slow
def test_what_cannot_work_is_refused_before_anything_is_touched(estate: Estate) -> None:
    replica = estate.host("replica", {"server_id": 1})
    failed(estate.play(), "Each server of a replication needs one of its own")
    replica.set_options({"server_id": 2})
    replica.write_option_file()
    estate.primary.execute("REVOKE REPLICATION SLAVE ADMIN ON *.* FROM backup@localhost")
    failed(estate.play(), "lacks privileges", "GRANT REPLICATION SLAVE ADMIN")
    failed(estate.play(xtrabackup_backup_password="wrong"), "does not accept the login")
    failed(estate.play(xtrabackup_backup_password=""), "xtrabackup_backup_password is empty")
    failed(estate.play(xtrabackup_primary="nobody"), "which is no host of the inventory")
    estate.primary.execute("GRANT REPLICATION SLAVE ADMIN ON *.* TO backup@localhost")
    failed(estate.play(xtrabackup_replication_password=""), "xtrabackup_replication_password is empty")
    failed(estate.play("--check", xtrabackup_replication_password="x" * 97), "can use no more than 96")
    failed(estate.play("--check", xtrabackup_replication_ssl_ca="/nosuch"), "there is no file /nosuch on this host")
    for check in ("--check", "--diff"):
        wrong = estate.play(check, xtrabackup_replication_password="canary-wrong-password")
        failed(wrong, "Nothing was touched", "cannot log in to", "does not accept the login of user 'repl'")
        assert "canary" not in wrong.output
    failed(estate.play(xtrabackup_primary_port=free_port()), "cannot log in to", "Connection refused")
    other = estate.host("other")
    other.start()
    other.create_account("repl", PASSWORDS["xtrabackup_replication_password"], "REPLICATION SLAVE")
    another = estate.play("--limit", "primary,replica", xtrabackup_primary_port=other.port)
    failed(another, "has server_id 3, and that of primary has server_id 1")
    estate.servers.pop("other").kill()
    # a primary that does not pass on what it replicates itself
    estate.primary.execute("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1")
    failed(estate.play(), "it is a replica itself, and its log_slave_updates is OFF")
    assert not replica.datadir.exists()
    assert estate.leftovers() == []


@pytest.mark.slow
@EACH_FLAVOR
def test_a_backup_is_taken_once_a_day_and_restored_once(estate: Estate) -> None:
    target = estate.host("target")
    backups = estate.directory / "backups"
    names = {"xtrabackup_backup_directory": str(backups), "xtrabackup_backup_name": "monday"}
    checked = succeeded(estate.play("--check", playbook="backup.yml", **names))
    assert checked.changed["primary"] > 0
    assert not backups.exists()
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
    assert succeeded(estate.play("--check", playbook="restore.yml", **restore)).changed["target"] == 0


@pytest.mark.slow
def test_an_archive_is_restored_over_other_data_with_consent_only(estate: Estate) -> None:
    target = estate.host("target")
    target.start()
    target.execute("CREATE DATABASE precious")
    backups = estate.directory / "backups"
    succeeded(
        estate.play(
            playbook="backup.yml",
            xtrabackup_backup_directory=str(backups),
            xtrabackup_backup_name="full",
            xtrabackup_backup_format="xbstream",
            xtrabackup_compress={"algorithm": "zstd"},
        )
    )
    restore = {
        "xtrabackup_hosts": "target",
        "xtrabackup_restore_src": str(backups / "full.xbstream"),
        "xtrabackup_restore_prepared_dir": str(estate.directory / "prepared"),
        "xtrabackup_restore_method": "move",
    }
    failed(estate.play(playbook="restore.yml", **restore), "nothing was touched", "xtrabackup_restore_force: true")
    assert target.running
    # what the module would refuse is known while the server still runs, and in check mode
    target.stop()
    target.datadir.rename(estate.directory / "disk")
    target.datadir.symlink_to(estate.directory / "disk")
    target.start()
    for path in (target.directory, target.datadir):
        os.lchown(path, 65534, -1)
    for words in (["--check"], []):
        refused = estate.play(*words, playbook="restore.yml", **restore, xtrabackup_restore_force=True)
        failed(refused, "is a symbolic link")
        assert target.running
    # a link that only root can change is a way to the data like any other
    os.chown(target.directory, 0, -1)  # in whose directory nobody else can put another link
    succeeded(estate.play(playbook="restore.yml", **restore, xtrabackup_restore_force=True))
    assert os.readlink(target.datadir) == str(estate.directory / "disk")
    assert_tables_equal(estate.primary, target)
    again = succeeded(estate.play(playbook="restore.yml", **restore, xtrabackup_restore_force=True))
    assert again.changed["target"] == 0
    failed(estate.play(playbook="restore.yml"), "Say which hosts to restore on")


HOSTS = {"primaries": ["db1"], "replicas": ["db2"], "web": ["web1"]}
NOBODY = {"web": ["web1"]}


@pytest.mark.parametrize(
    ("playbook", "groups", "arguments", "expected"),
    [
        ("backup.yml", NOBODY, [], 'no group primaries, of which "primaries" speaks'),
        ("backup.yml", {}, [], "no group primaries"),
        ("backup.yml", HOSTS, ["--limit", "web1"], '"primaries" matches only hosts that --limit=web1 leaves out'),
        ("backup.yml", HOSTS, ["-e", "xtrabackup_hosts=db1:misspelt"], 'no group misspelt, of which "db1:misspelt"'),
        ("backup.yml", {"all": {"xtrabackup_hosts": "web"}, **HOSTS}, [], "xtrabackup_hosts is web in the inventory"),
        ("provision_replica.yml", {"primaries": ["db1"]}, [], "no group replicas"),
        ("provision_replica.yml", {"replicas": ["db2"]}, [], "No host of the inventory is in the group primaries"),
        ("provision_replica.yml", HOSTS, ["--limit", "db1"], '"replicas" matches only hosts that --limit=db1'),
        ("provision_replica.yml", HOSTS, ["-e", "xtrabackup_hosts=db3"], "xtrabackup_hosts (db3) has no say here"),
        ("restore.yml", HOSTS, ["--limit", "db1", "-e", '{"xtrabackup_hosts": ["db2", "web1"]}'], "leaves out"),
        ("restore.yml", HOSTS, ["--limit", "db1"], "Say which hosts to restore on"),
        ("restore.yml", HOSTS, ["-e", "xtrabackup_hosts=all:!misspelt"], "no group misspelt"),
        ("restore.yml", HOSTS, ["--limit", "db1", "-e", "xtrabackup_hosts=db2"], '"db2" matches only hosts that'),
    ],
)
def test_a_play_that_would_have_no_hosts_is_an_error_that_names_the_pattern(
    tmp_path: Path, playbook: str, groups: dict[str, Any], arguments: list[str], expected: str
) -> None:
    inventory: dict[str, Any] = {"all": {"vars": {"ansible_connection": "local"}, "children": {}}}
    for name, hosts in groups.items():
        if name == "all":
            inventory["all"]["vars"].update(hosts)
        else:
            inventory["all"]["children"][name] = {"hosts": dict.fromkeys(hosts)}
    write_private(tmp_path / "inventory.yml", inventory)
    result = run_playbook(
        playbook, *arguments, inventory=tmp_path / "inventory.yml", scratch=tmp_path / "ansible", variables={}
    )
    failed(result, expected)
    assert set(result.changed.values()) == {0}
