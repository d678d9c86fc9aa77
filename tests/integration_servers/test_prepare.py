# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing real backups of servers of both families that were under write load, against what others recover.

MariaDB's are hot backups, the stock tool's and ours, and the stock tool's prepare says what they hold. MySQL's is the
data directory of a server that died, and that server's own recovery says it. Tests of one family that need these
backups are here too: each is made once.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    DiskFull,
    PageCorrupt,
    ServerRunning,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Copier
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import prepare as prepare_module
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import AnyServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import table_states
from ansible_collections.innodb.xtrabackup.tests.support.load import check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_backups import coordinates
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.preparing import (
    FOREIGN,
    OURS,
    PREPARING,
    Backup,
    Made,
    Preparing,
    content,
    stock,
)
from ansible_collections.innodb.xtrabackup.tests.support.recovery_server import check_account
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

PREPARE = "xtrabackup_prepare"
MARIADB_ONLY = pytest.mark.parametrize("family", [Family.MARIADB], ids=["mariadb"])
MYSQL_ONLY = pytest.mark.parametrize("family", [Family.MYSQL], ids=["mysql"])


@pytest.fixture(params=list(Family), ids=[family.value for family in Family])
def family(request: pytest.FixtureRequest) -> Family:
    wanted: Family = request.param
    return wanted


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """The backups of both families."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    try:
        yield Made(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def preparing(family: Family) -> Preparing:
    return PREPARING[family]


@pytest.fixture
def backup(made: Made, family: Family) -> Backup:
    """Our backup, or the only one of the family."""
    return made.of(family)


@pytest.fixture
def foreign(made: Made, family: Family) -> Backup:
    """A backup as another tool makes it."""
    return made.of(family, FOREIGN)


@pytest.fixture
def replica(make_any: AnyServerFactory) -> DatabaseServer:
    return make_any("replica", start=False)


# --- the same data as others recover -------------------------------------------------------------


@pytest.mark.parametrize("use_memory", ["auto", "32M"])
@pytest.mark.parametrize(
    ("family", "origin"),
    [(Family.MARIADB, FOREIGN), (Family.MARIADB, OURS), (Family.MYSQL, FOREIGN)],
    ids=["mariadb-foreign", "mariadb-ours", "mysql-foreign"],
)
def test_a_prepared_copy_holds_what_others_recover(
    made: Made,
    preparing: Preparing,
    replica: DatabaseServer,
    workdir: Path,
    family: Family,
    origin: str,
    use_memory: str,
) -> None:
    backup = made.of(family, origin)
    before = content(backup.path)
    result = preparing.prepare(backup.path, workdir / "ready", use_memory=use_memory)
    assert content(backup.path) == before
    assert result.report is not None
    assert result.report.rolled_back >= 1
    assert result.report.prepared_transactions == 1
    assert result.report.recovered_lsn == result.record["last_lsn"]
    if backup.where is not None:
        position, gtid = backup.where.position, backup.where.gtid
        assert result.record["binlog"] == {"file": "binlog.000002", "position": position, "gtid": gtid}
        assert result.record["prepared"]["gtid_executed"] == gtid
        assert not [warning for warning in result.warnings if "GTID" in warning]
    with preparing.started_on(replica, workdir / "ready"):
        assert table_states(replica) == backup.tables
        check_invariants(replica)
        assert [row["data"] for row in replica.rows("XA RECOVER")] == [preparing.xid]
        if isinstance(replica, MySQLServer):
            assert replica.value("SELECT id FROM pending.last_one") == 1
            assert backup.where is not None
            assert coordinates(replica).gtid == backup.where.gtid
        # done by us, and not left to this start
        log = replica.log_text()
        assert [words for words in preparing.left_to_start if words in log] == []


def test_in_place_it_is_the_same_and_a_second_run_does_nothing(
    backup: Backup, preparing: Preparing, replica: DatabaseServer, workdir: Path
) -> None:
    directory = backup.copy(workdir / "full")
    options = {"src": str(directory), **preparing.program}
    before = content(directory)
    predicted = run_module(PREPARE, options, check=True, diff=True)
    assert content(directory) == before
    done = run_module(PREPARE, options, diff=True)
    assert (predicted["changed"], predicted["diff"]) == (True, done["diff"])
    assert done["changed"]
    assert done["backup"]["state"] == "prepared"
    assert done["recovery"]["rolled_back"] >= 1
    if backup.where is not None:
        assert done["recovery"]["gtid_executed"] == backup.where.gtid
    after = content(directory)
    for check in (True, False):
        again = run_module(PREPARE, options, check=check, diff=True)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]
        assert again["backup"] == done["backup"]
    assert content(directory) == after
    assert preparing.states_of(replica, directory) == backup.tables


@pytest.mark.parametrize("setting", ["4k", "64k", "lower_case", "own"])
def test_the_sources_own_settings_are_used(
    make_any: AnyServerFactory, preparing: Preparing, workdir: Path, setting: str
) -> None:
    options = preparing.settings[setting]
    where = preparing.backup_under_load(make_any("source", options), workdir / "full")
    result = preparing.prepare(workdir / "full")
    if where is not None:
        assert result.record["binlog"]["gtid"] == where.gtid
    with preparing.started_on(make_any("replica", options, start=False), workdir / "full") as replica:
        check_invariants(replica)


def test_an_idle_servers_backup_has_hardly_any_redo_and_is_proven_all_the_same(
    make_any: AnyServerFactory, preparing: Preparing, family: Family, workdir: Path
) -> None:
    source = make_any("source")
    source.restart()
    for directory in preparing.backups_of_idle(source, workdir):
        result = preparing.prepare(directory)
        assert result.record["prepared"]["recovered_lsn"] >= result.record["last_lsn"]
        if family is Family.MYSQL:
            assert result.record["prepared"]["recovered_lsn"] == result.record["last_lsn"]


def test_each_phase_is_told_while_it_lasts(foreign: Backup, preparing: Preparing, workdir: Path) -> None:
    progress = Progress("prepare", workdir / "progress.json")
    result = preparing.prepare(foreign.path, workdir / "ready", use_memory="32M", progress=progress)
    assert result.record["prepared"]["use_memory"] == "32.0 MiB"
    assert {"copying", "reading redo", "applying redo", "rolling back"} <= set(progress.snapshot()["phases"])


def test_a_path_that_is_too_long_for_a_socket_is_no_trouble(
    backup: Backup, preparing: Preparing, workdir: Path
) -> None:
    place = workdir / ("long" * 30)
    place.mkdir()
    assert preparing.prepare(backup.path, place / "ready").report is not None


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_place", [True, False])
def test_killed_at_random_moments_the_next_run_prepares_it(
    backup: Backup, preparing: Preparing, replica: DatabaseServer, workdir: Path, in_place: bool
) -> None:
    def options_for(source: Path, ready: Path) -> dict[str, Any]:
        return {"src": str(source), **({} if in_place else {"target_dir": str(ready)}), **preparing.program}

    timed = backup.copy(workdir / "timed") if in_place else backup.path
    started = time.monotonic()
    run_module(PREPARE, options_for(timed, workdir / "ready"))
    usual = time.monotonic() - started
    shutil.rmtree(workdir / "ready", ignore_errors=True)
    chance = random.Random(4711)
    survived = 0
    copies, kills = preparing.kills[in_place]
    for number in range(copies):
        source = backup.copy(workdir / f"full{number}") if in_place else backup.path
        ready = source if in_place else workdir / f"ready{number}"
        options = options_for(source, ready)
        for _again in range(kills):
            process = start_module(PREPARE, options)
            time.sleep(chance.uniform(0.15, 0.95) * usual)
            if process.poll() is not None:
                survived += 1
                usual *= 0.7  # the machine has less to do than when the time was taken
            process.kill()
            process.communicate()
        if not in_place and ready.exists():
            found = manifest.read(ready)
            assert found.backup["state"] == "prepared", "half a copy was published"
            manifest.verify_directory(ready, found, digests=False)
        done = run_module(PREPARE, options)
        assert done["backup"]["state"] == "prepared"
        if backup.where is not None:
            assert done["backup"]["binlog"]["gtid"] == backup.where.gtid
        assert preparing.states_of(replica, ready) == backup.tables, f"kill number {number}"
        assert sorted(path.name for path in workdir.glob("ready*.partial")) == []
        shutil.rmtree(ready)
    assert survived < copies * kills * 3 / 4


def test_a_job_that_is_told_to_stop_ends_its_server_and_leaves_nothing(
    backup: Backup, preparing: Preparing, workdir: Path
) -> None:
    options = {"src": str(backup.path), "target_dir": str(workdir / "ready"), **preparing.program}
    process = start_module(PREPARE, options)
    deadline = time.monotonic() + 60
    while not (workdir / "ready.partial" / "xtrabackup_prepare_in_progress").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    output, _errors = process.communicate(timeout=60)
    assert '"code": "cancelled"' in output
    assert [path.name for path in workdir.iterdir() if path.name.startswith("ready")] == []


# --- damage --------------------------------------------------------------------------------------


def test_a_log_that_was_cut_off_is_refused_at_any_place(
    foreign: Backup, preparing: Preparing, family: Family, workdir: Path
) -> None:
    directory = foreign.without_manifest(workdir / "full")
    log = directory / preparing.redo_name
    size = log.stat().st_size
    mariadb, mysql = (1, 17, size // 2, size - 12288, size - 100), (1, 600, size // 2, size - 2048, size - 100)
    for cut in mariadb if family is Family.MARIADB else mysql:
        os.truncate(log, size - cut)
        before = content(directory)
        with pytest.raises(XtrabackupError) as caught:
            preparing.prepare(directory)
        assert caught.value.code in ("recovery_incomplete", "redo_corrupt")
        assert content(directory) == before


def test_a_log_with_a_damaged_middle_is_refused(backup: Backup, preparing: Preparing, workdir: Path) -> None:
    directory = backup.without_manifest(workdir / "full")
    with open(directory / preparing.redo_name, "r+b") as log:
        log.seek((directory / preparing.redo_name).stat().st_size // 2)
        log.write(b"damage" * 20)
    with pytest.raises(preparing.damaged_log):
        preparing.prepare(directory)


def test_a_missing_table_is_named(backup: Backup, preparing: Preparing, workdir: Path) -> None:
    directory = backup.without_manifest(workdir / "full")
    (directory / "pending" / "touched.ibd").unlink()
    with pytest.raises(BackupIncomplete, match=preparing.missing_table):
        preparing.prepare(directory)


def test_a_damaged_page_is_named(backup: Backup, preparing: Preparing, workdir: Path) -> None:
    directory = backup.without_manifest(workdir / "full")
    preparing.damage_touched(directory)
    with pytest.raises(PageCorrupt, match=r"pending/touched\.ibd"):
        preparing.prepare(directory)


def test_a_server_that_runs_on_the_directory_is_refused(
    backup: Backup, preparing: Preparing, make_any: AnyServerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "_ENDING_SECONDS", 0.2)
    directory = preparing.occupied(make_any, backup)
    with pytest.raises(ServerRunning):
        preparing.prepare(directory)


# --- space ---------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, workdir: Path, backup: Backup) -> Iterator[Path]:
    """A file system with room for the backup and a few MiB more (the parameter, 6)."""
    place = workdir / "small"
    place.mkdir()
    size = sum(path.stat().st_size for path in backup.path.rglob("*") if path.is_file())
    size += getattr(request, "param", 6) << 20
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_too_little_space_is_said_before_anything_is_written(
    backup: Backup, preparing: Preparing, small_disk: Path
) -> None:
    with pytest.raises(DiskFull, match="needs"):
        preparing.prepare(backup.path, small_disk / "ready")
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_is_full_in_the_middle_is_a_clear_error_and_leaves_nothing(
    backup: Backup, preparing: Preparing, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "require_space", lambda *_arguments: None)
    (small_disk / "filler").write_bytes(b"x" * (8 << 20))
    with pytest.raises(DiskFull):
        preparing.prepare(backup.path, small_disk / "ready")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


# MariaDB's recovery needs 9 to 17 MiB, as much as the log that was copied under load says; from 8 to 11 some starts
# fail and never end, and some succeed.
@pytest.mark.parametrize(
    ("family", "small_disk", "is_enough_for_some"),
    [(Family.MARIADB, 6, False), (Family.MARIADB, 10, True), (Family.MYSQL, 1, False), (Family.MYSQL, 12, False)],
    ids=["mariadb-6", "mariadb-10", "mysql-1", "mysql-12"],
    indirect=["small_disk"],
)
def test_a_disk_that_the_server_fills_is_a_clear_error_and_leaves_nothing(
    backup: Backup,
    preparing: Preparing,
    small_disk: Path,
    is_enough_for_some: bool,
    replica: DatabaseServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(durable, "require_space", lambda *_arguments: None)
    try:
        preparing.prepare(backup.path, small_disk / "ready", stall_timeout=20)
    except DiskFull:
        assert list(small_disk.iterdir()) == []
    else:
        assert is_enough_for_some
        assert preparing.states_of(replica, small_disk / "ready") == backup.tables


# --- whose it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_the_server_runs_as_an_account_that_nobody_has(
    backup: Backup, preparing: Preparing, workdir: Path, owner: str
) -> None:
    directory = backup.copy(workdir / "full")
    # nobody else gets there
    workdir.chmod(0o700)
    check_account(directory, owner, preparing.program_name, lambda: preparing.prepare(directory).warnings)


# --- what MariaDB's backups have -----------------------------------------------------------------


@MARIADB_ONLY
def test_the_stock_tool_restores_what_we_prepared(
    backup: Backup, preparing: Preparing, replica: DatabaseServer, workdir: Path
) -> None:
    preparing.prepare(backup.path, workdir / "ready")
    stock("--copy-back", f"--target-dir={workdir / 'ready'}", f"--datadir={replica.datadir}")
    with replica.start():
        assert table_states(replica) == backup.tables


@MARIADB_ONLY
def test_digests_are_compared_while_a_backup_is_copied(
    backup: Backup, preparing: Preparing, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = backup.copy(workdir / "full")
    with open(directory / "load_test" / "ledger.ibd", "r+b") as table:
        table.seek(-1, os.SEEK_END)
        table.write(b"\x01")
    started: list[Any] = []

    def seen(*arguments: Any) -> bool:
        started.append(arguments)
        return False

    monkeypatch.setattr(Copier, "_clone", seen)
    with pytest.raises(XtrabackupError) as caught:
        preparing.prepare(directory, workdir / "ready")
    assert caught.value.code == "backup_incomplete"
    assert "ledger.ibd" in caught.value.message


# --- what MySQL's backup has ---------------------------------------------------------------------


@MYSQL_ONLY
def test_the_files_that_tell_the_coordinates_name_the_gtids_of_the_data(
    backup: Backup, preparing: Preparing, workdir: Path
) -> None:
    """Taken at the instant, the set lacks what was in the binary log and not yet committed."""
    where = backup.where
    assert where is not None
    directory = backup.copy(workdir / "full")
    uuid = re.sub(r":.*", "", where.gtid, flags=re.DOTALL)
    older = f"{uuid}:1-7"
    assert where.gtid != older
    place = f"binlog.000002\t{where.position}\t"
    (directory / "xtrabackup_binlog_info").write_text(f"{place}{older}\n")
    following = "CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=1 FOR CHANNEL 'from top';\n"
    (directory / "xtrabackup_slave_info").write_text(f"SET GLOBAL gtid_purged='{older}';\n{following}")
    last = f"filename 'binlog.000002', position '{where.position}', GTID of the last change"
    with open(directory / "xtrabackup_info", "a", encoding="utf-8") as info:
        info.write(f"binlog_pos = {last} '{older}'\ninnodb_from_lsn = 0\n")
    result = preparing.prepare(directory)
    gtid = where.gtid
    assert result.record["binlog"]["gtid"] == gtid
    assert (directory / "xtrabackup_binlog_info").read_text() == f"{place}{gtid}\n"
    assert (directory / "xtrabackup_slave_info").read_text() == f"SET GLOBAL gtid_purged='{gtid}';\n{following}"
    reported = (directory / "xtrabackup_info").read_text()
    assert f"\nbinlog_pos = {last} '{gtid}'\ninnodb_from_lsn = 0\n" in reported
    assert older + "'" not in reported


@MYSQL_ONLY
def test_nothing_of_a_server_or_of_its_logs_is_left(backup: Backup, preparing: Preparing, workdir: Path) -> None:
    preparing.prepare(backup.path, workdir / "ready")
    names = {path.name for path in (workdir / "ready").iterdir()}
    assert names == {
        *({path.name for path in backup.path.iterdir()} - {preparing.redo_name, "binlog.000002", "binlog.index"}),
        "#innodb_redo",
        file_kinds.MANIFEST_NAME,
    }
    assert list((workdir / "ready" / "#innodb_redo").iterdir()) == []
    assert b"backup_type = full-prepared" in (workdir / "ready" / "xtrabackup_checkpoints").read_bytes()
    assert not (workdir / "ready.partial").exists()


@MYSQL_ONLY
def test_without_its_binary_log_a_backup_is_not_whole(backup: Backup, preparing: Preparing, workdir: Path) -> None:
    directory = backup.copy(workdir / "full")
    (directory / "binlog.000002").unlink()
    with pytest.raises(BackupIncomplete, match=r"binlog\.000002"):
        preparing.prepare(directory)


@MYSQL_ONLY
def test_a_directory_that_a_server_was_started_on_is_no_backup_any_more(
    backup: Backup, preparing: Preparing, workdir: Path
) -> None:
    directory = backup.copy(workdir / "full")
    (directory / "#innodb_redo").mkdir()
    (directory / preparing.redo_name).rename(directory / "#innodb_redo" / "#ib_redo0")
    with pytest.raises(BackupIncomplete, match=preparing.redo_name):
        preparing.prepare(directory)
