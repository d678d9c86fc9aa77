# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Common parts of MariaDB's redo formats: the values that they are read into, and the functions of a format.

A format is a module of this folder with the functions and constants of ``RedoFormat``, and a row in ``redo.FORMATS``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, Union

from ...errors import UnsupportedServer

Buffer = Union[bytes, bytearray, memoryview]

HEADER_SIZE = 512  # bytes of a log's header that tell the format, and are covered by its checksum
START_OFFSET = 12288  # of the data, and the smallest LSN there is, since 10.8


@dataclass(frozen=True)
class LogHeader:
    """The header of a log file: what is needed to find a byte by its LSN. Sizes and ``start_offset``, where in the
    file the data begin, in bytes."""

    first_lsn: int
    creator: str
    file_size: int
    start_offset: int = START_OFFSET

    @property
    def capacity(self) -> int:
        """Bytes of redo that the file holds before it wraps."""
        return self.file_size - self.start_offset

    def offset(self, lsn: int) -> int:
        """File offset of the byte of ``lsn``."""
        return self.start_offset + (lsn - self.first_lsn) % self.capacity

    def lap_end(self, lsn: int) -> int:
        """The first LSN after ``lsn`` that is at the start of the data again."""
        return lsn + self.capacity - (lsn - self.first_lsn) % self.capacity

    def sequence_bit(self, lsn: int) -> int:
        """The value (0 or 1) that an end marker at ``lsn`` must have."""
        return 1 - ((lsn - self.first_lsn) // self.capacity & 1)


@dataclass(frozen=True)
class MariadbCheckpoint:
    """A checkpoint: recovery starts at ``lsn``; at ``end_lsn`` are the records that name the files changed since then,
    and the FILE_CHECKPOINT record that belongs to it."""

    lsn: int
    end_lsn: int


class MariadbWalkEnd(enum.Enum):
    """Why a walk over mini-transactions ended."""

    LIMIT = "limit"  # a boundary at or after the limit was reached
    WINDOW = "window"  # the next mini-transaction is not wholly inside the window
    EMPTY = "no record"  # an end marker where a record should start: nothing was written here yet
    SEQUENCE = "sequence bit of another lap"
    CHECKSUM = "checksum mismatch"


@dataclass(frozen=True)
class MariadbWalk:
    """Result of a walk: ``size`` bytes of whole, verified mini-transactions (``count``), and why it ended there.

    ``stable``: so many bytes of them will not change any more. Behind the last byte of the log the server writes what
    happens to be in its buffer, up to the end of a block: that can be an older, valid mini-transaction, in the place
    of one that is still to come. Garbage cannot go on into the next block, so what ends before the walk's last is true.
    """

    size: int
    count: int
    end: MariadbWalkEnd
    stable: int = field(default=0, compare=False)


class RedoFormat(Protocol):
    """One format of the log. Nothing here reads or writes a file."""

    START_OFFSET: int
    """Bytes at the beginning of a file that are no redo: header and checkpoints."""

    def parse_header(self, data: Buffer, file_size: int, path: str) -> LogHeader:
        """The header of the log ``path``, of which ``data`` are the first HEADER_SIZE bytes (or more), and which is
        known to be of this format. Raises UnsupportedServer for an encrypted log, RedoCorrupt."""

    def newest_checkpoint(self, head: Buffer, header: LogHeader) -> MariadbCheckpoint | None:
        """The newer of the valid checkpoints in ``head`` (the first START_OFFSET bytes); None if none is valid."""

    def file_checkpoint_size(self, window: bytearray, header: LogHeader, checkpoint: MariadbCheckpoint) -> int | None:
        """Bytes from ``checkpoint.end_lsn``, where ``window`` starts, to behind the checkpoint's FILE_CHECKPOINT
        record; None if it is not in the window."""

    def walk(self, window: bytearray, lsn: int, header: LogHeader, limit: int | None = None) -> MariadbWalk:
        """Verify the mini-transactions at the start of ``window``, whose first byte has the LSN ``lsn``, up to the
        first boundary at or after ``limit`` (an LSN), and make them as in a log that has not wrapped."""

    def render_backup_header(self, checkpoint: MariadbCheckpoint, server_version: str) -> bytes:
        """The first START_OFFSET bytes of a backup's log of this format, whose data start at ``checkpoint.lsn``."""


def require_unencrypted(word: int, path: str) -> NoReturn:
    """Raises UnsupportedServer for the encrypted log ``path``, whose header begins with ``word``."""
    raise UnsupportedServer(
        f"{path}: the redo log is encrypted (format {word:#010x}); this is not supported",
        remedy="Set innodb_encrypt_log=OFF and restart the server, then back up.",
        path=path,
        format=word,
    )
