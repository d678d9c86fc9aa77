# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what is left of a backup whose files were moved into a data directory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .. import manifest
from ..errors import UnsafeFile, XtrabackupError
from ..format.file_kinds import MANIFEST_NAME, MOVING_NAME, is_metadata
from ..format.names import DEEPEST
from ..host import below, durable


def remove_moved(source: Path) -> list[str]:
    """Remove what a moved backup leaves in ``source``: files that were copied to another file system, then its
    metadata, what tells that it was one last. Returns warnings; raises StorageError."""
    listed: list[str] = []
    with contextlib.suppress(XtrabackupError):
        listed = [entry.path for entry in manifest.read(source).files]
    top = [entry.name for entry in os.scandir(source) if entry.is_file(follow_symlinks=False)]
    last = [name for name in top if is_metadata(name) and name not in (MANIFEST_NAME, MOVING_NAME)]
    with durable.storage_errors("removing", source):
        with below.Root(source) as root:
            for name in [*(name for name in listed if not is_metadata(name)), *last, MANIFEST_NAME, MOVING_NAME]:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError, UnsafeFile):
                    root.unlink(name)
            _remove_empty(root, DEEPEST)
        with contextlib.suppress(OSError):
            os.rmdir(source)
        durable.fsync_directory(source.parent)
        if source.exists():
            return [f"{source} was moved away, but for files in it that are not the backup's"]
    return []


def _remove_empty(root: below.Root, depth: int) -> None:
    """Remove the directories below ``root`` that are empty, or hold only such; at most ``depth`` in each other."""
    for name in root.names():
        with contextlib.suppress(OSError, UnsafeFile):
            with root.directory(name) as inner:
                if depth:
                    _remove_empty(inner, depth - 1)
            os.rmdir(name, dir_fd=root.fileno())
