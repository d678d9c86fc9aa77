# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand-made MySQL redo logs: files and blocks placed by the rules of the format, spares renamed as servers do.

It shares no code with the engine: what the engine reads back was written from the format's description.
"""

from __future__ import annotations

import struct
from pathlib import Path

import crc32c

HEADER = 2048
FULL = 8
UUID = 4711


def with_checksum(block: bytes) -> bytes:
    """``block`` (508 bytes or fewer) with its checksum: 512 bytes."""
    block = block.ljust(508, b"\0")
    return block + crc32c.crc32c(block).to_bytes(4, "big")


def header(start_lsn: int, flags: int = 0, word: int = 6, creator: bytes = b"MySQL 9.7.4", uuid: int = UUID) -> bytes:
    """Block 0 of a file."""
    return with_checksum(struct.pack(">IIQ32sI", word, uuid, start_lsn, creator, flags))


def checkpoint(lsn: int) -> bytes:
    """A checkpoint block."""
    return with_checksum(struct.pack(">QQ", 0, lsn))


def head(start_lsn: int, lsn_1: int = 0, lsn_2: int = 0, flags: int = 0, info: bytes = b"") -> bytes:
    """The 2048 bytes at the beginning of a file."""
    encryption = (bytes(48) + info).ljust(512, b"\0")
    return header(start_lsn, flags) + checkpoint(lsn_1) + encryption + checkpoint(lsn_2)


def block(lsn: int, data: bytes, first: int = 12) -> bytes:
    """The block that starts at ``lsn`` and holds ``data`` (496 bytes: it is full)."""
    used = 512 if len(data) == 496 else 12 + len(data)
    number = lsn // 512
    return with_checksum(struct.pack(">IHHI", 1 + number % (1 << 30), used, first, 1 + number // (1 << 30)) + data)


class SyntheticRedo:
    """A log in ``directory`` of files that hold ``blocks`` blocks each, with as many spares as there ever were."""

    def __init__(self, directory: Path, blocks: int = 16, start_lsn: int = 1 << 20, number: int = 7) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.size = HEADER + blocks * 512
        self.linear = bytearray()  # all blocks
        self.start_lsn = self.lsn = start_lsn
        self.files: list[tuple[int, int]] = []  # number and start LSN of those in use
        self._next = number
        self._checkpoint = 0
        self._add_file()

    @property
    def end_lsn(self) -> int:
        """The first LSN behind the newest file."""
        return self.files[-1][1] + self.size - HEADER

    def path(self, number: int) -> Path:
        """The file of that number."""
        return self.directory / f"#ib_redo{number}"

    def append(self, data: bytes) -> int:
        """Write ``data`` as full blocks and one that may not be full; returns the LSN behind it."""
        view = bytearray(data)
        while view:
            offset = self.lsn % 512 or 12
            base = self.lsn - self.lsn % 512
            room = 508 - offset
            before = bytes(self.linear[base - self.start_lsn + 12 : base - self.start_lsn + offset])
            piece, view = bytes(view[:room]), view[room:]
            made = block(base, before + piece)
            self.linear[base - self.start_lsn :] = made
            if base >= self.end_lsn:
                self._add_file()
            self._write(base, made)
            self.lsn = base + 512 if len(piece) == room else base + offset + len(piece)
        return self.lsn

    def fill(self, blocks: int, byte: int = 0x55) -> int:
        """Write so many full blocks."""
        return self.append(bytes([byte]) * (496 * blocks))

    def checkpoint(self, lsn: int) -> None:
        """Make ``lsn`` the newest checkpoint and recycle the files before it."""
        (number, start) = next(file for file in reversed(self.files) if file[1] <= lsn)
        self._checkpoint = 1 - self._checkpoint
        with self.path(number).open("r+b") as file:
            file.seek((512, 1536)[self._checkpoint])
            file.write(checkpoint(lsn))
        while self.files[0][1] < start:
            self._recycle()

    def _recycle(self) -> None:
        number, _start = self.files.pop(0)
        self.path(number).rename(self.directory / f"#ib_redo{self._next + 50 + number}_tmp")

    def _add_file(self) -> None:
        start = self.files[-1][1] + self.size - HEADER if self.files else self.start_lsn
        if self.files:
            self._put(self.files[-1][0], 0, header(self.files[-1][1], FULL))
        path = self.path(self._next)
        # a spare one with its old content, if there is one
        spare = next(iter(sorted(self.directory.glob("*_tmp"))), None)
        if spare:
            spare.rename(path)
        else:
            path.write_bytes(bytes(self.size))
        self.files.append((self._next, start))
        self._put(self._next, 0, head(start))
        self._next += 1

    def _write(self, base: int, data: bytes) -> None:
        number, start = next(file for file in reversed(self.files) if file[1] <= base)
        self._put(number, HEADER + base - start, data)

    def _put(self, number: int, offset: int, data: bytes) -> None:
        with self.path(number).open("r+b") as file:
            file.seek(offset)
            file.write(data)
