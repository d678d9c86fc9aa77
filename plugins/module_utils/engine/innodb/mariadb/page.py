# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of MariaDB's pages, over the stored bytes: compressed and encrypted pages are verified as they are.

Which bytes a checksum covers, by kind (n = physical page size; all numbers big endian; checked against MariaDB 10.11):

* full_crc32: bytes 0 to n-5, stored at n-4; page_compressed pages (bit 15 of the type) only up to the length that
  the type tells;
* crc32: bytes 4 to 25 and 38 to n-9, combined by exclusive or, stored at 0 and n-8; bytes 20 to 23 are repeated at n-4;
* ROW_FORMAT=COMPRESSED: bytes 4 to 15, 24 to 25 and 34 to n-1, stored at 0;
* encrypted pages in files of the two older kinds: the same bytes, stored at 30;
* page_compressed pages in crc32 files have none: they are decompressed, and the page inside is verified.

Source: docs/internals/formats-innodb.md#page-checksums.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Callable

from ..checksum_innodb import innodb_checksums
from ..page_checks import (
    CHECKSUM_MISMATCH,
    NO_CHECKSUM_MAGIC,
    TORN,
    U16,
    U32,
    Check,
    PageChecks,
    is_zip_checksum,
    page_type,
)
from ..tablespace_values import FIL_PAGE_DATA, Buffer, ChecksumKind

_ALGORITHM_AT = 33  # of page_compressed pages
PAGE_COMPRESSED = 34354
PAGE_COMPRESSED_ENCRYPTED = 37401
COMPRESSED_TYPE_FLAG = 0x8000

_DECOMPRESSORS: dict[int, Callable[[bytes], bytes]] = {
    1: zlib.decompress,
    4: lzma.decompress,
    5: bz2.decompress,
}


class MariadbPageChecks(PageChecks):
    """Checks of the pages of one file of MariaDB's."""

    def check(self) -> Check:
        """The check for pages with the file's kind of checksum; any kind will do while page 0 is not written."""
        return {
            ChecksumKind.FULL_CRC32: self._full_crc32_fault,
            ChecksumKind.CRC32: self._crc32_fault,
            ChecksumKind.ZIP: self._zip_fault,
            ChecksumKind.UNKNOWN: self._any_fault,
        }[self.header.checksum]

    def is_opaque(self, page: Buffer) -> bool:
        """Returns whether ``page`` was written without a checksum, or compressed as only the server can undo it."""
        kind = page_type(page)
        if self.header.checksum is ChecksumKind.FULL_CRC32 or kind == PAGE_COMPRESSED_ENCRYPTED:
            return False
        if kind == PAGE_COMPRESSED:
            return page[_ALGORITHM_AT] not in _DECOMPRESSORS
        return bool(U32(page, 0)[0] == NO_CHECKSUM_MAGIC)

    def _full_crc32_fault(self, page: memoryview, number: int) -> str | None:
        if self.is_zero(page):
            return None
        size, kind = len(page), U16(page, 24)[0]
        compressed = kind & COMPRESSED_TYPE_FLAG
        if compressed:
            size = (kind & ~COMPRESSED_TYPE_FLAG) << 8
            if not 256 <= size <= len(page):
                return f"its compressed size is {size} bytes"
        if self.crc32c(page[: size - 4]) != U32(page, size - 4)[0]:
            return CHECKSUM_MISMATCH
        plain = not compressed and not U32(page, 0)[0]
        if plain and page[20:24] != page[size - 8 : size - 4]:
            return TORN
        return self.wrong_place(page, number, shows_space_id=plain)

    def _crc32_fault(self, page: memoryview, number: int) -> str | None:
        if self.is_zero(page):
            return None
        kind = U16(page, 24)[0]
        if kind == PAGE_COMPRESSED:
            return self.wrong_place(page, number) or self._page_compressed_fault(page)
        checksum = self.crc32_of(page)
        # of encrypted pages only page 0 has no key version; spatial indexes keep other things in its place
        encrypted_matches = bool(number) and U32(page, 26)[0] != 0 and U32(page, 30)[0] == checksum
        if kind == PAGE_COMPRESSED_ENCRYPTED:
            return self.wrong_place(page, number) if encrypted_matches else CHECKSUM_MISMATCH
        if not encrypted_matches:
            return self.plain_crc32_fault(page, checksum) or self.wrong_place(page, number)
        return self.wrong_place(page, number)

    def _page_compressed_fault(self, page: memoryview) -> str | None:
        """Of a page of type 34354: the algorithm is at 26 (8 bytes), the compressed size at 38, the data from 40 on."""
        size, algorithm = U16(page, FIL_PAGE_DATA)[0], page[_ALGORITHM_AT]
        if not 0 < size <= len(page) - 40 or not algorithm or any(page[26:33]):
            return f"its compressed size is {size} bytes, by algorithm {algorithm}"
        decompress = _DECOMPRESSORS.get(algorithm)
        if decompress is None:
            # lz4, lzo and snappy as raw blocks: nothing that could be verified without the server's own libraries
            return None
        try:
            inside = memoryview(decompress(bytes(page[40 : 40 + size])))
        except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError):
            return "it cannot be decompressed"
        if len(inside) != len(page) or inside[4:24] != page[4:24]:
            return "it does not hold the page that its header names"
        checksum = self.crc32_of(inside)
        stored = U32(inside, 0)[0]
        if stored in (checksum, NO_CHECKSUM_MAGIC) or stored == innodb_checksums(inside)[0]:
            return None
        return CHECKSUM_MISMATCH

    def _zip_fault(self, page: memoryview, number: int) -> str | None:
        if self.is_zero(page):
            return None
        checksum = self.zip_crc32_of(page)
        encrypted_matches = bool(number) and U32(page, 26)[0] != 0 and U32(page, 30)[0] == checksum
        if not encrypted_matches and not is_zip_checksum(page, checksum):
            return CHECKSUM_MISMATCH
        return self.wrong_place(page, number)

    def _any_fault(self, page: memoryview, number: int) -> str | None:
        reason = self._full_crc32_fault(page, number)
        if reason is None or self._crc32_fault(page, number) is None or self.any_zip(page, number, self._zip_fault):
            return None
        return reason
