# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choice of the family as which a directory is recovered."""

from __future__ import annotations

from pathlib import Path

from ..format.family import Family
from .backup_directory import BackupDirectory
from .family import RecoveryFamily
from .mariadb.family import MariadbFamily
from .mysql.family import MysqlFamily


def recovery_family_of(backup: BackupDirectory, keyring_file: Path | None) -> RecoveryFamily:
    """The family that ``backup`` was taken from."""
    return MariadbFamily() if backup.family is Family.MARIADB else MysqlFamily(keyring_file)
