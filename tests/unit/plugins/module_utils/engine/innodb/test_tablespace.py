# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError, UnknownFormat
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb.tablespace import (
    TablespaceEncryption,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    FIRST_PAGE_SIZE,
    compressed_page_size,
    is_unwritten,
    parse_tablespace_header,
    unwritten_tablespace,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace_values import ChecksumKind


def first_page(flags: int, space_id: int = 12, pages: int = 700, page_no: int = 0) -> bytearray:
    data = bytearray(FIRST_PAGE_SIZE)
    data[4:8] = page_no.to_bytes(4, "big")
    data[24:26] = (8).to_bytes(2, "big")
    data[38:42] = space_id.to_bytes(4, "big")
    data[46:50] = pages.to_bytes(4, "big")
    data[54:58] = flags.to_bytes(4, "big")
    return data


# flags as MariaDB 10.11.19 wrote them, unless said otherwise
@pytest.mark.parametrize(
    ("flags", "page_size", "physical_size", "checksum", "compression"),
    [
        (0x15, 16384, 16384, ChecksumKind.FULL_CRC32, None),
        (0x35, 16384, 16384, ChecksumKind.FULL_CRC32, "zlib"),
        (0xD5, 16384, 16384, ChecksumKind.FULL_CRC32, "snappy"),  # by the format's description
        (0x13, 4096, 4096, ChecksumKind.FULL_CRC32, None),
        (0x17, 65536, 65536, ChecksumKind.FULL_CRC32, None),
        (0x0, 16384, 16384, ChecksumKind.CRC32, None),
        (0x21, 16384, 16384, ChecksumKind.CRC32, None),
        (0xE1, 4096, 4096, ChecksumKind.CRC32, None),
        (0x1E1, 65536, 65536, ChecksumKind.CRC32, None),
        (0x10021, 16384, 16384, ChecksumKind.CRC32, "unknown"),
        (0x23, 16384, 1024, ChecksumKind.ZIP, None),
        (0x29, 16384, 8192, ChecksumKind.ZIP, None),
        (0x2B, 16384, 16384, ChecksumKind.ZIP, None),
        (0x127, 8192, 4096, ChecksumKind.ZIP, None),
    ],
)
def test_flags(flags: int, page_size: int, physical_size: int, checksum: ChecksumKind, compression: str | None) -> None:
    header = parse_tablespace_header(first_page(flags), "t.ibd", Family.MARIADB)
    assert (header.page_size, header.physical_size) == (page_size, physical_size)
    assert (header.checksum, header.page_compression) == (checksum, compression)
    assert (header.space_id, header.flags, header.size_in_pages) == (12, flags, 700)
    assert header.page_compressed is (compression is not None)
    assert header.encryption is None
    assert not header.encrypted
    assert compressed_page_size(first_page(flags)[:64]) == (page_size if compression else None)


@pytest.mark.parametrize("beginning", [b"", bytes(57), bytes(4096), b"\xff" * 64, first_page(0x35, page_no=1)])
def test_what_does_not_say_so_is_no_page_compressed_tablespace(beginning: bytes) -> None:
    assert compressed_page_size(beginning) is None


@pytest.mark.parametrize(
    "flags",
    [
        0x18,  # full_crc32 with pages of 128 KiB
        0x12,  # and of 2 KiB
        0xF5,  # compression algorithm 7
        0x115,  # a bit that full_crc32 does not have
        0x4021,  # MySQL 8: SDI
        0x421,  # MySQL: DATA DIRECTORY
        0x2021,  # MySQL: encrypted
        0x201,  # pages of 128 KiB
        0x81,  # pages of 1 KiB
        0x03,  # compressed, but without the bits that go with it
        0x2D,  # compressed pages of 32 KiB
        0xC9,  # compressed pages larger than the logical ones
        0x80000000,
    ],
)
def test_unknown_flags_are_refused(flags: int) -> None:
    with pytest.raises(UnknownFormat, match=f"db/t.ibd: unknown tablespace flags {flags:#x}"):
        parse_tablespace_header(first_page(flags), "db/t.ibd", Family.MARIADB)


def test_not_the_start_of_a_tablespace() -> None:
    with pytest.raises(FormatError, match="says it is page 3"):
        parse_tablespace_header(first_page(0x15, page_no=3), "t.ibd", Family.MARIADB)
    with pytest.raises(FormatError, match="too short"):
        parse_tablespace_header(first_page(0x15)[:16383], "t.ibd", Family.MARIADB)
    with pytest.raises(FormatError, match="too short"):
        parse_tablespace_header(b"", "t.ibd", Family.MARIADB)


@pytest.mark.parametrize(
    ("flags", "offset"), [(0x15, 10428), (0x13, 1596), (0x14, 3772), (0x16, 20668), (0x17, 41148), (0x27, 2748)]
)
def test_the_encryption_record_is_found_at_every_page_size(flags: int, offset: int) -> None:
    page = first_page(flags)
    iv, key_version, key_id, mode = b"i" * 16, b"\0\0\0\5", b"\0\0\0\3", b"\1"
    page[offset : offset + 33] = b"s\x0e\x0cREt" + b"\x01\x10" + iv + key_version + key_id + mode
    header = parse_tablespace_header(page, "t.ibd", Family.MARIADB)
    assert header.encryption == TablespaceEncryption(scheme=1, mode=1, key_id=3, min_key_version=5)
    assert header.encrypted
    page[offset + 6] = 0
    assert not parse_tablespace_header(page, "t.ibd", Family.MARIADB).encrypted


@pytest.mark.parametrize(("flags", "pages"), [(0x13, 256), (0x14, 128), (0x15, 64), (0x16, 64), (0x17, 64)])
def test_extent_size(flags: int, pages: int) -> None:
    assert parse_tablespace_header(first_page(flags), "t.ibd", Family.MARIADB).extent_pages == pages


def test_an_unwritten_first_page_is_recognised_though_later_pages_are_written() -> None:
    data = bytearray(FIRST_PAGE_SIZE)
    assert is_unwritten(data)
    data[4096 + 4] = 1
    assert is_unwritten(data)
    assert not is_unwritten(first_page(0))
    assert unwritten_tablespace(8192, Family.MARIADB).physical_size == 8192
