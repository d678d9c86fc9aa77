# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as changed by DDL."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import ddl_watch, inventory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import (
    CopiedTablespace,
    CopierContext,
    FileIdentity,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import FileEntry
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import SinkFile


def _no_file(path: str) -> SinkFile:
    raise AssertionError(f"nothing is copied here: {path}")


CONTEXT = CopierContext(16384, _no_file, threading.Event(), Progress("backup"))


def _copy(file: inventory.InnodbFile, identity: FileIdentity, size: int | None = None) -> CopiedTablespace:
    entry = FileEntry(file.path, file.size if size is None else size, "digest")
    return CopiedTablespace(file, identity, 7, entry, 0, 1)


def test_changes_are_found_by_path_identity_and_tablespace_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        name: inventory.InnodbFile(f"d/{name}.ibd", tmp_path / name, 10)
        for name in ("same", "truncated", "recreated", "new", "void", "dropped", "void_and_dropped")
    }
    life = FileIdentity(1, 2, 3)
    now = {
        "same": (life, 7),
        "truncated": (life, 8),  # TRUNCATE gives a new tablespace id, perhaps in the same inode
        "recreated": (FileIdentity(1, 2, 4), 7),  # IMPORT keeps the id, the inode's generation differs
    }
    monkeypatch.setattr(ddl_watch, "read_identity", lambda file, _context: now[file.source.name])
    copied = {files[name].path: _copy(files[name], life) for name in ("same", "truncated", "recreated", "dropped")}
    present = [files[name] for name in ("same", "truncated", "recreated", "new", "void")]
    changes = ddl_watch.compare(copied, {"d/void.ibd", "d/void_and_dropped.ibd"}, present, CONTEXT)
    assert [file.path for file in changes.add] == ["d/new.ibd"]
    assert [file.path for file in changes.replace] == ["d/truncated.ibd", "d/recreated.ibd", "d/void.ibd"]
    assert changes.discard == ("d/dropped.ibd", "d/void_and_dropped.ibd")
    assert changes.bytes_to_copy == 40


def test_an_undo_tablespace_is_not_copied_again_when_it_has_shrunk(tmp_path: Path) -> None:
    life = FileIdentity(1, 2, 3)
    grown = inventory.InnodbFile("undo001", tmp_path / "undo001", 500)
    shrunk = inventory.InnodbFile("undo002", tmp_path / "undo002", 100)
    copied = {"undo001": _copy(grown, life, size=300), "undo002": _copy(shrunk, life, size=300)}
    assert ddl_watch.compare(copied, (), [grown, shrunk], CONTEXT).replace == ()
