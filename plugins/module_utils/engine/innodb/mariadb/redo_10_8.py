# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB's redo log since 10.8: one circular file ``ib_logfile0`` without blocks.

Layout (all integers big endian; checked against files of MariaDB 10.11):

* bytes 0..511: header; the blocks at 4096 and 8192 hold checkpoints, written alternately; data from 12288;
* the byte of LSN x is at ``12288 + (x - first_lsn) mod capacity``, capacity = file size - 12288;
* data is a sequence of mini-transactions: records, an end marker of one byte (0 or 1: the sequence bit, which
  flips at each lap), the crc32c of the records.

Sources: docs/internals/formats-redo.md#mariadb-redo-log-file and
docs/internals/formats-redo.md#mariadb-mini-transactions.

Nothing here reads or writes a file: it is given bytes and gives back values. ``walk`` and ``file_checkpoint_size`` also
change the window that they are given.
"""

from __future__ import annotations

import re
import struct

from ... import libraries
from ...errors import RedoCorrupt
from .redo_format import (
    START_OFFSET,
    Buffer,
    LogHeader,
    MariadbCheckpoint,
    MariadbWalk,
    MariadbWalkEnd,
    require_unencrypted,
)

_WRITE_BLOCK = 4096  # bytes, the largest block that the server writes its log in
CHECKPOINT_1 = 4096
CHECKPOINT_2 = 8192
CHECKPOINT_SIZE = 64
_CHECKPOINTS = (CHECKPOINT_1, CHECKPOINT_2)

FORMAT = 0x50687973  # "Phys"

_CREATOR_SIZE = 32
_CRC_OFFSET = 508
_HEADER = struct.Struct(">IIQ32sII")
_CHECKPOINT = struct.Struct(">QQ44sI")
_U32 = struct.Struct(">I")

FILE_CHECKPOINT = b"\xfa\x00\x00"  # first bytes of the record; the checkpoint LSN (8 bytes) follows
FILE_CHECKPOINT_MTR_SIZE = 16  # bytes of a mini-transaction of only that record: 11, end marker, checksum

# Size in bytes of the record that starts with each byte; 0 where one byte does not tell: end markers (0, 1) and
# records of 16 bytes or more, whose size follows as a variable-length integer.
_RECORD_SIZE = bytes((first & 15) + 1 if first > 1 and first & 15 else 0 for first in range(256))


def parse_header(data: Buffer, file_size: int, path: str) -> LogHeader:
    """The header of the log ``path``, of which ``data`` are the first 512 bytes (or more).

    Raises UnsupportedServer for an encrypted log, RedoCorrupt when the header is damaged (or is being written: read it
    again).
    """
    word, zero, first_lsn, creator, key_id, _key_version = _HEADER.unpack_from(data)
    if key_id:
        require_unencrypted(word, path)
    crc32c = libraries.require("crc32c").crc32c
    stored = _U32.unpack_from(data, _CRC_OFFSET)[0]
    if crc32c(bytes(data[:_CRC_OFFSET])) != stored:
        raise RedoCorrupt(f"{path}: the checksum of the log header is wrong", path=path, offset=_CRC_OFFSET)
    if zero or first_lsn < START_OFFSET:
        raise RedoCorrupt(f"{path}: log header with first LSN {first_lsn} and flags {zero:#x}", path=path, offset=4)
    return LogHeader(first_lsn, creator.split(b"\0")[0].decode("ascii", "replace"), file_size)


def parse_checkpoint(block: Buffer, header: LogHeader) -> MariadbCheckpoint | None:
    """The checkpoint of one block (64 bytes or more), or None if the block is unused, torn or not valid."""
    lsn, end_lsn, zeros, stored = _CHECKPOINT.unpack_from(block)
    if lsn < header.first_lsn or end_lsn < lsn or any(zeros):
        return None
    crc32c = libraries.require("crc32c").crc32c
    if crc32c(bytes(block[: CHECKPOINT_SIZE - 4])) != stored:
        return None
    return MariadbCheckpoint(lsn, end_lsn)


def newest_checkpoint(head: Buffer, header: LogHeader) -> MariadbCheckpoint | None:
    """The newer of the valid checkpoints in ``head`` (the file's first 12288 bytes); None if neither is valid."""
    checkpoints = (parse_checkpoint(head[start : start + CHECKPOINT_SIZE], header) for start in _CHECKPOINTS)
    return max(filter(None, checkpoints), key=lambda checkpoint: checkpoint.lsn, default=None)


def file_checkpoint_size(window: bytearray, header: LogHeader, checkpoint: MariadbCheckpoint) -> int | None:
    """Bytes from ``checkpoint.end_lsn``, where ``window`` starts, to behind the checkpoint's FILE_CHECKPOINT record.

    The record is the last of its mini-transaction; before it, FILE_MODIFY records name the changed files, in that
    mini-transaction or (with many files) in several. None if it is not in the window. Sequence bits in ``window`` are
    set to 1, as by ``walk``.
    """
    found = window.find(FILE_CHECKPOINT + checkpoint.lsn.to_bytes(8, "big"))
    if found < 0:
        return None
    behind = found + FILE_CHECKPOINT_MTR_SIZE
    walked = walk(window, checkpoint.end_lsn, header, checkpoint.end_lsn + behind)
    return behind if walked.size == behind else None


def walk(window: bytearray, lsn: int, header: LogHeader, limit: int | None = None) -> MariadbWalk:
    """Walk the mini-transactions at the start of ``window``, whose first byte has the LSN ``lsn``.

    Each one's framing, sequence bit and checksum are verified; then its sequence bit in ``window`` is set to 1, as
    in a log that has not wrapped. The window is linear (the caller puts the bytes before and after the file's wrap
    together) and may hold one wrap. The walk ends at the first boundary at or after ``limit`` (an LSN), or at the
    first mini-transaction that is incomplete or not valid; MariadbWalkEnd tells which.
    """
    crc32c = libraries.require("crc32c").crc32c
    stored_at = _U32.unpack_from
    data = bytes(window)  # indexed and sliced faster than a bytearray or a memoryview
    # one table look-up for the whole window at C speed instead of one for each record
    sizes = data.translate(_RECORD_SIZE)
    expected = header.sequence_bit(lsn)
    flip = header.lap_end(lsn) - lsn
    stop = len(data) if limit is None else limit - lsn
    start = position = count = stable = 0
    # where in the window the block ends that the walk is in
    block_end = -header.offset(lsn) % _WRITE_BLOCK
    try:
        while start < stop:
            while True:
                while size := sizes[position]:
                    position += size
                marker = data[position]
                if marker < 2:
                    break
                size = data[position + 1]
                if size < 0x80:
                    position += size + 16
                else:
                    position += _long_record_size(data, position + 1)
            if position == start:
                return MariadbWalk(start, count, MariadbWalkEnd.EMPTY, stable)
            if position >= flip:
                expected, flip = 1 - expected, flip + header.capacity
            if marker != expected:
                return MariadbWalk(start, count, MariadbWalkEnd.SEQUENCE, stable)
            if stored_at(data, position + 1)[0] != crc32c(data[start:position]):
                return MariadbWalk(start, count, MariadbWalkEnd.CHECKSUM, stable)
            window[position] = 1
            position += 5
            if position > block_end:
                stable = start
                block_end = position + (block_end - position) % _WRITE_BLOCK
            start = position
            count += 1
    except (IndexError, struct.error):
        return MariadbWalk(start, count, MariadbWalkEnd.WINDOW, stable)
    return MariadbWalk(start, count, MariadbWalkEnd.LIMIT if limit is not None else MariadbWalkEnd.WINDOW, stable)


def _long_record_size(data: bytes, position: int) -> int:
    """Size of a record whose variable-length integer, of two bytes or more, is at ``position``.

    The integer counts from 15 bytes on and includes its own bytes; the record's first byte comes on top.
    """
    first = data[position]
    if first < 0xC0:
        value = ((first & 0x3F) << 8 | data[position + 1]) + 0x80
    elif first < 0xE0:
        value = ((first & 0x1F) << 16 | data[position + 1] << 8 | data[position + 2]) + 0x4080
    elif first < 0xF0:
        value = ((first & 0x0F) << 24 | int.from_bytes(data[position + 1 : position + 4], "big")) + 0x204080
    else:
        value = int.from_bytes(data[position + 1 : position + 5], "big") + 0x10204080
    return value + 16


def render_backup_header(checkpoint: MariadbCheckpoint, server_version: str) -> bytes:
    """The first 12288 bytes of a backup's ``ib_logfile0``: data that follows starts at ``checkpoint.lsn``.

    The creator begins with ``Backup ``, as servers expect of a restored backup; ``server_version`` is what
    ``SELECT VERSION()`` says.
    """
    crc32c = libraries.require("crc32c").crc32c
    number = re.match(r"[0-9.]*", server_version)
    creator = b"Backup " + (number.group() if number else "").encode("ascii")
    block = bytearray(START_OFFSET)
    _HEADER.pack_into(block, 0, FORMAT, 0, checkpoint.lsn, creator[: _CREATOR_SIZE - 1], 0, 0)
    _U32.pack_into(block, _CRC_OFFSET, crc32c(bytes(block[:_CRC_OFFSET])))
    _CHECKPOINT.pack_into(block, CHECKPOINT_1, checkpoint.lsn, checkpoint.end_lsn, bytes(44), 0)
    covered = bytes(block[CHECKPOINT_1 : CHECKPOINT_1 + CHECKPOINT_SIZE - 4])
    _U32.pack_into(block, CHECKPOINT_1 + CHECKPOINT_SIZE - 4, crc32c(covered))
    return bytes(block)
