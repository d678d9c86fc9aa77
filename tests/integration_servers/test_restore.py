# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring prepared backups for real servers: in every layout, onto every kind of place, through kills."""

from __future__ import annotations

import json
import os
import pwd
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
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DiskFull
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import read_layout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.place import restore
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import RestoreOptions, plan_restore
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import (
    TableState,
    assert_definitions_equal,
    table_states,
)
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_big, create_zoo
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer, ServerFailed

RESTORE = "xtrabackup_restore"
MARKER = "xtrabackup_restored.json"


@dataclass(frozen=True)
class Prepared:
    """A prepared backup, what its tables hold, and the server that it was taken from (stopped)."""

    path: Path
    tables: dict[str, TableState]
    source: MariaDBServer
    record: dict[str, Any]


@pytest.fixture(name="prepared", scope="module")
def _prepared() -> Iterator[Prepared]:
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    source = MariaDBServer(place / "source", {"innodb_undo_tablespaces": 3})
    try:
        source.start()
        create_zoo(source)
        create_big(source, 100)
        long_name = "表" * 50  # five bytes for each character in the names of its files
        source.execute(
            "CREATE DATABASE nothing_in_it",
            f"CREATE TABLE zoo.{long_name} (id INT PRIMARY KEY) ENGINE=InnoDB",
            f"INSERT INTO zoo.{long_name} VALUES (1)",
        )
        connection = ConnectionParameters(unix_socket=str(source.socket), user="root")
        job.take_backup(
            job.BackupOptions(connection=connection, tool_version="0.1.0"),
            DirectorySink(place / "ready"),
            Progress("backup"),
        )
        result = prepare(place / "ready", None, PrepareOptions(), Progress("prepare"))
        yield Prepared(place / "ready", table_states(source), source, result.record)
    finally:
        source.kill()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(name="host")
def _host(make_server: ServerFactory) -> MariaDBServer:
    """A host whose server has no data yet; everything where servers have it by default."""
    return make_server("host", {"innodb_undo_tablespaces": 3}, start=False)


def spread(make_server: ServerFactory, workdir: Path) -> MariaDBServer:
    """A host whose server wants every kind of file in another place."""
    return make_server(
        "host",
        {
            "innodb_undo_tablespaces": 3,
            "innodb_data_home_dir": str(workdir / "system"),
            "innodb_log_group_home_dir": str(workdir / "redo"),
            "innodb_undo_directory": str(workdir / "undo"),
            "aria_log_dir_path": str(workdir / "aria"),
            "log_bin": str(workdir / "log" / "binlog"),
        },
        start=False,
    )


def options(host: MariaDBServer, source: Path, **more: Any) -> dict[str, Any]:
    return {"src": str(source), "defaults_file": str(host.option_file), **more}


def copy_of(prepared: Prepared, workdir: Path, name: str = "ready") -> Path:
    subprocess.run(["cp", "-a", str(prepared.path), str(workdir / name)], check=True)
    return workdir / name


def prove(host: MariaDBServer, prepared: Prepared) -> None:
    """A server starts on what was restored, and holds what the source held; the source is left running."""
    with host:
        assert table_states(host) == prepared.tables
        if prepared.source.running:
            assert_definitions_equal(prepared.source, host)


def names(path: Path) -> list[str]:
    return sorted(str(one.relative_to(path)) for one in path.rglob("*"))


def test_a_backup_says_whose_rows_it_cannot_hold(prepared: Prepared) -> None:
    (warning,) = prepared.record["warnings"]
    assert "engine MEMORY" in warning
    assert warning.endswith(": zoo.memory_1")


# --- where files go ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_restored_server_is_equal_and_the_request_is_fulfilled(
    prepared: Prepared, host: MariaDBServer, workdir: Path, method: str
) -> None:
    source = copy_of(prepared, workdir)
    wanted = options(host, source, method=method)
    before = names(workdir)
    predicted = run_module(RESTORE, wanted, check=True, diff=True)
    assert names(workdir) == before
    done = run_module(RESTORE, wanted, diff=True)
    assert (predicted["changed"], predicted["diff"], predicted["layout"]) == (True, done["diff"], done["layout"])
    assert done["changed"]
    assert done["backup"]["id"] == prepared.record["id"]
    assert source.exists() == (method == "copy")
    prove(host, prepared)
    for running in (False, True):
        if running:
            host.start()
        for check in (True, False):
            again = run_module(RESTORE, wanted, check=check, diff=True)
            assert not again["changed"]
            assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
            assert again["backup"] == done["backup"]


@pytest.mark.parametrize("method", ["copy", "move"])
def test_every_kind_of_file_goes_where_the_option_file_says(
    prepared: Prepared, make_server: ServerFactory, workdir: Path, method: str
) -> None:
    host = spread(make_server, workdir)
    (workdir / "log").mkdir()
    done = run_module(RESTORE, options(host, copy_of(prepared, workdir), method=method))
    assert names(workdir / "redo") == ["ib_logfile0"]
    assert names(workdir / "system") == ["ibdata1"]
    assert names(workdir / "aria") == ["aria_log.00000001", "aria_log_control"]
    assert names(workdir / "undo") == ["undo001", "undo002", "undo003"]
    assert done["layout"]["innodb_log_group_home_dir"] == str(workdir / "redo")
    prove(host, prepared)
    # it used the log that it was given, and no other one was made
    assert not (host.datadir / "ib_logfile0").exists()


def test_a_datadir_alone_holds_everything(prepared: Prepared, host: MariaDBServer) -> None:
    done = run_module(RESTORE, {"src": str(prepared.path), "datadir": str(host.datadir), "owner": "root"})
    assert set(done["layout"]["innodb_data_files"]) == {str(host.datadir / "ibdata1")}
    prove(host, prepared)


def test_a_directory_that_the_stock_tool_prepared_can_be_copied(
    prepared: Prepared, host: MariaDBServer, workdir: Path
) -> None:
    with prepared.source:
        login = [f"--socket={prepared.source.socket}", "--user=root"]
        subprocess.run(
            ["mariadb-backup", "--backup", *login, f"--target-dir={workdir / 'stock'}"], check=True, capture_output=True
        )
    not_yet = run_module(RESTORE, options(host, workdir / "stock"), fails=True)
    assert not_yet["error"]["code"] == "not_prepared"
    subprocess.run(
        ["mariadb-backup", "--prepare", f"--target-dir={workdir / 'stock'}"], check=True, capture_output=True
    )
    assert run_module(RESTORE, options(host, workdir / "stock", method="move"), fails=True)["error"]["code"] == (
        "invalid_option"
    )
    assert run_module(RESTORE, options(host, workdir / "stock"))["changed"]
    prove(host, prepared)


def test_several_system_files_must_fit_the_hosts_own(make_server: ServerFactory, workdir: Path) -> None:
    layout = {"innodb_data_file_path": "ibdata1:12M;ibdata2:20M:autoextend"}
    source = make_server("source", layout)
    create_zoo(source)
    connection = ConnectionParameters(unix_socket=str(source.socket), user="root")
    backup_options = job.BackupOptions(connection=connection, tool_version="0.1.0")
    job.take_backup(backup_options, DirectorySink(workdir / "ready"), Progress("backup"))
    prepare(workdir / "ready", None, PrepareOptions(), Progress("prepare"))
    wrong = make_server("wrong", start=False)
    failed = run_module(RESTORE, options(wrong, workdir / "ready"), fails=True)
    assert failed["error"]["code"] == "invalid_option"
    assert "innodb_data_file_path=ibdata1:12M;ibdata2:20M:autoextend" in failed["msg"]
    right = make_server("right", layout, start=False)
    run_module(RESTORE, options(right, workdir / "ready"))
    with right:
        assert table_states(right) == table_states(source)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
def test_a_running_server_is_refused_force_or_not(
    prepared: Prepared, make_server: ServerFactory, workdir: Path, check: bool
) -> None:
    host = make_server("host")
    for more in ({}, {"force": True}):
        failed = run_module(RESTORE, options(host, prepared.path, **more), fails=True, check=check)
        assert failed["error"]["code"] == "server_running"
    # also when the option files do not tell of it
    alone = {"src": str(prepared.path), "datadir": str(host.datadir), "force": True}
    failed = run_module(RESTORE, alone, fails=True, check=check)
    assert failed["error"]["details"]["pid"] == host.pid
    assert host.value("SELECT 1") == 1


@pytest.mark.parametrize("keep", [True, False])
def test_another_servers_data_is_replaced_only_with_force(
    prepared: Prepared, make_server: ServerFactory, workdir: Path, keep: bool
) -> None:
    host = spread(make_server, workdir)
    (workdir / "log").mkdir()
    host.start()
    create_zoo(host, "other")
    mine = table_states(host)
    host.stop()
    assert run_module(RESTORE, options(host, prepared.path), fails=True)["error"]["code"] == "target_not_empty"
    with host:
        assert table_states(host) == mine
    done = run_module(RESTORE, options(host, prepared.path, force=True, keep_replaced=keep))
    assert bool(done["replaced"]) == keep
    assert [path.name for path in (workdir / "log").iterdir() if ".replaced-" not in path.name] == []
    kept = [path.name for path in workdir.rglob("*.replaced-*")]
    assert any(name.startswith("data.replaced-") for name in kept) == keep
    assert any(name.startswith("ib_logfile0.replaced-") for name in kept) == keep
    prove(host, prepared)


def test_a_foreign_directory_is_refused_and_stays(prepared: Prepared, host: MariaDBServer) -> None:
    host.datadir.mkdir(parents=True)
    (host.datadir / "thesis.odt").write_text("precious")
    assert run_module(RESTORE, options(host, prepared.path), fails=True)["error"]["code"] == "target_not_empty"
    failed = run_module(RESTORE, options(host, prepared.path, force=True), fails=True)
    assert failed["error"]["code"] == "target_unsafe"
    assert names(host.datadir) == ["thesis.odt"]


def test_a_server_does_not_start_on_what_is_not_whole(prepared: Prepared, host: MariaDBServer, workdir: Path) -> None:
    """Why the system tablespace is given its name last."""
    run_module(RESTORE, options(host, prepared.path))
    (host.datadir / "ibdata1").rename(workdir / "ibdata1")
    with pytest.raises(ServerFailed):
        host.start()
    (workdir / "ibdata1").rename(host.datadir / "ibdata1")
    prove(host, prepared)


# --- places --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_data_directory_that_is_a_mount_point(
    prepared: Prepared, host: MariaDBServer, workdir: Path, disk: Path, method: str
) -> None:
    host.datadir.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(disk), str(host.datadir)], check=True)
    try:
        done = run_module(RESTORE, options(host, copy_of(prepared, workdir), method=method))
        assert os.path.ismount(host.datadir)
        prove(host, prepared)
        assert not run_module(RESTORE, options(host, workdir / "ready", method=method))["changed"]
        assert done["files"] > 100
    finally:
        host.kill()
        subprocess.run(["umount", str(host.datadir)], check=True)


def test_a_data_directory_that_is_a_link_of_roots_means_where_it_leads_to(
    prepared: Prepared, make_server: ServerFactory, workdir: Path
) -> None:
    host = spread(make_server, workdir)
    real, link = workdir / "elsewhere" / "data", workdir / "link"
    real.parent.mkdir()
    (workdir / "log").mkdir(exist_ok=True)
    link.symlink_to(real)
    host.datadir = link
    host.write_option_file()
    for more in ({}, {"datadir": str(real)}, {"datadir": str(link)}):
        done = run_module(RESTORE, options(host, prepared.path, force=True, **more))
        assert done["changed"]
        assert (done["layout"]["datadir"], os.listdir(real.parent)) == (str(real), ["data"])
        prove(host, prepared)
        shutil.rmtree(real)
    assert link.is_symlink()


def test_a_move_to_another_file_system_removes_the_backup_at_the_end(
    prepared: Prepared, host: MariaDBServer, workdir: Path, disk: Path
) -> None:
    source = copy_of(prepared, workdir)
    host.datadir = disk / "data"
    host.write_option_file()
    run_module(RESTORE, options(host, source, method="move"))
    assert not source.exists()
    prove(host, prepared)


def test_too_little_space_is_said_before_anything_is_written(
    prepared: Prepared, host: MariaDBServer, disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,size=20M", str(disk)], check=True)
    host.datadir = disk / "data"
    host.write_option_file()
    for check in (True, False):
        failed = run_module(RESTORE, options(host, prepared.path), fails=True, check=check)
        assert failed["error"]["code"] == "disk_full"
        assert names(disk) == []


def test_too_few_inodes_are_said_before_anything_is_written(
    prepared: Prepared, host: MariaDBServer, disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=50", str(disk)], check=True)
    host.datadir = disk / "data"
    host.write_option_file()
    failed = run_module(RESTORE, options(host, prepared.path), fails=True)
    assert "inodes" in failed["msg"]
    assert names(disk) == []


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_disk_that_is_full_in_the_middle_leaves_backup_and_disk_as_they_were(
    prepared: Prepared, host: MariaDBServer, workdir: Path, disk: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy_of(prepared, workdir)
    before = names(source)
    subprocess.run(["mount", "-o", "remount,size=60M", str(disk)], check=True)
    monkeypatch.setattr(durable, "require_space", lambda *_arguments: None)
    host.datadir = disk / "data"
    host.write_option_file()
    layout = read_layout(host.option_file, None, Family.MARIADB)
    wanted = RestoreOptions(method=method)
    with pytest.raises(DiskFull):
        restore(plan_restore(source, layout, wanted), wanted, Progress("restore"))
    assert names(disk) == []
    assert names(source) == before
    subprocess.run(["mount", "-o", "remount,size=900M", str(disk)], check=True)
    run_module(RESTORE, options(host, source, method=method))
    prove(host, prepared)


# --- owners --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_server_of_another_user_starts_on_it(
    prepared: Prepared, host: MariaDBServer, workdir: Path, method: str
) -> None:
    account = pwd.getpwnam("nobody")
    workdir.chmod(0o755)
    done = run_module(
        RESTORE, options(host, copy_of(prepared, workdir), method=method, owner="nobody", group="nogroup", mode="0750")
    )
    assert done["changed"]
    found = [host.datadir, *host.datadir.rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in found} == {(account.pw_uid, account.pw_gid)}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o750}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o640}
    os.chown(host.directory, account.pw_uid, account.pw_gid)
    host.set_options({"user": "nobody"})
    prove(host, prepared)


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy", "move"])
@pytest.mark.parametrize("forced", [False, True])
def test_killed_at_random_moments_the_next_run_restores_it(
    prepared: Prepared, make_server: ServerFactory, workdir: Path, method: str, forced: bool
) -> None:
    chance = random.Random(815)
    host = spread(make_server, workdir)
    started = time.monotonic()
    (workdir / "log").mkdir()
    run_module(RESTORE, options(host, copy_of(prepared, workdir), method=method))
    usual = time.monotonic() - started
    interrupted = 0
    for number in range(10):
        for place in (host.datadir, *(workdir / name for name in ("ready", "system", "redo", "undo", "aria", "log"))):
            shutil.rmtree(place, ignore_errors=True)
        (workdir / "log").mkdir()
        if forced:
            host.start()
            host.stop()
        wanted = options(host, copy_of(prepared, workdir), method=method, force=forced)
        process = start_module(RESTORE, wanted)
        time.sleep(chance.uniform(0.3, 0.9) * usual)
        process.kill()
        process.communicate()
        interrupted += process.returncode != 0
        usual *= 1 if process.returncode else 0.8  # the first run was slower than this one
        done = run_module(RESTORE, wanted)
        assert done["backup"]["id"] == prepared.record["id"]
        assert (workdir / "ready").exists() == (method == "copy")
        assert json.loads((host.datadir / MARKER).read_text())["id"] == prepared.record["id"]
        rubbish = [name for name in names(workdir) if any(word in name for word in ("partial", "staged", "replaced"))]
        assert rubbish == [], f"kill number {number}"
        prove(host, prepared)
        assert not run_module(RESTORE, wanted)["changed"]
    assert interrupted >= 3
