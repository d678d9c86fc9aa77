# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of a directory of MariaDB's: its log is in the backup under the server's own name."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import InvalidOption, Option, RecoveryFailed, RecoveryIncomplete
from ...format import file_kinds
from ...format.family import Family
from ...host import below, durable
from ...innodb.mariadb import redo as mariadb_redo
from ...innodb.mariadb.redo_format import HEADER_SIZE, LogHeader, MariadbCheckpoint
from ..backup_directory import BackupDirectory
from ..family import RecoveryFamily
from ..prepare_marker import PrepareMarker


class MariadbFamily(RecoveryFamily):
    """MariaDB: its log is in the backup under the server's own name."""

    def require_means(self, keyring_file: str | None) -> None:
        """It needs no libraries, and has no such file."""
        if keyring_file:
            raise InvalidOption(f"{Option('keyring_file')}: only servers of MySQL have one", option="keyring_file")

    def require_whole_redo(self, backup: BackupDirectory, marker: PrepareMarker) -> None:
        """A backup's log has not wrapped: it ends in the file where its last LSN says."""
        header, checkpoint = read_redo(backup)
        untouched = header.creator.startswith("Backup ")
        last_lsn = backup.checkpoints.last_lsn
        if untouched:
            end = header.first_lsn + header.capacity
            if checkpoint is None or end < last_lsn:
                raise RecoveryIncomplete(
                    f"{backup.path / file_kinds.REDO_NAME} ends at LSN {end}, and the backup reaches to LSN {last_lsn}"
                    if checkpoint
                    else f"{backup.path / file_kinds.REDO_NAME} holds no valid checkpoint",
                    path=str(backup.path),
                )
        elif marker.proven_lsn is None:
            raise RecoveryFailed(
                f"{backup.path}: the redo log is not the backup's own any more (written by {header.creator!r}), so it "
                f"cannot be proven that recovery reaches LSN {last_lsn}",
                remedy="A preparation of this directory was interrupted, or a server was started on it: start again "
                "from another copy of the backup.",
                path=str(backup.path),
            )

    def redo_bytes(self, backup: BackupDirectory) -> int:
        """The size of the one file."""
        return (backup.path / file_kinds.REDO_NAME).stat().st_size

    def prepare(self, backup: BackupDirectory, marker: PrepareMarker) -> None:
        """The log is where it must be."""

    def binary_log(self, backup: BackupDirectory) -> Path | None:
        """MariaDB's backups hold none."""
        return None

    def is_leftover(self, name: str) -> bool:
        """Returns whether a server leaves this file at its end."""
        return file_kinds.is_leftover(Family.MARIADB, name)

    def clean(self, backup: BackupDirectory) -> None:
        """The log stays: a server does not start without it."""


def read_redo(backup: BackupDirectory) -> tuple[LogHeader, MariadbCheckpoint | None]:
    """Header and newest checkpoint of the backup's redo log; raises what its format forbids (encrypted, older)."""
    path = backup.path / file_kinds.REDO_NAME
    with durable.storage_errors("reading", path), below.reading_file(path) as source:
        size = os.fstat(source.fileno()).st_size
        head = source.read(HEADER_SIZE)
        found = mariadb_redo.format_of(head, size, str(path))
        head += source.read(found.START_OFFSET - len(head))
    header = found.parse_header(head, size, str(path))
    return header, found.newest_checkpoint(head, header)
