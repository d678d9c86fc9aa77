# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Page 0 of MySQL's files. Flags and offsets are those that were seen in files of MySQL 9.7."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnknownFormat
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.holes import HolePages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    compressed_page_size,
    parse_tablespace_header,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace_values import ChecksumKind

INFO = b"lCC" + (3).to_bytes(4, "big") + b"u" * 36 + b"w" * 64 + bytes(4)


def first_page(flags: int, info_at: int | None = None, space_id: int = 7) -> bytearray:
    page = bytearray(65536)
    page[24:26] = (8).to_bytes(2, "big")
    page[38:42], page[46:50], page[54:58] = (value.to_bytes(4, "big") for value in (space_id, 640, flags))
    if info_at is not None:
        page[info_at : info_at + len(INFO)] = INFO
    return page


@pytest.mark.parametrize(
    ("flags", "page_size", "physical_size", "info_at"),
    [
        (0x4021, 16384, 16384, 10390),
        (0x4421, 16384, 16384, 10390),
        (0x4800, 16384, 16384, 10390),
        (0x0, 16384, 16384, 10390),
        (0x40E1, 4096, 4096, 1558),
        (0x4121, 8192, 8192, 3734),
        (0x41A1, 32768, 32768, 20630),
        (0x41E1, 65536, 65536, 41110),
        (0x4023, 16384, 1024, 790),
        (0x4025, 16384, 2048, 1430),
        (0x4027, 16384, 4096, 2710),
        (0x4029, 16384, 8192, 5270),
        (0x402B, 16384, 16384, 10390),
    ],
)
def test_headers_of_all_page_sizes(flags: int, page_size: int, physical_size: int, info_at: int) -> None:
    header = parse_tablespace_header(first_page(flags), "t.ibd", Family.MYSQL)
    assert (header.space_id, header.size_in_pages, header.family) == (7, 640, Family.MYSQL)
    assert (header.page_size, header.physical_size) == (page_size, physical_size)
    assert header.checksum is (ChecksumKind.ZIP if flags & 0x1E else ChecksumKind.CRC32)
    assert not header.encrypted
    assert not header.page_compressed
    header = parse_tablespace_header(first_page(flags | 0x2000, info_at), "t.ibd", Family.MYSQL)
    assert header.encrypted
    assert header.encryption_info is not None
    assert header.encryption_info.master_key_id == 3


def test_a_file_that_is_being_decrypted_is_encrypted_as_long_as_it_has_its_key() -> None:
    assert parse_tablespace_header(first_page(0x4800, 10390), "ts.ibd", Family.MYSQL).encrypted


@pytest.mark.parametrize("flags", [0x8021, 0x10021, 0x4022, 0x4003, 0x402D, 0x4061, 0x4221])
def test_unknown_flags_are_refused(flags: int) -> None:
    with pytest.raises(UnknownFormat, match=f"{flags:#x}"):
        parse_tablespace_header(first_page(flags), "t.ibd", Family.MYSQL)


def test_holes_are_looked_for_in_compressed_pages_of_tables() -> None:
    compressed = frozenset({14, 16})
    for flags in (0x4021, 0x4421, 0x6021):
        assert compressed_page_size(first_page(flags)) == HolePages(16384, compressed)
        assert parse_tablespace_header(first_page(flags), "t", Family.MYSQL).hole_pages == HolePages(16384, compressed)
    assert compressed_page_size(first_page(0x41E1)) == HolePages(65536, compressed)
    for flags in (0x4800, 0x0, 0x4029, 0x1000):
        assert compressed_page_size(first_page(flags)) is None
        assert parse_tablespace_header(first_page(flags), "t", Family.MYSQL).hole_pages is None
    other = first_page(0x4021)
    other[25] = 9  # not the type of a first page
    assert compressed_page_size(other) is None
