# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Aria's control file, log and pages, byte by byte; what is written as hexadecimal digits is a server's (10.11)."""

from __future__ import annotations

import struct
import zlib

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.aria import (
    HA_OPTION_PAGE_CHECKSUM,
    TRANSLOG_PAGE_SIZE,
    AriaTable,
    ControlFile,
    Horizon,
    bounded_header,
    checkpoint_horizon,
    create_rename_lsn,
    first_foreign_page,
    is_of_horizon,
    with_horizon,
)

CONTROL = bytes.fromhex(
    "fefe0c01 53aca6c4ec9711f18cf102fc00000001 1e00 1600 0020 da49595d1ee91969 010000674c0600 01000000 e30000000000 00"
)
LOG_HEADER = bytes.fromhex("fefe0b014d415249414c4f4771cc04207a61060010270000ff8a010000000000ff1f010000") + bytes(7)
BLOCK = 8192


def test_the_control_file_tells_where_recovery_begins_and_the_log_ends() -> None:
    control = ControlFile.parse(CONTROL, "aria_log_control")
    assert (control.checkpoint, control.last_log) == ((1, 0x64C67), 1)
    longer = ControlFile.parse(control.with_last_log(17), "aria_log_control")
    assert (longer.checkpoint, longer.last_log) == ((1, 0x64C67), 17)
    assert longer.with_last_log(1) == CONTROL


@pytest.mark.parametrize("place", [0, 5, 31, 37, 45])
def test_a_control_file_that_was_read_while_it_was_written_is_none(place: int) -> None:
    torn = bytearray(CONTROL)
    torn[place] ^= 1
    for data in (bytes(torn), CONTROL[:place], b""):
        with pytest.raises(FormatError):
            ControlFile.parse(data, "aria_log_control")


def test_an_unfinished_log_file_gets_a_bound_and_a_finished_one_keeps_its_own() -> None:
    page = LOG_HEADER + b"\xff" * (TRANSLOG_PAGE_SIZE - len(LOG_HEADER))
    bounded = bounded_header(page, 1)
    assert bounded[37:44] == b"\x02\x00\x00\xff\xff\xff\xff"
    assert (bounded[:37], bounded[44:]) == (page[:37], page[44:])
    assert bounded_header(bounded, 5) == bounded


def test_a_page_of_the_log_that_is_not_written_yet_is_found() -> None:
    def page(number: int, file: int) -> bytes:
        return (number.to_bytes(3, "little") + file.to_bytes(3, "little")).ljust(TRANSLOG_PAGE_SIZE, b"\0")

    whole = LOG_HEADER.ljust(TRANSLOG_PAGE_SIZE, b"\xff") + page(1, 7) + page(2, 7)
    assert first_foreign_page(whole, 7, 0) is None
    assert first_foreign_page(whole, 8, 0) == TRANSLOG_PAGE_SIZE
    assert first_foreign_page(page(1, 7) + bytes(TRANSLOG_PAGE_SIZE), 7, TRANSLOG_PAGE_SIZE) == 2 * TRANSLOG_PAGE_SIZE


def test_the_record_of_a_checkpoint_tells_when_it_began() -> None:
    assert checkpoint_horizon(bytes.fromhex("1d0000fb391400000b00004c7a10000500" + "00" * 20)) == (11, 0x107A4C)
    short = bytes.fromhex("1d0000fa00000b00004c7a10000500") + bytes(20)
    assert checkpoint_horizon(short) == (11, 0x107A4C)
    several_groups = bytes.fromhex("1d0000fc3914000500") + bytes(30)
    assert checkpoint_horizon(several_groups) is None
    assert checkpoint_horizon(b"\x1b" + bytes(40)) is None
    assert checkpoint_horizon(b"\x1d") is None


def head(
    *, options: int = HA_OPTION_PAGE_CHECKSUM | 2, transactional: bool = True, data_file_type: int = 3, extra: int = 0
) -> bytes:
    start = b"\xfe\xfe\x09\x03" + struct.pack(">HHHHHHHBBBBBB", options, 678, 215, 135, 287, 5, 0, 1, 0, 0, 0, 3, 3)
    start = start.replace(b"\x00\x03\x03", bytes((0, data_file_type, 3)))
    state = struct.pack(">HH", 1, 0x1F9) + b"\x01\0\0\x62\x2f\0\0" + b"\x09\0\0\x92\x87\x10\0"
    base = bytearray(135)
    struct.pack_into(">Q", base, 16, BLOCK)
    struct.pack_into(">H", base, 90, extra)
    struct.pack_into(">H", base, 100, BLOCK)
    base[106] = transactional
    return (start + state).ljust(287, b"\0") + bytes(base)


def test_which_tables_are_written_until_commits_are_blocked() -> None:
    table = AriaTable.parse(head())
    assert table == AriaTable(True, False, BLOCK, BLOCK, (1, 0x2F62))
    for other in (head(options=2), head(transactional=False), head(data_file_type=1)):
        parsed = AriaTable.parse(other)
        assert parsed is not None
        assert not parsed.online
    encrypted = AriaTable.parse(head(extra=1))
    assert encrypted is not None
    assert encrypted.encrypted
    assert AriaTable.parse(b"\xfe\xfe\x07\x01" + bytes(500)) is None  # MyISAM's
    assert AriaTable.parse(head()[:300]) is None


def test_a_state_older_than_the_checkpoint_gets_its_lsn_and_a_newer_one_keeps_its_own() -> None:
    before = head()
    assert is_of_horizon(before) == (9, 0x108792)
    after = with_horizon(before, Horizon((11, 0x107000), (11, 0x107A4C)))
    assert is_of_horizon(after) == (11, 0x107A4C)
    assert create_rename_lsn(after) == create_rename_lsn(before)
    assert (after[:35], after[42:]) == (before[:35], before[42:])
    for began in ((9, 5), (9, 0x108792)):  # written while the checkpoint was made
        assert with_horizon(before, Horizon(began, (9, 0x110000))) == before
    assert with_horizon(before, None) == before


def page(number: int, length: int, content: bytes) -> bytearray:
    made = bytearray(content.ljust(BLOCK, b"\x5a"))
    struct.pack_into("<I", made, BLOCK - 4, zlib.crc32(made[:length], number))
    return made


def test_damaged_and_torn_pages_are_found_and_unwritten_ones_are_not() -> None:
    table = AriaTable.parse(head())
    assert table is not None
    data = page(5, BLOCK - 4, b"data") + page(6, BLOCK - 4, b"more") + bytearray(BLOCK)
    assert list(table.bad_pages(memoryview(data), 5 * BLOCK, index=False)) == []
    assert list(table.bad_pages(memoryview(data), 4 * BLOCK, index=False)) == [0, BLOCK]  # misplaced
    data[BLOCK + 4000] ^= 1
    assert list(table.bad_pages(memoryview(data), 5 * BLOCK, index=False)) == [BLOCK]

    used = 300
    keys = bytes(BLOCK) + page(1, used, bytes(15) + used.to_bytes(2, "big") + b"keys")
    assert list(table.bad_pages(memoryview(keys), 0, index=True)) == []  # the head has no checksum
    torn = bytearray(keys)
    torn[BLOCK + used - 1] ^= 1
    assert list(table.bad_pages(memoryview(torn), 0, index=True)) == [BLOCK]
    torn[BLOCK + 15 : BLOCK + 17] = b"\xff\xff"
    assert list(table.bad_pages(memoryview(torn), 0, index=True)) == [BLOCK]


def test_a_page_without_checksum_is_believed_where_there_may_be_one() -> None:
    table = AriaTable.parse(head())
    assert table is not None
    plain = bytearray(b"\x01" * (BLOCK - 4) + b"\xff\xff\xff\xff")
    bitmap = bytearray(b"\x01" * (BLOCK - 4) + b"\xfe\xff\xff\xff")
    assert list(table.bad_pages(memoryview(bitmap + plain), 0, index=False)) == []
    assert list(table.bad_pages(memoryview(plain + bitmap), 0, index=False)) == [0, BLOCK]
