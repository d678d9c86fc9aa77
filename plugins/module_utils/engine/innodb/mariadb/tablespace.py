# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content of page 0 of a MariaDB tablespace: its flags, and the record of its encryption.

The flags have two forms: the one of full_crc32 files (bit 4 is set) and the older one, whose bits 10 and up differ from
MySQL's. Layouts: docs/internals/formats-innodb.md#page-0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from ...errors import UnknownFormat
from ...format.holes import HolePages
from ..tablespace_values import ATOMIC_BLOBS, FIL_PAGE_DATA, PAGE_SIZES, Buffer, ChecksumKind, FileFlags

_CRYPT_MAGIC = b"s\x0e\x0cREt"
_CRYPT_RECORD = struct.Struct(">6sBB16sIIB")

FULL_CRC32_MARKER = 0x10
_FCRC32_SSIZE = 0x0F
_FCRC32_COMPRESSION_SHIFT = 5
_LEGACY_PAGE_COMPRESSED = 0x10000
_LEGACY_RESERVED = 0xFC00  # bits 10 to 15: other servers' flags
COMPRESSION_ALGORITHMS = ("none", "zlib", "lz4", "lzo", "lzma", "bzip2", "snappy")


@dataclass(frozen=True)
class TablespaceEncryption:
    """MariaDB's encryption record on page 0."""

    scheme: int  # 0 none, 1 AES
    mode: int  # 0 as the server's default, 1 ENCRYPTED=YES, 2 ENCRYPTED=NO
    key_id: int
    min_key_version: int


def parse_flags(flags: int, path: str) -> FileFlags:
    """Parses ``flags`` of the file ``path``; raises UnknownFormat."""
    if flags & FULL_CRC32_MARKER and 3 <= flags & _FCRC32_SSIZE <= 7:
        return _full_crc32_flags(flags, path)
    return _legacy_flags(flags, path)


def _full_crc32_flags(flags: int, path: str) -> FileFlags:
    """Parses full_crc32 flags; raises UnknownFormat."""
    algorithm = flags >> _FCRC32_COMPRESSION_SHIFT
    if algorithm >= len(COMPRESSION_ALGORITHMS):
        raise UnknownFormat(f"{path}: unknown tablespace flags {flags:#x}", path=path, flags=flags)
    page_size = 512 << (flags & _FCRC32_SSIZE)
    compression = COMPRESSION_ALGORITHMS[algorithm] if algorithm else None
    return FileFlags(page_size, page_size, ChecksumKind.FULL_CRC32, compression)


def _legacy_flags(flags: int, path: str) -> FileFlags:
    """Parses flags of the form before full_crc32; raises UnknownFormat."""
    zip_ssize, page_ssize = flags >> 1 & 0xF, flags >> 6 & 0xF
    page_size = 512 << page_ssize if page_ssize else 16384
    physical_size = 512 << zip_ssize if zip_ssize else page_size
    valid = (
        not flags & _LEGACY_RESERVED
        and not flags >> 17
        and page_size in PAGE_SIZES
        and (not zip_ssize or (flags & 1 and flags & ATOMIC_BLOBS and physical_size <= min(page_size, 16384)))
    )
    if not valid:
        raise UnknownFormat(f"{path}: unknown tablespace flags {flags:#x}", path=path, flags=flags)
    compression = "unknown" if flags & _LEGACY_PAGE_COMPRESSED else None
    return FileFlags(page_size, physical_size, ChecksumKind.ZIP if zip_ssize else ChecksumKind.CRC32, compression)


def hole_pages(_flags: int, page_size: int, page_compression: str | None) -> HolePages | None:
    """The pages whose ends can be holes, None when the file has none."""
    return HolePages(page_size) if page_compression is not None else None


def encryption_fields(first_page: Buffer, offset: int, physical_size: int, _path: str) -> dict[str, Any]:
    """The fields of TablespaceHeader that tell of encryption; ``offset``: where the extent descriptors end."""
    return {"encryption": _encryption(first_page, offset + FIL_PAGE_DATA, physical_size)}


def is_encrypted(_flags: int, encryption: object) -> bool:
    """Returns whether pages may be encrypted (also while the server is encrypting or decrypting the file)."""
    return isinstance(encryption, TablespaceEncryption) and encryption.scheme != 0


def _encryption(first_page: Buffer, offset: int, physical_size: int) -> TablespaceEncryption | None:
    """The encryption record at ``offset``; None if there is none."""
    if offset + _CRYPT_RECORD.size > physical_size:
        return None
    magic, scheme, _iv_size, _iv, min_key_version, key_id, mode = _CRYPT_RECORD.unpack_from(first_page, offset)
    return TablespaceEncryption(scheme, mode, key_id, min_key_version) if magic == _CRYPT_MAGIC else None
