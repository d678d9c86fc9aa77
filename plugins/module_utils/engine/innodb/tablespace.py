# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What page 0 of an InnoDB tablespace says about the file: page size, checksum kind, compression, encryption.

The FSP header starts at byte 38 of page 0; its flags are at byte 54 and mean different things in different server
families. MariaDB has two forms: the one of full_crc32 files (bit 4 is set) and the older one, and bits 10 and up of
the latter differ from MySQL's. Layouts: docs/internals/formats-innodb.md#page-0.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, replace
from typing import Union

from ..errors import FormatError, UnknownFormat
from ..format.family import Family
from ..format.holes import HolePages
from .mysql.keyring import INFO_SIZE, EncryptionInfo

Buffer = Union[bytes, bytearray, memoryview]

FIL_PAGE_DATA = 38  # bytes of the header of every page
FIRST_PAGE_SIZE = 64 << 10  # bytes from the start of a file that hold page 0 at any page size
_SMALLEST_PAGE = 1024
PAGE_SIZES = tuple(1 << shift for shift in range(12, 17))

# the FSP header on page 0: page number @4, page type @24, space id @38, size in pages @46, flags @54
_FSP_HEADER = struct.Struct(">4xI16xH12xI4xI4xI")
FIRST_BYTES = _FSP_HEADER.size
"""Bytes from the start of a file that hold what ``tablespace_start`` reads."""
_FSP_FREE_LISTS_END = FIL_PAGE_DATA + 112  # where the array of extent descriptors begins
_XDES_HEADER = 24
_CRYPT_MAGIC = b"s\x0e\x0cREt"
_CRYPT_RECORD = struct.Struct(">6sBB16sIIB")

FULL_CRC32_MARKER = 0x10
_FCRC32_SSIZE = 0x0F
_FCRC32_COMPRESSION_SHIFT = 5
_LEGACY_ATOMIC_BLOBS = 0x20
_LEGACY_PAGE_COMPRESSED = 0x10000
_LEGACY_RESERVED = 0xFC00  # bits 10 to 15: other servers' flags
_MYSQL_POST_ANTELOPE = 0x1
_MYSQL_SHARED = 0x800
_MYSQL_TEMPORARY = 0x1000
_MYSQL_ENCRYPTION = 0x2000
_MYSQL_SDI = 0x4000
_FSP_HDR_TYPE = 8
MYSQL_COMPRESSED = 14
MYSQL_ENCRYPTED = 15
MYSQL_COMPRESSED_ENCRYPTED = 16
MYSQL_ENCRYPTED_RTREE = 17
_MYSQL_HOLE_TYPES = frozenset({MYSQL_COMPRESSED, MYSQL_COMPRESSED_ENCRYPTED})
COMPRESSION_ALGORITHMS = ("none", "zlib", "lz4", "lzo", "lzma", "bzip2", "snappy")


class ChecksumKind(enum.Enum):
    """Which checksum the pages of a file carry."""

    FULL_CRC32 = "full_crc32"  # MariaDB 10.5 and newer
    CRC32 = "crc32"
    ZIP = "crc32 of ROW_FORMAT=COMPRESSED pages"
    UNKNOWN = "unknown"  # page 0 is not written yet: any kind


@dataclass(frozen=True)
class TablespaceEncryption:
    """MariaDB's encryption record on page 0."""

    scheme: int  # 0 none, 1 AES
    mode: int  # 0 as the server's default, 1 ENCRYPTED=YES, 2 ENCRYPTED=NO
    key_id: int
    min_key_version: int


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
        """Whether pages may be page_compressed."""
        return self.page_compression is not None

    @property
    def row_compressed(self) -> bool:
        """Whether this is a ROW_FORMAT=COMPRESSED tablespace."""
        return self.checksum is ChecksumKind.ZIP

    @property
    def encrypted(self) -> bool:
        """Whether pages may be encrypted (also while the server is encrypting or decrypting the file)."""
        if self.family is Family.MYSQL:
            return bool(self.flags & _MYSQL_ENCRYPTION) or self.encryption_info is not None
        return self.encryption is not None and self.encryption.scheme != 0

    @property
    def hole_pages(self) -> HolePages | None:
        """The pages whose ends can be holes, None when the file has none."""
        if self.family is Family.MYSQL:
            return _mysql_hole_pages(self.flags, self.page_size)
        return HolePages(self.page_size) if self.page_compressed else None

    @property
    def extent_pages(self) -> int:
        """Pages of an extent: 1 MiB, and at least 64 pages."""
        return max((1 << 20) // self.page_size, 64)


def is_unwritten(first_page: Buffer) -> bool:
    """Whether page 0 is zero: the file was created, and its first page is still only in the buffer pool.

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
    parse_flags = _mysql_flags if family is Family.MYSQL else _parse_flags
    page_size, physical_size, checksum, compression = parse_flags(flags, path)
    if len(first_page) < physical_size:
        raise FormatError(
            f"{path}: too short for a tablespace: {len(first_page)} bytes, one page has {physical_size}", path=path
        )
    offset = _descriptors_end(page_size, physical_size)
    header = TablespaceHeader(space_id, flags, page_size, physical_size, size_in_pages, checksum, compression)
    if family is Family.MYSQL:
        info = EncryptionInfo.parse(memoryview(first_page)[offset : offset + INFO_SIZE], path)
        return replace(header, family=family, encryption_info=info)
    return replace(header, encryption=_encryption(first_page, offset + FIL_PAGE_DATA, physical_size))


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
        # no tablespace of MariaDB has this flag
        if flags & _MYSQL_SDI and page_type == _FSP_HDR_TYPE:
            return _mysql_hole_pages(flags, _mysql_flags(flags, "")[0])
        page_size, _physical_size, _checksum, compression = _parse_flags(flags, "")
    except UnknownFormat:
        return None
    return page_size if compression else None


@dataclass(frozen=True)
class TablespaceStart:
    """What the first bytes of a tablespace file tell: its id, and how many bytes it must have at least."""

    space_id: int
    least_size: int


def tablespace_start(first_bytes: Buffer, path: str, family: Family) -> TablespaceStart:
    """What the first FIRST_BYTES bytes of the tablespace file ``path`` tell; nothing is verified.

    Raises FormatError (UnknownFormat) when they are not those of a tablespace.
    """
    if len(first_bytes) < FIRST_BYTES:
        raise FormatError(f"{path}: too short for a tablespace: {len(first_bytes)} bytes", path=path)
    page_no, _page_type, space_id, size_in_pages, flags = _FSP_HEADER.unpack_from(first_bytes)
    if page_no or not space_id:
        raise FormatError(f"{path}: not the start of a tablespace", path=path)
    _page_size, physical_size, *_rest = (_mysql_flags if family is Family.MYSQL else _parse_flags)(flags, path)
    return TablespaceStart(space_id, size_in_pages * physical_size)


def _parse_flags(flags: int, path: str) -> tuple[int, int, ChecksumKind, str | None]:
    """Page size, physical size, checksum kind and page compression; raises UnknownFormat."""
    if flags & FULL_CRC32_MARKER and 3 <= flags & _FCRC32_SSIZE <= 7:
        return _full_crc32_flags(flags, path)
    return _legacy_flags(flags, path)


def _full_crc32_flags(flags: int, path: str) -> tuple[int, int, ChecksumKind, str | None]:
    """Page size, physical size, checksum kind and page compression of full_crc32 flags."""
    algorithm = flags >> _FCRC32_COMPRESSION_SHIFT
    if algorithm >= len(COMPRESSION_ALGORITHMS):
        raise UnknownFormat(f"{path}: unknown tablespace flags {flags:#x}", path=path, flags=flags)
    page_size = 512 << (flags & _FCRC32_SSIZE)
    compression = COMPRESSION_ALGORITHMS[algorithm] if algorithm else None
    return page_size, page_size, ChecksumKind.FULL_CRC32, compression


def _legacy_flags(flags: int, path: str) -> tuple[int, int, ChecksumKind, str | None]:
    """Page size, physical size, checksum kind and page compression of flags as they were before full_crc32."""
    zip_ssize, page_ssize = flags >> 1 & 0xF, flags >> 6 & 0xF
    page_size = 512 << page_ssize if page_ssize else 16384
    physical_size = 512 << zip_ssize if zip_ssize else page_size
    valid = (
        not flags & _LEGACY_RESERVED
        and not flags >> 17
        and page_size in PAGE_SIZES
        and (not zip_ssize or (flags & 1 and flags & _LEGACY_ATOMIC_BLOBS and physical_size <= min(page_size, 16384)))
    )
    if not valid:
        raise UnknownFormat(f"{path}: unknown tablespace flags {flags:#x}", path=path, flags=flags)
    compression = "unknown" if flags & _LEGACY_PAGE_COMPRESSED else None
    return page_size, physical_size, ChecksumKind.ZIP if zip_ssize else ChecksumKind.CRC32, compression


def _mysql_flags(flags: int, path: str) -> tuple[int, int, ChecksumKind, str | None]:
    """Page size, physical size and checksum kind of MySQL's flags; page compression is not among them."""
    zip_ssize, page_ssize = flags >> 1 & 0xF, flags >> 6 & 0xF
    page_size = 512 << page_ssize if page_ssize else 16384
    physical_size = 512 << zip_ssize if zip_ssize else page_size
    valid = (
        not flags >> 15
        and page_size in PAGE_SIZES
        and (
            not zip_ssize
            or (
                flags & _MYSQL_POST_ANTELOPE and flags & _LEGACY_ATOMIC_BLOBS and physical_size <= min(page_size, 16384)
            )
        )
    )
    if not valid:
        raise UnknownFormat(f"{path}: unknown tablespace flags {flags:#x}", path=path, flags=flags)
    return page_size, physical_size, ChecksumKind.ZIP if zip_ssize else ChecksumKind.CRC32, None


def _mysql_hole_pages(flags: int, page_size: int) -> HolePages | None:
    """Only file-per-table tablespaces have compressed pages, and none with ROW_FORMAT=COMPRESSED."""
    zip_ssize = flags >> 1 & 0xF
    if zip_ssize or not flags & _MYSQL_SDI or flags & (_MYSQL_SHARED | _MYSQL_TEMPORARY):
        return None
    return HolePages(page_size, _MYSQL_HOLE_TYPES)


def _descriptors_end(page_size: int, physical_size: int) -> int:
    """Where the extent descriptors of page 0 end, which begin behind the FSP header."""
    extent_pages = max((1 << 20) // page_size, 64)
    return _FSP_FREE_LISTS_END + physical_size // extent_pages * (_XDES_HEADER + extent_pages // 4)


def _encryption(first_page: Buffer, offset: int, physical_size: int) -> TablespaceEncryption | None:
    """MariaDB's encryption record at ``offset``; None if there is none."""
    if offset + _CRYPT_RECORD.size > physical_size:
        return None
    magic, scheme, _iv_size, _iv, min_key_version, key_id, mode = _CRYPT_RECORD.unpack_from(first_page, offset)
    return TablespaceEncryption(scheme, mode, key_id, min_key_version) if magic == _CRYPT_MAGIC else None
