# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checksum ``innodb`` of pages that were last written by servers before crc32 became the default (10.2).

No supported server writes it, but all read it. It folds byte by byte, so in Python it takes milliseconds for a page;
only pages whose crc32 does not match get here.
"""

from __future__ import annotations

from typing import Any

_MASK_1 = 1463735687
_MASK_2 = 1653893711


def _fold(data: Any) -> int:
    """InnoDB's hash of a string of bytes, 32 bits."""
    value = 0
    for byte in bytes(data):
        value = (((((value ^ byte ^ _MASK_2) << 8) + value) ^ _MASK_1) + byte) & 0xFFFFFFFF
    return value


def innodb_checksums(page: Any) -> tuple[int, int]:
    """The checksums of a page (not ROW_FORMAT=COMPRESSED) that are stored at its start and 8 bytes before its end.

    The second one covers the first 26 bytes with the first one in place.
    """
    new = (_fold(page[4:26]) + _fold(page[38 : len(page) - 8])) & 0xFFFFFFFF
    return new, _fold(page[:26])
