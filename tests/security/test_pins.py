# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``manifest_sha256`` names one backup: nobody else's says of itself that it is that one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.catalog import describe_path
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    BackupMismatch,
    FormatError,
    RecoveryFailed,
    StorageError,
    StreamCorrupt,
    TargetNotEmpty,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import IN_PROGRESS_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import copying, state
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import prepare as prepare_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare_marker import PrepareMarker
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import place
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import plan as plan_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import layout_from_options
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.markers import (
    read_in_progress,
    read_restored,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import (
    RestoreOptions,
    RestorePlan,
    plan_restore,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.pack import create_archive
from ansible_collections.innodb.xtrabackup.tests.support.streams import entry, raw_archive

WANTED = "5b1c0dbd" * 8
CONTENT = {
    "ibdata1": b"s" * 4096,
    "ib_logfile0": b"l" * 300,
    "backup-my.cnf": b"[mysqld]\ninnodb_data_file_path=ibdata1:4K:autoextend\n",
}


def make_backup(place: Path, recorded: str, checkpoints: str, **record: Any) -> Path:
    """A backup of which the manifest says ``recorded``, and the checkpoints ``checkpoints``."""
    place.mkdir()
    text = f"backup_type = {checkpoints}\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\n".encode()
    content = {**CONTENT, "xtrabackup_checkpoints": text}
    for name, data in content.items():
        (place / name).write_bytes(data)
    entries = tuple(manifest.FileEntry(name, len(data), "") for name, data in content.items())
    fields = {"id": "1", "state": recorded, "server": {"flavor": "mariadb"}, **record}
    (place / file_kinds.MANIFEST_NAME).write_bytes(manifest.Manifest(fields, entries).render())
    return place


@pytest.fixture(name="prepared")
def _prepared(tmp_path: Path) -> Path:
    """A prepared backup that says to be made from the one that is wanted."""
    return make_backup(tmp_path / "b", "prepared", "log-applied", prepared={"source_sha256": WANTED})


def restore_plan(source: Path, tmp_path: Path, pinned: str, method: str = "copy") -> RestorePlan:
    layout = layout_from_options(
        {"datadir": str(tmp_path / "data"), "innodb_data_file_path": "ibdata1:4K:autoextend"},
        None,
        Family.MARIADB,
        known=True,
    )
    return plan_restore(source, layout, RestoreOptions(method, manifest_sha256=pinned))


def run_restore(source: Path, tmp_path: Path, pinned: str, method: str = "copy") -> bool:
    """Whether something was changed."""
    planned = restore_plan(source, tmp_path, pinned, method)
    return place.restore(planned, RestoreOptions(method, manifest_sha256=pinned), Progress("restore")).changed


def own_digest(directory: Path) -> str:
    return manifest.digest_of((directory / file_kinds.MANIFEST_NAME).read_bytes())


def test_a_manifest_quotes_the_digest_that_is_asked_for(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupMismatch) as raised:
        restore_plan(prepared, tmp_path, WANTED)
    assert "Prepare that backup here" in raised.value.remedy
    # what it is can be asked for
    restore_plan(prepared, tmp_path, manifest.digest_of((prepared / file_kinds.MANIFEST_NAME).read_bytes()))


def test_info_and_the_record_tell_what_is_known_and_not_what_is_quoted(prepared: Path) -> None:
    facts, record = describe_path(prepared)
    assert record is not None
    own = manifest.digest_of((prepared / file_kinds.MANIFEST_NAME).read_bytes())
    assert (facts["source_sha256"], record["prepared"]["source_sha256"]) == (own, own)


def test_a_preparation_of_this_host_is_what_it_was_made_from(prepared: Path, tmp_path: Path) -> None:
    manifest.note_preparation(prepared, WANTED)
    restore_plan(prepared, tmp_path, WANTED)
    # it may get another name
    restore_plan(prepared.rename(tmp_path / "elsewhere"), tmp_path, WANTED)


def test_a_preparation_may_be_asked_for_by_its_own_digest(prepared: Path, tmp_path: Path) -> None:
    manifest.note_preparation(prepared, WANTED)
    restore_plan(prepared, tmp_path, own_digest(prepared))


CHANGES: dict[str, Callable[[Path], object]] = {
    "written to": lambda directory: (directory / "ibdata1").write_bytes(b"x" * 4096),
    "as long and as old": lambda directory: rewrite(directory / "ibdata1"),
    "replaced": lambda directory: (directory / "ib_logfile0").replace(directory / "ibdata1"),
    "removed": lambda directory: (directory / "ibdata1").unlink(),
    "added": lambda directory: (directory / "x.frm").write_bytes(b"x"),
    "a link": lambda directory: (directory / "linked").symlink_to("/etc"),
    "given away": lambda directory: (directory / "ibdata1").chmod(0o666),
}


def rewrite(path: Path) -> None:
    """Other content, and the times of before."""
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("how", CHANGES)
def test_files_are_changed_after_the_preparation_of_this_host(prepared: Path, tmp_path: Path, how: str) -> None:
    manifest.note_preparation(prepared, WANTED)
    time.sleep(0.02)  # the clock of file times is that coarse
    CHANGES[how](prepared)
    with pytest.raises(BackupMismatch, match="changed since it was prepared here, (ibdata1|x.frm|linked) ") as raised:
        restore_plan(prepared, tmp_path, WANTED)
    assert "Prepare that backup again" in raised.value.remedy
    facts, record = describe_path(prepared)
    assert record is not None
    own = own_digest(prepared)
    assert (facts["source_sha256"], record["prepared"]["source_sha256"]) == (own, own)


def test_changed_files_are_not_given_the_digest_of_their_source_by_a_copy(prepared: Path, tmp_path: Path) -> None:
    """Preparing a prepared backup copies it, and what this host remembers of it."""
    manifest.note_preparation(prepared, WANTED)
    prepare(prepared, tmp_path / "whole", PrepareOptions(), Progress("prepare"))
    restore_plan(tmp_path / "whole", tmp_path, WANTED)
    rewrite(prepared / "ibdata1")
    with pytest.raises(TargetNotEmpty):
        prepare(prepared, tmp_path / "whole", PrepareOptions(), Progress("prepare"))
    prepare(prepared, tmp_path / "changed", PrepareOptions(), Progress("prepare"))
    with pytest.raises(BackupMismatch):
        restore_plan(tmp_path / "changed", tmp_path, WANTED)


def test_a_directory_that_is_filled_is_proven_too(prepared: Path, tmp_path: Path) -> None:
    """Its files are renamed one by one, which counts as a change of them."""
    manifest.note_preparation(prepared, WANTED)
    (tmp_path / "there").mkdir()
    prepare(prepared, tmp_path / "there", PrepareOptions(), Progress("prepare"))
    restore_plan(tmp_path / "there", tmp_path, WANTED)


def test_files_are_changed_while_they_are_copied(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.note_preparation(prepared, WANTED)
    copy = copying.Copier.copy_all

    def copy_and_change(self: copying.Copier, tasks: Sequence[copying.CopyTask], parallel: int) -> None:
        rewrite(prepared / "ibdata1")
        copy(self, tasks, parallel)

    monkeypatch.setattr(copying.Copier, "copy_all", copy_and_change)
    with pytest.raises(BackupMismatch, match="changed since"):
        run_restore(prepared, tmp_path, WANTED)
    assert not (tmp_path / "data").exists()
    manifest.note_preparation(prepared, WANTED)
    with pytest.raises(BackupIncomplete, match="while it was copied"):
        prepare(prepared, tmp_path / "copy", PrepareOptions(), Progress("prepare"))
    assert not (tmp_path / "copy").exists()


def test_a_move_that_failed_and_was_undone_leaves_the_backup_as_proven_as_it_was(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.note_preparation(prepared, WANTED)

    def fail(_self: copying.Copier, _tasks: Sequence[copying.CopyTask], _parallel: int) -> None:
        raise StorageError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(copying.Copier, "copy_all", fail)
        with pytest.raises(StorageError, match="no room"):
            run_restore(prepared, tmp_path, WANTED, method="move")
    assert run_restore(prepared, tmp_path, WANTED, method="move")
    assert not prepared.exists()
    # and it is known afterwards
    assert not run_restore(prepared, tmp_path, WANTED, method="move")


def test_a_move_that_was_killed_goes_on(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest.note_preparation(prepared, WANTED)

    def killed(*_words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(copying.Copier, "copy_all", killed)
        patched.setattr(place._Restore, "_undo", lambda *_words: None)
        with pytest.raises(KeyboardInterrupt):
            run_restore(prepared, tmp_path, WANTED, method="move")
    assert not (prepared / "ibdata1").exists()
    with pytest.raises(BackupMismatch):
        run_restore(prepared, tmp_path, "0" * 64, method="move")
    assert run_restore(prepared, tmp_path, WANTED, method="move")


@pytest.mark.parametrize("known", [True, False])
def test_an_archive_of_a_prepared_backup_is_the_same_in_the_next_run(
    prepared: Path, tmp_path: Path, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if known:
        manifest.note_preparation(prepared, WANTED)
    pinned = own_digest(prepared)
    create_archive(prepared, tmp_path / "archive")
    monkeypatch.setattr(prepare_module, "require_recoverable", lambda *_words: None)
    monkeypatch.setattr(plan_module, "require_recoverable", lambda *_words: None)
    monkeypatch.setattr(prepare_module, "find_server", lambda *_words: None)
    monkeypatch.setattr(prepare_module, "require_version", lambda *_words: [])
    with pytest.raises(BackupMismatch):
        run_restore(tmp_path / "archive", tmp_path, WANTED)
    assert run_restore(tmp_path / "archive", tmp_path, pinned)
    assert not run_restore(tmp_path / "archive", tmp_path, pinned)
    assert not run_restore(tmp_path / "archive", tmp_path, "")


def test_a_backup_that_was_asked_for_by_its_own_digest_and_moved_is_known_by_it(prepared: Path, tmp_path: Path) -> None:
    manifest.note_preparation(prepared, WANTED)
    own = own_digest(prepared)
    assert run_restore(prepared, tmp_path, own, method="move")
    for pinned in (own, WANTED, ""):
        assert not run_restore(prepared, tmp_path, pinned, method="move")
    with pytest.raises(BackupMismatch):
        run_restore(prepared, tmp_path, "0" * 64, method="move")


def test_the_manifest_of_a_preparation_of_this_host_is_put_beside_other_files(prepared: Path, tmp_path: Path) -> None:
    manifest.note_preparation(prepared, WANTED)
    shutil.copytree(prepared, tmp_path / "forged")
    with pytest.raises(BackupMismatch):
        restore_plan(tmp_path / "forged", tmp_path, WANTED)


def test_the_manifest_of_a_preparation_of_this_host_is_changed_in_place(prepared: Path, tmp_path: Path) -> None:
    manifest.note_preparation(prepared, WANTED)
    path = prepared / file_kinds.MANIFEST_NAME
    document = json.loads(path.read_bytes())
    document["backup"]["id"] = "2"
    path.write_text(json.dumps(document))  # the inode is the same
    with pytest.raises(BackupMismatch):
        restore_plan(prepared, tmp_path, WANTED)


def test_the_right_manifest_is_put_beside_files_that_another_tool_prepared(tmp_path: Path) -> None:
    """Nothing of that manifest is compared with such files."""
    source = make_backup(tmp_path / "b", "copied", "log-applied")
    with pytest.raises(BackupMismatch):
        restore_plan(source, tmp_path, manifest.digest_of((source / file_kinds.MANIFEST_NAME).read_bytes()))


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_what_others_can_write_vouches_for_nothing(prepared: Path, tmp_path: Path, mode: int) -> None:
    manifest.note_preparation(prepared, WANTED)
    state.state_directory().chmod(mode)
    with pytest.raises(BackupMismatch):
        restore_plan(prepared, tmp_path, WANTED)
    with pytest.raises(StorageError, match="only uid"):
        manifest.note_preparation(prepared, WANTED)


def test_the_state_directory_is_a_link_that_somebody_has_made(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    state.state_directory().symlink_to(tmp_path / "theirs")
    with pytest.raises(StorageError):
        manifest.note_preparation(prepared, WANTED)
    assert not os.listdir(tmp_path / "theirs")


@pytest.mark.parametrize(
    "content",
    [
        {"id": "1", "redo_proven": 2, "recovered": {"server_version": "10.11"}},
        {"id": "1", "log_in_place": True, "seal": "0" * 64},
        {"id": "another"},
        [],
    ],
)
def test_a_marker_says_that_the_backup_was_recovered(tmp_path: Path, content: object) -> None:
    source = make_backup(tmp_path / "b", "copied", "full-backuped")
    (source / IN_PROGRESS_NAME).write_text(json.dumps(content))
    backup = read_backup_directory(source)
    with pytest.raises(RecoveryFailed, match="no run of this user on this host"):
        PrepareMarker(backup)


@pytest.mark.parametrize(
    ("flavor", "version"), [("mariadb", "10.11.19-MariaDB"), ("mysql", "9.7.1"), ("percona", "8.4.0")]
)
@pytest.mark.parametrize("in_place", [True, False])
def test_nothing_is_recovered_because_a_backup_says_so(
    tmp_path: Path, flavor: str, version: str, in_place: bool
) -> None:
    """The log of the backup would be neither verified nor applied, and its files not compared with the manifest."""
    source = make_backup(tmp_path / "b", "copied", "full-backuped", server={"flavor": flavor, "version": version})
    content = {"id": "1", "redo_proven": 2, "log_in_place": True, "recovered": {"server_version": version}}
    (source / IN_PROGRESS_NAME).write_text(json.dumps(content))
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    target = None if in_place else tmp_path / "ready"
    with pytest.raises(RecoveryFailed, match="no run of this user on this host"):
        prepare_module.plan(source, target, PrepareOptions())
    with pytest.raises(RecoveryFailed, match="no run of this user on this host"):
        prepare(source, target, PrepareOptions(), Progress("prepare"))
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    assert os.listdir(tmp_path) == ["b"]


def test_nothing_is_recovered_because_an_archive_says_so(tmp_path: Path) -> None:
    source = make_backup(tmp_path / "b", "copied", "full-backuped")
    files = {path.name: path.read_bytes() for path in source.iterdir() if path.name != file_kinds.MANIFEST_NAME}
    files[IN_PROGRESS_NAME] = json.dumps({"id": "1", "recovered": {"server_version": "10.11"}}).encode()
    for reported in (
        manifest.read(source),
        manifest.Manifest({"id": "1"}, tuple(entry(*file) for file in files.items())),
    ):
        (tmp_path / "archive").write_bytes(raw_archive(files, reported))
        with pytest.raises((StreamCorrupt, FormatError), match="its own state"):
            prepare(tmp_path / "archive", tmp_path / "ready", PrepareOptions(), Progress("prepare"))
        with pytest.raises((StreamCorrupt, FormatError), match="its own state"):
            restore_plan(tmp_path / "archive", tmp_path, "")
    assert sorted(os.listdir(tmp_path)) == ["archive", "b"]


def test_a_marker_of_another_directory_is_put_here(tmp_path: Path) -> None:
    ours = read_backup_directory(make_backup(tmp_path / "a", "copied", "full-backuped"))
    marker = PrepareMarker(ours)
    marker.begin()
    marker.note(recovered={"server_version": "10.11"}, log_in_place=True)
    assert PrepareMarker(ours).log_in_place
    other = make_backup(tmp_path / "b", "copied", "full-backuped")
    shutil.copy(ours.path / IN_PROGRESS_NAME, other / IN_PROGRESS_NAME)
    with pytest.raises(RecoveryFailed):
        PrepareMarker(read_backup_directory(other))


@pytest.mark.parametrize(
    "change",
    [
        {"source": "../x"},
        {"phase": "done"},
        {"aside": [["/srv/a", "relative"]]},
        {"outside": [["/srv/../etc", "/srv/x"]]},
        {"kept": ["../x"]},
        {"requests": ["x"]},
        {"request": {"id": 1}},
        {"id": 7},
    ],
)
def test_a_marker_of_a_restore_has_other_types_and_paths(tmp_path: Path, change: dict[str, Any]) -> None:
    right = {
        "format": 1,
        "id": "1",
        "source_sha256": WANTED,
        "source": "/srv/b",
        "datadir": "/srv/d",
        "method": "copy",
        "phase": "filling",
        "aside": [],
        "outside": [],
    }
    path = tmp_path / "xtrabackup_restore_in_progress.json"
    path.write_text(json.dumps(right))
    assert read_in_progress(tmp_path) is not None
    path.write_text(json.dumps({**right, **change}))
    with pytest.raises(FormatError):
        read_in_progress(tmp_path)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"format": 1e999}', '{"format": NaN}', '{"format": 1, "id": "1"}'])
def test_a_marker_of_a_restore_is_no_such_thing(tmp_path: Path, text: str) -> None:
    (tmp_path / "xtrabackup_restored.json").write_text(text)
    with pytest.raises(FormatError):
        read_restored(tmp_path)
