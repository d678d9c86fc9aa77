# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of a backup."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidOption, Option
from ..format.backup_kind import FULL, BackupKind
from ..format.content_digest import XXH128
from ..server.connection import ConnectionParameters
from .copier import RateLimit


@dataclass(frozen=True)
class BackupOptions:
    """Options of a backup. ``lock_timeout`` in seconds, for each lock; ``lock_ddl``: ``reduced`` lets DDL run while
    InnoDB's files are copied, ``on`` blocks it all the time. ``allow_missing_tables``: which tables
    (``database.table``) may lack their data file. ``file_digest``: the algorithm of the digests in the manifest, see
    format/content_digest.py. Raises InvalidOption for a number of files below 1."""

    connection: ConnectionParameters
    tool_version: str
    kind: BackupKind = FULL
    parallel: int = 2
    throttle: RateLimit | None = None
    lock_timeout: float = 60.0
    lock_ddl: str = "reduced"
    spool_directory: str = "/var/tmp"
    compressed: bool = False
    encrypted: bool = False
    keyring_file: str | None = None
    #: a directory for one more copy of the files that tell the LSNs
    extra_lsn_directory: str | None = None
    allow_missing_tables: tuple[str, ...] = ()
    #: stop a replica's SQL threads for the instant; how long (s) to wait for their transactions and temporary tables
    safe_slave_backup: bool = False
    safe_slave_backup_timeout: float = 300.0
    file_digest: str = XXH128
    #: whether the replica channels must be recorded; otherwise, of a MariaDB server, an account that may not read them
    #: takes a backup without
    require_channels: bool = True

    def __post_init__(self) -> None:
        if self.parallel < 1:
            raise InvalidOption(f"{Option('parallel')}: {self.parallel} is not a number of files", option="parallel")
