# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing backups of MySQL servers that died under load, against those servers' own crash recovery."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    DiskFull,
    PageCorrupt,
    RecoveryIncomplete,
    RedoCorrupt,
    ServerRunning,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import prepare as prepare_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import (
    PrepareOptions,
    PrepareResult,
)
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import TableState, table_states
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_backups import (
    Coordinates,
    backup_of_killed,
    coordinates,
)
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.recovery_server import check_account

PREPARE = "xtrabackup_prepare"
PROGRAM = {"server_program": str(SERVER_PROGRAM)}
ROWS_TO_UNDO = 30_000
LOGFILE = "xtrabackup_logfile"


@dataclass(frozen=True)
class Backup:
    """A backup of a server that died under load, and what that server holds after its own recovery."""

    path: Path
    tables: dict[str, TableState]
    where: Coordinates


def prepare(source: Path, target: Path | None = None, **options: Any) -> PrepareResult:
    return prepare_module.prepare(source, target, PrepareOptions(**{**PROGRAM, **options}), Progress("prepare"))


def copy_of(source: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


def started_on(server: MySQLServer, directory: Path) -> MySQLServer:
    """Start ``server`` on a copy of the prepared ``directory``, which stays as it is."""
    server.stop()
    shutil.rmtree(server.datadir, ignore_errors=True)
    server.directory.mkdir(parents=True, exist_ok=True)
    copy_of(directory, server.datadir)
    server.error_log.unlink(missing_ok=True)
    return server.start(extra=["--log-error-verbosity=3"])


def states_of(server: MySQLServer, directory: Path) -> dict[str, TableState]:
    with started_on(server, directory):
        return table_states(server)


def content(directory: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with open(path, "rb", buffering=0) as source:
                found[str(path.relative_to(directory))] = manifest.digest_file(source)
    return found


@pytest.fixture(name="backup", scope="module")
def _backup() -> Iterator[Backup]:
    """Open transactions to roll back, one that is prepared, and one that only the binary log tells to be committed."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    source = MySQLServer(place / "source", {"innodb_flush_log_at_trx_commit": 1})
    try:
        source.start()
        source.execute(
            "CREATE DATABASE pending",
            "CREATE TABLE pending.rows_of_one (id INT PRIMARY KEY, a VARCHAR(200))",
            f"INSERT INTO pending.rows_of_one SELECT seq, REPEAT('a', 150) FROM {source.numbers(ROWS_TO_UNDO)}",
            "CREATE TABLE pending.prepared_one (id INT PRIMARY KEY)",
            "CREATE TABLE pending.last_one (id INT PRIMARY KEY)",
            "CREATE TABLE pending.touched (id INT PRIMARY KEY, a INT)",
            f"INSERT INTO pending.touched SELECT seq, 0 FROM {source.numbers(200)}",
        )
        source.restart()  # a checkpoint: what the log holds from the first page on, recovery makes anew
        opened, undecided = source.connect(autocommit=False), source.connect()
        with opened.cursor() as cursor:
            cursor.execute("UPDATE pending.rows_of_one SET a = REPEAT('b', 151)")
        with undecided.cursor() as cursor:
            for statement in ("XA START 'x'", "INSERT INTO pending.prepared_one VALUES (1)", "XA END 'x'"):
                cursor.execute(statement)
            cursor.execute("XA PREPARE 'x'")
        with WriteLoad(source) as load:
            load.wait_for(300)
            source.execute("UPDATE pending.touched SET a = a + 1")
        last = source.connect()
        with last.cursor() as cursor:
            cursor.execute("INSERT INTO pending.last_one VALUES (1)")
        source.kill()
        # its end is what the server's own recovery finds
        dead = copy_of(source.datadir, place / "dead")
        source.start()
        where = coordinates(source)
        tables = table_states(source)
        source.kill()
        position = (dead / "binlog.000002").stat().st_size
        shutil.rmtree(source.datadir)
        dead.rename(source.datadir)
        where = Coordinates("binlog.000002", position, where.gtid)
        yield Backup(backup_of_killed(source, place / "full", where), tables, where)
    finally:
        source.kill()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(name="replica")
def _replica(make_mysql: MySQLFactory) -> MySQLServer:
    return make_mysql("replica", start=False)


# --- what it holds -------------------------------------------------------------------------------


@pytest.mark.parametrize("use_memory", ["auto", "32M"])
def test_a_prepared_copy_holds_what_the_servers_own_recovery_found(
    backup: Backup, replica: MySQLServer, workdir: Path, use_memory: str
) -> None:
    before = content(backup.path)
    result = prepare(backup.path, workdir / "ready", use_memory=use_memory)
    assert content(backup.path) == before
    assert result.report is not None
    assert result.report.rolled_back >= 1
    assert result.report.prepared_transactions == 1
    assert result.report.recovered_lsn == result.record["last_lsn"]
    assert result.record["binlog"] == {
        "file": "binlog.000002",
        "position": backup.where.position,
        "gtid": backup.where.gtid,
    }
    assert result.record["prepared"]["gtid_executed"] == backup.where.gtid
    assert not [warning for warning in result.warnings if "GTID" in warning]
    with started_on(replica, workdir / "ready"):
        assert table_states(replica) == backup.tables
        check_invariants(replica)
        assert replica.value("SELECT id FROM pending.last_one") == 1
        assert [row["data"] for row in replica.rows("XA RECOVER")] == ["x"]
        assert coordinates(replica).gtid == backup.where.gtid
        # done by us, and not left to this start
        log = replica.log_text()
        assert "Rolling back trx" not in log
        assert "Starting crash recovery" not in log
        assert "moved" not in log


def test_the_files_that_tell_the_coordinates_name_the_gtids_of_the_data(backup: Backup, workdir: Path) -> None:
    """Taken at the instant, the set lacks what was in the binary log and not yet committed."""
    directory = copy_of(backup.path, workdir / "full")
    uuid = re.sub(r":.*", "", backup.where.gtid, flags=re.DOTALL)
    older = f"{uuid}:1-7"
    assert backup.where.gtid != older
    place = f"binlog.000002\t{backup.where.position}\t"
    (directory / "xtrabackup_binlog_info").write_text(f"{place}{older}\n")
    following = "CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=1 FOR CHANNEL 'from top';\n"
    (directory / "xtrabackup_slave_info").write_text(f"SET GLOBAL gtid_purged='{older}';\n{following}")
    last = f"filename 'binlog.000002', position '{backup.where.position}', GTID of the last change"
    with open(directory / "xtrabackup_info", "a", encoding="utf-8") as info:
        info.write(f"binlog_pos = {last} '{older}'\ninnodb_from_lsn = 0\n")
    result = prepare(directory)
    gtid = backup.where.gtid
    assert result.record["binlog"]["gtid"] == gtid
    assert (directory / "xtrabackup_binlog_info").read_text() == f"{place}{gtid}\n"
    assert (directory / "xtrabackup_slave_info").read_text() == f"SET GLOBAL gtid_purged='{gtid}';\n{following}"
    reported = (directory / "xtrabackup_info").read_text()
    assert f"\nbinlog_pos = {last} '{gtid}'\ninnodb_from_lsn = 0\n" in reported
    assert older + "'" not in reported


def test_nothing_of_a_server_or_of_its_logs_is_left(backup: Backup, workdir: Path) -> None:
    prepare(backup.path, workdir / "ready")
    names = {path.name for path in (workdir / "ready").iterdir()}
    assert names == {
        *({path.name for path in backup.path.iterdir()} - {LOGFILE, "binlog.000002", "binlog.index"}),
        "#innodb_redo",
        file_kinds.MANIFEST_NAME,
    }
    assert list((workdir / "ready" / "#innodb_redo").iterdir()) == []
    assert b"backup_type = full-prepared" in (workdir / "ready" / "xtrabackup_checkpoints").read_bytes()
    assert not (workdir / "ready.partial").exists()


def test_in_place_it_is_the_same_and_a_second_run_does_nothing(
    backup: Backup, replica: MySQLServer, workdir: Path
) -> None:
    directory = copy_of(backup.path, workdir / "full")
    options = {"src": str(directory), **PROGRAM}
    before = content(directory)
    predicted = run_module(PREPARE, options, check=True, diff=True)
    assert content(directory) == before
    done = run_module(PREPARE, options, diff=True)
    assert (predicted["changed"], predicted["diff"]) == (True, done["diff"])
    assert done["backup"]["state"] == "prepared"
    assert done["recovery"]["gtid_executed"] == backup.where.gtid
    after = content(directory)
    for check in (True, False):
        again = run_module(PREPARE, options, check=check, diff=True)
        assert not again["changed"]
        assert again["backup"] == done["backup"]
    assert content(directory) == after
    assert states_of(replica, directory) == backup.tables


@pytest.mark.parametrize(
    "options",
    [
        {"innodb_page_size": "4k"},
        {"innodb_page_size": "64k", "innodb_data_file_path": "ibdata1:12M;ibdata2:20M:autoextend"},
        {"lower_case_table_names": 1, "gtid_mode": False, "enforce_gtid_consistency": False},
        {"skip_log_bin": None, "log_bin": False},
    ],
    ids=str,
)
def test_the_sources_own_settings_are_used(make_mysql: MySQLFactory, workdir: Path, options: dict[str, Any]) -> None:
    source = make_mysql("source", options)
    with WriteLoad(source) as load:
        load.wait_for(200)
    logging = "skip_log_bin" not in options
    where = coordinates(source) if logging else None
    source.kill()
    result = prepare(backup_of_killed(source, workdir / "full", where))
    if where is not None:
        assert result.record["binlog"]["gtid"] == where.gtid
    with started_on(make_mysql("replica", options, start=False), workdir / "full") as replica:
        check_invariants(replica)


def test_an_idle_servers_backup_has_hardly_any_redo_and_is_proven_all_the_same(
    make_mysql: MySQLFactory, workdir: Path
) -> None:
    source = make_mysql("source")
    source.restart()
    where = coordinates(source)
    source.kill()
    result = prepare(backup_of_killed(source, workdir / "full", where))
    assert result.record["prepared"]["recovered_lsn"] == result.record["last_lsn"]


def test_tables_that_were_elsewhere_are_recovered_here_and_only_here(make_mysql: MySQLFactory, workdir: Path) -> None:
    """The source's own files are where the dictionary says that these tables are: they must not be touched."""
    (workdir / "far").mkdir()
    (workdir / "undo").mkdir()
    layout = {"innodb_directories": str(workdir / "far"), "innodb_undo_directory": str(workdir / "undo")}
    source = make_mysql("source", layout)
    source.execute(
        "CREATE DATABASE shop",
        f"CREATE TABLE shop.t (id INT PRIMARY KEY) DATA DIRECTORY = '{workdir / 'far'}'",
        "CREATE UNDO TABLESPACE more ADD DATAFILE 'more.ibu'",
        f"INSERT INTO shop.t SELECT seq FROM {source.numbers(1000)}",
    )
    where = coordinates(source)
    source.kill()
    backup = backup_of_killed(source, workdir / "full", where)
    before = content(workdir / "far"), content(workdir / "undo")
    result = prepare(backup, workdir / "ready")
    assert (content(workdir / "far"), content(workdir / "undo")) == before
    assert not [warning for warning in result.warnings if warning.startswith("server:")]
    with started_on(make_mysql("replica", start=False), workdir / "ready") as replica:
        assert replica.value("SELECT COUNT(*) FROM shop.t") == 1000


def test_a_path_that_is_too_long_for_a_socket_is_no_trouble(backup: Backup, workdir: Path) -> None:
    place = workdir / ("long" * 30)
    place.mkdir()
    assert prepare(backup.path, place / "ready").report is not None


def test_each_phase_is_told_while_it_lasts(backup: Backup, workdir: Path) -> None:
    progress = Progress("prepare", workdir / "progress.json")
    options = PrepareOptions(use_memory="32M", server_program=str(SERVER_PROGRAM))
    prepare_module.prepare(backup.path, workdir / "ready", options, progress)
    assert {"copying", "reading redo", "applying redo", "rolling back"} <= set(progress.snapshot()["phases"])


# --- kills ---------------------------------------------------------------------------------------


def test_killed_at_random_moments_the_next_run_prepares_it(backup: Backup, replica: MySQLServer, workdir: Path) -> None:
    timed = {"src": str(copy_of(backup.path, workdir / "timed")), **PROGRAM}
    started = time.monotonic()
    run_module(PREPARE, timed)
    usual = time.monotonic() - started
    chance = random.Random(4711)
    survived = 0
    for number in range(4):
        source = copy_of(backup.path, workdir / f"full{number}")
        options = {"src": str(source), **PROGRAM}
        for _again in range(2):
            process = start_module(PREPARE, options)
            time.sleep(chance.uniform(0.15, 0.95) * usual)
            survived += process.poll() is not None
            process.kill()
            process.communicate()
        assert run_module(PREPARE, options)["backup"]["binlog"]["gtid"] == backup.where.gtid
        assert states_of(replica, source) == backup.tables, f"kill number {number}"
        shutil.rmtree(source)
    assert survived < 6


# --- damage --------------------------------------------------------------------------------------


def test_a_log_that_was_cut_off_is_refused_before_anything_is_touched(backup: Backup, workdir: Path) -> None:
    directory = copy_of(backup.path, workdir / "full")
    size = (directory / LOGFILE).stat().st_size
    for cut in (1, 600, size // 2, size - 2048, size - 100):
        os.truncate(directory / LOGFILE, size - cut)
        before = content(directory)
        with pytest.raises((RecoveryIncomplete, RedoCorrupt)):
            prepare(directory)
        assert content(directory) == before


def test_a_log_with_a_damaged_middle_is_refused(backup: Backup, workdir: Path) -> None:
    directory = copy_of(backup.path, workdir / "full")
    with open(directory / LOGFILE, "r+b") as log:
        log.seek((directory / LOGFILE).stat().st_size // 2)
        log.write(b"damage" * 20)
    with pytest.raises(RedoCorrupt):
        prepare(directory)


def test_without_its_binary_log_a_backup_is_not_whole(backup: Backup, workdir: Path) -> None:
    directory = copy_of(backup.path, workdir / "full")
    (directory / "binlog.000002").unlink()
    with pytest.raises(BackupIncomplete, match=r"binlog\.000002"):
        prepare(directory)


def test_a_missing_table_is_named(backup: Backup, workdir: Path) -> None:
    directory = copy_of(backup.path, workdir / "full")
    (directory / "pending" / "touched.ibd").unlink()
    with pytest.raises(BackupIncomplete, match="tablespace ID"):
        prepare(directory)


def test_a_damaged_page_is_named(backup: Backup, workdir: Path) -> None:
    directory = copy_of(backup.path, workdir / "full")
    with open(directory / "pending" / "touched.ibd", "r+b") as table:
        table.seek(4 * 16384)
        table.write(os.urandom(16384))
    with pytest.raises(PageCorrupt, match=r"pending/touched\.ibd"):
        prepare(directory)


def test_a_directory_that_a_server_was_started_on_is_no_backup_any_more(
    backup: Backup, make_mysql: MySQLFactory, workdir: Path
) -> None:
    directory = copy_of(backup.path, workdir / "full")
    (directory / "#innodb_redo").mkdir()
    (directory / LOGFILE).rename(directory / "#innodb_redo" / "#ib_redo0")
    with pytest.raises(BackupIncomplete, match=LOGFILE):
        prepare(directory)


def test_a_server_that_runs_on_the_directory_is_refused(
    backup: Backup, make_mysql: MySQLFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "_ENDING_SECONDS", 0.2)
    user = make_mysql("user")
    for name in ("xtrabackup_checkpoints", "xtrabackup_info", "backup-my.cnf"):
        shutil.copy(backup.path / name, user.datadir / name)
    with pytest.raises(ServerRunning):
        prepare(user.datadir)


# --- space ---------------------------------------------------------------------------------------


@pytest.fixture(name="small_disk")
def _small_disk(request: pytest.FixtureRequest, workdir: Path, backup: Backup) -> Iterator[Path]:
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


@pytest.mark.parametrize("small_disk", [1, 12], indirect=True)
def test_a_disk_that_the_server_fills_is_a_clear_error_and_leaves_nothing(
    backup: Backup, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "require_space", lambda *_arguments: None)
    with pytest.raises(DiskFull):
        prepare(backup.path, small_disk / "ready", stall_timeout=20)
    assert list(small_disk.iterdir()) == []


# --- whose it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_the_server_runs_as_an_account_that_nobody_has(backup: Backup, workdir: Path, owner: str) -> None:
    directory = copy_of(backup.path, workdir / "full")
    # nobody else gets there
    workdir.chmod(0o700)
    check_account(directory, owner, "mysqld", lambda: prepare(directory).warnings)
