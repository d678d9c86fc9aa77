# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand-made MariaDB redo logs: every byte placed by the rules of the format, in a (sparse) file that wraps.

It shares no code with the engine: what the engine reads back was written from the format's description.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import crc32c

START = 12288
FIRST_LSN = 12288


def varint(value: int) -> bytes:
    """``value`` as InnoDB's variable-length integer."""
    if value < 0x80:
        return bytes([value])
    for marker, base, size in ((0x80, 0x80, 2), (0xC0, 0x4080, 3), (0xE0, 0x204080, 4)):
        rest = value - base
        if rest < 1 << (7 * size):
            return (marker << 8 * (size - 1) | rest).to_bytes(size, "big")
    return b"\xf0" + (value - 0x10204080).to_bytes(4, "big")


def record(size: int, kind: int = 0x30, fill: int = 0) -> bytes:
    """A record of ``size`` bytes in all (2 or more)."""
    if size <= 16:
        return bytes([kind | size - 1]) + bytes([fill]) * (size - 1)
    length = varint(size - 16)
    return bytes([kind]) + length + bytes([fill]) * (size - 1 - len(length))


def name_record(space_id: int, name: str) -> bytes:
    """A FILE_MODIFY record."""
    payload = varint(space_id) + b"\0" + name.encode()
    size = len(payload) + 1
    if size <= 16:
        return bytes([0xB0 | size - 1]) + payload
    return b"\xb0" + varint(size - 16 + 1) + payload  # all these tests' names need one byte of length


def file_checkpoint(lsn: int) -> bytes:
    """A FILE_CHECKPOINT record."""
    return b"\xfa\0\0" + lsn.to_bytes(8, "big")


class SyntheticLog:
    """A circular log of ``file_size`` bytes at ``path``; ``lsn`` is where the next mini-transaction goes."""

    def __init__(self, path: Path, file_size: int, lsn: int = FIRST_LSN, first_lsn: int = FIRST_LSN) -> None:
        self.path, self.file_size, self.first_lsn, self.lsn = path, file_size, first_lsn, lsn
        self.capacity = file_size - START
        self.linear = bytearray()  # everything appended, as a log that never wraps would hold it
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.ftruncate(self.descriptor, file_size)
        os.pwrite(self.descriptor, render_header(first_lsn), 0)
        self._slot = 0

    def append(self, *records: bytes) -> int:
        """Write a mini-transaction of ``records``; returns its LSN."""
        data = self.render(*records)
        lsn = self.lsn
        self.write(lsn, data)
        self.lsn += len(data)
        marker = len(data) - 5
        self.linear += data[:marker] + b"\x01" + data[marker + 1 :]
        return lsn

    def render(self, *records: bytes) -> bytes:
        """The bytes of a mini-transaction at the current LSN."""
        body = b"".join(records)
        lap = (self.lsn + len(body) - self.first_lsn) // self.capacity
        return body + bytes([1 - lap % 2]) + crc32c.crc32c(body).to_bytes(4, "big")

    def write(self, lsn: int, data: bytes) -> None:
        """Put ``data`` at the place of ``lsn``, around the end of the file if need be."""
        while data:
            offset = (lsn - self.first_lsn) % self.capacity
            piece = data[: self.capacity - offset]
            os.pwrite(self.descriptor, piece, START + offset)
            data, lsn = data[len(piece) :], lsn + len(piece)

    def checkpoint(self, lsn: int, *records: bytes) -> int:
        """Make a checkpoint at ``lsn``: ``records`` and FILE_CHECKPOINT, then the block; returns its end LSN."""
        end_lsn = self.append(*records, file_checkpoint(lsn))
        self.write_checkpoint(lsn, end_lsn)
        return end_lsn

    def write_checkpoint(self, lsn: int, end_lsn: int) -> None:
        """Write a checkpoint block, in turn at 4096 and 8192."""
        os.pwrite(self.descriptor, render_checkpoint(lsn, end_lsn), (4096, 8192)[self._slot])
        self._slot ^= 1

    def close(self) -> None:
        """Close the file; again is harmless."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def render_header(first_lsn: int, word: int = 0x50687973, creator: bytes = b"MariaDB 10.11.19", key: int = 0) -> bytes:
    """The first 512 bytes of a log."""
    head = struct.pack(">IIQ32sI", word, 0, first_lsn, creator, key).ljust(508, b"\0")
    return head + crc32c.crc32c(head).to_bytes(4, "big")


def render_checkpoint(lsn: int, end_lsn: int) -> bytes:
    """A checkpoint block of 64 bytes."""
    block = struct.pack(">QQ", lsn, end_lsn).ljust(60, b"\0")
    return block + crc32c.crc32c(block).to_bytes(4, "big")
