# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of MySQL's redo log that tell of pages which were written without redo: MLOG_INDEX_LOAD.

ALTER TABLE builds an index, or a whole table, by writing its pages straight to the file; when they are there, it logs
one record: type, tablespace, root page, index. It is a mini-transaction of its own, so its type byte has the bit of a
single record. Layout: docs/internals/formats-redo.md#mysql-index-load-records.

The lengths of all other records would have to be known to walk the log. It is searched instead: each such record is
found, and now and then bytes that only look like one.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from .redo_format import BLOCK_HEADER_SIZE

_SINGLE_RECORD = 0x80
_INDEX_LOAD = 61 | _SINGLE_RECORD
_LONGEST = 1 + 5 + 5 + 8  # bytes of a record: type, two compressed numbers, the id of an index
_DATA = struct.Struct(f">{BLOCK_HEADER_SIZE}x496s4x")
_FIRST_ROOT_PAGE = 3  # the pages before it have other uses

# a number as mach_write_compressed() writes it: the first byte tells how many follow
_COMPRESSED = rb"([\x00-\x7f]|[\x80-\xbf].|[\xc0-\xdf]..|[\xe0-\xef]...|\xf0....|[\xf8-\xfb].|[\xfc\xfd]..|\xfe...)"
# looked at without being consumed, for the next one may begin inside; ids of indexes are small numbers
_RECORD = re.compile(
    b"\\x%02x" % _INDEX_LOAD + b"(?=" + _COMPRESSED + _COMPRESSED + rb"\x00{4}(....))",
    re.DOTALL,
)


@dataclass(frozen=True)
class IndexLoad:
    """Pages of ``index_id`` were written to the tablespace ``space_id`` without redo; ``lsn`` is not before the end of
    the record that says so, and at most a window of the search after it."""

    space_id: int
    page_no: int
    index_id: int
    lsn: int


class IndexLoads:
    """Searches a log from some block on. ``found`` grows, now and then by what is in it already; another thread may
    read it."""

    def __init__(self) -> None:
        self.found: list[IndexLoad] = []
        self._tail = b""

    def feed(self, blocks: bytes, end_lsn: int) -> None:
        """Search full, plain ``blocks`` that follow those of the last call and end at ``end_lsn``."""
        data = self._tail + b"".join(part for (part,) in _DATA.iter_unpack(blocks))
        self._search(data, end_lsn)
        self._tail = data[-(_LONGEST - 1) :]

    def peek(self, block: bytes, end_lsn: int) -> None:
        """Search what a plain block, which is not full yet, holds so far; it will be fed later."""
        self._search(self._tail + block[BLOCK_HEADER_SIZE:], end_lsn)

    def _search(self, data: bytes, end_lsn: int) -> None:
        for match in _RECORD.finditer(data):
            space, page, index = match.groups()
            load = IndexLoad(_number(space), _number(page), int.from_bytes(index, "big"), end_lsn)
            if load.page_no >= _FIRST_ROOT_PAGE and load.index_id:
                self.found.append(load)


def _number(data: bytes) -> int:
    """The number that is compressed in ``data``."""
    value, first = int.from_bytes(data, "big"), data[0]
    if first < 0xF0:
        return value & {1: 0x7F, 2: 0x3FFF, 3: 0x1FFFFF, 4: 0xFFFFFFF}[len(data)]
    if first == 0xF0:
        return value & 0xFFFFFFFF
    # large ones are those of which the highest bits are set
    bits = {2: 10, 3: 17, 4: 24}[len(data)]
    return (0xFFFFFFFF >> bits << bits) | value & ((1 << bits) - 1)
