# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of InnoDB pages as they are in the file: checksum, page number, tablespace id.

Which bytes a checksum covers is told in ``mariadb/page.py`` and ``mysql/page.py``. Every page has the id of its
tablespace at 34. It is readable everywhere but in full_crc32 pages that are compressed or encrypted. It is no proof in
the system tablespace's older pages (servers before 4.1.1 left anything there), nor in a file whose page 0, which tells
the id, is not written yet.

Sources: docs/internals/formats-innodb.md#page-header-and-trailer and
docs/internals/formats-innodb.md#page-checksums.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Callable

from .. import libraries
from ..format.family import Family
from .mariadb.page import MariadbPageChecks
from .mysql.keyring import FileKey
from .mysql.page import MysqlPageChecks
from .page_checks import PageChecks
from .tablespace import TablespaceHeader
from .tablespace_values import FIL_PAGE_DATA, Buffer, ChecksumKind

_CHECKS: dict[Family, type[PageChecks]] = {Family.MARIADB: MariadbPageChecks, Family.MYSQL: MysqlPageChecks}


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
        self.page_size = header.physical_size
        self._first_page_no = first_page_no
        # page numbers of the doublewrite buffer, an empty range where there is none
        self._doublewrite = (header.extent_pages, 3 * header.extent_pages) if has_doublewrite else (0, 0)
        self._crc32c: Callable[..., int] = libraries.require("crc32c").crc32c
        n = self.page_size
        self._full_fields = struct.Struct(f">II12xIH8xI{n - 46}xII").iter_unpack
        self._legacy_fields = struct.Struct(f">II12xI10xI{n - 46}xII").iter_unpack
        self._space_id = header.space_id
        checks = _CHECKS[header.family](header, check_page_numbers=check_page_numbers, key=key)
        self._checks = checks
        self._check = checks.check()
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
        """Returns whether ``page`` is one of those of which ``faults`` sees the header only: of an encrypted MySQL
        tablespace without its key, written without a checksum, or compressed as only the server can undo it."""
        return self._checks.is_opaque(page)

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
                reason = self._check(view[start : start + n], number)
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
