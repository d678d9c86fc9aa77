# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring real archives straight into data directories: compressed and encrypted, through kills, onto any place."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import (
    TableState,
    assert_definitions_equal,
    table_states,
)
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_big, create_zoo
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

PREPARE = "xtrabackup_prepare"
RESTORE = "xtrabackup_restore"
KEY = bytes(range(32))


@dataclass(frozen=True)
class Archived:
    """An archive (zstd, AES256), its key, what its tables hold, and the server that it was taken from (stopped)."""

    path: Path
    key: Path
    tables: dict[str, TableState]
    source: MariaDBServer
    record: dict[str, Any]
    sha256: str

    def options(self, host: MariaDBServer, **more: Any) -> dict[str, Any]:
        """Of the module, to restore it on ``host``."""
        return {
            "src": str(self.path),
            "defaults_file": str(host.option_file),
            "decrypt": {"key_file": str(self.key)},
            **more,
        }

    def is_untouched(self) -> bool:
        return hashlib.sha256(self.path.read_bytes()).hexdigest() == self.sha256


@pytest.fixture(name="archived", scope="module")
def _archived() -> Iterator[Archived]:
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    source = MariaDBServer(place / "source", {"innodb_undo_tablespaces": 3})
    archive, key = place / "full.xbstream", place / "key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    try:
        source.start()
        create_zoo(source)
        create_big(source, 100)
        source.execute("CREATE DATABASE nothing_in_it")
        connection = ConnectionParameters(unix_socket=str(source.socket), user="root")
        with source.session(autocommit=False) as pending, pending.cursor() as cursor:
            cursor.execute("UPDATE zoo.innodb_dynamic SET b = 'never to be seen'")
            record = job.take_backup(
                job.BackupOptions(connection=connection, tool_version="0.1.0", compressed=True),
                ArchiveSink(archive, compress=Compression("zstd", 1, 2), encrypt_key=KEY),
                Progress("backup"),
            )
        tables = table_states(source)
        source.stop()
        yield Archived(archive, key, tables, source, record, hashlib.sha256(archive.read_bytes()).hexdigest())
    finally:
        source.kill()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(name="host")
def _host(make_server: ServerFactory) -> MariaDBServer:
    """A host whose server has no data yet; everything where servers have it by default."""
    return make_server("host", {"innodb_undo_tablespaces": 3}, start=False)


def prove(host: MariaDBServer, archived: Archived) -> None:
    """A server starts on what was restored, and holds what the source held."""
    with host:
        assert table_states(host) == archived.tables
        assert "Starting crash recovery" not in host.log_text()


def rubbish(workdir: Path) -> list[str]:
    words = ("partial", "staged", "replaced", "unpacked", ".lock", "xtrabackup-", "in_progress")
    names = [str(path.relative_to(workdir)) for path in workdir.rglob("*")]
    return [name for name in names if any(word in name for word in words)]


def test_a_server_starts_on_it_and_the_request_is_fulfilled(archived: Archived, host: MariaDBServer) -> None:
    wanted = archived.options(host, method="move", parallel=3)
    predicted = run_module(RESTORE, wanted, check=True, diff=True)
    assert rubbish(host.directory) == []
    done = run_module(RESTORE, wanted, diff=True)
    assert (predicted["changed"], predicted["diff"], predicted["layout"]) == (True, done["diff"], done["layout"])
    assert done["changed"]
    assert done["recovery"]["rolled_back"] >= 1
    assert done["recovery"]["recovered_lsn"] >= archived.record["last_lsn"]
    assert (done["backup"]["id"], done["backup"]["state"]) == (archived.record["id"], "prepared")
    assert archived.is_untouched()
    assert rubbish(host.directory) == []
    prove(host, archived)
    for running in (False, True):
        if running:
            host.start()
        for check in (True, False):
            again = run_module(RESTORE, wanted, check=check, diff=True)
            assert not again["changed"]
            assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
            assert again["backup"] == done["backup"]
    with archived.source:
        assert_definitions_equal(archived.source, host)


def test_prepared_elsewhere_it_is_the_same_backup(archived: Archived, host: MariaDBServer, workdir: Path) -> None:
    wanted = {
        "src": str(archived.path),
        "target_dir": str(workdir / "ready"),
        "decrypt": {"key_file": str(archived.key)},
    }
    predicted = run_module(PREPARE, wanted, check=True, diff=True)
    prepared = run_module(PREPARE, wanted, diff=True)
    assert (predicted["changed"], predicted["diff"]) == (True, prepared["diff"])
    assert not run_module(PREPARE, wanted)["changed"]
    refused = run_module(PREPARE, {**wanted, "decrypt": None, "target_dir": str(workdir / "other")}, fails=True)
    assert refused["error"]["code"] == "decryption_failed"
    from_directory = {"src": str(workdir / "ready"), "defaults_file": str(host.option_file)}
    run_module(RESTORE, from_directory)
    prove(host, archived)
    assert not run_module(RESTORE, archived.options(host))["changed"]
    # packed again, it does not need to be recovered again
    packed = {"state": "created", "src": str(workdir / "ready"), "dest": str(workdir / "ready.xbstream")}
    assert run_module("xbstream", packed)["changed"]
    assert not run_module("xbstream", packed)["changed"]
    shutil.rmtree(host.datadir)
    done = run_module(RESTORE, {**from_directory, "src": str(workdir / "ready.xbstream")})
    assert "recovery" not in done
    prove(host, archived)


def test_every_kind_of_file_goes_where_the_option_file_says(
    archived: Archived, make_server: ServerFactory, workdir: Path
) -> None:
    places = {"innodb_log_group_home_dir": "redo", "innodb_undo_directory": "undo", "aria_log_dir_path": "aria"}
    options = {name: str(workdir / place) for name, place in places.items()}
    host = make_server("host", {"innodb_undo_tablespaces": 3, **options}, start=False)
    run_module(RESTORE, archived.options(host))
    assert [path.name for path in (workdir / "redo").iterdir()] == ["ib_logfile0"]
    assert len(list((workdir / "undo").iterdir())) == 3
    assert rubbish(workdir) == []
    prove(host, archived)


def test_a_layout_that_does_not_fit_is_refused_before_a_byte_is_unpacked(
    archived: Archived, make_server: ServerFactory
) -> None:
    host = make_server("wrong", {"innodb_data_file_path": "ibdata1:12M;ibdata2:20M:autoextend"}, start=False)
    for check in (True, False):
        refused = run_module(RESTORE, archived.options(host), fails=True, check=check)
        assert refused["error"]["code"] == "invalid_option"
        assert "innodb_data_file_path" in refused["msg"]
    assert not host.datadir.exists()
    assert rubbish(host.directory) == []


def test_a_wrong_key_leaves_nothing(archived: Archived, host: MariaDBServer, workdir: Path) -> None:
    (workdir / "key").write_bytes(bytes(32))
    (workdir / "key").chmod(0o600)
    refused = run_module(RESTORE, archived.options(host, decrypt={"key_file": str(workdir / "key")}), fails=True)
    assert refused["error"]["code"] == "decryption_failed"
    assert not host.datadir.exists()
    assert rubbish(workdir) == []


@pytest.fixture(name="disk")
def _disk(workdir: Path) -> Iterator[Path]:
    """Another file system; its size can be changed by a remount."""
    place = workdir / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=900M,mode=755", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_data_directory_that_is_a_mount_point(archived: Archived, host: MariaDBServer, disk: Path) -> None:
    host.datadir.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(disk), str(host.datadir)], check=True)
    try:
        run_module(RESTORE, archived.options(host))
        assert os.path.ismount(host.datadir)
        assert rubbish(host.directory) == []
        prove(host, archived)
        assert not run_module(RESTORE, archived.options(host))["changed"]
    finally:
        host.kill()
        subprocess.run(["umount", str(host.datadir)], check=True)


def test_too_little_space_is_said_before_anything_is_written(
    archived: Archived, host: MariaDBServer, disk: Path
) -> None:
    # the archive itself would fit, what it unpacks to does not
    subprocess.run(["mount", "-o", "remount,size=200M", str(disk)], check=True)
    host.datadir = disk / "data"
    host.write_option_file()
    for check in (True, False):
        refused = run_module(RESTORE, archived.options(host), fails=True, check=check)
        assert refused["error"]["code"] == "disk_full"
        assert list(disk.iterdir()) == []


# --- kills ---------------------------------------------------------------------------------------


def begun(process: subprocess.Popen[str], path: Path) -> None:
    """Wait until ``path`` is there."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)


SIGNS = {
    "unpacking": "data.xtrabackup-unpacked/backup.partial/.xtrabackup.partial/ibdata1",
    "recovering": "data.xtrabackup-unpacked/backup.partial/xtrabackup_prepare_in_progress",
    "syncing": "data.xtrabackup-unpacked/backup.partial/xtrabackup_manifest.json",
    "placing": "data.partial/zoo",
}


@pytest.mark.parametrize("phase", SIGNS)
def test_killed_in_each_phase_the_next_run_restores_it(
    archived: Archived, host: MariaDBServer, workdir: Path, phase: str
) -> None:
    assert host.datadir.name == "data"
    process = start_module(RESTORE, archived.options(host))
    begun(process, host.directory / SIGNS[phase])
    process.kill()
    process.communicate()
    assert not host.datadir.exists()
    assert rubbish(workdir)
    done = run_module(RESTORE, archived.options(host))
    assert done["changed"]
    # what was recovered already is not recovered again
    assert ("recovery" in done) == (phase != "placing")
    assert rubbish(workdir) == []
    prove(host, archived)
    assert not run_module(RESTORE, archived.options(host))["changed"]


def test_killed_at_random_moments_the_next_run_restores_it(
    archived: Archived, host: MariaDBServer, workdir: Path
) -> None:
    chance = random.Random(4711)
    started = time.monotonic()
    run_module(RESTORE, archived.options(host))
    usual = time.monotonic() - started
    interrupted = 0
    for number in range(8):
        shutil.rmtree(host.datadir)
        if number % 2:
            # there is data of another server, which has to stay until the restored data is complete
            host.start()
            host.stop()
        wanted = archived.options(host, force=True)
        process = start_module(RESTORE, wanted)
        time.sleep(chance.uniform(0.2, 0.95) * usual)
        process.kill()
        process.communicate()
        interrupted += process.returncode != 0
        done = run_module(RESTORE, wanted)
        assert done["backup"]["id"] == archived.record["id"]
        assert json.loads((host.datadir / "xtrabackup_restored.json").read_text())["id"] == archived.record["id"]
        assert [name for name in rubbish(workdir) if not name.endswith(".lock")] == [], f"kill number {number}"
        prove(host, archived)
    assert interrupted >= 3
    assert archived.is_untouched()


def test_told_to_stop_it_leaves_nothing_and_meanwhile_nobody_else_restores(
    archived: Archived, host: MariaDBServer, workdir: Path
) -> None:
    process = start_module(RESTORE, archived.options(host))
    begun(process, host.directory / SIGNS["recovering"])
    process.send_signal(19)  # SIGSTOP: it holds still while another one tries
    refused = run_module(RESTORE, archived.options(host), fails=True)
    assert refused["error"]["code"] == "target_busy"
    process.send_signal(18)
    process.terminate()
    output, _errors = process.communicate(timeout=60)
    assert '"code": "cancelled"' in output
    assert not host.datadir.exists()
    assert rubbish(workdir) == []
