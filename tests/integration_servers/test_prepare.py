# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing real backups of a server under write load, ours and the stock tool's, against the stock tool's prepare."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    DiskFull,
    PageCorrupt,
    RecoveryIncomplete,
    ServerRunning,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Copier
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import prepare as prepare_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import (
    PrepareOptions,
    PrepareResult,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink, Sink
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import TableState, table_states
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_zoo
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.recovery_server import check_account
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

PREPARE = "xtrabackup_prepare"
KEY = bytes(range(32))
ROWS_TO_UNDO = 30_000


@dataclass(frozen=True)
class Backup:
    """A backup that was taken under load, and what its tables hold once the stock tool has prepared it."""

    path: Path
    tables: dict[str, TableState]


def stock(*arguments: str) -> str:
    finished = subprocess.run(["mariadb-backup", *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return finished.stderr


def take(server: MariaDBServer, sink: Sink) -> None:
    connection = ConnectionParameters(unix_socket=str(server.socket), user="root")
    job.take_backup(job.BackupOptions(connection=connection, tool_version="0.1.0"), sink, Progress("backup"))


def copy_of(source: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


def started_on(server: MariaDBServer, directory: Path) -> MariaDBServer:
    """Start ``server`` on a copy of the prepared ``directory``, which stays as it is."""
    server.stop()
    shutil.rmtree(server.datadir, ignore_errors=True)
    server.directory.mkdir(parents=True, exist_ok=True)
    copy_of(directory, server.datadir)
    return server.start()


def states_of(server: MariaDBServer, directory: Path) -> dict[str, TableState]:
    with started_on(server, directory):
        return table_states(server)


def content(directory: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with open(path, "rb", buffering=0) as source:
                found[str(path.relative_to(directory))] = manifest.digest_file(source)
    return found


@contextlib.contextmanager
def touching(server: MariaDBServer) -> Iterator[None]:
    """Change every page of a table again and again, so that each log holds changes to pages that were there before."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(0.02):
            server.execute("UPDATE pending.touched SET a = a + 1")

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture(name="backups", scope="module")
def _backups() -> Iterator[dict[str, Backup]]:
    """One backup by the stock tool and one by us of a server under load, with transactions that are open meanwhile."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    source = MariaDBServer(place / "source", {"innodb_undo_tablespaces": 3, "innodb_log_file_size": "96M"})
    reference = MariaDBServer(place / "reference", server_id=9)
    try:
        source.start()
        create_zoo(source)
        source.execute(
            "CREATE DATABASE pending",
            "USE pending",
            "CREATE TABLE pending.rows_of_one (id INT PRIMARY KEY, a VARCHAR(200)) ENGINE=InnoDB",
            f"INSERT INTO pending.rows_of_one SELECT seq, REPEAT('a', 150) FROM seq_1_to_{ROWS_TO_UNDO}",
            "CREATE TABLE pending.prepared_one (id INT PRIMARY KEY) ENGINE=InnoDB",
            "CREATE TABLE pending.touched (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
            "INSERT INTO pending.touched SELECT seq, 0 FROM seq_1_to_200",
        )
        source.restart()  # a checkpoint: what the log holds from the first page on, recovery makes anew
        with source.session() as open_one, source.session() as prepared_one:
            with open_one.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("UPDATE pending.rows_of_one SET a = REPEAT('b', 180)")
            with prepared_one.cursor() as cursor:
                for statement in ("START 'x'", "END 'x'", "PREPARE 'x'"):
                    cursor.execute(f"XA {statement}")
                    if statement.startswith("START"):
                        cursor.execute("INSERT INTO pending.prepared_one VALUES (1)")
            with WriteLoad(source, payload=800, per_second=AS_FAST_AS_IT_CAN) as load, touching(source):
                load.wait_for(500)
                stock("--backup", f"--socket={source.socket}", "--user=root", f"--target-dir={place / 'stock'}")
                load.wait_for(200)
                take(source, DirectorySink(place / "ours"))
        source.kill()
        found = {}
        for name in ("stock", "ours"):
            stock("--prepare", f"--target-dir={copy_of(place / name, place / 'prepared')}")
            found[name] = Backup(place / name, states_of(reference, place / "prepared"))
            shutil.rmtree(place / "prepared")
        yield found
    finally:
        source.kill()
        reference.kill()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(name="replica")
def _replica(make_server: ServerFactory) -> MariaDBServer:
    return make_server("replica", start=False)


def prepare(source: Path, target: Path | None = None, **options: Any) -> PrepareResult:
    return prepare_module.prepare(source, target, PrepareOptions(**options), Progress("prepare"))


# --- the same data as the stock tool gives -------------------------------------------------------


@pytest.mark.parametrize("origin", ["stock", "ours"])
@pytest.mark.parametrize("use_memory", ["auto", "32M"])
def test_a_prepared_copy_holds_what_the_stock_tools_holds(
    backups: dict[str, Backup], replica: MariaDBServer, workdir: Path, origin: str, use_memory: str
) -> None:
    backup = backups[origin]
    before = content(backup.path)
    result = prepare(backup.path, workdir / "ready", use_memory=use_memory)
    assert content(backup.path) == before
    assert result.report is not None
    assert result.report.rolled_back >= 1
    assert result.report.prepared_transactions == 1
    assert result.report.recovered_lsn == result.record["last_lsn"]
    with started_on(replica, workdir / "ready"):
        assert table_states(replica) == backup.tables
        check_invariants(replica)
        assert [row["data"] for row in replica.rows("XA RECOVER")] == [b"x"]
        # rolled back by us, and not left to this start
        assert "Rolled back recovered transaction" not in replica.log_text()
        assert "Starting crash recovery" not in replica.log_text()


def test_in_place_it_is_the_same_and_a_second_run_does_nothing(
    backups: dict[str, Backup], replica: MariaDBServer, workdir: Path
) -> None:
    directory = copy_of(backups["ours"].path, workdir / "full")
    options = {"src": str(directory)}
    before = content(directory)
    predicted = run_module(PREPARE, options, check=True, diff=True)
    assert content(directory) == before
    done = run_module(PREPARE, options, diff=True)
    assert (predicted["changed"], predicted["diff"]) == (True, done["diff"])
    assert done["changed"]
    assert done["backup"]["state"] == "prepared"
    assert done["recovery"]["rolled_back"] >= 1
    after = content(directory)
    for check in (True, False):
        again = run_module(PREPARE, options, check=check, diff=True)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]
        assert again["backup"] == done["backup"]
    assert content(directory) == after
    assert states_of(replica, directory) == backups["ours"].tables


def test_the_stock_tool_restores_what_we_prepared(
    backups: dict[str, Backup], replica: MariaDBServer, workdir: Path
) -> None:
    prepare(backups["ours"].path, workdir / "ready")
    stock("--copy-back", f"--target-dir={workdir / 'ready'}", f"--datadir={replica.datadir}")
    with replica.start():
        assert table_states(replica) == backups["ours"].tables


@pytest.mark.parametrize("encrypted", [False, True])
def test_an_archive_is_unpacked_and_prepared(
    make_server: ServerFactory, replica: MariaDBServer, workdir: Path, encrypted: bool
) -> None:
    source = make_server("source")
    create_zoo(source)
    key = KEY if encrypted else None
    with WriteLoad(source) as load:
        load.wait_for(100)
        take(source, ArchiveSink(workdir / "full.xbstream", compress=Compression("zstd", 1, 2), encrypt_key=key))
    result = prepare(workdir / "full.xbstream", workdir / "ready", decrypt_key=key)
    assert result.record["prepared"]["recovered_lsn"] == result.record["last_lsn"]
    with started_on(replica, workdir / "ready"):
        check_invariants(replica)
    assert not prepare(workdir / "full.xbstream", workdir / "ready", decrypt_key=key).changed


@pytest.mark.parametrize(
    "options",
    [
        {"innodb_page_size": "4k"},
        {"innodb_page_size": "64k"},
        {"innodb_data_file_path": "ibdata1:12M;ibdata2:20M:autoextend", "innodb_undo_tablespaces": 2},
        {"lower_case_table_names": 1, "innodb_checksum_algorithm": "strict_crc32"},
    ],
    ids=str,
)
def test_the_sources_own_settings_are_used(make_server: ServerFactory, workdir: Path, options: dict[str, Any]) -> None:
    source = make_server("source", options)
    with WriteLoad(source) as load:
        load.wait_for(200)
        take(source, DirectorySink(workdir / "full"))
    prepare(workdir / "full")
    with started_on(make_server("replica", options, start=False), workdir / "full") as replica:
        check_invariants(replica)


def test_an_idle_servers_backup_has_no_redo_to_apply_and_is_proven_all_the_same(
    make_server: ServerFactory, workdir: Path
) -> None:
    source = make_server("source")
    source.restart()
    take(source, DirectorySink(workdir / "full"))
    stock("--backup", f"--socket={source.socket}", "--user=root", f"--target-dir={workdir / 'stock'}")
    for name in ("full", "stock"):
        result = prepare(workdir / name)
        assert result.record["prepared"]["recovered_lsn"] >= result.record["last_lsn"]


def test_each_phase_is_told_while_it_lasts(backups: dict[str, Backup], workdir: Path) -> None:
    progress = Progress("prepare", workdir / "progress.json")
    result = prepare_module.prepare(
        backups["stock"].path, workdir / "ready", PrepareOptions(use_memory="32M"), progress
    )
    assert result.record["prepared"]["use_memory"] == "32.0 MiB"
    assert {"copying", "reading redo", "applying redo", "rolling back"} <= set(progress.snapshot()["phases"])


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_place", [True, False])
def test_killed_at_random_moments_the_next_run_prepares_it(
    backups: dict[str, Backup], replica: MariaDBServer, workdir: Path, in_place: bool
) -> None:
    backup = backups["ours"]
    timed = {"src": str(copy_of(backup.path, workdir / "timed"))}
    started = time.monotonic()
    run_module(PREPARE, timed if in_place else {"src": str(backup.path), "target_dir": str(workdir / "ready")})
    usual = time.monotonic() - started
    shutil.rmtree(workdir / "ready", ignore_errors=True)
    chance = random.Random(4711)
    survived = 0
    for number in range(12):
        source = copy_of(backup.path, workdir / f"full{number}") if in_place else backup.path
        ready = source if in_place else workdir / f"ready{number}"
        options = {"src": str(source)} if in_place else {"src": str(source), "target_dir": str(ready)}
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
        assert run_module(PREPARE, options)["backup"]["state"] == "prepared"
        assert states_of(replica, ready) == backup.tables, f"kill number {number}"
        assert sorted(path.name for path in workdir.glob("ready*.partial")) == []
        shutil.rmtree(ready)
    assert survived < 9


def test_a_job_that_is_told_to_stop_ends_its_server_and_leaves_nothing(
    backups: dict[str, Backup], workdir: Path
) -> None:
    process = start_module(PREPARE, {"src": str(backups["ours"].path), "target_dir": str(workdir / "ready")})
    deadline = time.monotonic() + 60
    while not (workdir / "ready.partial" / "xtrabackup_prepare_in_progress").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    output, _errors = process.communicate(timeout=60)
    assert '"code": "cancelled"' in output
    assert [path.name for path in workdir.iterdir() if path.name.startswith("ready")] == []


# --- damage --------------------------------------------------------------------------------------


def without_manifest(backup: Backup, target: Path) -> Path:
    """A copy whose damage only recovery can find."""
    copy_of(backup.path, target)
    (target / file_kinds.MANIFEST_NAME).unlink(missing_ok=True)
    return target


def test_a_log_that_was_cut_off_is_refused_at_any_place(backups: dict[str, Backup], workdir: Path) -> None:
    directory = without_manifest(backups["stock"], workdir / "full")
    size = (directory / "ib_logfile0").stat().st_size
    for cut in (1, 17, size // 2, size - 12288, size - 100):
        os.truncate(directory / "ib_logfile0", size - cut)
        with pytest.raises(XtrabackupError) as caught:
            prepare(directory)
        assert caught.value.code in ("recovery_incomplete", "redo_corrupt")


def test_a_log_with_a_damaged_middle_is_refused(backups: dict[str, Backup], workdir: Path) -> None:
    directory = without_manifest(backups["ours"], workdir / "full")
    with open(directory / "ib_logfile0", "r+b") as log:
        log.seek((directory / "ib_logfile0").stat().st_size // 2)
        log.write(b"damage" * 20)
    with pytest.raises(RecoveryIncomplete):
        prepare(directory)


def test_a_missing_table_is_named(backups: dict[str, Backup], workdir: Path) -> None:
    directory = without_manifest(backups["ours"], workdir / "full")
    (directory / "pending" / "touched.ibd").unlink()
    with pytest.raises(BackupIncomplete, match=r"pending/touched\.ibd"):
        prepare(directory)


def test_a_damaged_page_is_named(backups: dict[str, Backup], workdir: Path) -> None:
    directory = without_manifest(backups["ours"], workdir / "full")
    with open(directory / "pending" / "touched.ibd", "r+b") as table:
        table.seek(3 * 16384)
        table.write(os.urandom(16384))
    with open(directory / "ibdata1", "r+b") as system:
        # the doublewrite buffer, from which the server may restore the page
        system.seek(64 * 16384)
        system.write(bytes(128 * 16384))
    with pytest.raises(PageCorrupt, match=r"pending/touched\.ibd"):
        prepare(directory)


def test_a_server_that_runs_on_the_directory_is_refused(
    make_server: ServerFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_server("source")
    take(source, DirectorySink(workdir / "full"))
    monkeypatch.setattr(prepare_module, "_ENDING_SECONDS", 0.2)
    user = MariaDBServer(workdir / "user")
    shutil.copytree(workdir / "full", user.datadir)
    with user.start(), pytest.raises(ServerRunning):
        prepare(user.datadir)


# --- space ---------------------------------------------------------------------------------------


@pytest.fixture(name="small_disk")
def _small_disk(request: pytest.FixtureRequest, workdir: Path, backups: dict[str, Backup]) -> Iterator[Path]:
    """A file system with room for the backup and a few MiB more (the parameter, 6)."""
    place = workdir / "small"
    place.mkdir()
    size = sum(path.stat().st_size for path in backups["ours"].path.rglob("*") if path.is_file())
    size += getattr(request, "param", 6) << 20
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_too_little_space_is_said_before_anything_is_written(backups: dict[str, Backup], small_disk: Path) -> None:
    with pytest.raises(DiskFull, match="needs"):
        prepare(backups["ours"].path, small_disk / "ready")
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_is_full_in_the_middle_is_a_clear_error_and_leaves_nothing(
    backups: dict[str, Backup], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "require_space", lambda *_arguments: None)
    (small_disk / "filler").write_bytes(b"x" * (8 << 20))
    with pytest.raises(DiskFull):
        prepare(backups["ours"].path, small_disk / "ready")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


# Recovery needs 9 to 17 MiB, as much as the log that was copied under load says; from 8 to 11 some starts fail and
# never end, and some succeed.
@pytest.mark.parametrize("small_disk", [6, 10], indirect=True)
def test_a_disk_that_the_server_fills_is_a_clear_error_and_leaves_nothing(
    backups: dict[str, Backup], small_disk: Path, replica: MariaDBServer, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    monkeypatch.setattr(durable, "require_space", lambda *_arguments: None)
    try:
        prepare(backups["ours"].path, small_disk / "ready", stall_timeout=20)
    except DiskFull:
        assert list(small_disk.iterdir()) == []
    else:
        assert request.node.callspec.params["small_disk"] == 10, "6 MiB are never enough"
        assert states_of(replica, small_disk / "ready") == backups["ours"].tables


# --- whose it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_the_server_runs_as_an_account_that_nobody_has(backups: dict[str, Backup], workdir: Path, owner: str) -> None:
    directory = copy_of(backups["ours"].path, workdir / "full")
    # nobody else gets there
    workdir.chmod(0o700)
    check_account(directory, owner, "mariadbd", lambda: prepare(directory).warnings)


def test_digests_are_compared_while_a_backup_is_copied(
    backups: dict[str, Backup], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = copy_of(backups["ours"].path, workdir / "full")
    with open(directory / "load_test" / "ledger.ibd", "r+b") as table:
        table.seek(-1, os.SEEK_END)
        table.write(b"\x01")
    started: list[Any] = []

    def seen(*arguments: Any) -> bool:
        started.append(arguments)
        return False

    monkeypatch.setattr(Copier, "_clone", seen)
    with pytest.raises(XtrabackupError) as caught:
        prepare(directory, workdir / "ready")
    assert caught.value.code == "backup_incomplete"
    assert "ledger.ibd" in caught.value.message
