# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Common parts of MySQL's redo formats: blocks of 512 bytes, the values that they are read into, and the functions of a
format.

A format is a module of this folder with the functions of ``RedoFormat``, and a row in ``redo.FORMATS``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol, Union

from ... import libraries

Buffer = Union[bytes, bytearray, memoryview]

BLOCK_SIZE = 512  # OS_FILE_LOG_BLOCK_SIZE
BLOCK_HEADER_SIZE = 12
BLOCK_TRAILER = 508  # where in a block its checksum is
HEADER_SIZE = 2048  # LOG_FILE_HDR_SIZE

# flags in the header of a log's file
NO_LOGGING = 0x1
CRASH_UNSAFE = 0x2
NOT_INITIALIZED = 0x4
FILE_FULL = 0x8


class BlockCipher(Protocol):
    """Cipher of the log's blocks: both ways, whole blocks of 512 bytes with their clear headers."""

    def decrypt(self, blocks: bytes) -> bytes:
        """``blocks`` with plain data and checksums; the bit that says encrypted is off."""

    def encrypt(self, block: bytes) -> bytes:
        """One plain block as the log holds it; the bit is on."""


@dataclass(frozen=True)
class LogFileHeader:
    """The header of one file of the log."""

    format: int
    log_uuid: int
    start_lsn: int
    creator: str
    flags: int

    def offset(self, lsn: int) -> int:
        """File offset of the byte of ``lsn``."""
        return HEADER_SIZE + lsn - self.start_lsn


@dataclass(frozen=True)
class MysqlCheckpoint:
    """A checkpoint: recovery starts at ``lsn``."""

    lsn: int


class MysqlWalkEnd(enum.Enum):
    """Why a walk over blocks ended."""

    WINDOW = "window"
    INCOMPLETE = "a block that is not full yet"
    FOREIGN = "a block of another LSN"  # an older one, or nothing written yet
    CHECKSUM = "checksum mismatch"
    NO_CHECKSUM = "a block without a checksum"  # innodb_log_checksums was OFF
    ENCRYPTED = "an encrypted block"  # and no key


@dataclass(frozen=True)
class MysqlWalk:
    """Result of a walk: ``size`` bytes of full, verified blocks, and why it ended there.

    ``used``: with INCOMPLETE, bytes used in the block behind them, with its header.
    """

    size: int
    end: MysqlWalkEnd
    used: int = 0


class RedoFormat(Protocol):
    """One format of the log. Nothing here reads or writes a file."""

    def parse_header(self, data: Buffer, path: str) -> LogFileHeader:
        """The header of the log file ``path``, of which ``data`` are the first 512 bytes (or more), already verified
        and known to be of this format. Raises RedoCorrupt."""

    def newest_checkpoint(self, head: Buffer) -> MysqlCheckpoint | None:
        """The newest of the valid checkpoints in ``head`` (a file's first 2048 bytes); None if none is valid."""

    def encryption_info(self, head: Buffer) -> bytes | None:
        """The wrapped key of an encrypted log in ``head`` (a file's first 2048 bytes); None if it holds none."""

    def block_lsn(self, block: Buffer) -> int:
        """The LSN that ``block`` starts at by its own words; 0 for one that was never written."""

    def is_encrypted(self, block: Buffer) -> bool:
        """Returns whether ``block`` says that it is encrypted."""

    def walk(self, window: Buffer, lsn: int, cipher: BlockCipher | None = None) -> MysqlWalk:
        """Verify the blocks at the start of ``window``, whose first byte has the LSN ``lsn``, the start of a block."""

    def cut_block(self, block: Buffer, used: int, cipher: BlockCipher | None = None) -> bytes:
        """The verified ``block`` with only its first ``used`` bytes, its header included."""

    def render_block(self, lsn: int, used: int = BLOCK_HEADER_SIZE) -> bytes:
        """A block without data that starts at ``lsn``."""

    def render_header(
        self, checkpoint: MysqlCheckpoint, log_uuid: int, info: bytes | None = None, *, creator: str | None = None
    ) -> bytes:
        """The 2048 bytes at the beginning of a backup's log, whose blocks follow from that of ``checkpoint`` on.
        ``info`` is the wrapped key of an encrypted log."""


def block_start(lsn: int) -> int:
    """The LSN of the first byte of the block that ``lsn`` is in."""
    return lsn - lsn % BLOCK_SIZE


def has_right_checksum(block: Buffer) -> bool:
    """Returns whether ``block`` (512 bytes) ends with the crc32c of what is before it."""
    crc32c = libraries.require("crc32c").crc32c
    return bool(crc32c(bytes(block[:BLOCK_TRAILER])) == int.from_bytes(block[BLOCK_TRAILER:BLOCK_SIZE], "big"))
