# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import bz2
import lzma
import random
import zlib
from dataclasses import replace
from typing import Callable

import crc32c
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError, PageCorrupt
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb import page as pages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.checksum_innodb import innodb_checksums
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page import PageVerifier
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page_checks import CHECKSUM_MISMATCH, TORN
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    TablespaceHeader,
    unwritten_tablespace,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace_values import ChecksumKind
from ansible_collections.innodb.xtrabackup.tests.support.tablespace_headers import verified_tablespace_header

SIZES = (4096, 8192, 16384, 32768, 65536)
LSN = 0x1122334455667788


def crc(data: bytes | bytearray) -> int:
    return int(crc32c.crc32c(bytes(data)))


def put(page: bytearray, offset: int, value: int, size: int = 4) -> None:
    page[offset : offset + size] = value.to_bytes(size, "big")


def blank(number: int, size: int, page_type: int = 17855) -> bytearray:
    """A page with a header and random bytes, without checksums."""
    page = bytearray(random.Random(number * size).randbytes(size))
    put(page, 4, number)
    put(page, 16, LSN, 8)
    put(page, 24, page_type, 2)
    page[26:34] = bytes(8)
    put(page, 34, 12)
    return page


def full_crc32(number: int, size: int = 16384) -> bytearray:
    page = blank(number, size)
    put(page, 0, 0)
    put(page, size - 8, LSN & 0xFFFFFFFF)
    put(page, size - 4, crc(page[: size - 4]))
    return page


def full_crc32_encrypted(number: int, size: int = 16384) -> bytearray:
    page = blank(number, size)
    put(page, 0, 7)  # key version; everything from 26 on is random, the copy of the LSN too
    put(page, size - 4, crc(page[: size - 4]))
    return page


def full_crc32_compressed(number: int, size: int = 16384, stored: int = 3072) -> bytearray:
    page = blank(number, size, 0x8000 | stored >> 8)
    put(page, 0, 0)
    put(page, stored - 4, crc(page[: stored - 4]))
    page[stored:] = bytes(size - stored)
    return page


def legacy_crc(page: bytearray | bytes) -> int:
    return crc(page[4:26]) ^ crc(page[38:-8])


def legacy(number: int, size: int = 16384) -> bytearray:
    page = blank(number, size)
    put(page, size - 4, LSN & 0xFFFFFFFF)
    put(page, 0, legacy_crc(page))
    put(page, size - 8, legacy_crc(page))
    return page


def legacy_encrypted(number: int, size: int = 16384) -> bytearray:
    page = blank(number, size)
    put(page, 26, 1)
    put(page, 30, legacy_crc(page))
    return page


def legacy_compressed(number: int, size: int = 16384, algorithm: int = 1) -> bytearray:
    inside = legacy(number, size)
    inside[100:-8] = bytes(size - 108)  # something to compress
    put(inside, 0, legacy_crc(inside))
    put(inside, size - 8, legacy_crc(inside))
    compressors: dict[int, Callable[[bytes], bytes]] = {1: zlib.compress, 4: lzma.compress, 5: bz2.compress}
    data = compressors[algorithm](bytes(inside))
    page = bytearray(size)
    page[:38] = inside[:38]
    put(page, 0, 0xDEADBEEF)
    put(page, 24, 34354, 2)
    put(page, 26, algorithm, 8)
    put(page, 38, len(data), 2)
    page[40 : 40 + len(data)] = data
    return page


def legacy_compressed_encrypted(number: int, size: int = 16384) -> bytearray:
    page = blank(number, size, 37401)
    put(page, 0, 0xDEADBEEF)
    put(page, 26, 1)
    put(page, 30, legacy_crc(page))
    return page


def zip_crc(page: bytearray) -> int:
    return crc(page[4:16]) ^ crc(page[24:26]) ^ crc(page[34:])


def zipped(number: int, size: int = 8192) -> bytearray:
    page = blank(number, size)
    put(page, 0, zip_crc(page))
    return page


def zipped_encrypted(number: int, size: int = 8192) -> bytearray:
    page = blank(number, size)
    put(page, 26, 1)
    put(page, 30, zip_crc(page))
    return page


def zipped_innodb(number: int, size: int = 8192) -> bytearray:
    page = blank(number, size)
    put(page, 0, zlib.adler32(bytes(page[4:16] + page[24:26] + page[34:]), 0))
    return page


def header(kind: ChecksumKind, size: int, compression: str | None = None) -> TablespaceHeader:
    return TablespaceHeader(12, 0, max(size, 16384) if kind is ChecksumKind.ZIP else size, size, 0, kind, compression)


Maker = Callable[..., bytearray]
KINDS: list[tuple[ChecksumKind, str | None, Maker]] = [
    (ChecksumKind.FULL_CRC32, None, full_crc32),
    (ChecksumKind.FULL_CRC32, None, full_crc32_encrypted),
    (ChecksumKind.FULL_CRC32, "zlib", full_crc32),
    (ChecksumKind.FULL_CRC32, "zlib", full_crc32_compressed),
    (ChecksumKind.CRC32, None, legacy),
    (ChecksumKind.CRC32, None, legacy_encrypted),
    (ChecksumKind.CRC32, "unknown", legacy),
    (ChecksumKind.CRC32, "unknown", legacy_compressed),
    (ChecksumKind.CRC32, "unknown", legacy_compressed_encrypted),
    (ChecksumKind.ZIP, None, zipped),
    (ChecksumKind.ZIP, None, zipped_encrypted),
    (ChecksumKind.ZIP, None, zipped_innodb),
]
all_kinds = pytest.mark.parametrize(
    ("kind", "compression", "make"), KINDS, ids=[f"{make.__name__}-{compression}" for _kind, compression, make in KINDS]
)


@all_kinds
@pytest.mark.parametrize("size", [1024, 2048, *SIZES])
def test_good_pages_of_every_kind_and_size(kind: ChecksumKind, compression: str | None, make: Maker, size: int) -> None:
    if (kind is ChecksumKind.ZIP) is (size > 16384) or (kind is not ChecksumKind.ZIP and size < 4096):
        size = 4096
    data = b"".join(make(number, size) for number in range(10, 14))
    assert PageVerifier(header(kind, size, compression)).faults(data, 10) == []


@all_kinds
def test_every_region_of_a_page_is_covered(kind: ChecksumKind, compression: str | None, make: Maker) -> None:
    """One flipped bit anywhere in what the server wrote is found, except where a kind has no checksum over it."""
    size = 4096
    verifier = PageVerifier(header(kind, size, compression))
    good = make(1, size)
    if make is full_crc32_compressed:
        uncovered = set(range(3072, size))
    elif make is legacy_compressed:  # what is inside counts; a stream can say the same in other words
        uncovered = {*range(4), *range(34, 38), *range(38, size)}
    elif make in (legacy_encrypted, legacy_compressed_encrypted):
        # of the field at 26 only "not zero" counts; the checksum at 0 and the trailer are those of the clear page
        uncovered = {*range(4), *range(26, 30), *range(34, 38), *range(size - 8, size)}
    elif make is legacy:
        uncovered = set(range(26, 38))
    elif kind is ChecksumKind.ZIP:
        uncovered = {*range(16, 24), *range(26, 34)} | (set(range(4)) if make is zipped_encrypted else set())
    else:
        uncovered = set()
    missed = set()
    for position in range(size):
        page = bytearray(good)
        page[position] ^= 0x04
        faults = verifier.faults(page, 1)
        if not faults:
            missed.add(position)
            if make is legacy_compressed and position >= 38:
                assert zlib.decompressobj().decompress(page[40:]) == zlib.decompressobj().decompress(good[40:])
        else:
            assert [(fault.page_no, fault.offset) for fault in faults] == [(1, size)]
    if make in (zipped_encrypted, legacy_encrypted, legacy_compressed_encrypted):
        assert missed <= uncovered - {30, 31, 32, 33}
    else:
        assert missed <= uncovered


@all_kinds
def test_a_page_at_another_place_is_a_fault(kind: ChecksumKind, compression: str | None, make: Maker) -> None:
    size = 4096
    good = make(5, size)
    (fault,) = PageVerifier(header(kind, size, compression)).faults(make(4, size) + good + make(6, size), 3)[1:2]
    assert fault == pages.PageFault(4, 4 * size, "it says that it is page 5")
    unnumbered = PageVerifier(header(kind, size, compression), check_page_numbers=False)
    assert unnumbered.faults(good, 4) == []


#: their tablespace id is compressed or encrypted
WITHOUT_SPACE_ID = (full_crc32_encrypted, full_crc32_compressed)


@all_kinds
def test_a_page_of_another_tablespace_is_a_fault_where_that_can_be_seen(
    kind: ChecksumKind, compression: str | None, make: Maker
) -> None:
    """As it is after a write that went to the wrong file, or while IMPORT TABLESPACE rewrites the pages."""
    size = 4096
    other = replace(header(kind, size, compression), space_id=13)
    reasons = {fault.reason for fault in PageVerifier(other).faults(make(4, size) + make(5, size), 4)}
    assert reasons == (set() if make in WITHOUT_SPACE_ID else {"it says that it is of tablespace 12 and not of 13"})
    assert PageVerifier(other).faults(bytes(size), 4) == []


def test_what_no_server_relied_on_is_not_held_against_a_page_of_the_system_tablespace() -> None:
    """Servers before 4.1.1 left anything in the place of the tablespace id; full_crc32 files are younger."""
    for kind, make, faults in ((ChecksumKind.CRC32, legacy, 0), (ChecksumKind.FULL_CRC32, full_crc32, 1)):
        verifier = PageVerifier(replace(header(kind, 16384), space_id=0))
        assert len(verifier.faults(make(5), 5)) == faults
    assert PageVerifier(unwritten_tablespace(16384, Family.MARIADB)).faults(full_crc32(5), 5) == []


@all_kinds
@pytest.mark.parametrize("cut", [512, 4096, 8192 - 512, 12288])
def test_a_torn_page_is_a_fault(kind: ChecksumKind, compression: str | None, make: Maker, cut: int) -> None:
    size = 16384
    if make is full_crc32_compressed or make is legacy_compressed:
        cut = 512 if make is full_crc32_compressed else 64
    new, old = make(3, size), bytearray(size)
    old[:] = make(3 + size, size)
    put(old, 4, 3)
    torn = new[:cut] + old[cut:]
    faults = PageVerifier(header(kind, size, compression)).faults(torn, 3)
    assert [fault.page_no for fault in faults] == [3]


@all_kinds
def test_zero_pages_are_good_and_nearly_zero_ones_are_not(
    kind: ChecksumKind, compression: str | None, make: Maker
) -> None:
    size = 4096
    verifier = PageVerifier(header(kind, size, compression))
    assert verifier.faults(bytes(3 * size), 7) == []
    for position in (0, 4, 7, 16, 24, 40, 2000, size - 1):
        page = bytearray(3 * size)
        page[size + position] = 0x10
        assert [fault.page_no for fault in verifier.faults(page, 7)] == [8], position
    assert verifier.faults(bytes(size) + make(8, size) + bytes(size), 7) == []


def test_faults_are_named_by_page_offset_and_reason() -> None:
    data = bytearray(b"".join(full_crc32(number) for number in range(100, 108)))
    data[3 * 16384 + 9000] ^= 1
    put(data, 5 * 16384 + 20, 1)  # the LSN at the start only
    put(data, 5 * 16384 + 16380, crc(data[5 * 16384 : 6 * 16384 - 4]))
    assert PageVerifier(header(ChecksumKind.FULL_CRC32, 16384)).faults(memoryview(data), 100) == [
        pages.PageFault(103, 103 * 16384, CHECKSUM_MISMATCH),
        pages.PageFault(105, 105 * 16384, TORN),
    ]


@pytest.mark.parametrize("code", [0x8000, 0x8000 | 65, 0xFFFF])
def test_an_impossible_compressed_size_is_a_fault(code: int) -> None:
    page = full_crc32(1)
    put(page, 24, code, 2)
    put(page, 0, 1, 1)
    (fault,) = PageVerifier(header(ChecksumKind.FULL_CRC32, 16384, "zlib")).faults(page, 1)
    assert "compressed size" in fault.reason


def test_a_page_compressed_to_its_full_size() -> None:
    page = full_crc32_compressed(2, 16384, 16384)
    assert PageVerifier(header(ChecksumKind.FULL_CRC32, 16384, "zlib")).faults(page, 2) == []


@pytest.mark.parametrize("algorithm", [1, 4, 5])
def test_legacy_compressed_pages_are_verified_inside(algorithm: int) -> None:
    verifier = PageVerifier(header(ChecksumKind.CRC32, 16384, "unknown"))
    page = legacy_compressed(3, algorithm=algorithm)
    assert verifier.faults(page, 3) == []
    page[60] ^= 1
    assert len(verifier.faults(page, 3)) == 1
    put(page, 38, 16384 - 39, 2)
    assert "compressed size" in verifier.faults(page, 3)[0].reason


def test_the_none_checksum_of_older_servers_is_accepted() -> None:
    page = legacy(9)
    put(page, 0, 0xDEADBEEF)
    put(page, 16384 - 8, 0xDEADBEEF)
    verifier = PageVerifier(header(ChecksumKind.CRC32, 16384))
    assert verifier.faults(page, 9) == []
    put(page, 16384 - 8, 0xDEADBEEE)
    assert len(verifier.faults(page, 9)) == 1


def test_pages_whose_content_nothing_verifies_are_named() -> None:
    """Without a checksum, or compressed by lz4, lzo or snappy; all others are verified as they are stored."""
    none = legacy(3)
    put(none, 0, 0xDEADBEEF)
    put(none, 16384 - 8, 0xDEADBEEF)
    lz4 = legacy_compressed(4)
    put(lz4, 26, 2, 8)
    data = legacy(2) + none + lz4 + legacy_compressed(5) + legacy_encrypted(6) + legacy_compressed_encrypted(7)
    for compression in (None, "unknown"):
        opaque: list[int] = []
        assert PageVerifier(header(ChecksumKind.CRC32, 16384, compression)).faults(data, 2, opaque) == []
        assert opaque == [3 * 16384, 4 * 16384]
    for kind, compression, make in KINDS:
        opaque = []
        size = 8192 if kind is ChecksumKind.ZIP else 16384
        assert PageVerifier(header(kind, size, compression)).faults(make(1, size), 1, opaque) == []
        assert opaque == []
    zip_none = zipped(1)
    put(zip_none, 0, 0xDEADBEEF)
    assert PageVerifier(header(ChecksumKind.ZIP, 8192)).faults(zip_none, 1, opaque) == []
    assert opaque == [8192]


def test_the_innodb_checksum_of_older_servers_is_accepted() -> None:
    page = legacy(9, 4096)
    new, _old = innodb_checksums(page)
    put(page, 0, new)
    put(page, 4096 - 8, innodb_checksums(page)[1])
    verifier = PageVerifier(header(ChecksumKind.CRC32, 4096))
    assert verifier.faults(page, 9) == []
    page[2000] ^= 1
    assert len(verifier.faults(page, 9)) == 1


def test_the_innodb_checksum_of_a_known_page() -> None:
    """Worked out by hand from the definition: fold(b"") is 0 and fold(b"\\x01") is one step."""
    page = bytearray(64)
    page[4] = 1
    step = ((((0 ^ 1 ^ 1653893711) << 8) + 0) ^ 1463735687) + 1 & 0xFFFFFFFF
    value = step
    for _byte in range(21):
        value = ((((value ^ 0 ^ 1653893711) << 8) + value) ^ 1463735687) & 0xFFFFFFFF
    body = 0
    for _byte in range(64 - 8 - 38):
        body = ((((body ^ 0 ^ 1653893711) << 8) + body) ^ 1463735687) & 0xFFFFFFFF
    assert innodb_checksums(page)[0] == (value + body) & 0xFFFFFFFF


@pytest.mark.parametrize(("size", "first", "end"), [(16384, 64, 192), (4096, 256, 768), (65536, 64, 192)])
def test_the_doublewrite_buffer_of_the_system_tablespace_is_not_verified(size: int, first: int, end: int) -> None:
    damaged = b"\x01" * size
    described = TablespaceHeader(0, 0, size, size, 0, ChecksumKind.FULL_CRC32)
    verifier = PageVerifier(described, has_doublewrite=True)
    around = {number: verifier.faults(damaged, number) for number in (first - 1, first, end - 1, end)}
    assert {number for number, faults in around.items() if faults} == {first - 1, end}
    everything = verifier.faults(damaged * (end + 2), 0)
    assert [fault.page_no for fault in everything] == [*range(first), end, end + 1]
    assert [fault.offset for fault in everything][-2:] == [end * size, (end + 1) * size]
    assert len(PageVerifier(described).faults(damaged, first)) == 1


def test_later_files_of_the_system_tablespace_count_on() -> None:
    verifier = PageVerifier(header(ChecksumKind.FULL_CRC32, 16384), first_page_no=768)
    assert verifier.faults(full_crc32(768) + full_crc32(769), 0) == []
    assert verifier.faults(full_crc32(1), 1) == [pages.PageFault(769, 16384, "it says that it is page 1")]


def test_an_incomplete_last_page_is_ignored() -> None:
    verifier = PageVerifier(header(ChecksumKind.FULL_CRC32, 16384))
    assert verifier.faults(full_crc32(0) + b"\x01" * 16383, 0) == []
    assert verifier.faults(b"", 0) == []


@pytest.mark.parametrize("size", SIZES)
def test_a_file_without_its_first_page_may_have_any_kind_of_checksum(size: int) -> None:
    verifier = PageVerifier(unwritten_tablespace(size, Family.MARIADB))
    for make in (full_crc32, legacy, full_crc32_compressed):
        assert verifier.faults(bytes(size) + make(1, size) + make(2, size), 0) == []
    if size <= 16384:
        small = b"".join(zipped(number, size // 4) for number in range(4, 12))
        assert verifier.faults(bytes(size) + small, 0) == []
    damaged = full_crc32(1, size)
    damaged[1000] ^= 1
    assert [fault.page_no for fault in verifier.faults(damaged, 1)] == [1]


def make_first_page() -> bytearray:
    page = blank(0, 16384, 8)
    page[38:200] = bytes(162)
    put(page, 0, 0)
    put(page, 38, 12)
    put(page, 46, 4)
    put(page, 54, 0x15)
    put(page, 16384 - 8, LSN & 0xFFFFFFFF)
    put(page, 16380, crc(page[:16380]))
    return page


def test_the_header_is_only_taken_from_a_page_that_verifies() -> None:
    page = make_first_page()
    assert verified_tablespace_header(page, "t.ibd", Family.MARIADB).space_id == 12
    page[9000] ^= 1
    with pytest.raises(PageCorrupt, match=r"db/t\.ibd: page 0 at offset 0: the checksum does not match"):
        verified_tablespace_header(page, "db/t.ibd", Family.MARIADB)
    with pytest.raises(PageCorrupt, match="not written yet"):
        verified_tablespace_header(bytes(65536), "t.ibd", Family.MARIADB)
    with pytest.raises(FormatError):
        verified_tablespace_header(b"\x01" * 65536, "t.ibd", Family.MARIADB)
