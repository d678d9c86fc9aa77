# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring prepared backups for real servers of both families: in every layout, onto every kind of place, over other
data, through kills."""

from __future__ import annotations

import json
import os
import pwd
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DiskFull
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import RESTORED_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import read_layout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.place import restore
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import RestoreOptions, plan_restore
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import AnyServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import table_states
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.restoring import (
    RESTORE,
    RESTORING,
    Prepared,
    PreparedBackups,
    Restoring,
    names,
)
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, ServerFailed

pytestmark = pytest.mark.xdist_group("restore")  # who shares backups stays on one worker


@pytest.fixture(params=list(Family), ids=[family.value for family in Family])
def family(request: pytest.FixtureRequest) -> Family:
    wanted: Family = request.param
    return wanted


@pytest.fixture
def restoring(family: Family) -> Restoring:
    return RESTORING[family]


@pytest.fixture
def prepared(prepared_backups: PreparedBackups, family: Family) -> Iterator[Prepared]:
    """The backup; what was restored outside a test's own directory is removed."""
    found = prepared_backups.of(family)
    yield found
    shutil.rmtree(found.far, ignore_errors=True)


@pytest.fixture
def host(make_any: AnyServerFactory, prepared: Prepared, restoring: Restoring) -> DatabaseServer:
    """A host whose server has no data yet; everything where servers have it by default."""
    return make_any("host", restoring.host_options(prepared), start=False)


@pytest.fixture
def spread(make_any: AnyServerFactory, prepared: Prepared, restoring: Restoring, workdir: Path) -> DatabaseServer:
    """A host whose server wants every kind of file in another place."""
    restoring.make_places(workdir)
    return make_any("host", restoring.spread_options(prepared, workdir), start=False)


def test_a_backup_says_whose_rows_it_cannot_hold(prepared: Prepared) -> None:
    (warning,) = prepared.record["warnings"]
    assert "engine MEMORY" in warning
    assert warning.endswith(": zoo.memory_1")


# --- where files go ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_restored_server_is_equal_and_the_request_is_fulfilled(
    prepared: Prepared, restoring: Restoring, host: DatabaseServer, workdir: Path, family: Family, method: str
) -> None:
    source = prepared.copy(workdir)
    wanted = restoring.options(host, source, method=method)
    before = names(workdir)
    predicted = run_module(RESTORE, wanted, check=True, diff=True)
    assert names(workdir) == before
    assert not prepared.far.exists()
    done = run_module(RESTORE, wanted, diff=True)
    assert (predicted["changed"], predicted["diff"], predicted["layout"]) == (True, done["diff"], done["layout"])
    assert done["changed"]
    assert done["backup"]["id"] == prepared.record["id"]
    assert source.exists() == (method == "copy")
    if family is Family.MYSQL:
        assert "the backup has enabled events (1)" in str(done["warnings"])
        assert names(host.datadir / "#innodb_redo") == []
        for name in ("auto.cnf", "xtrabackup_logfile", "xtrabackup_tablespaces", "backup-my.cnf", "binlog.index"):
            assert not (host.datadir / name).exists()
    restoring.prove(host, prepared)
    for running in (False, True):
        if running:
            host.start()
        for check in (True, False):
            again = run_module(RESTORE, wanted, check=check, diff=True)
            assert not again["changed"]
            assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
            assert again["backup"] == done["backup"]
            assert again["layout"] == done["layout"]


@pytest.mark.parametrize("method", ["copy", "move"])
def test_every_kind_of_file_goes_where_the_option_file_says(
    prepared: Prepared, restoring: Restoring, spread: DatabaseServer, workdir: Path, method: str
) -> None:
    done = run_module(RESTORE, restoring.options(spread, prepared.copy(workdir), method=method))
    for place, files in restoring.files_in_places(prepared, workdir).items():
        assert names(place) == files
    assert done["layout"]["innodb_log_group_home_dir"] == str(workdir / "redo")
    assert not (spread.datadir / restoring.redo_name).exists()
    restoring.prove(spread, prepared)
    # it used the log that it was given, and no other one was made
    assert not (spread.datadir / restoring.redo_name).exists()


def test_a_datadir_alone_holds_everything(
    prepared: Prepared, restoring: Restoring, make_any: AnyServerFactory, family: Family
) -> None:
    host = make_any("alone", restoring.alone_options(), start=False)
    wanted = {"src": str(prepared.path), "datadir": str(host.datadir), "owner": "root", **restoring.program}
    done = run_module(RESTORE, wanted)
    assert set(done["layout"]["innodb_data_files"]) == {str(host.datadir / "ibdata1")}
    if family is Family.MYSQL:
        assert (host.datadir / "shop" / "far.ibd").exists()
        assert (host.datadir / "several.ibd").exists()
    assert not prepared.far.exists()
    restoring.prove(host, prepared)


def test_several_system_files_must_fit_the_hosts_own(
    restoring: Restoring, make_any: AnyServerFactory, workdir: Path
) -> None:
    source = make_any("source", restoring.layout)
    restoring.create_zoo(source)
    restoring.take_and_prepare(source, workdir / "ready")
    wrong = make_any("wrong", start=False)
    failed = run_module(RESTORE, restoring.options(wrong, workdir / "ready"), fails=True)
    assert failed["error"]["code"] == "invalid_option"
    assert "innodb_data_file_path=ibdata1:12M;ibdata2:20M:autoextend" in failed["msg"]
    right = make_any("right", restoring.layout, start=False)
    run_module(RESTORE, restoring.options(right, workdir / "ready"))
    with right:
        assert table_states(right) == table_states(source)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
def test_a_running_server_is_refused_force_or_not(
    prepared: Prepared, restoring: Restoring, make_any: AnyServerFactory, workdir: Path, family: Family, check: bool
) -> None:
    host = make_any("host", {"innodb_directories": str(workdir)} if family is Family.MYSQL else None)
    for more in ({}, {"force": True}):
        failed = run_module(RESTORE, restoring.options(host, prepared.path, **more), fails=True, check=check)
        assert failed["error"]["code"] == "server_running"
    # also when the option files do not tell of it
    alone = {"src": str(prepared.path), "datadir": str(host.datadir), "force": True, **restoring.program}
    failed = run_module(RESTORE, alone, fails=True, check=check)
    assert failed["error"]["details"]["pid"] == host.pid
    assert host.value("SELECT 1") == 1


@pytest.mark.parametrize("keep", [True, False])
def test_another_servers_data_is_replaced_only_with_force(
    prepared: Prepared, restoring: Restoring, spread: DatabaseServer, workdir: Path, keep: bool
) -> None:
    if restoring.family is Family.MYSQL:
        prepared.far.mkdir()
    spread.start()
    restoring.create_other_data(spread, prepared)
    mine = table_states(spread)
    spread.stop()
    refused = run_module(RESTORE, restoring.options(spread, prepared.path), fails=True)
    assert refused["error"]["code"] == "target_not_empty"
    with spread:
        assert table_states(spread) == mine
    done = run_module(RESTORE, restoring.options(spread, prepared.path, force=True, keep_replaced=keep))
    assert bool(done["replaced"]) == keep
    assert [path.name for path in (workdir / "log").iterdir() if ".replaced-" not in path.name] == []
    if restoring.family is Family.MYSQL:
        assert names(workdir / "redo" / "#innodb_redo") == []
    paths = [*workdir.rglob("*.replaced-*"), *prepared.far.rglob("*.replaced-*")]
    kept = {path.name.partition(".replaced-")[0] for path in paths}
    assert kept >= restoring.kept_of_others() if keep else not kept
    restoring.prove(spread, prepared)


def test_a_foreign_directory_is_refused_and_stays(
    prepared: Prepared, restoring: Restoring, host: DatabaseServer
) -> None:
    host.datadir.mkdir(parents=True)
    (host.datadir / "thesis.odt").write_text("precious")
    assert (
        run_module(RESTORE, restoring.options(host, prepared.path), fails=True)["error"]["code"] == "target_not_empty"
    )
    failed = run_module(RESTORE, restoring.options(host, prepared.path, force=True), fails=True)
    assert failed["error"]["code"] == "target_unsafe"
    assert names(host.datadir) == ["thesis.odt"]


def test_a_server_does_not_start_on_what_is_not_whole(
    prepared: Prepared, restoring: Restoring, host: DatabaseServer, workdir: Path
) -> None:
    """Why the system tablespace is given its name last."""
    run_module(RESTORE, restoring.options(host, prepared.path))
    (host.datadir / "ibdata1").rename(workdir / "ibdata1")
    with pytest.raises(ServerFailed):
        host.start()
    (workdir / "ibdata1").rename(host.datadir / "ibdata1")
    restoring.prove(host, prepared)


# --- places --------------------------------------------------------------------------------------


@pytest.fixture
def disk(workdir: Path) -> Iterator[Path]:
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
    prepared: Prepared, restoring: Restoring, host: DatabaseServer, workdir: Path, disk: Path, method: str
) -> None:
    host.datadir.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(disk), str(host.datadir)], check=True)
    try:
        done = run_module(RESTORE, restoring.options(host, prepared.copy(workdir), method=method))
        assert os.path.ismount(host.datadir)
        restoring.prove(host, prepared)
        assert not run_module(RESTORE, restoring.options(host, workdir / "ready", method=method))["changed"]
        assert done["files"] > 100
    finally:
        host.kill()
        subprocess.run(["umount", str(host.datadir)], check=True)


def test_a_data_directory_that_is_a_link_of_roots_means_where_it_leads_to(
    prepared: Prepared, restoring: Restoring, spread: DatabaseServer, workdir: Path
) -> None:
    host = spread
    real, link = workdir / "elsewhere" / "data", workdir / "link"
    real.parent.mkdir()
    link.symlink_to(real)
    host.datadir = link
    host.write_option_file()
    for more in ({}, {"datadir": str(real)}, {"datadir": str(link)}):
        done = run_module(RESTORE, restoring.options(host, prepared.path, force=True, **more))
        assert done["changed"]
        assert (done["layout"]["datadir"], os.listdir(real.parent)) == (str(real), ["data"])
        restoring.prove(host, prepared)
        shutil.rmtree(real)
        shutil.rmtree(prepared.far, ignore_errors=True)
    assert link.is_symlink()


def test_a_move_to_another_file_system_removes_the_backup_at_the_end(
    prepared: Prepared, restoring: Restoring, host: DatabaseServer, workdir: Path, disk: Path
) -> None:
    source = prepared.copy(workdir)
    host.datadir = disk / "data"
    host.write_option_file()
    run_module(RESTORE, restoring.options(host, source, method="move"))
    assert not source.exists()
    restoring.prove(host, prepared)


def test_too_little_space_is_said_before_anything_is_written(
    prepared: Prepared, restoring: Restoring, host: DatabaseServer, disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,size=20M", str(disk)], check=True)
    host.datadir = disk / "data"
    host.write_option_file()
    for check in (True, False):
        failed = run_module(RESTORE, restoring.options(host, prepared.path), fails=True, check=check)
        assert failed["error"]["code"] == "disk_full"
        assert names(disk) == []


def test_too_few_inodes_are_said_before_anything_is_written(
    prepared: Prepared, restoring: Restoring, host: DatabaseServer, disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=50", str(disk)], check=True)
    host.datadir = disk / "data"
    host.write_option_file()
    failed = run_module(RESTORE, restoring.options(host, prepared.path), fails=True)
    assert "inodes" in failed["msg"]
    assert names(disk) == []


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_disk_that_is_full_in_the_middle_leaves_backup_and_disk_as_they_were(
    prepared: Prepared,
    restoring: Restoring,
    host: DatabaseServer,
    workdir: Path,
    disk: Path,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = prepared.copy(workdir)
    before = names(source)
    subprocess.run(["mount", "-o", "remount,size=60M", str(disk)], check=True)
    monkeypatch.setattr(durable, "require_space", lambda *_arguments: None)
    host.datadir = disk / "data"
    host.write_option_file()
    layout = read_layout(host.option_file, None, restoring.family)
    wanted = RestoreOptions(method=method, recovery=restoring.recovery())
    with pytest.raises(DiskFull):
        restore(plan_restore(source, layout, wanted), wanted, Progress("restore"))
    assert names(disk) == []
    # directories that it has made outside the data directory stay, empty
    assert not [path for path in prepared.far.rglob("*") if not path.is_dir()]
    assert names(source) == before
    subprocess.run(["mount", "-o", "remount,size=900M", str(disk)], check=True)
    run_module(RESTORE, restoring.options(host, source, method=method))
    restoring.prove(host, prepared)


# --- owners --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_server_of_another_user_starts_on_it(
    prepared: Prepared, restoring: Restoring, host: DatabaseServer, workdir: Path, method: str
) -> None:
    account = pwd.getpwnam("nobody")
    workdir.chmod(0o755)
    done = run_module(
        RESTORE,
        restoring.options(host, prepared.copy(workdir), method=method, owner="nobody", group="nogroup", mode="0750"),
    )
    assert done["changed"]
    found = [host.datadir, *host.datadir.rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in found} == {(account.pw_uid, account.pw_gid)}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o750}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o640}
    os.chown(host.directory, account.pw_uid, account.pw_gid)
    host.set_options({"user": "nobody"})
    restoring.prove(host, prepared)


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy", "move"])
@pytest.mark.parametrize("forced", [False, True])
def test_killed_at_random_moments_the_next_run_restores_it(
    prepared: Prepared, restoring: Restoring, spread: DatabaseServer, workdir: Path, method: str, forced: bool
) -> None:
    chance = random.Random(815)
    host = spread
    started = time.monotonic()
    run_module(RESTORE, restoring.options(host, prepared.copy(workdir), method=method))
    usual = time.monotonic() - started
    interrupted = 0
    restores, kills = restoring.kills
    for number in range(restores):
        for place in (host.datadir, prepared.far, *(workdir / name for name in ("ready", *restoring.places))):
            shutil.rmtree(place, ignore_errors=True)
        restoring.make_places(workdir)
        if forced:
            host.start()
            host.stop()
        wanted = restoring.options(host, prepared.copy(workdir), method=method, force=forced)
        for _again in range(kills):
            process = start_module(RESTORE, wanted)
            time.sleep(chance.uniform(0.3, 0.9) * usual)
            process.kill()
            process.communicate()
            interrupted += process.returncode != 0
            if process.returncode == 0:
                usual *= 0.8  # the first run was slower than this one
                break
        done = run_module(RESTORE, wanted)
        assert done["backup"]["id"] == prepared.record["id"]
        assert (workdir / "ready").exists() == (method == "copy")
        assert json.loads((host.datadir / RESTORED_NAME).read_text())["id"] == prepared.record["id"]
        found = [*names(workdir), *names(prepared.far)]
        rubbish = [name for name in found if any(word in name for word in ("partial", "staged", "replaced"))]
        assert rubbish == [], f"kill number {number}"
        restoring.prove(host, prepared)
        assert not run_module(RESTORE, wanted)["changed"]
    assert interrupted >= restores * 0.3
