# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A redo format that no server writes: that of MariaDB 10.8 under another number, with its data further on.

Its whole registration is a row in ``redo.FORMATS``.
"""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import redo_10_8
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb.redo_format import (
    Buffer,
    LogHeader,
    MariadbCheckpoint,
    MariadbWalk,
)

FORMAT = 0x746F6D6F  # "tomo"
START_OFFSET = 16384
FIRST_LSN = 50000
CHECKPOINT = MariadbCheckpoint(50010, 50020)


def parse_header(data: Buffer, file_size: int, path: str) -> LogHeader:
    return LogHeader(FIRST_LSN, "Tomorrow", file_size, START_OFFSET)


def newest_checkpoint(head: Buffer, header: LogHeader) -> MariadbCheckpoint | None:
    return CHECKPOINT if len(head) == START_OFFSET else None


def file_checkpoint_size(window: bytearray, header: LogHeader, checkpoint: MariadbCheckpoint) -> int | None:
    return redo_10_8.file_checkpoint_size(window, header, checkpoint)


def walk(window: bytearray, lsn: int, header: LogHeader, limit: int | None = None) -> MariadbWalk:
    return redo_10_8.walk(window, lsn, header, limit)


def render_backup_header(checkpoint: MariadbCheckpoint, server_version: str) -> bytes:
    return FORMAT.to_bytes(4, "big").ljust(START_OFFSET, b"\0")
