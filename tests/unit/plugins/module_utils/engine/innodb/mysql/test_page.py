# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's pages: plain, compressed, encrypted, both, and those of ROW_FORMAT=COMPRESSED."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace
from typing import Any, Callable

import crc32c
import lz4.block
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import (
    EncryptionInfo,
    FileKey,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.page import plain_page
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page import PageVerifier
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page_checks import NO_CHECKSUM_MAGIC
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    TablespaceHeader,
    unwritten_tablespace,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace_values import ChecksumKind
from ansible_collections.innodb.xtrabackup.tests.support.tablespace_headers import verified_tablespace_header

SPACE, LSN = 12, 0x1122334455667788
KEY = FileKey(bytes(range(32)), bytes(range(100, 116)))
ENCRYPTED_FLAG = 0x2000


def put(page: bytearray, offset: int, value: int, size: int = 4) -> None:
    page[offset : offset + size] = value.to_bytes(size, "big")


def plain(number: int, size: int = 4096, page_type: int = 17855) -> bytearray:
    """A page as it is in the buffer pool, with much to compress."""
    page = bytearray(random.Random(number * size).randbytes(size))
    page[200:-8] = bytes(size - 208)
    put(page, 4, number)
    put(page, 16, LSN, 8)
    put(page, 24, page_type, 2)
    page[26:34] = bytes(8)
    put(page, 34, SPACE)
    put(page, size - 4, LSN & 0xFFFFFFFF)
    return with_checksum(page)


def with_checksum(page: bytearray) -> bytearray:
    checksum = crc32c.crc32c(bytes(page[4:26])) ^ crc32c.crc32c(bytes(page[38:-8]))
    put(page, 0, checksum)
    put(page, len(page) - 8, checksum)
    return page


def compressed(page: bytearray, algorithm: int = 1, version: int = 2) -> bytearray:
    body = bytes(page[38:])
    data = zlib.compress(body) if algorithm == 1 else lz4.block.compress(body, store_size=False)
    found = bytearray(len(page))
    found[:38] = page[:38]
    found[26:28] = bytes((version, algorithm))
    found[28:30] = page[24:26]
    put(found, 24, 14, 2)
    put(found, 30, len(body), 2)
    put(found, 32, len(data), 2)
    found[38 : 38 + len(data)] = data
    return found


def cbc(data: bytes) -> bytes:
    return bytes(Cipher(algorithms.AES(KEY.key), modes.CBC(KEY.iv)).encryptor().update(data))


def encrypted(page: bytearray) -> bytearray:
    """As the server does it: whole blocks, then the last 32 bytes once more when there is a rest."""
    found, kind = bytearray(page), int.from_bytes(page[24:26], "big")
    size = len(page) - 38
    if kind == 14:
        put(found, 24, 16, 2)
        size = max(int.from_bytes(page[32:34], "big"), 32)  # also where the data are shorter
    else:
        put(found, 24, 17 if kind == 17854 else 15, 2)
        # a page of a spatial index has its split sequence number there
        put(found, 28, 1 if kind == 17854 else kind, 2)
    data = bytes(page[38 : 38 + size])
    whole = size - size % 16
    data = cbc(data[:whole]) + data[whole:]
    if whole != size:
        data = data[:-32] + cbc(data[-32:])
    found[38 : 38 + size] = data
    return found


def zipped(number: int, size: int = 4096) -> bytearray:
    page = plain(number, size)
    parts = bytes(page[4:16]), bytes(page[24:26]), bytes(page[34:])
    put(page, 0, crc32c.crc32c(parts[0]) ^ crc32c.crc32c(parts[1]) ^ crc32c.crc32c(parts[2]))
    return page


def verifier(
    kind: ChecksumKind = ChecksumKind.CRC32, size: int = 4096, flags: int = 0, key: FileKey | None = KEY, **options: Any
) -> PageVerifier:
    page_size = 16384 if kind is ChecksumKind.ZIP else size
    header = TablespaceHeader(SPACE, flags, page_size, size, 0, kind, family=Family.MYSQL)
    return PageVerifier(header, key=key, **options)


def content(page: bytearray) -> bytes:
    whole = plain_page(memoryview(page), KEY)
    assert whole is not None
    return bytes(whole[38:])


Maker = Callable[[int, int], bytearray]
KINDS: dict[str, tuple[ChecksumKind, Maker]] = {
    "plain": (ChecksumKind.CRC32, plain),
    "zlib": (ChecksumKind.CRC32, lambda number, size: compressed(plain(number, size))),
    "lz4": (ChecksumKind.CRC32, lambda number, size: compressed(plain(number, size), 2)),
    "version 1": (ChecksumKind.CRC32, lambda number, size: compressed(plain(number, size), 1, 1)),
    "encrypted": (ChecksumKind.CRC32, lambda number, size: encrypted(plain(number, size))),
    "rtree": (ChecksumKind.CRC32, lambda number, size: encrypted(plain(number, size, 17854))),
    "zlib encrypted": (ChecksumKind.CRC32, lambda number, size: encrypted(compressed(plain(number, size)))),
    "lz4 encrypted": (ChecksumKind.CRC32, lambda number, size: encrypted(compressed(plain(number, size), 2))),
    "zipped": (ChecksumKind.ZIP, zipped),
    "zipped encrypted": (ChecksumKind.ZIP, lambda number, size: encrypted(zipped(number, size))),
}
ENCRYPTED = [name for name in KINDS if name.endswith(("encrypted", "rtree"))]
all_kinds = pytest.mark.parametrize("name", KINDS)


@all_kinds
@pytest.mark.parametrize("size", [1024, 2048, 4096, 8192, 16384, 32768, 65536])
def test_good_pages_of_every_kind_and_size(name: str, size: int) -> None:
    kind, make = KINDS[name]
    if size > 16384 if kind is ChecksumKind.ZIP else size < 4096:
        size = 4096
    data = b"".join(make(number, size) for number in range(10, 14))
    assert verifier(kind, size).faults(data, 10) == []
    assert verifier(kind, size).faults(data, 11)[0].reason == "it says that it is page 10"


@all_kinds
def test_a_page_of_another_tablespace_is_a_fault(name: str) -> None:
    kind, make = KINDS[name]
    other = replace(verifier(kind).header, space_id=SPACE + 1)
    (fault,) = PageVerifier(other, key=KEY).faults(make(3, 4096), 3)
    assert fault.reason == f"it says that it is of tablespace {SPACE} and not of {SPACE + 1}"


@all_kinds
def test_every_byte_that_counts_is_covered_with_the_key(name: str) -> None:
    kind, make = KINDS[name]
    good = make(3, 4096)
    check = verifier(kind)
    missed = set()
    for position in (*range(400), *range(400, 4080, 17), *range(4080, 4096)):
        page = bytearray(good)
        page[position] ^= 0x04
        if not check.faults(page, 3):
            missed.add(position)
            # compressed data can say the same in other words
            assert position < 38 or content(page) == content(good)
    free = {*range(16, 24), *range(26, 34)} if kind is ChecksumKind.ZIP else set(range(26, 38))
    if "zlib" in name or "lz4" in name or "version" in name:
        data_end = 38 + int.from_bytes(good[32:34], "big")
        free |= set(range(data_end, 4096))
        assert len(missed & set(range(38, data_end))) < (data_end - 38) / 20
        free |= set(range(38, data_end))
    assert missed <= free


@pytest.mark.parametrize("name", ENCRYPTED)
def test_without_the_key_an_encrypted_page_has_its_numbers_only(name: str) -> None:
    kind, make = KINDS[name]
    good = make(3, 4096)
    check = verifier(kind, flags=ENCRYPTED_FLAG, key=None)
    assert check.is_opaque(good)
    assert check.faults(good, 3) == []
    found = {}
    for position in range(38):
        page = bytearray(good)
        page[position] ^= 0x40
        found[position] = [fault.reason for fault in check.faults(page, 3)]
    assert {position for position, reasons in found.items() if reasons} == {*range(4, 8), 24, 25, *range(34, 38)}
    assert "tablespace" in found[36][0]
    assert "page" in found[6][0]


@pytest.mark.parametrize("name", KINDS)
def test_what_can_be_verified_is_not_opaque(name: str) -> None:
    kind, make = KINDS[name]
    page = make(3, 4096)
    assert not verifier(kind, flags=ENCRYPTED_FLAG).is_opaque(page)
    assert verifier(kind, flags=ENCRYPTED_FLAG, key=None).is_opaque(page) is (name in ENCRYPTED)


def test_an_encrypted_page_where_page_0_names_no_key_is_a_fault() -> None:
    (fault,) = verifier(key=None).faults(encrypted(plain(3)), 3)
    assert "page 0 names no key" in fault.reason


def test_another_key_is_found_out() -> None:
    page = encrypted(plain(3))
    assert verifier(key=FileKey(bytes(32), KEY.iv)).faults(page, 3)
    assert verifier(key=FileKey(KEY.key, bytes(16))).faults(page, 3)


@all_kinds
@pytest.mark.parametrize("cut", [64, 180])
def test_a_torn_page_is_found(name: str, cut: int) -> None:
    kind, make = KINDS[name]
    new, old = make(3, 4096), make(9, 4096)
    put(old, 4, 3)
    assert len(verifier(kind).faults(new[:cut] + old[cut:], 3)) == 1


def empty(kind: int) -> bytearray:
    """An empty page as IMPORT TABLESPACE of a compressed or an encrypted table leaves it."""
    page = bytearray(4096)
    if kind in (14, 16):
        page = compressed(page)
    if kind in (15, 16):
        page = encrypted(page)
    return page


@pytest.mark.parametrize("kind", [14, 15, 16])
@pytest.mark.parametrize("checksum", [ChecksumKind.CRC32, ChecksumKind.ZIP])
def test_an_empty_page_may_be_compressed_and_encrypted(kind: int, checksum: ChecksumKind) -> None:
    page = empty(kind)
    assert int.from_bytes(page[24:26], "big") == kind
    assert verifier(checksum, flags=ENCRYPTED_FLAG).faults(page, 3) == []
    if kind != 14:
        assert verifier(checksum, flags=ENCRYPTED_FLAG, key=None).faults(page, 3) == []
    page[45] ^= 1
    assert len(verifier(checksum, flags=ENCRYPTED_FLAG).faults(page, 3)) == 1


def test_zero_pages_are_good_and_nearly_zero_ones_are_not() -> None:
    for flags, key in ((0, None), (ENCRYPTED_FLAG, KEY), (ENCRYPTED_FLAG, None)):
        check = verifier(flags=flags, key=key)
        assert check.faults(bytes(3 * 4096), 7) == []
        for position in (0, 4, 16, 24, 26, 40, 2000, 4095):
            page = bytearray(3 * 4096)
            page[4096 + position] = 0x10
            assert [fault.page_no for fault in check.faults(page, 7)] == [8], (flags, key, position)


@pytest.mark.parametrize(
    ("at", "value", "size"),
    [(26, 9, 1), (27, 3, 1), (30, 4057, 2), (30, 0xFFFF, 2), (32, 0, 2), (32, 4059, 2), (32, 10, 2), (32, 3000, 2)],
)
def test_impossible_fields_of_compression_are_faults(at: int, value: int, size: int) -> None:
    for page in (compressed(plain(3)), compressed(plain(3), 2)):
        put(page, at, value, size)
        # zlib says itself where it ends: bytes behind that are none of its
        if (at, value, page[27]) == (32, 3000, 1):
            assert verifier().faults(page, 3) == []
        else:
            assert len(verifier().faults(page, 3)) == 1
    page = encrypted(compressed(plain(3)))
    put(page, at, value, size)
    assert len(verifier().faults(page, 3)) == 1


def test_a_page_that_inflates_without_end_is_a_fault() -> None:
    page = compressed(plain(3))
    bomb = zlib.compress(bytes(4 << 20))[:4058]
    page[38 : 38 + len(bomb)] = bomb
    put(page, 32, len(bomb), 2)
    assert [fault.reason for fault in verifier().faults(page, 3)] == ["it cannot be decompressed"]


def test_a_compressed_page_may_fill_its_page() -> None:
    page = plain(3, 16384)
    page[200:14000] = random.Random(1).randbytes(13800)
    page = compressed(with_checksum(page))
    assert int.from_bytes(page[32:34], "big") > 13800
    assert verifier(size=16384).faults(page, 3) == []
    assert verifier(size=16384).faults(encrypted(page), 3) == []


@pytest.mark.parametrize("name", KINDS)
def test_a_file_without_its_first_page_may_have_any_kind_of_pages(name: str) -> None:
    kind, make = KINDS[name]
    size = 4096
    check = PageVerifier(unwritten_tablespace(16384 if kind is ChecksumKind.ZIP else size, Family.MYSQL))
    data = make(4, size) + make(5, size) + make(6, size) + make(7, size)
    first = 1 if kind is ChecksumKind.ZIP else 4
    assert check.faults(data, first) == []
    if name in ("plain", "zipped"):
        data[1000] ^= 1
        assert len(check.faults(data, first)) == 1


def test_the_none_checksum_of_older_servers_is_accepted() -> None:
    page = plain(3)
    put(page, 0, NO_CHECKSUM_MAGIC)
    put(page, 4096 - 8, NO_CHECKSUM_MAGIC)
    assert verifier().faults(page, 3) == []


def test_the_doublewrite_pages_of_the_system_tablespace_are_not_verified() -> None:
    check = verifier(size=16384, has_doublewrite=True)
    damaged = b"\x01" * 16384
    assert [bool(check.faults(damaged, number)) for number in (63, 64, 191, 192)] == [True, False, False, True]


def test_a_first_page_verifies_with_its_encryption_information() -> None:
    page = plain(0, 16384, 8)
    page[38:11000] = bytes(11000 - 38)
    put(page, 38, SPACE)
    put(page, 46, 1)
    put(page, 54, 0x6021)
    page[10390:10501] = b"lCC" + (7).to_bytes(4, "big") + b"u" * 36 + bytes(64) + (9).to_bytes(4, "big")
    found = verified_tablespace_header(with_checksum(page), "t.ibd", Family.MYSQL)
    assert found.encryption_info == EncryptionInfo(7, "u" * 36, bytes(64), 9)
    assert found.encrypted
