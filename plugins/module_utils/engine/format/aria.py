# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of the Aria storage engine: its control file, the pages of its log, its tables.

An LSN of Aria is the number of a log file and an offset (bytes) in it; the two compare in that order. Sources:
docs/internals/formats-aria.md#aria-control-file, docs/internals/formats-aria.md#aria-log and
docs/internals/formats-aria.md#aria-tables.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import FormatError

TRANSLOG_PAGE_SIZE = 8192

Lsn = tuple[int, int]

# --- the control file ----------------------------------------------------------------------------

_CONTROL_MAGIC = b"\xfe\xfe\x0c"
_CONTROL_SIZES = struct.Struct("<HH")  # of the part that stays and of the part that changes
_CONTROL_SIZES_OFFSET = 20
_CONTROL_MINIMUM = 30 + 15
_CONTROL_MAXIMUM = 512
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True)
class ControlFile:
    """``aria_log_control``: where recovery begins (``checkpoint``) and where the log ends (``last_log``: a file)."""

    data: bytes
    checkpoint: Lsn
    last_log: int

    @classmethod
    def parse(cls, data: bytes, name: str) -> ControlFile:
        """The control file ``data``; raises FormatError when it is none, or was read while it was written."""
        if not _CONTROL_MINIMUM <= len(data) <= _CONTROL_MAXIMUM or data[:3] != _CONTROL_MAGIC:
            raise FormatError(f"{name}: not a control file of Aria's ({len(data)} bytes)", path=name)
        fixed, changing = _CONTROL_SIZES.unpack_from(data, _CONTROL_SIZES_OFFSET)
        if fixed + changing != len(data) or fixed < 30 or changing < 15:
            raise FormatError(f"{name}: its parts have {fixed} and {changing} bytes, it has {len(data)}", path=name)
        sums = (_CHECKSUM.unpack_from(data, fixed - 4)[0], _CHECKSUM.unpack_from(data, fixed)[0])
        if sums != (zlib.crc32(data[: fixed - 4]), zlib.crc32(data[fixed + 4 :])):
            raise FormatError(f"{name}: bad checksum", path=name)
        return cls(data, _lsn(data, fixed + 4), _CHECKSUM.unpack_from(data, fixed + 11)[0])

    def with_last_log(self, number: int) -> bytes:
        """The file's bytes, with ``number`` as that of the last log file."""
        fixed, _changing = _CONTROL_SIZES.unpack_from(self.data, _CONTROL_SIZES_OFFSET)
        changed = bytearray(self.data)
        _CHECKSUM.pack_into(changed, fixed + 11, number)
        _CHECKSUM.pack_into(changed, fixed, zlib.crc32(changed[fixed + 4 :]))
        return bytes(changed)


def _lsn(data: bytes | bytearray | memoryview, offset: int) -> Lsn:
    return int.from_bytes(data[offset : offset + 3], "little"), int.from_bytes(data[offset + 3 : offset + 7], "little")


# --- the log -------------------------------------------------------------------------------------

_MAX_LSN_OFFSET = 37  # in a log file's first page: the LSN of the last record that has a part in the file
_NO_LSN = bytes(7)
_LOGREC_CHECKPOINT = 29  # in a chunk that begins a record


def bounded_header(page: bytes, number: int) -> bytes:
    """The first page of log file ``number``, read before the file was full, as it can be kept.

    The server writes the greatest LSN into it when it begins the next file. A server that finds none takes the file
    as unfinished and never purges it nor any later one, so a bound is put there that no record in the file exceeds.
    """
    if page[_MAX_LSN_OFFSET : _MAX_LSN_OFFSET + 7] != _NO_LSN:
        return page
    bound = (number + 1).to_bytes(3, "little") + b"\xff\xff\xff\xff"
    return page[:_MAX_LSN_OFFSET] + bound + page[_MAX_LSN_OFFSET + 7 :]


def checkpoint_horizon(record: bytes) -> Lsn | None:
    """Returns the end of the log when a checkpoint began, from the beginning of its log ``record`` (at the LSN in the
    control file); None when it is in another part of the record, as in one of more than a megabyte."""
    if len(record) < 24 or record[0] != _LOGREC_CHECKPOINT:
        return None
    # after type and transaction: the record's length (251 to 253: in the 2 to 4 bytes that follow) and the chunk's (0:
    # the record is no more than one group of pages)
    at = 4 + {251: 2, 252: 3, 253: 4}.get(record[3], 0)
    return _lsn(record, at + 2) if record[at : at + 2] == b"\0\0" else None


def first_foreign_page(data: bytes | memoryview, number: int, offset: int) -> int | None:
    """The offset in log file ``number`` of the first page in ``data`` (which begins at ``offset``) that does not say
    of itself that it is at its place; None when all do. The first page of a file has no such header."""
    for at in range(0, len(data) - TRANSLOG_PAGE_SIZE + 1, TRANSLOG_PAGE_SIZE):
        place = offset + at
        if place and _place(data, at) != (place // TRANSLOG_PAGE_SIZE, number):
            return place
    return None


def _place(data: bytes | memoryview, at: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + 3], "little"), int.from_bytes(data[at + 3 : at + 6], "little")


# --- a table -------------------------------------------------------------------------------------

_TABLE_MAGIC = b"\xfe\xfe\x09"
_HEADER = struct.Struct(">HHHHHHHBBBBBB")  # after the magic and a version: options, lengths, base_pos, keys, types
HA_OPTION_PAGE_CHECKSUM = 2048
_BLOCK_RECORD = 3
_ENCRYPTED = 1  # MA_EXTRA_OPTIONS_ENCRYPTED
_CREATE_RENAME_LSN_OFFSET = 28
_IS_OF_HORIZON_OFFSET = 35
_BASE_INFO_SIZE = 108
HEADER_SIZE = 1 << 16  # enough of an index file for AriaTable.parse
LSN_SIZE = _IS_OF_HORIZON_OFFSET + 7  # and for the LSNs in it

_NO_CRC = 0xFFFFFFFE  # this and the next value mean: a page without checksum
_ZEROS = bytes(1 << 16)


def create_rename_lsn(head: bytes) -> Lsn:
    """The LSN of AriaTable's name in the beginning of an index file; (0, 0) when it is too short."""
    return _lsn(head, _CREATE_RENAME_LSN_OFFSET)


def is_of_horizon(head: bytes) -> Lsn:
    """The LSN up to which the table's state in the beginning of an index file counts what the log holds."""
    return _lsn(head, _IS_OF_HORIZON_OFFSET)


@dataclass(frozen=True)
class Horizon:
    """Ends of the log: when a checkpoint ``began``, and when it had ``collected`` the states of all tables."""

    began: Lsn
    collected: Lsn


def with_horizon(head: bytes, horizon: Horizon | None) -> bytes:
    """The beginning of an index file as recovery from the checkpoint at ``horizon`` needs it (see aria_checkpoint).

    A state that was written since the checkpoint began is of its own LSN. An older one was not written again because it
    had not changed: it is also the one that the checkpoint has collected.
    """
    if horizon is None or is_of_horizon(head) >= horizon.began:
        return head
    number, offset = horizon.collected
    lsn = number.to_bytes(3, "little") + offset.to_bytes(4, "little")
    return head[:_IS_OF_HORIZON_OFFSET] + lsn + head[_IS_OF_HORIZON_OFFSET + 7 :]


@dataclass(frozen=True)
class AriaTable:
    """Facts about a table from the head of its index file (``.MAI``).

    ``online``: the server writes to it until commits are blocked, since it can make it whole from its log, and each of
    its pages (``block_size`` bytes) has a checksum. ``header_size`` bytes of the index file are no pages.
    ``create_rename_lsn``: changes in the table before it are in no log.
    """

    online: bool
    encrypted: bool
    block_size: int
    header_size: int
    create_rename_lsn: Lsn

    @classmethod
    def parse(cls, head: bytes) -> AriaTable | None:
        """The table whose index file begins with ``head`` (HEADER_SIZE bytes, or all); None when it is no Aria's."""
        if len(head) < 4 + _HEADER.size or head[:3] != _TABLE_MAGIC:
            return None
        options, _length, _state, _base, base_pos, *_rest, data_file_type, _original = _HEADER.unpack_from(head, 4)
        if base_pos + _BASE_INFO_SIZE > len(head):
            return None
        (header_size,) = struct.unpack_from(">Q", head, base_pos + 16)
        (extra_options,) = struct.unpack_from(">H", head, base_pos + 90)
        (block_size,) = struct.unpack_from(">H", head, base_pos + 100)
        if block_size not in (1024, 2048, 4096, 8192, 16384, 32768) or header_size % block_size:
            return None
        transactional = bool(head[base_pos + 106]) and data_file_type == _BLOCK_RECORD
        return cls(
            online=transactional and bool(options & HA_OPTION_PAGE_CHECKSUM),
            encrypted=bool(extra_options & _ENCRYPTED),
            block_size=block_size,
            header_size=header_size,
            create_rename_lsn=create_rename_lsn(head),
        )

    def bad_pages(self, pages: memoryview, offset: int, *, index: bool) -> Iterator[int]:
        """The offsets in ``pages`` (which begin at ``offset`` of the file) of those whose checksum is wrong.

        A page of zeros is one that is only in the server's memory yet.
        """
        for at in range(0, len(pages), self.block_size):
            page = pages[at : at + self.block_size]
            good = self._good_key_page if index else self._good_data_page
            if not good(page, (offset + at) // self.block_size) and page != _ZEROS[: self.block_size]:
                yield at

    def _good_data_page(self, page: memoryview, page_no: int) -> bool:
        bitmap = page_no % ((self.block_size - 4) // 6 * 16 + 1) == 0
        return self._good(page, page_no, self.block_size - 4, _NO_CRC if bitmap else _NO_CRC + 1)

    def _good_key_page(self, page: memoryview, page_no: int) -> bool:
        if page_no < self.header_size // self.block_size:
            return True
        # after LSN (7) and transaction id (6): key number, flag, and how many bytes are used (2)
        used = int.from_bytes(page[15:17], "big")
        return used <= self.block_size - 4 and self._good(page, page_no, used, _NO_CRC + 1)

    def _good(self, page: memoryview, page_no: int, length: int, none: int) -> bool:
        (stored,) = _CHECKSUM.unpack_from(page, self.block_size - 4)
        if stored >= _NO_CRC:
            return bool(stored == none)
        return bool(stored == min(zlib.crc32(page[:length], page_no & 0xFFFFFFFF), _NO_CRC - 1))
