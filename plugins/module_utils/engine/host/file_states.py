# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of a directory's files, to compare them with an earlier time without reading them.

A file that is written to, replaced, or given to somebody else gets another time of its last change (ctime), which
nobody can set.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..format.file_kinds import NOT_CONTENT
from ..format.state_names import is_state_name
from . import durable, trees


@dataclass(frozen=True)
class FileStates:
    """``sha256`` of path, device, inode, size, times and owner of each file; ``newest``: the last ctime (ns) of one."""

    sha256: str
    newest: int


def states_of(directory: Path) -> FileStates:
    """The states of all files below ``directory``, but those of this collection's own state. Raises StorageError."""
    digest, newest = hashlib.sha256(), 0
    for name, status in _files(directory):
        numbers = (
            status.st_dev,
            status.st_ino,
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_uid,
        )
        digest.update(os.fsencode(name) + b"\0" + " ".join(map(str, numbers)).encode() + b"\n")
        newest = max(newest, status.st_ctime_ns)
    return FileStates(digest.hexdigest(), newest)


def changed_since(directory: Path, newest: int) -> str | None:
    """The first file below ``directory`` whose ctime is later than ``newest``; None when there is none. Raises
    StorageError."""
    return next((name for name, status in _files(directory) if status.st_ctime_ns > newest), None)


def _files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    with durable.storage_errors("looking at the files of", root):
        for directory, folders, files in trees.walk(root, strict=True):
            at_top = directory == os.fspath(root)
            folders[:] = sorted(name for name in folders if not (at_top and _is_foreign(f"{name}/")))
            links = [name for name in folders if os.path.islink(os.path.join(directory, name))]
            for name in sorted([*files, *links]):
                if not (at_top and _is_foreign(name)):
                    path = os.path.join(directory, name)
                    yield os.path.relpath(path, root), os.lstat(path)


def _is_foreign(name: str) -> bool:
    """Returns whether the entry ``name`` at the top of a backup is no part of it."""
    return name.rstrip("/") in NOT_CONTENT or is_state_name(name)
