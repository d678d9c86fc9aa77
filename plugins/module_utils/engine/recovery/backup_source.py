# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the backup at a source of any kind says about itself."""

from __future__ import annotations

from pathlib import Path

from ..errors import NotABackup
from ..sources.base import Source
from .backup_directory import BackupDirectory, read_archived_backup, read_backup_directory


def read_backup(source: Source, unpacked: Path | None = None, *, being_moved: bool = False) -> BackupDirectory:
    """Reads what the backup at ``source`` says about itself; of an archive, as if it were unpacked in ``unpacked``
    already.

    Raises NotABackup, also for a stream that can be read only once, and what ``read_backup_directory`` or
    ``read_archived_backup`` does. ``being_moved``: a restore that goes on moving it may read it.
    """
    if source.directory is not None:
        return read_backup_directory(source.directory, being_moved=being_moved)
    if not source.is_there():
        raise NotABackup(f"{source.location} does not exist", path=source.location)
    if not source.is_stored:
        raise NotABackup(f"{source.location} is not a directory", path=source.location)
    return read_archived_backup(source, unpacked or Path(source.location))
