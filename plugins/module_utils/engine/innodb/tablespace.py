# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the file on page 0 of an InnoDB tablespace: page size, checksum kind, compression, encryption.

The FSP header starts at byte 38 of page 0; its flags are at byte 54 and mean different things in different server
families: see ``mariadb/tablespace.py`` and ``mysql/tablespace.py``. Layout: docs/internals/formats-innodb.md#page-0.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..errors import FormatError, UnknownFormat
from ..format.family import Family
from ..format.holes import HolePages
from .mariadb import tablespace as mariadb_tablespace
from .mariadb.tablespace import TablespaceEncryption
from .mysql import tablespace as mysql_tablespace
from .mysql.keyring import EncryptionInfo
from .tablespace_values import FIL_PAGE_DATA, Buffer, ChecksumKind, FileFlags

FIRST_PAGE_SIZE = 64 << 10  # bytes from the start of a file that hold page 0 at any page size
_SMALLEST_PAGE = 1024

# the FSP header on page 0: page number @4, page type @24, space id @38, size in pages @46, flags @54
_FSP_HEADER = struct.Struct(">4xI16xH12xI4xI4xI")
FIRST_BYTES = _FSP_HEADER.size
"""Bytes from the start of a file that hold what ``tablespace_start`` reads."""
_FSP_FREE_LISTS_END = FIL_PAGE_DATA + 112  # where the array of extent descriptors begins
_XDES_HEADER = 24


class _FamilyPages(Protocol):
    """Functions for page 0 of one family: the module ``tablespace`` of its folder."""

    def parse_flags(self, flags: int, path: str) -> FileFlags:
        """Parses ``flags`` of the file ``path``; raises UnknownFormat."""

    def hole_pages(self, _flags: int, page_size: int, _page_compression: str | None, /) -> HolePages | None:
        """The pages whose ends can be holes, None when the file has none."""

    def encryption_fields(self, first_page: Buffer, offset: int, _size: int, _path: str, /) -> dict[str, Any]:
        """The fields of TablespaceHeader that tell of encryption; ``offset``: where the extent descriptors end."""

    def is_encrypted(self, _flags: int, encryption: object, /) -> bool:
        """Returns whether pages may be encrypted."""


_PAGES: Mapping[Family, _FamilyPages] = {Family.MARIADB: mariadb_tablespace, Family.MYSQL: mysql_tablespace}


@dataclass(frozen=True)
class TablespaceHeader:
    """A tablespace file as its page 0 describes it. Sizes in bytes, ``size_in_pages`` in physical pages."""

    space_id: int
    flags: int
    page_size: int  # in the buffer pool
    physical_size: int  # of a page in the file: smaller for ROW_FORMAT=COMPRESSED
    size_in_pages: int
    checksum: ChecksumKind
    # MariaDB's algorithm, "unknown" in files that do not tell; None: not page_compressed, or MySQL's: see hole_pages
    page_compression: str | None = None
    encryption: TablespaceEncryption | None = None
    family: Family = Family.MARIADB
    encryption_info: EncryptionInfo | None = None  # MySQL's

    @property
    def page_compressed(self) -> bool:
        """Returns whether pages may be page_compressed."""
        return self.page_compression is not None

    @property
    def encrypted(self) -> bool:
        """Returns whether pages may be encrypted (also while the server is encrypting or decrypting the file)."""
        return _PAGES[self.family].is_encrypted(self.flags, self.encryption or self.encryption_info)

    @property
    def hole_pages(self) -> HolePages | None:
        """The pages whose ends can be holes, None when the file has none."""
        return _PAGES[self.family].hole_pages(self.flags, self.page_size, self.page_compression)

    @property
    def extent_pages(self) -> int:
        """Pages of an extent: 1 MiB, and at least 64 pages."""
        return max((1 << 20) // self.page_size, 64)


def is_unwritten(first_page: Buffer) -> bool:
    """Returns whether page 0 is zero: the file was created, and its first page is still only in the buffer pool.

    A written page 0 has its type in its first bytes. The pages behind it may already be written.
    """
    return not any(first_page[:_SMALLEST_PAGE])


def unwritten_tablespace(page_size: int, family: Family) -> TablespaceHeader:
    """The header to use for a file whose page 0 is not written yet, on a server with ``page_size``."""
    return TablespaceHeader(0, 0, page_size, page_size, 0, ChecksumKind.UNKNOWN, family=family)


def parse_tablespace_header(first_page: Buffer, path: str, family: Family) -> TablespaceHeader:
    """The header of the tablespace file ``path``, of which ``first_page`` is the beginning (FIRST_PAGE_SIZE bytes, or
    the whole file if it is shorter).

    ``family`` is the server family that wrote it. The page's checksum is not verified here: that takes the header (see
    PageVerifier). Raises FormatError if this cannot be page 0 of a tablespace, UnknownFormat for flags that are not
    known.
    """
    if len(first_page) < FIL_PAGE_DATA + 112:
        raise FormatError(f"{path}: too short for a tablespace: {len(first_page)} bytes", path=path)
    page_no, _page_type, space_id, size_in_pages, flags = _FSP_HEADER.unpack_from(first_page)
    if page_no:
        raise FormatError(f"{path}: not the start of a tablespace: page 0 says it is page {page_no}", path=path)
    found = _PAGES[family].parse_flags(flags, path)
    size = found.physical_size
    if len(first_page) < size:
        raise FormatError(
            f"{path}: too short for a tablespace: {len(first_page)} bytes, one page has {size}", path=path
        )
    header = TablespaceHeader(
        space_id, flags, found.page_size, size, size_in_pages, found.checksum, found.page_compression, family=family
    )
    offset = _descriptors_end(found.page_size, size)
    return replace(header, **_PAGES[family].encryption_fields(first_page, offset, size, path))


def compressed_page_size(beginning: Buffer) -> int | HolePages | None:
    """The page size (bytes) of the page_compressed tablespace that begins with these bytes; None for any other file.

    Of a MySQL file page 0 does not tell that: where it may have compressed pages, the answer says which those are.
    Nothing is verified: for decisions that are harmless when the bytes lie.
    """
    if len(beginning) < _FSP_HEADER.size:
        return None
    page_no, page_type, _space_id, _size_in_pages, flags = _FSP_HEADER.unpack_from(beginning)
    if page_no:
        return None
    try:
        if mysql_tablespace.is_mysqls(flags, page_type):
            return mysql_tablespace.hole_pages(flags, mysql_tablespace.parse_flags(flags, "").page_size, None)
        found = mariadb_tablespace.parse_flags(flags, "")
    except UnknownFormat:
        return None
    return found.page_size if found.page_compression else None


@dataclass(frozen=True)
class TablespaceStart:
    """Facts from the first bytes of a tablespace file: its id, and how many bytes it must have at least."""

    space_id: int
    least_size: int


def tablespace_start(first_bytes: Buffer, path: str, family: Family) -> TablespaceStart:
    """Parses the first FIRST_BYTES bytes of the tablespace file ``path``; verifies nothing.

    Raises FormatError (UnknownFormat) when they are not those of a tablespace.
    """
    if len(first_bytes) < FIRST_BYTES:
        raise FormatError(f"{path}: too short for a tablespace: {len(first_bytes)} bytes", path=path)
    page_no, _page_type, space_id, size_in_pages, flags = _FSP_HEADER.unpack_from(first_bytes)
    if page_no or not space_id:
        raise FormatError(f"{path}: not the start of a tablespace", path=path)
    return TablespaceStart(space_id, size_in_pages * _PAGES[family].parse_flags(flags, path).physical_size)


def _descriptors_end(page_size: int, physical_size: int) -> int:
    """Returns the offset (bytes) at which the extent descriptors of page 0 end; they begin behind the FSP header."""
    extent_pages = max((1 << 20) // page_size, 64)
    return _FSP_FREE_LISTS_END + physical_size // extent_pages * (_XDES_HEADER + extent_pages // 4)
