# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring: what ends up where, what is refused, and that a kill at any instant does no harm."""

from __future__ import annotations

import errno
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    DiskFull,
    InvalidOption,
    NotABackup,
    NotPrepared,
    ServerRunning,
    StorageError,
    TargetBusy,
    TargetNotEmpty,
    TargetUnsafe,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import copying, durable, running
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.ownership import resolve_ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import placement
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.journal import RestoreJournal
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.placement import (
    choose_staging,
    is_mount_point,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import RestoreOptions, plan_restore
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at

from .conftest import CHECKPOINTS, DATA, Host, tree

MARKER = "xtrabackup_restored.json"


def restored(host: Host) -> dict[str, bytes]:
    """The data directory without its marker."""
    found = tree(host.datadir)
    marker = json.loads(found.pop(MARKER))
    assert marker["id"] == marker["backup"]["id"]
    return found


@pytest.mark.parametrize("method", ["copy", "move"])
def test_everything_is_in_place_and_nothing_else(host: Host, method: str) -> None:
    result = host.restore(method=method)
    assert (result.changed, result.files, result.bytes) == (True, len(DATA), sum(map(len, DATA.values())))
    assert restored(host) == DATA
    assert (host.datadir / "empty").is_dir()
    assert host.backup.exists() == (method == "copy")
    assert host.leftovers() == []


@pytest.mark.parametrize("method", ["copy", "move"])
def test_the_same_request_again_is_no_change(host: Host, method: str) -> None:
    host.restore(method=method)
    (host.datadir / "ibdata1").write_bytes(b"the server has written since")
    before = tree(host.datadir)
    assert not host.restore(method=method).changed
    assert tree(host.datadir) == before


def test_a_running_server_on_that_very_backup_is_no_error(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.restore()
    monkeypatch.setattr(running, "user_of", lambda *_a, **_k: running.User(1, "made up"))
    assert not host.restore().changed


def test_the_marker_holds_the_record_for_whoever_sets_up_replication(host: Host) -> None:
    host.restore()
    marker = json.loads((host.datadir / MARKER).read_text())
    assert marker["backup"]["binlog"] == {"file": "binlog.000007", "position": 4711, "gtid": "0-1-815"}
    assert marker["manifest_sha256"] == host.origin("ours-1")
    assert marker["source"] == str(host.backup)


def test_owner_and_permissions(host: Host) -> None:
    ownership = Ownership(os.getuid(), os.getgid(), file_mode=0o640, directory_mode=0o750)
    host.restore(ownership=ownership, top_mode=0o711)
    assert host.datadir.stat().st_mode & 0o777 == 0o711
    for directory, names, files in os.walk(host.datadir):
        assert {os.stat(os.path.join(directory, name)).st_mode & 0o777 for name in names} <= {0o750}
        assert {os.stat(os.path.join(directory, name)).st_mode & 0o777 for name in files} <= {0o640}


@pytest.mark.parametrize("method", ["copy", "move"])
def test_each_kind_of_file_goes_where_this_host_wants_it(host: Host, method: str) -> None:
    host.spread()
    host.options.update(innodb_data_home_dir=str(host.place / "system"), innodb_data_file_path="main:4K:autoextend")
    host.restore(method=method)
    assert tree(host.place / "redo") == {"ib_logfile0": DATA["ib_logfile0"]}
    assert tree(host.place / "system") == {"main": DATA["ibdata1"]}
    assert set(tree(host.place / "aria")) == {"aria_log_control", "aria_log.00000001"}
    assert (host.datadir / "undo" / "undo001").read_bytes() == DATA["undo001"]
    assert "ibdata1" not in tree(host.datadir)
    assert not host.restore(method=method).changed


# --- what is refused -----------------------------------------------------------------------------


def test_a_backup_that_is_not_prepared_is_refused(host: Host) -> None:
    (host.backup / "xtrabackup_checkpoints").write_text(CHECKPOINTS.replace("log-applied", "full-backuped"))
    with pytest.raises(NotPrepared):
        host.restore()


def test_a_backup_that_is_not_there_is_refused(host: Host) -> None:
    with pytest.raises(NotABackup):
        host.restore(host.place / "absent")
    host.restore()
    with pytest.raises(NotABackup):
        host.restore(host.place / "absent", method="move")


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_file_that_is_missing_or_has_another_size_is_found_before_a_byte_is_written(host: Host, method: str) -> None:
    (host.backup / "shop" / "t.ibd").write_bytes(b"short")
    (host.backup / "undo001").unlink()
    with pytest.raises(BackupIncomplete, match=r"t\.ibd: 5 bytes instead of 7000.*undo001: missing"):
        host.restore(method=method)
    assert not host.datadir.exists()


def test_other_content_is_found_where_the_digest_is_known(host: Host) -> None:
    (host.backup / "shop" / "t.frm").write_bytes(b"F" * 900)
    with pytest.raises(BackupIncomplete, match=r"t\.frm: other content"):
        host.restore()
    assert not host.datadir.exists()
    assert host.leftovers() == []


def test_a_running_server_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "user_of", lambda *_a, **_k: running.User(4711, "made up"))
    with pytest.raises(ServerRunning):
        host.restore()


def test_foreign_data_is_refused_and_stays(host: Host) -> None:
    host.datadir.mkdir()
    (host.datadir / "ibdata1").write_text("precious")
    with pytest.raises(TargetNotEmpty, match="ibdata1"):
        host.restore()
    assert tree(host.datadir) == {"ibdata1": b"precious"}


def test_foreign_data_outside_the_data_directory_is_refused_and_stays(host: Host) -> None:
    host.spread()
    (host.place / "redo").mkdir()
    (host.place / "redo" / "ib_logfile0").write_text("precious")
    with pytest.raises(TargetNotEmpty, match="redo/ib_logfile0"):
        host.restore()
    assert tree(host.place / "redo") == {"ib_logfile0": b"precious"}


def test_binary_logs_of_other_data_are_refused(host: Host) -> None:
    (host.place / "log").mkdir()
    (host.place / "log" / "bin.index").write_text("./bin.000001")
    host.options["log_bin"] = str(host.place / "log" / "bin")
    with pytest.raises(TargetNotEmpty, match=r"bin\.index"):
        host.restore()
    host.restore(force=True)
    assert tree(host.place / "log") == {}


@pytest.mark.parametrize("place", ["/", "/var/lib", "/tmp", "ready", "ready/inside", "."])
def test_unsafe_places_are_refused_even_with_force(host: Host, place: str) -> None:
    host.options["datadir"] = str(host.place / place)
    with pytest.raises(TargetUnsafe):
        host.restore(force=True)


def test_a_link_of_ones_own_means_where_it_leads_to(host: Host) -> None:
    (host.place / "log").mkdir()
    os.symlink(host.place / "log", host.datadir)
    host.restore(force=True)
    assert set(DATA) <= set(tree(host.place / "log"))
    assert host.datadir.is_symlink()


def test_a_link_that_takes_the_place_of_the_data_directory_is_refused_and_its_end_named(host: Host) -> None:
    (host.place / "log").mkdir()
    layout = host.layout()
    os.symlink(host.place / "log", host.datadir)
    with pytest.raises(TargetUnsafe, match=str(host.place / "log")):
        plan_restore(host.backup, layout, RestoreOptions(force=True))


def test_what_is_no_data_directory_is_never_replaced(host: Host) -> None:
    host.datadir.mkdir()
    (host.datadir / "thesis.odt").write_text("precious")
    with pytest.raises(TargetUnsafe, match=r"thesis\.odt"):
        host.restore(force=True)
    assert tree(host.datadir) == {"thesis.odt": b"precious"}


@pytest.mark.parametrize(
    "option",
    [
        {"innodb_data_file_path": "ibdata1:4K;ibdata2:12M:autoextend"},
        {"innodb_data_file_path": "ibdata1:50M:autoextend"},
        {"innodb_data_file_path": "ibdata1:10M"},
        {"innodb_page_size": "8k"},
    ],
)
def test_option_files_that_do_not_fit_the_backup_are_refused(host: Host, option: dict[str, str]) -> None:
    host.options.update(option)
    with pytest.raises(InvalidOption) as caught:
        host.restore()
    assert next(iter(option)) in caught.value.remedy


def test_a_backup_without_a_manifest_can_be_copied_and_not_moved(host: Host) -> None:
    second = host.place / "second"
    host.make_backup(second, "x", with_manifest=False)
    (second / "xtrabackup_info").write_text("uuid = stock-1\nserver_version = 10.11.19-MariaDB\n")
    with pytest.raises(InvalidOption, match="moved"):
        host.restore(second, method="move")
    assert host.restore(second).record["id"] == "stock-1"
    assert {name: content for name, content in restored(host).items() if name != "xtrabackup_info"} == DATA


def test_two_at_once_are_one_too_many(host: Host) -> None:
    with RestoreJournal(host.datadir).locked(), pytest.raises(TargetBusy):
        host.restore()


def test_too_little_space_or_inodes_is_said_before_a_byte_is_written(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "free_bytes", lambda _path: 1000)
    with pytest.raises(DiskFull):
        host.restore()
    # a move on one file system needs none
    assert host.restore(method="move").changed


# --- replacing -----------------------------------------------------------------------------------


def other_data(host: Host) -> None:
    """Another server's data, spread over several places."""
    host.spread()
    for path in (host.datadir / "ibdata1", host.datadir / "old" / "t.ibd", host.place / "redo" / "ib_logfile0"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")


@pytest.mark.parametrize("keep", [False, True])
def test_forced_it_replaces_everything_and_keeps_it_if_asked(host: Host, keep: bool) -> None:
    other_data(host)
    result = host.restore(force=True, keep_replaced=keep)
    assert "old/t.ibd" not in tree(host.datadir)
    assert (host.place / "redo" / "ib_logfile0").read_bytes() == DATA["ib_logfile0"]
    assert len(result.replaced) == (2 if keep else 0)
    kept = [path for path in result.replaced if Path(path).is_dir()]
    assert [tree(Path(path)) for path in kept] == [{"ibdata1": b"old", "old/t.ibd": b"old"}] * keep
    assert len(host.leftovers()) == len(kept)


def test_another_backup_is_replaced_only_with_force(host: Host) -> None:
    host.restore()
    host.make_backup(host.place / "second", "ours-2")
    with pytest.raises(TargetNotEmpty):
        host.restore(host.place / "second")
    assert host.restore(host.place / "second", force=True).changed
    assert json.loads((host.datadir / MARKER).read_text())["id"] == "ours-2"


def test_a_failed_copy_leaves_the_old_data_and_no_rubbish(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    other_data(host)

    def full(*_arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(copying, "copy_range", full)
    with pytest.raises(DiskFull):
        host.restore(force=True)
    assert tree(host.datadir) == {"ibdata1": b"old", "old/t.ibd": b"old"}
    assert tree(host.place / "redo") == {"ib_logfile0": b"old"}
    assert host.leftovers() == []


def test_a_failed_move_gives_everything_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(host.backup)
    host.spread()
    rename = os.rename

    def failing(old: Any, new: Any, **named: Any) -> None:
        if Path(new).name == "t.ibd" and "partial" in str(new):
            raise OSError(errno.EIO, "broken")
        rename(old, new, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        with pytest.raises(StorageError):
            host.restore(method="move")
    assert tree(host.backup) == before
    assert not host.datadir.exists()
    assert host.restore(method="move").changed


# --- mount points --------------------------------------------------------------------------------


@pytest.fixture(name="mounted")
def _mounted(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose data directory is said to be a mount point."""
    host.datadir.mkdir()
    (host.datadir / "lost+found").mkdir()
    monkeypatch.setattr(placement, "is_mount_point", lambda path: path == host.datadir)
    return host


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_mount_point_is_filled_from_inside(mounted: Host, method: str) -> None:
    inode = mounted.datadir.stat().st_ino
    mounted.restore(method=method)
    assert restored(mounted) == DATA
    assert mounted.datadir.stat().st_ino == inode
    assert (mounted.datadir / "lost+found").is_dir()
    assert not mounted.restore(method=method).changed
    assert mounted.leftovers() == []


def test_a_mount_point_with_other_data_is_replaced_with_force(mounted: Host) -> None:
    (mounted.datadir / "old").mkdir()
    (mounted.datadir / "old" / "t.ibd").write_text("old")
    (mounted.datadir / "ibdata1").write_text("old")
    with pytest.raises(TargetNotEmpty):
        mounted.restore()
    result = mounted.restore(force=True, keep_replaced=True)
    found = restored(mounted)
    assert {name: content for name, content in found.items() if not name.startswith(".")} == DATA
    assert sorted(found[name] for name in found if name.startswith(".xtrabackup.replaced-")) == [b"old", b"old"]
    assert len(result.replaced) == 2


def test_real_mount_points_are_known() -> None:
    assert is_mount_point(Path("/proc"))
    assert not is_mount_point(Path(__file__).parent)


def test_a_parent_that_is_not_ours_means_staging_inside(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.datadir.mkdir()
    assert choose_staging(host.datadir).beside
    monkeypatch.setattr(os, "access", lambda *_arguments: False)
    assert not choose_staging(host.datadir).beside


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy", "move"])
@pytest.mark.parametrize("kind", ["fresh", "spread", "forced", "mount point", "forced mount point"])
def test_killed_at_any_step_the_next_run_completes_it(
    host: Host, method: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at every single change of the file system in turn, nothing looks whole that is not."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # a kill is no power cut
    if "mount" in kind:
        monkeypatch.setattr(placement, "is_mount_point", lambda path: path.name == "data")
    step, killed = 0, True
    while killed:
        one = Host(_fresh(host.place / "run"))
        if "spread" in kind:
            one.spread()
        if "mount" in kind:
            one.datadir.mkdir()
        if "forced" in kind:
            other_data(one)
        options: dict[str, Any] = {"method": method, "force": "forced" in kind, "parallel": 1}
        killed = killed_at(step, functools.partial(one.restore, **options))
        where = f"killed at step {step}"
        if in_place(one).get("ibdata1") == DATA["ibdata1"]:
            # what a server needs first comes last: it refuses to start on anything less
            assert {name: in_place(one).get(name) for name in DATA} == DATA, where
        one.restore(**options)
        found = in_place(one)
        found.pop(MARKER)
        assert found == DATA, where
        assert one.backup.exists() == (method == "copy"), where
        assert one.leftovers() == [], where
        assert not one.restore(**options).changed, where
        step += 1
    assert step > 15


def in_place(host: Host) -> dict[str, bytes]:
    """The files where the server of ``host`` looks for them, by their names in the backup."""
    found = {**tree(host.datadir), **tree(host.place / "redo"), **tree(host.place / "aria")}
    return {name.removeprefix("undo/"): content for name, content in found.items()}


def _fresh(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


@pytest.mark.parametrize("step", [12, 18])
def test_an_interrupted_move_is_not_given_to_another_restore(host: Host, step: int) -> None:
    assert killed_at(step, lambda: host.restore(method="move", parallel=1))
    for method, datadir in (("copy", host.datadir), ("move", host.place / "second")):
        host.options["datadir"] = str(datadir)
        with pytest.raises(BackupIncomplete, match="being moved"):
            host.restore(method=method)
    host.options["datadir"] = str(host.datadir)
    assert host.restore(method="move").changed
    assert restored(host) == DATA


def test_the_rest_of_an_interrupted_copy_of_another_backup_is_swept(host: Host) -> None:
    host.spread()
    host.make_backup(host.place / "second", "ours-2")
    assert killed_at(18, lambda: host.restore(parallel=1))
    assert host.restore(host.place / "second").changed
    assert json.loads((host.datadir / MARKER).read_text())["id"] == "ours-2"
    assert host.leftovers() == []
    assert tree(host.place / "redo") == {"ib_logfile0": DATA["ib_logfile0"]}


def test_the_rest_of_an_interrupted_move_of_another_backup_is_given_up_only_with_force(host: Host) -> None:
    host.make_backup(host.place / "second", "ours-2")
    assert killed_at(18, lambda: host.restore(method="move", parallel=1))
    with pytest.raises(TargetNotEmpty, match="ours-1"):
        host.restore(host.place / "second")
    assert host.restore(host.place / "second", force=True).changed


# --- owners --------------------------------------------------------------------------------------


def _who(host: Host) -> tuple[Path, str | None]:
    layout = host.layout()
    return layout.datadir, layout.user


def test_the_owner_is_who_has_the_data_directory_unless_told_otherwise(host: Host) -> None:
    host.datadir.mkdir(mode=0o755)
    host.datadir.chmod(0o755)
    ownership, top_mode = resolve_ownership(*_who(host), None, None, None)
    assert (ownership.uid, ownership.gid) == (os.getuid(), os.getgid())
    assert (ownership.file_mode, ownership.directory_mode, top_mode) == (0o660, 0o700, 0o755)


@pytest.mark.parametrize("mode", ["0750", "750", 0o750])
def test_permissions_are_those_of_the_directory(host: Host, mode: str | int) -> None:
    ownership, top_mode = resolve_ownership(*_who(host), None, None, mode)
    assert (ownership.directory_mode, ownership.file_mode, top_mode) == (0o750, 0o640, 0o750)


@pytest.mark.parametrize(
    ("owner", "group", "mode"),
    [("nobody-of-this-name", None, None), (None, "no-group", None), (None, None, "rwx"), (None, None, "0077")],
)
def test_what_cannot_be_is_refused(host: Host, owner: str | None, group: str | None, mode: str | None) -> None:
    with pytest.raises(InvalidOption):
        resolve_ownership(*_who(host), owner, group, mode)


def test_the_user_of_the_option_file_is_the_owner(host: Host) -> None:
    name = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    host.options["user"] = name
    assert resolve_ownership(*_who(host), None, None, None)[0].uid == os.getuid()


def test_who_is_not_root_cannot_give_files_away(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(InvalidOption, match="only root"):
        resolve_ownership(*_who(host), "root", None, None)
