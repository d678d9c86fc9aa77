# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of one page that are the same in all families: its place, and checksums of the older kinds.

What each family adds is in ``mariadb/page.py`` and ``mysql/page.py``. Source:
docs/internals/formats-innodb.md#page-checksums.
"""

from __future__ import annotations

import abc
import struct
import zlib
from typing import Any, Callable

from .. import libraries
from .checksum_innodb import innodb_checksums
from .mysql.keyring import FileKey
from .tablespace import TablespaceHeader
from .tablespace_values import FIL_PAGE_DATA, Buffer, ChecksumKind

_SPACE_ID_AT = 34
_TYPE_AT = 24
NO_CHECKSUM_MAGIC = 0xDEADBEEF
_ZIP_SIZES = (1024, 2048, 4096, 8192, 16384)

U16 = struct.Struct(">H").unpack_from
U32 = struct.Struct(">I").unpack_from

CHECKSUM_MISMATCH = "the checksum does not match"
TORN = "its LSN differs between start and end"

#: None, or why the page of this number in the tablespace is faulty
Check = Callable[[memoryview, int], "str | None"]


class PageChecks(abc.ABC):
    """Checks of the pages of one tablespace file, whose header is ``header``. Holds no state between calls.

    ``check_page_numbers`` can be turned off. ``key`` is that of an encrypted MySQL tablespace.
    """

    def __init__(self, header: TablespaceHeader, *, check_page_numbers: bool, key: FileKey | None) -> None:
        self.header = header
        self.key = key
        self.crc32c: Callable[..., int] = libraries.require("crc32c").crc32c
        self._check_page_numbers = check_page_numbers
        self._zero_page = bytes(header.physical_size)
        self._space_id = header.space_id
        full_crc32 = header.checksum is ChecksumKind.FULL_CRC32
        self._check_space_id = header.checksum is not ChecksumKind.UNKNOWN and (full_crc32 or header.space_id != 0)

    @abc.abstractmethod
    def check(self) -> Check:
        """The check for pages with the file's kind of checksum."""

    @abc.abstractmethod
    def is_opaque(self, page: Buffer) -> bool:
        """Returns whether ``page`` is one of which a check sees the header only."""

    def wrong_place(self, page: memoryview, number: int, *, shows_space_id: bool = True) -> str | None:
        """Of a page that is another one's: of another number, or, where that can be read, of another tablespace."""
        found = U32(page, 4)[0]
        if found != number and self._check_page_numbers:
            return f"it says that it is page {found}"
        space_id = U32(page, _SPACE_ID_AT)[0]
        if shows_space_id and self._check_space_id and space_id != self._space_id:
            return f"it says that it is of tablespace {space_id} and not of {self._space_id}"
        return None

    def is_zero(self, page: memoryview) -> bool:
        # a copy and one memcmp; comparing the memoryview itself would compare item by item
        return not page[0] and bytes(page) == self._zero_page[: len(page)]

    def plain_crc32_fault(self, page: memoryview, checksum: int) -> str | None:
        """Of a page that is as in the buffer pool; ``checksum`` is its crc32."""
        n = len(page)
        if page[20:24] != page[n - 4 :]:
            return TORN
        stored = U32(page, 0)[0], U32(page, n - 8)[0]
        if stored in ((checksum, checksum), (NO_CHECKSUM_MAGIC, NO_CHECKSUM_MAGIC)) or stored == innodb_checksums(page):
            return None
        return CHECKSUM_MISMATCH

    def crc32_of(self, page: Any) -> int:
        return self.crc32c(page[4:26]) ^ self.crc32c(page[FIL_PAGE_DATA : len(page) - 8])

    def zip_crc32_of(self, page: memoryview) -> int:
        return self.crc32c(page[4:16]) ^ self.crc32c(page[24:26]) ^ self.crc32c(page[34:])

    def any_zip(self, page: memoryview, number: int, check: Callable[[memoryview, int], str | None]) -> bool:
        """Returns whether these are pages of ROW_FORMAT=COMPRESSED, of any size."""
        n = len(page)
        for size in _ZIP_SIZES:
            starts = range(0, n, size)
            if size <= n and not any(check(page[at : at + size], (number * n + at) // size) for at in starts):
                return True
        return False


def is_zip_checksum(page: memoryview, checksum: int) -> bool:
    """Returns whether the stored checksum of a ROW_FORMAT=COMPRESSED page is right; ``checksum`` is its crc32."""
    stored = U32(page, 0)[0]
    return stored in (checksum, NO_CHECKSUM_MAGIC) or stored == _zip_adler(page)


def _zip_adler(page: memoryview) -> int:
    """The ``innodb`` checksum of a ROW_FORMAT=COMPRESSED page, as servers before the crc32 default wrote it."""
    return zlib.adler32(page[34:], zlib.adler32(page[24:26], zlib.adler32(page[4:16], 0)))


def page_type(page: Buffer) -> int:
    """The page's type, as it is stored."""
    return page[_TYPE_AT] << 8 | page[_TYPE_AT + 1]
