# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of InnoDB pages as they are in the file: checksum, page number, tablespace id.

MariaDB's checksums are over the stored bytes, so compressed and encrypted pages are verified as they are. Which bytes a
checksum covers, by kind (n = physical page size; all numbers big endian; checked against MariaDB 10.11):

* full_crc32: bytes 0 to n-5, stored at n-4; page_compressed pages (bit 15 of the type) only up to the length that
  the type tells;
* crc32: bytes 4 to 25 and 38 to n-9, combined by exclusive or, stored at 0 and n-8; bytes 20 to 23 are repeated at n-4;
* ROW_FORMAT=COMPRESSED: bytes 4 to 15, 24 to 25 and 34 to n-1, stored at 0;
* encrypted pages in files of the two older kinds: the same bytes, stored at 30;
* page_compressed pages in crc32 files have none: they are decompressed, and the page inside is verified.

Every page has the id of its tablespace at 34. It is readable everywhere but in full_crc32 pages that are compressed or
encrypted. It is no proof in the system tablespace's older pages (servers before 4.1.1 left anything there), nor in a
file whose page 0, which tells the id, is not written yet.

MySQL has crc32 and ROW_FORMAT=COMPRESSED only (checked against MySQL 9.7). The checksum of a compressed or encrypted
page is that of the page in the buffer pool, so it is decrypted and decompressed to be verified; without the key, of an
encrypted page only its number and its tablespace's can be.

Sources: docs/internals/formats-innodb.md#page-header-and-trailer and
docs/internals/formats-innodb.md#page-checksums.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Callable

from .. import libraries
from ..errors import PageCorrupt
from ..format.family import Family
from .checksum_innodb import innodb_checksums
from .mysql.keyring import FileKey
from .mysql.page import ENCRYPTED_TYPES, PageUnreadable, page_type, plain_page
from .tablespace import Buffer, ChecksumKind, TablespaceHeader, is_unwritten, parse_tablespace_header

FIL_PAGE_DATA = 38
_SPACE_ID_AT = 34
_ALGORITHM_AT = 33  # of page_compressed pages
PAGE_COMPRESSED = 34354
PAGE_COMPRESSED_ENCRYPTED = 37401
COMPRESSED_TYPE_FLAG = 0x8000
NO_CHECKSUM_MAGIC = 0xDEADBEEF
_ZIP_SIZES = (1024, 2048, 4096, 8192, 16384)

_U16 = struct.Struct(">H").unpack_from
_U32 = struct.Struct(">I").unpack_from
_DECOMPRESSORS: dict[int, Callable[[bytes], bytes]] = {
    1: zlib.decompress,
    4: lzma.decompress,
    5: bz2.decompress,
}

CHECKSUM_MISMATCH = "the checksum does not match"
TORN = "its LSN differs between start and end"


@dataclass(frozen=True)
class PageFault:
    """A page that is not as it must be: its number in the tablespace, its offset in the file in bytes, and why."""

    page_no: int
    offset: int
    reason: str


class PageVerifier:
    """Verifies the pages of one tablespace file. Holds no state between calls: threads can share it.

    ``first_page_no`` is the tablespace's number of the file's first page (not 0 for the second and later files of the
    system tablespace). ``has_doublewrite`` is for the first file of the system tablespace: the two extents of the
    doublewrite buffer hold copies of other pages and are not verified. ``check_page_numbers`` can be turned off.
    ``key`` is that of an encrypted MySQL tablespace.
    """

    def __init__(
        self,
        header: TablespaceHeader,
        *,
        first_page_no: int = 0,
        has_doublewrite: bool = False,
        check_page_numbers: bool = True,
        key: FileKey | None = None,
    ) -> None:
        self.header = header
        self._key = key
        self.page_size = header.physical_size
        self._first_page_no = first_page_no
        self._check_page_numbers = check_page_numbers
        # page numbers of the doublewrite buffer, an empty range where there is none
        self._doublewrite = (header.extent_pages, 3 * header.extent_pages) if has_doublewrite else (0, 0)
        self._zero_page = bytes(self.page_size)
        self._crc32c: Callable[..., int] = libraries.require("crc32c").crc32c
        n = self.page_size
        self._full_fields = struct.Struct(f">II12xIH8xI{n - 46}xII").iter_unpack
        self._legacy_fields = struct.Struct(f">II12xI10xI{n - 46}xII").iter_unpack
        self._space_id = header.space_id
        full_crc32 = header.checksum is ChecksumKind.FULL_CRC32
        self._check_space_id = header.checksum is not ChecksumKind.UNKNOWN and (full_crc32 or header.space_id != 0)
        mysql = header.family is Family.MYSQL
        self._check = {
            ChecksumKind.FULL_CRC32: self._full_crc32_fault,
            ChecksumKind.CRC32: self._mysql_fault if mysql else self._crc32_fault,
            ChecksumKind.ZIP: self._mysql_zip_fault if mysql else self._zip_fault,
            ChecksumKind.UNKNOWN: self._any_mysql_fault if mysql else self._any_fault,
        }[header.checksum]
        self._scan: Callable[[memoryview, int, list[int]], list[PageFault]] = self._scan_any
        if check_page_numbers and not header.page_compressed:
            if header.checksum is ChecksumKind.FULL_CRC32:
                self._scan = self._scan_full_crc32
            elif header.checksum is ChecksumKind.CRC32:
                self._scan = self._scan_crc32

    def faults(self, buffer: Buffer, first_page_no: int, opaque: list[int] | None = None) -> list[PageFault]:
        """The faulty pages in ``buffer``, whose first byte is that of the page ``first_page_no`` of the file (counted
        from 0 in each file). Bytes behind the last whole page are ignored.

        The offsets in the file (bytes) of pages that may be damaged all the same are added to ``opaque``: see
        is_opaque.
        """
        view = memoryview(buffer)
        count = len(view) // self.page_size
        found: list[PageFault] = []
        unseen: list[int] = [] if opaque is None else opaque
        for start, end in self._verified_ranges(first_page_no, first_page_no + count):
            piece = view[(start - first_page_no) * self.page_size : (end - first_page_no) * self.page_size]
            found += self._scan(piece, start, unseen)
        return found

    def is_opaque(self, page: Buffer) -> bool:
        """Whether ``page`` is one of those of which ``faults`` sees the header only: of an encrypted MySQL tablespace
        without its key, written without a checksum, or compressed as only the server can undo it."""
        kind = page_type(page)
        if self.header.family is Family.MYSQL:
            if kind in ENCRYPTED_TYPES and self._key is None:
                return True
        elif self.header.checksum is ChecksumKind.FULL_CRC32 or kind == PAGE_COMPRESSED_ENCRYPTED:
            return False
        elif kind == PAGE_COMPRESSED:
            return page[_ALGORITHM_AT] not in _DECOMPRESSORS
        return bool(_U32(page, 0)[0] == NO_CHECKSUM_MAGIC)

    def _verified_ranges(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of a range of page numbers that are outside the doublewrite buffer."""
        low, high = self._doublewrite
        ranges = [(start, min(end, low)), (max(start, high), end)]
        return [(first, last) for first, last in ranges if first < last]

    def _fault(self, position: int, reason: str) -> PageFault:
        return PageFault(self._first_page_no + position, position * self.page_size, reason)

    # --- the loops

    def _scan_full_crc32(self, view: memoryview, first: int, opaque: list[int]) -> list[PageFault]:
        crc32c, n, found = self._crc32c, self.page_size, []
        covered = n - 4
        number = self._first_page_no + first
        start = 0
        for key_version, page_no, lsn, _page_type, space_id, lsn_copy, stored in self._full_fields(view):
            # pages that fail here are looked at again in full: zero pages, compressed ones, faulty ones
            if (
                not stored
                or page_no != number
                or (space_id != self._space_id and not key_version)
                or (lsn != lsn_copy and not key_version)
                or crc32c(view[start : start + covered]) != stored
            ):
                reason = self._full_crc32_fault(view[start : start + n], number)
                if reason:
                    found.append(self._fault(first + start // n, reason))
            number += 1
            start += n
        return found

    def _scan_crc32(self, view: memoryview, first: int, opaque: list[int]) -> list[PageFault]:
        crc32c, n, found = self._crc32c, self.page_size, []
        end_of_body = n - 8
        number = self._first_page_no + first
        start = 0
        for stored, page_no, lsn, space_id, stored_copy, lsn_copy in self._legacy_fields(view):
            if (
                not stored
                or stored != stored_copy
                or page_no != number
                or space_id != self._space_id
                or lsn != lsn_copy
                or crc32c(view[start + 4 : start + 26]) ^ crc32c(view[start + FIL_PAGE_DATA : start + end_of_body])
                != stored
            ):
                reason = self._check(view[start : start + n], number)
                if reason:
                    found.append(self._fault(first + start // n, reason))
                elif self.is_opaque(view[start : start + n]):
                    opaque.append(first * n + start)
            number += 1
            start += n
        return found

    def _scan_any(self, view: memoryview, first: int, opaque: list[int]) -> list[PageFault]:
        check, n, found = self._check, self.page_size, []
        number = self._first_page_no + first
        for start in range(0, len(view), n):
            reason = check(view[start : start + n], number)
            if reason:
                found.append(self._fault(first + start // n, reason))
            elif self.is_opaque(view[start : start + n]):
                opaque.append(first * n + start)
            number += 1
        return found

    # --- one page: None, or why it is faulty

    def _wrong_place(self, page: memoryview, number: int, *, shows_space_id: bool = True) -> str | None:
        """Of a page that is another one's: of another number, or, where that can be read, of another tablespace."""
        found = _U32(page, 4)[0]
        if found != number and self._check_page_numbers:
            return f"it says that it is page {found}"
        space_id = _U32(page, _SPACE_ID_AT)[0]
        if shows_space_id and self._check_space_id and space_id != self._space_id:
            return f"it says that it is of tablespace {space_id} and not of {self._space_id}"
        return None

    def _is_zero(self, page: memoryview) -> bool:
        # a copy and one memcmp; comparing the memoryview itself would compare item by item
        return not page[0] and bytes(page) == self._zero_page[: len(page)]

    def _full_crc32_fault(self, page: memoryview, number: int) -> str | None:
        if self._is_zero(page):
            return None
        size, page_type = len(page), _U16(page, 24)[0]
        compressed = page_type & COMPRESSED_TYPE_FLAG
        if compressed:
            size = (page_type & ~COMPRESSED_TYPE_FLAG) << 8
            if not 256 <= size <= len(page):
                return f"its compressed size is {size} bytes"
        if self._crc32c(page[: size - 4]) != _U32(page, size - 4)[0]:
            return CHECKSUM_MISMATCH
        plain = not compressed and not _U32(page, 0)[0]
        if plain and page[20:24] != page[size - 8 : size - 4]:
            return TORN
        return self._wrong_place(page, number, shows_space_id=plain)

    def _crc32_fault(self, page: memoryview, number: int) -> str | None:
        if self._is_zero(page):
            return None
        page_type = _U16(page, 24)[0]
        if page_type == PAGE_COMPRESSED:
            return self._wrong_place(page, number) or self._page_compressed_fault(page)
        checksum = self._crc32_of(page)
        # of encrypted pages only page 0 has no key version; spatial indexes keep other things in its place
        encrypted_matches = bool(number) and _U32(page, 26)[0] != 0 and _U32(page, 30)[0] == checksum
        if page_type == PAGE_COMPRESSED_ENCRYPTED:
            return self._wrong_place(page, number) if encrypted_matches else CHECKSUM_MISMATCH
        if not encrypted_matches:
            return self._plain_crc32_fault(page, checksum) or self._wrong_place(page, number)
        return self._wrong_place(page, number)

    def _plain_crc32_fault(self, page: memoryview, checksum: int) -> str | None:
        """Of a page that is as in the buffer pool; ``checksum`` is its crc32."""
        n = len(page)
        if page[20:24] != page[n - 4 :]:
            return TORN
        stored = _U32(page, 0)[0], _U32(page, n - 8)[0]
        if stored in ((checksum, checksum), (NO_CHECKSUM_MAGIC, NO_CHECKSUM_MAGIC)) or stored == innodb_checksums(page):
            return None
        return CHECKSUM_MISMATCH

    def _crc32_of(self, page: Any) -> int:
        return self._crc32c(page[4:26]) ^ self._crc32c(page[FIL_PAGE_DATA : len(page) - 8])

    def _page_compressed_fault(self, page: memoryview) -> str | None:
        """Of a page of type 34354: the algorithm is at 26 (8 bytes), the compressed size at 38, the data from 40 on."""
        size, algorithm = _U16(page, FIL_PAGE_DATA)[0], page[_ALGORITHM_AT]
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
        checksum = self._crc32_of(inside)
        stored = _U32(inside, 0)[0]
        if stored in (checksum, NO_CHECKSUM_MAGIC) or stored == innodb_checksums(inside)[0]:
            return None
        return CHECKSUM_MISMATCH

    def _zip_fault(self, page: memoryview, number: int) -> str | None:
        if self._is_zero(page):
            return None
        checksum = self._zip_crc32_of(page)
        encrypted_matches = bool(number) and _U32(page, 26)[0] != 0 and _U32(page, 30)[0] == checksum
        if not encrypted_matches and not _is_zip_checksum(page, checksum):
            return CHECKSUM_MISMATCH
        return self._wrong_place(page, number)

    def _zip_crc32_of(self, page: memoryview) -> int:
        return self._crc32c(page[4:16]) ^ self._crc32c(page[24:26]) ^ self._crc32c(page[34:])

    # --- the same of MySQL

    def _mysql_fault(self, page: memoryview, number: int) -> str | None:
        return self._mysql_page_fault(page, number, lambda plain: self._plain_crc32_fault(plain, self._crc32_of(plain)))

    def _mysql_zip_fault(self, page: memoryview, number: int) -> str | None:
        def fault(plain: memoryview) -> str | None:
            return None if _is_zip_checksum(plain, self._zip_crc32_of(plain)) else CHECKSUM_MISMATCH

        return self._mysql_page_fault(page, number, fault)

    def _mysql_page_fault(self, page: memoryview, number: int, fault: Callable[[memoryview], str | None]) -> str | None:
        if self._is_zero(page):
            return None
        try:
            plain = plain_page(page, self._key)
        except PageUnreadable as error:
            return str(error)
        if plain is not page and _was_empty(page) and (plain is None or self._is_zero(plain[FIL_PAGE_DATA:])):
            return None
        reason = self._opaque_fault(page) if plain is None else fault(plain)
        return reason or self._wrong_place(page, number)

    def _opaque_fault(self, page: memoryview) -> str | None:
        """Of an encrypted page without its key."""
        if self.header.checksum is ChecksumKind.UNKNOWN:
            return None
        return None if self.header.encrypted else "it is encrypted, and page 0 names no key"

    # --- of a file whose page 0 is not written yet: any kind of checksum will do

    def _any_fault(self, page: memoryview, number: int) -> str | None:
        reason = self._full_crc32_fault(page, number)
        if reason is None or self._crc32_fault(page, number) is None or self._any_zip(page, number, self._zip_fault):
            return None
        return reason

    def _any_mysql_fault(self, page: memoryview, number: int) -> str | None:
        reason = self._mysql_fault(page, number)
        return None if reason is None or self._any_zip(page, number, self._mysql_zip_fault) else reason

    def _any_zip(self, page: memoryview, number: int, check: Callable[[memoryview, int], str | None]) -> bool:
        """Whether these are pages of ROW_FORMAT=COMPRESSED, of any size."""
        n = len(page)
        for size in _ZIP_SIZES:
            starts = range(0, n, size)
            if size <= n and not any(check(page[at : at + size], (number * n + at) // size) for at in starts):
                return True
        return False


def _was_empty(page: memoryview) -> bool:
    """Whether a compressed or encrypted page's header has nothing but what compression and encryption put there.

    ALTER TABLE ... IMPORT TABLESPACE does that to empty pages; otherwise they stay as they are.
    """
    return not any(page[:24]) and not any(page[28:30]) and not any(page[34:FIL_PAGE_DATA])


def _is_zip_checksum(page: memoryview, checksum: int) -> bool:
    """Whether the stored checksum of a ROW_FORMAT=COMPRESSED page is right; ``checksum`` is its crc32."""
    stored = _U32(page, 0)[0]
    return stored in (checksum, NO_CHECKSUM_MAGIC) or stored == _zip_adler(page)


def _zip_adler(page: memoryview) -> int:
    """The ``innodb`` checksum of a ROW_FORMAT=COMPRESSED page, as servers before the crc32 default wrote it."""
    return zlib.adler32(page[34:], zlib.adler32(page[24:26], zlib.adler32(page[4:16], 0)))


def verified_tablespace_header(first_page: Buffer, path: str, family: Family) -> TablespaceHeader:
    """The header in ``first_page`` (see parse_tablespace_header), once page 0 is verified by what it says.

    Raises FormatError or UnknownFormat, and PageCorrupt when page 0 is damaged, in the course of being written (read
    it again), or not written yet (see is_unwritten).
    """
    if is_unwritten(first_page):
        raise PageCorrupt(f"{path}: page 0 at offset 0 is not written yet", path=path, page_no=0, offset=0)
    header = parse_tablespace_header(first_page, path, family)
    faults = PageVerifier(header).faults(memoryview(first_page)[: header.physical_size], 0)
    if faults:
        raise PageCorrupt(f"{path}: page 0 at offset 0: {faults[0].reason}", path=path, page_no=0, offset=0)
    return header
