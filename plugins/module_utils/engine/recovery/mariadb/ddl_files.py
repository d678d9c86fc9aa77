# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies mariadb-backup's notes about schema changes during its backup, before recovery.

``db/t.del``: drop ``db/t.ibd``; ``db/t.ren``: it is called what the file says; ``db/t.new``: this is its newer copy
(mariadb-backup's own prepare does them in this order). Our own directories never hold any. Source:
docs/internals/formats-backup-files.md#schema-change-notes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from ...errors import FormatError
from ...format.file_kinds import (
    DATA_SUFFIX,
    DROPPED_SUFFIX,
    MARIADB_NOTES,
    MOVED_NOTE_SUFFIX,
    NEWER_SUFFIX,
    RENAMED_SUFFIX,
    RENAMING_SUFFIX,
)
from ...format.names import LONGEST_PATH, safe_path
from ...host import below, durable
from ...host.small_files import read_small

_SUFFIXES = (*MARIADB_NOTES.suffixes, MOVED_NOTE_SUFFIX)


def apply_ddl_files(root: Path) -> list[str]:
    """Do what the notes below ``root`` say; returns them, sorted. May be interrupted and done again.

    Raises UnsafeFile for links among the files that this is about.
    """
    notes = sorted(
        path
        for directory in [root, *(entry for entry in root.iterdir() if entry.is_dir() and not entry.is_symlink())]
        for path in directory.iterdir()
        if path.suffix in _SUFFIXES and path.is_file()
    )
    with durable.storage_errors("applying schema changes in", root), below.Root(root) as opened:
        backup = _Directory(opened)
        for note in _with(notes, DROPPED_SUFFIX):
            backup.remove(note.with_suffix(DATA_SUFFIX))
            backup.remove(note)
        _rename(backup, _with(notes, RENAMED_SUFFIX), _with(notes, MOVED_NOTE_SUFFIX))
        for note in _with(notes, NEWER_SUFFIX):
            backup.rename(note, note.with_suffix(DATA_SUFFIX))
        if notes:
            durable.fsync_tree(root)
    return [str(note.relative_to(root)) for note in notes]


class _Directory:
    """The directory of the backup, in which files are named by their whole paths."""

    def __init__(self, root: below.Root) -> None:
        self._root = root

    def remove(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._root.unlink(self._name(path))

    def rename(self, old: Path, new: Path) -> None:
        self._root.rename(self._name(old), self._name(new))

    def target(self, note: Path) -> Path:
        """The file that a note about a new name asks for."""
        text = read_small(note, LONGEST_PATH).data.decode("utf-8", "surrogateescape")
        name = safe_path(text.strip().rstrip("\0"), str(note))
        if name.count("/") != 1:
            raise FormatError(f"{note}: {name!r} is not the name of a table", where=str(note))
        return self._root.path / f"{name}{DATA_SUFFIX}"

    def make_parent(self, path: Path) -> None:
        self._root.make_directories(self._name(path.parent), 0o700)

    def _name(self, path: Path) -> Path:
        return path.relative_to(self._root.path)


def _with(notes: list[Path], suffix: str) -> list[Path]:
    return [note for note in notes if note.suffix == suffix]


def _rename(backup: _Directory, notes: list[Path], moved: list[Path]) -> None:
    """All at once, since tables may have exchanged their names: first out of the way, then to the new names.

    A note gets another name between the two, so that a run after a kill does not take a file that has already got
    its new name for one that is still to be renamed.
    """
    for note in notes:
        backup.target(note)
        source, moving = note.with_suffix(DATA_SUFFIX), _moving(note)
        if source.exists() and not moving.exists():
            backup.rename(source, moving)
        backup.rename(note, _moved(note))
    for note in [*moved, *(_moved(note) for note in notes)]:
        moving = _moving(note)
        if moving.exists():
            target = backup.target(note)
            backup.make_parent(target)
            backup.rename(moving, target)
        backup.remove(note)


def _moving(note: Path) -> Path:
    """The name between two of the file that ``note`` is about."""
    return note.with_name(durable.shortened(note.stem, len(RENAMING_SUFFIX)) + RENAMING_SUFFIX)


def _moved(note: Path) -> Path:
    """The name of ``note`` once that file is out of the way; both are made from the same beginning."""
    return note.with_name(durable.shortened(note.stem, len(RENAMING_SUFFIX)) + MOVED_NOTE_SUFFIX)
