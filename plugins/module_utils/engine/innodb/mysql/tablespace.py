# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content of page 0 of a MySQL tablespace: its flags, and the key of its encryption.

Layouts: docs/internals/formats-innodb.md#page-0.
"""

from __future__ import annotations

from typing import Any

from ...errors import UnknownFormat
from ...format.holes import HolePages
from ..tablespace_values import ATOMIC_BLOBS, PAGE_SIZES, Buffer, ChecksumKind, FileFlags
from .keyring import INFO_SIZE, EncryptionInfo

_POST_ANTELOPE = 0x1
_SHARED = 0x800
_TEMPORARY = 0x1000
_ENCRYPTION = 0x2000
_SDI = 0x4000
_FSP_HDR_TYPE = 8
COMPRESSED = 14
ENCRYPTED = 15
COMPRESSED_ENCRYPTED = 16
ENCRYPTED_RTREE = 17
_HOLE_TYPES = frozenset({COMPRESSED, COMPRESSED_ENCRYPTED})


def parse_flags(flags: int, path: str) -> FileFlags:
    """Parses ``flags`` of the file ``path``; page compression is not among them. Raises UnknownFormat."""
    zip_ssize, page_ssize = flags >> 1 & 0xF, flags >> 6 & 0xF
    page_size = 512 << page_ssize if page_ssize else 16384
    physical_size = 512 << zip_ssize if zip_ssize else page_size
    valid = (
        not flags >> 15
        and page_size in PAGE_SIZES
        and (
            not zip_ssize
            or (flags & _POST_ANTELOPE and flags & ATOMIC_BLOBS and physical_size <= min(page_size, 16384))
        )
    )
    if not valid:
        raise UnknownFormat(f"{path}: unknown tablespace flags {flags:#x}", path=path, flags=flags)
    return FileFlags(page_size, physical_size, ChecksumKind.ZIP if zip_ssize else ChecksumKind.CRC32)


def is_mysqls(flags: int, page_type: int) -> bool:
    """Returns whether page 0 with these flags and of this type shows that it is MySQL's: no tablespace of MariaDB has
    the flag of serialized dictionary information."""
    return bool(flags & _SDI) and page_type == _FSP_HDR_TYPE


def hole_pages(flags: int, page_size: int, _page_compression: str | None) -> HolePages | None:
    """Only file-per-table tablespaces have compressed pages, and none with ROW_FORMAT=COMPRESSED."""
    zip_ssize = flags >> 1 & 0xF
    if zip_ssize or not flags & _SDI or flags & (_SHARED | _TEMPORARY):
        return None
    return HolePages(page_size, _HOLE_TYPES)


def encryption_fields(first_page: Buffer, offset: int, _physical_size: int, path: str) -> dict[str, Any]:
    """The fields of TablespaceHeader that tell of encryption; ``offset``: where the extent descriptors end."""
    return {"encryption_info": EncryptionInfo.parse(memoryview(first_page)[offset : offset + INFO_SIZE], path)}


def is_encrypted(flags: int, encryption: object) -> bool:
    """Returns whether pages may be encrypted (also while the server is encrypting or decrypting the file)."""
    return bool(flags & _ENCRYPTION) or encryption is not None
