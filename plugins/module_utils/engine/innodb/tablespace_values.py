# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that say what a tablespace file is like; what page 0 says in each family is read in the families' folders."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Union

Buffer = Union[bytes, bytearray, memoryview]

FIL_PAGE_DATA = 38  # bytes of the header of every page
PAGE_SIZES = tuple(1 << shift for shift in range(12, 17))
ATOMIC_BLOBS = 0x20  # in the flags of all but full_crc32 files


class ChecksumKind(enum.Enum):
    """Kind of checksum that the pages of a file carry."""

    FULL_CRC32 = "full_crc32"  # MariaDB 10.5 and newer
    CRC32 = "crc32"
    ZIP = "crc32 of ROW_FORMAT=COMPRESSED pages"
    UNKNOWN = "unknown"  # page 0 is not written yet: any kind


@dataclass(frozen=True)
class FileFlags:
    """Meaning of the flags of a tablespace. Sizes in bytes: in the buffer pool, and of a page in the file.

    ``page_compression``: the algorithm, "unknown" where the flags do not tell it, None where pages have none or the
    flags do not say.
    """

    page_size: int
    physical_size: int
    checksum: ChecksumKind
    page_compression: str | None = None
