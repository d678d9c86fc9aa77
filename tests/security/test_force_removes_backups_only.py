# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target that is somebody's directory, by mistake or because somebody has put a link there: force removes it not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    StorageError,
    TargetNotEmpty,
    TargetUnsafe,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import prepare as preparing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.selection import Selection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.plugins.modules import xbstream
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    make_archive,
    raw_archive,
    some_files,
    tree,
    write_backup,
)


def homes(place: Path) -> None:
    (place / "alice").mkdir(parents=True)
    (place / "alice" / "letters").write_bytes(b"precious")


def unpacked(archive: Path, dest: Path) -> None:
    extract_archive(source_at(archive), dest, ExtractOptions(force=True))


def written(_archive: Path, dest: Path) -> None:
    write_backup(DirectorySink(dest, replace=True), some_files())


def prepared(archive: Path, dest: Path) -> None:
    options = preparing.PrepareOptions(force=True)
    preparing._compare_target(dest, {"id": "1"}, "", options)
    with preparing.staged_directory(dest, replace=True):
        extract_archive(source_at(archive), dest.with_name("never"))


@pytest.fixture(name="archive")
def _archive(tmp_path: Path) -> Path:
    make_archive(tmp_path / "archive", some_files())
    return tmp_path / "archive"


WAYS = [unpacked, written, prepared]
Way = Callable[[Path, Path], None]


def refused(way: Way, archive: Path, dest: Path, kind: type[StorageError] = TargetNotEmpty) -> None:
    place = archive.parent
    before = tree(place)
    with pytest.raises(kind):
        way(archive, dest)
    assert tree(place) == before


@pytest.mark.parametrize("way", WAYS)
def test_a_directory_that_is_no_backup_is_never_removed(tmp_path: Path, archive: Path, way: Way) -> None:
    homes(tmp_path / "home")
    refused(way, archive, tmp_path / "home")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inner", ["backup", "archive"])
def test_a_backup_with_other_backups_in_it_is_never_removed(
    tmp_path: Path, archive: Path, way: Way, inner: str
) -> None:
    extract_archive(source_at(archive), tmp_path / "backups")
    if inner == "backup":
        extract_archive(source_at(archive), tmp_path / "backups" / "monday")
    else:
        make_archive(tmp_path / "backups" / "monday", some_files())
    refused(way, archive, tmp_path / "backups")


@pytest.mark.parametrize("way", WAYS)
def test_a_directory_that_has_the_name_for_what_is_replaced_is_never_removed(
    tmp_path: Path, archive: Path, way: Way
) -> None:
    extract_archive(source_at(archive), tmp_path / "dest")
    homes(tmp_path / "dest.replaced")
    refused(way, archive, tmp_path / "dest")


def test_a_link_to_a_directory_that_is_no_backup_stays(tmp_path: Path, archive: Path) -> None:
    homes(tmp_path / "home")
    (tmp_path / "dest").symlink_to("home")
    refused(unpacked, archive, tmp_path / "dest")
    assert (tmp_path / "dest").is_symlink()


def test_a_file_that_is_no_archive_stays(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "dest").write_bytes(b"precious")
    refused(unpacked, archive, tmp_path / "dest")


def test_the_archive_itself_is_not_removed_with_what_is_replaced(tmp_path: Path, archive: Path) -> None:
    extract_archive(source_at(archive), tmp_path / "dest")
    (tmp_path / "dest" / "sub").mkdir()
    os.rename(archive, tmp_path / "dest" / "sub" / "archive")
    refused(unpacked, tmp_path / "dest" / "sub" / "archive", tmp_path / "dest", TargetUnsafe)


@pytest.mark.parametrize("check", [True, False])
def test_the_module_refuses_it_as_soon_as_it_looks(tmp_path: Path, archive: Path, check: bool) -> None:
    homes(tmp_path / "home")
    arguments = {"src": str(archive), "dest": str(tmp_path / "home"), "force": True, "_ansible_check_mode": check}
    done = subprocess.run(
        [sys.executable, "-m", xbstream.__name__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        env=same_imports(),
        check=False,
    )
    answer = json.loads(done.stdout)
    assert answer["error"]["code"] == "target_not_empty"
    assert "no backup" in answer["msg"]
    assert tree(tmp_path / "home") == {"alice/letters": b"precious"}


# --- what may be removed ---------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [None, "ibdata1", "xtrabackup_checkpoints", MANIFEST_NAME])
def test_a_backup_is_replaced_be_it_damaged(tmp_path: Path, archive: Path, damage: str | None) -> None:
    make_archive(tmp_path / "older", {**some_files(2), "old.ibd": b"old"})
    extract_archive(source_at(tmp_path / "older"), tmp_path / "dest")
    if damage:
        (tmp_path / "dest" / damage).unlink()
    unpacked(archive, tmp_path / "dest")
    assert tree(tmp_path / "dest").keys() == {*some_files(), MANIFEST_NAME}
    assert sorted(os.listdir(tmp_path)) == ["archive", "dest", "older"]


def test_what_was_unpacked_of_another_tools_archive_is_replaced(tmp_path: Path) -> None:
    archive, dest = tmp_path / "archive", tmp_path / "dest"
    archive.write_bytes(raw_archive(some_files(), None))
    for files in (("ibdata1",), ("ibdata1", "shop/orders.ibd"), ("shop/**",)):
        extract_archive(
            source_at(archive),
            dest,
            ExtractOptions(require_manifest=False, selection=Selection(files=files), force=True),
        )
    assert all(name.startswith("shop/") for name in tree(dest))
    (dest / "mine").write_bytes(b"precious")
    with pytest.raises(TargetNotEmpty):
        extract_archive(source_at(archive), dest, ExtractOptions(require_manifest=False, force=True))


@pytest.mark.parametrize("left", [["ibdata1"], []])
def test_what_a_killed_job_had_not_removed_yet_is_removed_by_the_next(
    tmp_path: Path, archive: Path, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_archive(source_at(archive), tmp_path / "dest")
    remove = durable.remove_tree

    def killed(path: str | os.PathLike[str]) -> None:
        if ".replaced" not in os.fspath(path) or os.path.basename(path) not in (*left, "dest.replaced"):
            remove(path)
        elif os.path.lexists(path):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(durable, "remove_tree", killed)
        unpacked(archive, tmp_path / "dest")
    assert (tmp_path / "dest.replaced").is_dir()
    assert not (tmp_path / "dest.replaced" / "xtrabackup_checkpoints").exists() or left
    unpacked(archive, tmp_path / "dest")
    assert sorted(os.listdir(tmp_path)) == ["archive", "dest"]
