# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface of a family of servers for the recovery of a directory."""

from __future__ import annotations

import abc
from pathlib import Path

from ..format.file_kinds import PID_FILE, SOCKET, suffixes_of
from .backup_directory import BackupDirectory
from .prepare_marker import PrepareMarker

LEFTOVER_SUFFIXES = suffixes_of(PID_FILE, SOCKET)


class RecoveryFamily(abc.ABC):
    """One family of servers. ``min_log_size`` and ``max_log_size`` (bytes) limit the log of the recovering server."""

    min_log_size = 16 << 20
    max_log_size = 96 << 20  # MariaDB's default: a server that wants another makes it when it starts

    @abc.abstractmethod
    def require_means(self, keyring_file: str | None) -> None:
        """Raises unless ``keyring_file``, the option, can be used, and the libraries are here that recovery needs."""

    @abc.abstractmethod
    def require_whole_redo(self, backup: BackupDirectory, marker: PrepareMarker) -> None:
        """Raises unless the log is one that recovery can prove something with. Nothing is changed."""

    @abc.abstractmethod
    def redo_bytes(self, backup: BackupDirectory) -> int:
        """Bytes of redo that the server will read."""

    @abc.abstractmethod
    def prepare(self, backup: BackupDirectory, marker: PrepareMarker) -> None:
        """Put the log where the server wants it; may be interrupted and done again."""

    @abc.abstractmethod
    def binary_log(self, backup: BackupDirectory) -> Path | None:
        """The binary log that the server has to look into."""

    @abc.abstractmethod
    def is_leftover(self, name: str) -> bool:
        """Returns whether a file of this name at the top of the directory is nobody's data, whoever made it."""

    def is_consumed(self, name: str) -> bool:
        """Returns whether a file of a backup (its path in it) has no place in a data directory; for MariaDB all have
        one."""
        return False

    @abc.abstractmethod
    def clean(self, backup: BackupDirectory) -> None:
        """Remove what else no prepared directory holds, once recovery has ended well; may be done again."""
