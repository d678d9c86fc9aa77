# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's redo log since 8.0.30: files ``#ib_redo<N>`` of a header and numbered blocks of 512 bytes.

Layout (all integers big endian; checked against files of MySQL 9.7):

* a header of 2048 bytes: block 0 says which LSN the file starts with, the blocks at 512 and 1536 hold checkpoints,
  the one at 1024 the key of an encrypted log, itself encrypted;
* blocks: number and epoch (both follow from the LSN), bytes used, where the first mini-transaction starts, data,
  crc32c. LSNs count the blocks' headers and trailers, so the byte of LSN x is at ``2048 + x - start_lsn``;
* an encrypted block (a bit says so) keeps its first 12 bytes in clear; its crc32c is that of the plain block.

Sources: docs/internals/formats-redo.md#mysql-redo-header and docs/internals/formats-redo.md#mysql-redo-blocks.

Nothing here reads or writes a file: it is given bytes and gives back values. Only ``render_header`` looks at the clock,
for the name of a creator that is not given.
"""

from __future__ import annotations

import struct
import time

from ... import libraries
from ...errors import RedoCorrupt
from .redo_format import (
    BLOCK_HEADER_SIZE,
    BLOCK_SIZE,
    BLOCK_TRAILER,
    HEADER_SIZE,
    BlockCipher,
    Buffer,
    LogFileHeader,
    MysqlCheckpoint,
    MysqlWalk,
    MysqlWalkEnd,
    block_start,
    has_right_checksum,
)

CHECKPOINT_1 = 512
CHECKPOINT_2 = 1536
ENCRYPTION = 1024
ENCRYPTION_INFO = ENCRYPTION + 48
ENCRYPTION_INFO_SIZE = 111
_ENCRYPTION_MAGIC = b"lC"

FORMAT = 6
SMALLEST_LSN = 16 * BLOCK_SIZE  # LOG_START_LSN
_NO_CHECKSUM_MAGIC = 0xDEADBEEF  # LOG_NO_CHECKSUM_MAGIC: in place of the checksum
_ENCRYPTED_BLOCK = 0x8000  # in the word of the bytes used
_FLUSH_BIT = 0x80000000  # in the block number; older servers set it
_NUMBER_BITS = 30
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1

_HEADER = struct.Struct(">IIQ32sI")
_BLOCK = struct.Struct(">IHHI")
_WHOLE_BLOCK = struct.Struct(">IH2xI496xI")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_U16 = struct.Struct(">H")
_DATA_LEN = 4
_FIRST_REC_GROUP = 6
_CHECKPOINT_LSN = 8
_CREATOR_SIZE = 32


def parse_header(data: Buffer, path: str) -> LogFileHeader:
    """The header of the log file ``path``, of which ``data`` are the first 512 bytes (or more), already verified.

    Raises RedoCorrupt when the header is damaged (or is being written: read it again).
    """
    number, uuid, start_lsn, creator, flags = _HEADER.unpack_from(data)
    if start_lsn % BLOCK_SIZE or start_lsn < SMALLEST_LSN:
        raise RedoCorrupt(f"{path}: log header with start LSN {start_lsn}", path=path, offset=8)
    return LogFileHeader(number, uuid, start_lsn, creator.split(b"\0")[0].decode("ascii", "replace"), flags)


def newest_checkpoint(head: Buffer) -> MysqlCheckpoint | None:
    """The newer of the valid checkpoints in ``head`` (a file's first 2048 bytes); None if neither is valid."""
    found = 0
    for offset in (CHECKPOINT_1, CHECKPOINT_2):
        block = head[offset : offset + BLOCK_SIZE]
        # an unused block holds LSN 0
        if len(block) == BLOCK_SIZE and has_right_checksum(block):
            found = max(found, _U64.unpack_from(block, _CHECKPOINT_LSN)[0])
    return MysqlCheckpoint(found) if found else None


def encryption_info(head: Buffer) -> bytes | None:
    """The wrapped key of an encrypted log in ``head`` (a file's first 2048 bytes); None if it holds none."""
    info = bytes(head[ENCRYPTION_INFO : ENCRYPTION_INFO + ENCRYPTION_INFO_SIZE])
    return info if info.startswith(_ENCRYPTION_MAGIC) else None


def block_lsn(block: Buffer) -> int:
    """The LSN that ``block`` starts at by its own words; 0 for one that was never written."""
    number: int
    epoch: int
    number, _used, _first, epoch = _BLOCK.unpack_from(block)
    if not number or not epoch:
        return 0
    return ((number & ~_FLUSH_BIT) - 1 + ((epoch - 1) << _NUMBER_BITS)) * BLOCK_SIZE


def is_encrypted(block: Buffer) -> bool:
    """Returns whether ``block`` says that it is encrypted."""
    return bool(_U16.unpack_from(block, _DATA_LEN)[0] & _ENCRYPTED_BLOCK)


def walk(window: Buffer, lsn: int, cipher: BlockCipher | None = None) -> MysqlWalk:
    """Walk the blocks at the start of ``window``, whose first byte has the LSN ``lsn``, the start of a block.

    Each one's number, epoch and checksum are verified. A block that is full is never written again.
    """
    crc32c = libraries.require("crc32c").crc32c
    data = bytes(window[: len(window) - len(window) % BLOCK_SIZE])
    number = lsn // BLOCK_SIZE
    size = 0
    # all headers and trailers in one pass at C speed
    for header, used, epoch, checksum in _WHOLE_BLOCK.iter_unpack(data):
        if header & ~_FLUSH_BIT != 1 + (number & _NUMBER_MASK) or epoch != 1 + (number >> _NUMBER_BITS):
            return MysqlWalk(size, MysqlWalkEnd.FOREIGN)
        if used & _ENCRYPTED_BLOCK:
            if cipher is None:
                return MysqlWalk(size, MysqlWalkEnd.ENCRYPTED)
            # the rest of the window at once, as block by block is slow; plain blocks come out as they are
            rest = walk(cipher.decrypt(data[size:]), lsn + size)
            return MysqlWalk(size + rest.size, rest.end, rest.used)
        if crc32c(data[size : size + BLOCK_TRAILER]) != checksum:
            return MysqlWalk(
                size, MysqlWalkEnd.NO_CHECKSUM if checksum == _NO_CHECKSUM_MAGIC else MysqlWalkEnd.CHECKSUM
            )
        if used != BLOCK_SIZE:
            right = BLOCK_HEADER_SIZE <= used < BLOCK_TRAILER
            return MysqlWalk(size, MysqlWalkEnd.INCOMPLETE, used) if right else MysqlWalk(size, MysqlWalkEnd.CHECKSUM)
        size += BLOCK_SIZE
        number += 1
    return MysqlWalk(size, MysqlWalkEnd.WINDOW)


def cut_block(block: Buffer, used: int, cipher: BlockCipher | None = None) -> bytes:
    """The verified ``block`` with only its first ``used`` bytes (12 to 507, its header included): what the log would
    hold had the server stopped there."""
    encrypted = is_encrypted(block)
    if encrypted and cipher is None:
        raise ValueError("an encrypted block cannot be cut without its key")
    plain = cipher.decrypt(bytes(block)) if cipher and encrypted else bytes(block)
    cut = bytearray(plain[:used].ljust(BLOCK_SIZE, b"\0"))
    _U16.pack_into(cut, _DATA_LEN, used)
    if _U16.unpack_from(cut, _FIRST_REC_GROUP)[0] >= used:
        _U16.pack_into(cut, _FIRST_REC_GROUP, 0)
    _seal(cut)
    return cipher.encrypt(bytes(cut)) if cipher and encrypted else bytes(cut)


def render_block(lsn: int, used: int = BLOCK_HEADER_SIZE) -> bytes:
    """A block without data that starts at ``lsn``."""
    number = lsn // BLOCK_SIZE
    block = bytearray(BLOCK_SIZE)
    _BLOCK.pack_into(block, 0, 1 + (number & _NUMBER_MASK), used, 0, 1 + (number >> _NUMBER_BITS))
    _seal(block)
    return bytes(block)


def render_header(
    checkpoint: MysqlCheckpoint, log_uuid: int, info: bytes | None = None, *, creator: str | None = None
) -> bytes:
    """The 2048 bytes at the beginning of a backup's log: blocks follow from that of ``checkpoint`` on.

    ``info`` is the wrapped key of an encrypted log. The creator is what Percona's tool writes: ``xtrabkup`` and the
    time.
    """
    if creator is None:
        creator = "xtrabkup " + time.strftime("%y%m%d %H:%M:%S")
    head = bytearray(HEADER_SIZE)
    name = creator.encode("ascii", "replace")[: _CREATOR_SIZE - 1]
    _HEADER.pack_into(head, 0, FORMAT, log_uuid, block_start(checkpoint.lsn), name, 0)
    for offset in (CHECKPOINT_1, CHECKPOINT_2):
        _U64.pack_into(head, offset + _CHECKPOINT_LSN, checkpoint.lsn)
    if info:
        head[ENCRYPTION_INFO : ENCRYPTION_INFO + len(info)] = info
    for offset in (0, CHECKPOINT_1, CHECKPOINT_2):
        with memoryview(head) as view:
            _seal(view[offset : offset + BLOCK_SIZE])
    return bytes(head)


def _seal(block: bytearray | memoryview) -> None:
    """Set the checksum at the end of ``block``."""
    crc32c = libraries.require("crc32c").crc32c
    _U32.pack_into(block, BLOCK_TRAILER, crc32c(bytes(block[:BLOCK_TRAILER])))
