# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that files take of their file system, as far as this user sees them. What vanishes meanwhile counts nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..format.file_kinds import DATADIR_SIGNS, KINDS, Backup, pattern_of
from . import trees

_BLOCK = 512  # bytes, of st_blocks (stat(2))
_DATA = pattern_of(
    kind for kind in KINDS if kind.backup in (Backup.PAGES, Backup.TABLE, Backup.DEFINITION, Backup.COPIED)
)


def data_bytes(datadir: Path, more: Iterable[Path]) -> int:
    """Bytes of the data files, such as a backup copies, in ``datadir``, in the directories in it, and in ``more``
    directories. Databases that are links are followed; holes do not count, nor do backups and other servers' data that
    are in there."""
    seen: dict[tuple[int, int], int] = {}
    for place in (datadir, *_directories_in(datadir), *more):
        entries = _entries(place)
        if place.parent == datadir and DATADIR_SIGNS.intersection(entry.name for entry in entries):
            continue
        for entry in entries:
            if _DATA.fullmatch(entry.name):
                _count(entry, seen)
    return sum(seen.values())


def stored_bytes(directory: str | os.PathLike[str]) -> int:
    """Bytes that all files below ``directory`` take; 0 when it is not there."""
    seen: dict[tuple[int, int], int] = {}
    for place, _names, _files in trees.walk(directory, deepest=None):
        for entry in _entries(Path(place)):
            _count(entry, seen)
    return sum(seen.values())


def _directories_in(directory: Path) -> list[Path]:
    found = []
    for entry in _entries(directory):
        try:
            if entry.is_dir():
                found.append(Path(entry.path))
        except OSError:  # a link in a circle
            continue
    return found


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(directory))
    except OSError:
        return []


def _count(entry: os.DirEntry[str], seen: dict[tuple[int, int], int]) -> None:
    """Note the bytes of the regular file ``entry`` by its identity: a file with two names takes its room once."""
    try:
        if entry.is_file():
            status = entry.stat()
            seen[status.st_dev, status.st_ino] = min(status.st_size, status.st_blocks * _BLOCK)
    except OSError:
        return
