# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring straight from an archive, around a server that only plays: what is left, what is refused, kills."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    BackupPartial,
    DecryptionFailed,
    DiskFull,
    InvalidOption,
    NotABackup,
    RecoveryFailed,
    StorageError,
    StreamTruncated,
    TargetBusy,
    TargetNotEmpty,
    TargetUnsafe,
    UnsupportedServer,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import copying, durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import place, placement
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.layout import layout_from_options
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.place import RestoreResult, restore
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import RestoreOptions, plan_restore
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources import registry
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.pack import create_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.selection import Selection
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at
from ansible_collections.innodb.xtrabackup.tests.support.sources import VaultSource
from ansible_collections.innodb.xtrabackup.tests.support.streams import raw_archive
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.recovery.conftest import (
    LAST_LSN,
    Backup,
    FakeServer,
)

from .conftest import Host, tree

KEY = bytes(range(32))
MARKER = "xtrabackup_restored.json"
#: what the restored directory of the made-up backup holds, once the made-up server has recovered it
RESTORED = {
    "ib_logfile0",
    "ibdata1",
    "undo001",
    "aria_log_control",
    "shop/t.ibd",
    "shop/t.frm",
    "xtrabackup_info",
    "xtrabackup_binlog_info",
    MARKER,
}


class Archived:
    """A made-up host, and an archive of a made-up backup that has to be recovered."""

    def __init__(self, place_: Path) -> None:
        self.place = place_
        self.server = FakeServer(place_ / "bin")
        self.archive = place_ / "full.xbstream"
        self.datadir = place_ / "host" / "data"
        self.datadir.parent.mkdir()
        self.options = {"datadir": str(self.datadir), "innodb_data_file_path": "ibdata1:4K:autoextend"}
        backup = Backup(place_ / "full")
        self.sha256 = backup.add_manifest()
        create_archive(backup.path, self.archive, compress=Compression("zstd"), encrypt_key=KEY)

    def wanted(self, key: bytes | None = KEY, **changes: Any) -> RestoreOptions:
        recovery = PrepareOptions(
            use_memory="64M", decrypt_key=key, server_program=str(self.server.path), stall_timeout=30
        )
        return RestoreOptions(**{"ownership": Ownership(os.getuid(), os.getgid()), "recovery": recovery, **changes})

    def restore(self, source: Path | None = None, **changes: Any) -> RestoreResult:
        options = self.wanted(**changes)
        layout = layout_from_options(self.options, None, Family.MARIADB, known=True)
        planned = plan_restore(source or self.archive, layout, options)
        result = restore(planned, options, Progress("restore"))
        assert result.changed == planned.changed
        return result

    def leftovers(self) -> list[str]:
        known = {"data", "redo", "aria"}
        return sorted(path.name for path in self.datadir.parent.iterdir() if path.name not in known)


@pytest.fixture
def archived(tmp_path: Path) -> Archived:
    return Archived(tmp_path)


@pytest.mark.parametrize("method", ["copy", "move"])
def test_an_archive_is_unpacked_recovered_and_put_in_place(archived: Archived, method: str) -> None:
    before = archived.archive.read_bytes()
    result = archived.restore(method=method)
    assert (result.changed, result.files) == (True, len(RESTORED) - 1)
    assert result.recovery is not None
    assert result.recovery.as_dict()["recovered_lsn"] == LAST_LSN
    assert set(tree(archived.datadir)) == RESTORED
    assert (archived.datadir / "shop" / "t.ibd").read_bytes() == b"T" * 80000
    marker = json.loads((archived.datadir / MARKER).read_text())
    assert (marker["source"], marker["method"], marker["manifest_sha256"]) == (
        str(archived.archive),
        "copy",
        archived.sha256,
    )
    assert marker["backup"]["state"] == "prepared"
    assert archived.archive.read_bytes() == before
    assert archived.leftovers() == []


def test_the_same_request_again_is_no_change_and_needs_neither_key_nor_server(archived: Archived) -> None:
    done = archived.restore()
    content, calls = tree(archived.datadir), len(archived.server.calls)
    archived.server.path.unlink()
    again = archived.restore(key=None)
    assert not again.changed
    assert {**again.record, "path": None} == {**done.record, "path": None}
    assert tree(archived.datadir) == content
    assert len(archived.server.calls) == calls
    # as for a directory that was copied from, what is gone is no backup
    archived.archive.unlink()
    for method in ("copy", "move"):
        with pytest.raises(NotABackup):
            archived.restore(method=method)


def test_the_backup_that_the_archive_was_made_of_is_the_same_backup(archived: Archived, tmp_path: Path) -> None:
    archived.restore()
    ready = tmp_path / "ready"
    place.prepare(archived.archive, ready, archived.wanted().recovery, Progress("prepare"))
    assert not archived.restore(ready).changed


def test_files_go_where_this_host_wants_them(archived: Archived) -> None:
    host = archived.datadir.parent
    archived.options.update(
        innodb_log_group_home_dir=str(host / "redo"),
        innodb_undo_directory=str(archived.datadir / "undo"),
        aria_log_dir_path=str(host / "aria"),
    )
    archived.restore()
    assert set(tree(host / "redo")) == {"ib_logfile0"}
    assert set(tree(host / "aria")) == {"aria_log_control"}
    assert (archived.datadir / "undo" / "undo001").exists()
    assert archived.leftovers() == []


def test_into_a_mount_point(archived: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    archived.datadir.mkdir()
    monkeypatch.setattr(placement, "is_mount_point", lambda path: path == archived.datadir)
    archived.restore()
    assert set(tree(archived.datadir)) == RESTORED
    assert not [path for path in archived.datadir.iterdir() if path.name.startswith(".xtrabackup")]
    assert archived.leftovers() == []


def test_an_archive_of_a_prepared_backup_is_not_recovered_again(archived: Archived, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    place.prepare(archived.archive, ready, archived.wanted().recovery, Progress("prepare"))
    create_archive(ready, tmp_path / "ready.xbstream", compress=Compression("lz4"))
    calls = [call for call in archived.server.calls if "--bootstrap" in call]
    result = archived.restore(tmp_path / "ready.xbstream", key=None)
    assert result.recovery is None
    assert set(tree(archived.datadir)) == RESTORED
    assert [call for call in archived.server.calls if "--bootstrap" in call] == calls
    assert not archived.restore(tmp_path / "ready.xbstream", key=None).changed
    # anybody could have made an archive that says to be made from that backup
    with pytest.raises(TargetNotEmpty):
        archived.restore()


# --- what is refused -----------------------------------------------------------------------------


def test_what_is_known_to_fail_is_refused_before_anything_is_written(archived: Archived, tmp_path: Path) -> None:
    def refused(kind: type[Exception], match: str, source: Path | None = None, **changes: Any) -> None:
        with pytest.raises(kind, match=match):
            archived.restore(source, **changes)
        assert not archived.datadir.exists()
        assert archived.leftovers() == []

    refused(DecryptionFailed, "no key", key=None)
    refused(NotABackup, "does not exist", tmp_path / "absent")
    archived.options["innodb_page_size"] = "8k"
    refused(InvalidOption, "innodb_page_size is 16384 in the backup")
    del archived.options["innodb_page_size"]
    extract_archive(
        source_at(archived.archive),
        tmp_path / "part",
        ExtractOptions(decrypt_key=KEY, selection=Selection(databases=("shop",))),
    )
    refused(BackupPartial, "only 2 selected files", tmp_path / "part")
    (tmp_path / "cut.xbstream").write_bytes(archived.archive.read_bytes()[:-7])
    refused(StreamTruncated, "ends at offset", tmp_path / "cut.xbstream")
    files = {"xtrabackup_checkpoints": b"", "xtrabackup_info": b""}
    (tmp_path / "stock.xbstream").write_bytes(raw_archive(files, None))
    refused(BackupIncomplete, "no manifest", tmp_path / "stock.xbstream")
    program = archived.server.path.read_text()
    archived.server.path.write_text(program.replace("Ver 10.11.19", "Ver 10.6.1"))
    refused(UnsupportedServer, "10.6.1")


def test_too_little_space_is_said_before_anything_is_written(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "free_bytes", lambda _path: 90 << 20)
    with pytest.raises(DiskFull, match="the restored data"):
        archived.restore()
    assert not archived.datadir.exists()
    assert archived.leftovers() == []


def test_other_data_is_left_alone_unless_force_says_otherwise(archived: Archived) -> None:
    archived.datadir.mkdir()
    (archived.datadir / "ibdata1").write_bytes(b"other")
    with pytest.raises(TargetNotEmpty):
        archived.restore()
    assert tree(archived.datadir) == {"ibdata1": b"other"}
    assert archived.restore(force=True).changed
    assert set(tree(archived.datadir)) == RESTORED
    assert archived.leftovers() == []


def test_an_archive_in_the_data_directory_is_refused(archived: Archived) -> None:
    archived.datadir.mkdir()
    inside = archived.datadir / "full.xbstream"
    inside.write_bytes(archived.archive.read_bytes())
    with pytest.raises(TargetUnsafe):
        archived.restore(inside, force=True)


def test_two_at_once_are_one_too_many(archived: Archived) -> None:
    layout = layout_from_options(archived.options, None, Family.MARIADB, known=True)
    planned = plan_restore(archived.archive, layout, archived.wanted())
    with planned.journal.locked(), pytest.raises(TargetBusy):
        restore(planned, archived.wanted(), Progress("restore"))
    assert archived.leftovers() == []


def test_a_recovery_that_fails_leaves_nothing(archived: Archived) -> None:
    archived.server.says(after="say('[ERROR] InnoDB: made up'); sys.exit(1)")
    with pytest.raises(RecoveryFailed):
        archived.restore()
    assert not archived.datadir.exists()
    assert archived.leftovers() == []


def test_a_failure_while_files_are_brought_leaves_nothing(archived: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: copying.Ownership, _descriptor: int) -> None:
        raise StorageError("made up")

    monkeypatch.setattr(copying.Ownership, "apply_to_file", full)
    with pytest.raises(StorageError, match="made up"):
        archived.restore()
    assert not archived.datadir.exists()
    assert archived.leftovers() == []
    monkeypatch.undo()
    assert archived.restore().changed


def test_data_that_appears_while_it_is_unpacked_is_not_replaced(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = place.prepare

    def slow(*arguments: Any) -> Any:
        result = prepare(*arguments)
        archived.datadir.mkdir()
        (archived.datadir / "ibdata1").write_bytes(b"made meanwhile")
        return result

    monkeypatch.setattr(place, "prepare", slow)
    with pytest.raises(TargetNotEmpty):
        archived.restore()
    assert tree(archived.datadir) == {"ibdata1": b"made meanwhile"}
    assert archived.leftovers() == []


# --- kills ---------------------------------------------------------------------------------------


def unprepared(archived: Archived) -> tuple[Path, range]:
    """The archive that has to be recovered; each run takes a while, so not every step is tried."""
    return archived.archive, range(0, 400, 7)


def prepared(archived: Archived) -> tuple[Path, range]:
    """An archive of a prepared backup."""
    ready = archived.place / "ready"
    place.prepare(archived.archive, ready, archived.wanted().recovery, Progress("prepare"))
    create_archive(ready, archived.place / "ready.xbstream", encrypt_key=KEY)
    return archived.place / "ready.xbstream", range(400)


@pytest.mark.parametrize("kind", [unprepared, prepared])
@pytest.mark.parametrize("inside", [False, True])
def test_killed_at_any_step_the_next_run_restores_it(
    archived: Archived, monkeypatch: pytest.MonkeyPatch, kind: Any, inside: bool
) -> None:
    source, steps = kind(archived)
    host = archived.datadir.parent
    archived.options["innodb_log_group_home_dir"] = str(host / "redo")
    if inside:
        monkeypatch.setattr(placement, "is_mount_point", lambda path: path == archived.datadir)
    for step in steps:
        durable.remove_tree(host)
        (archived.datadir if inside else host).mkdir(parents=True)
        died = killed_at(step, lambda: archived.restore(source))
        assert (archived.datadir / "ibdata1").exists() <= (archived.datadir / "shop" / "t.ibd").exists()
        archived.restore(source)
        assert set(tree(archived.datadir)) == RESTORED - {"ib_logfile0"}, step
        assert set(tree(host / "redo")) == {"ib_logfile0"}, step
        assert archived.leftovers() == [], step
        assert not archived.restore(source).changed
        if not died:
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("step", [5, 20, 30, 38])
def test_what_a_kill_left_is_removed_by_whatever_is_restored_next(archived: Archived, host: Host, step: int) -> None:
    assert killed_at(step, archived.restore)
    result = archived.restore(host.backup)
    assert result.record["id"] == "ours-1"
    assert archived.leftovers() == []
    assert manifest.read(host.backup).id == "ours-1"


def test_an_archive_that_is_on_no_file_system_is_restored_and_remembered(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = VaultSource.put(archived.archive.read_bytes())
    archived.archive.unlink()
    monkeypatch.setattr(registry, "LOCATED", [VaultSource, *registry.LOCATED])
    options = archived.wanted()
    layout = layout_from_options(archived.options, None, Family.MARIADB, known=True)
    assert restore(plan_restore(location, layout, options), options, Progress("restore")).changed
    assert set(tree(archived.datadir)) == RESTORED
    assert json.loads((archived.datadir / MARKER).read_text())["source"] == location
    assert not plan_restore(location, layout, options).changed
