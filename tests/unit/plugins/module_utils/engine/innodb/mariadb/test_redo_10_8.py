# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    RedoCorrupt,
    UnknownFormat,
    UnsupportedServer,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import (
    redo,
    redo_10_8,
    redo_format,
)
from ansible_collections.innodb.xtrabackup.tests.support import redo_log
from ansible_collections.innodb.xtrabackup.tests.support.redo_log import SyntheticLog, record

HEADER = redo_format.LogHeader(12288, "MariaDB 10.11.19", 8 << 20)


def _head(first: bytes, second: bytes) -> bytes:
    """The beginning of a log whose two checkpoint blocks begin like these."""
    return bytes(4096) + first.ljust(4096, b"\0") + second.ljust(4096, b"\0")


# from the log of a MariaDB 10.11.19, in an odd lap: the names of two changed files and FILE_CHECKPOINT 731788067
REAL_MTR = (
    b"\xb0\x12\x01\x00./mysql/innodb_table_stats.ibd\xb0\x12\x02\x00./mysql/innodb_index_stats.ibd"
    b"\xfa\x00\x00\x00\x00\x00\x00+\x9e3#\x00CI\xce\xe5"
)


def mtr(*records: bytes, bit: int = 1) -> bytes:
    body = b"".join(records)
    return body + bytes([bit]) + redo_log.crc32c.crc32c(body).to_bytes(4, "big")


def walk(data: bytes, lsn: int = 12288, limit: int | None = None) -> redo_format.MariadbWalk:
    return redo_10_8.walk(bytearray(data), lsn, HEADER, limit)


# --- header and checkpoints


def test_header_is_parsed() -> None:
    header = redo.parse_header(redo_log.render_header(44404), 512 << 20, "log")
    assert header == redo_format.LogHeader(44404, "MariaDB 10.11.19", 512 << 20)
    assert header.capacity == (512 << 20) - 12288


@pytest.mark.parametrize(
    ("word", "key", "error", "text"),
    [
        (0x50485953, 0, UnsupportedServer, "10.5 to 10.7"),
        (103, 0, UnsupportedServer, "10.3"),
        (0x80000067, 0, UnsupportedServer, "encrypted"),
        (0xD0485953, 0, UnsupportedServer, "encrypted"),
        (0x50687973, 1, UnsupportedServer, "encrypted"),
        (0xF09F979D, 0, UnsupportedServer, "encrypted"),
        (0x50687974, 0, UnknownFormat, "0x50687974"),
        (6, 0, UnknownFormat, "unknown"),
    ],
)
def test_any_other_format_is_refused_by_name(word: int, key: int, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        redo.parse_header(redo_log.render_header(12288, word, key=key), 8 << 20, "log")


@pytest.mark.parametrize("position", [4, 9, 20, 300, 508, 511])
def test_every_damaged_byte_of_the_header_is_noticed(position: int) -> None:
    head = bytearray(redo_log.render_header(12288))
    head[position] ^= 1
    with pytest.raises(RedoCorrupt):
        redo.parse_header(head, 8 << 20, "log")


def test_a_header_below_the_smallest_lsn_or_of_a_short_file_is_refused() -> None:
    with pytest.raises(RedoCorrupt, match="first LSN 12287"):
        redo.parse_header(redo_log.render_header(12287), 8 << 20, "log")
    with pytest.raises(RedoCorrupt, match="too short"):
        redo.parse_header(redo_log.render_header(12288), 12288, "log")


def test_the_newer_valid_checkpoint_is_taken() -> None:
    old, new = redo_log.render_checkpoint(20000, 21000), redo_log.render_checkpoint(30000, 30000)
    assert redo_10_8.newest_checkpoint(_head(old, new), HEADER) == redo_format.MariadbCheckpoint(30000, 30000)
    assert redo_10_8.newest_checkpoint(_head(new, old), HEADER) == redo_format.MariadbCheckpoint(30000, 30000)
    torn = new[:30] + b"\1" + new[31:]
    assert redo_10_8.newest_checkpoint(_head(old, torn), HEADER) == redo_format.MariadbCheckpoint(20000, 21000)
    assert redo_10_8.newest_checkpoint(_head(bytes(64), torn), HEADER) is None


@pytest.mark.parametrize(("lsn", "end_lsn"), [(12287, 20000), (20000, 19999), (0, 0)])
def test_an_impossible_checkpoint_is_not_valid(lsn: int, end_lsn: int) -> None:
    assert redo_10_8.parse_checkpoint(redo_log.render_checkpoint(lsn, end_lsn), HEADER) is None


@pytest.mark.parametrize("position", range(64))
def test_every_damaged_byte_of_a_checkpoint_is_noticed(position: int) -> None:
    block = bytearray(redo_log.render_checkpoint(20000, 21000))
    block[position] ^= 0x10
    assert redo_10_8.parse_checkpoint(block, HEADER) is None


# --- where things are


def test_offsets_wrap_behind_the_capacity() -> None:
    capacity = HEADER.capacity
    assert HEADER.offset(12288) == 12288
    assert HEADER.offset(12288 + capacity - 1) == (8 << 20) - 1
    assert HEADER.offset(12288 + capacity) == 12288
    assert HEADER.offset(12288 + 1000 * capacity + 17) == 12288 + 17


def test_the_sequence_bit_flips_at_each_lap() -> None:
    capacity = HEADER.capacity
    assert [HEADER.sequence_bit(12288 + lap * capacity) for lap in range(4)] == [1, 0, 1, 0]
    assert [HEADER.sequence_bit(12288 + lap * capacity - 1) for lap in range(1, 5)] == [1, 0, 1, 0]
    assert HEADER.lap_end(12288) == 12288 + capacity
    assert HEADER.lap_end(12288 + capacity - 1) == 12288 + capacity


def test_offsets_beyond_4_gib() -> None:
    header = redo_format.LogHeader(12288, "", 6 << 30)
    lsn = 12288 + 3 * header.capacity + (5 << 30)
    assert header.offset(lsn) == 12288 + (5 << 30)
    assert header.sequence_bit(lsn) == 0


# --- the walk


@pytest.mark.parametrize(
    "size",
    [2, 3, 15, 16, 17, 20, 143, 144, 145, 16511, 16527, 16528, 16529, 2113679, 2113680, 2113681],
)
def test_records_of_every_form_of_length(size: int) -> None:
    data = mtr(record(size), record(5)) + mtr(record(2))
    assert walk(data) == redo_format.MariadbWalk(len(data), 2, redo_format.MariadbWalkEnd.WINDOW)


def test_a_record_of_270_mib_is_stepped_over_by_its_length() -> None:
    assert redo_10_8._long_record_size(redo_log.varint(0x10204080 + 7), 0) == 0x10204080 + 7 + 16


def test_real_bytes_of_a_server_are_understood() -> None:
    window = bytearray(REAL_MTR)
    lap = 12288 + HEADER.capacity
    assert redo_10_8.walk(window, lap, HEADER) == redo_format.MariadbWalk(
        len(REAL_MTR), 1, redo_format.MariadbWalkEnd.WINDOW
    )
    assert window[-5] == 1
    assert window[:-5] + window[-4:] == REAL_MTR[:-5] + REAL_MTR[-4:]
    assert redo_10_8.walk(bytearray(REAL_MTR), 12288, HEADER) == redo_format.MariadbWalk(
        0, 0, redo_format.MariadbWalkEnd.SEQUENCE
    )


def test_a_first_byte_below_2_is_the_end_of_the_log() -> None:
    good = mtr(record(9))
    for rest in (bytes(100), b"\x01" * 100):
        assert walk(good + rest) == redo_format.MariadbWalk(len(good), 1, redo_format.MariadbWalkEnd.EMPTY)


def test_the_marker_of_another_lap_is_the_end_of_the_log() -> None:
    good = mtr(record(9))
    assert walk(good + mtr(record(9), bit=0)) == redo_format.MariadbWalk(
        len(good), 1, redo_format.MariadbWalkEnd.SEQUENCE
    )


def test_every_truncation_is_an_incomplete_mini_transaction() -> None:
    first, second = mtr(record(9)), mtr(record(7), record(200), record(16))
    for size in range(len(second)):
        assert walk(first + second[:size]) == redo_format.MariadbWalk(len(first), 1, redo_format.MariadbWalkEnd.WINDOW)


def test_the_limit_is_the_first_boundary_at_or_after_it() -> None:
    one = mtr(record(9))
    for limit in range(1, 3 * len(one) + 1):
        walked = walk(4 * one, limit=12288 + limit)
        assert walked.end is redo_format.MariadbWalkEnd.LIMIT
        assert walked.size == -(-limit // len(one)) * len(one)
    assert walk(2 * one, limit=12288) == redo_format.MariadbWalk(0, 0, redo_format.MariadbWalkEnd.LIMIT)
    assert walk(2 * one, limit=12288 + 3 * len(one)) == redo_format.MariadbWalk(
        2 * len(one), 2, redo_format.MariadbWalkEnd.WINDOW
    )


@pytest.mark.parametrize("before", range(17))
def test_a_mini_transaction_across_the_wrap_has_the_bit_of_its_marker(before: int) -> None:
    """``before`` bytes of a mini-transaction of 16 are at the end of the file."""
    lsn = HEADER.lap_end(12288) - before
    bit = 1 if before > 11 else 0
    data = mtr(record(11), bit=bit) + mtr(record(5), bit=0)
    window = bytearray(data)
    assert redo_10_8.walk(window, lsn, HEADER) == redo_format.MariadbWalk(
        len(data), 2, redo_format.MariadbWalkEnd.WINDOW
    )
    assert window == mtr(record(11)) + mtr(record(5))
    wrong = mtr(record(11), bit=1 - bit)
    assert redo_10_8.walk(bytearray(wrong), lsn, HEADER).end is redo_format.MariadbWalkEnd.SEQUENCE


def test_a_wrapping_log_becomes_a_linear_one(tmp_path: Path) -> None:
    log = SyntheticLog(tmp_path / "log", 12288 + 1000)
    header = redo_format.LogHeader(12288, "", log.file_size)
    position, copied = log.lsn, bytearray()
    for number in range(500):
        log.append(record(2 + number % 90, fill=number % 256), record(17))
        ring = os.pread(log.descriptor, log.capacity, 12288)
        offset = (position - 12288) % log.capacity
        window = bytearray(ring[offset:] + ring[:offset])
        walked = redo_10_8.walk(window, position, header)
        copied += window[: walked.size]
        position += walked.size
        assert position == log.lsn
    assert copied == log.linear
    assert log.lsn > 12288 + 30 * log.capacity


sizes = st.lists(st.one_of(st.integers(2, 40), st.integers(100, 700)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(sizes, min_size=1, max_size=8), st.data())
def test_a_flipped_bit_ends_the_walk_before_it(layout: list[list[int]], data: st.DataObject) -> None:
    """Whatever one bit is flipped, nothing from its mini-transaction on is taken for good."""
    mtrs = [mtr(*(record(size) for size in each)) for each in layout]
    whole = b"".join(mtrs)
    assert walk(whole) == redo_format.MariadbWalk(len(whole), len(mtrs), redo_format.MariadbWalkEnd.WINDOW)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    start = 0
    for each in mtrs:
        if start + len(each) > bit // 8:
            break
        start += len(each)
    assert redo_10_8.walk(damaged, 12288, HEADER).size == start


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.integers(12288, 1 << 60))
def test_arbitrary_bytes_never_break_the_walk(data: bytes, lsn: int) -> None:
    walked = redo_10_8.walk(bytearray(data), lsn, HEADER)
    assert 0 <= walked.size <= len(data)


# --- FILE_CHECKPOINT


def test_file_checkpoint_alone_and_behind_names() -> None:
    checkpoint = redo_format.MariadbCheckpoint(20000, 30000)
    alone = mtr(redo_log.file_checkpoint(20000))
    assert len(alone) == redo_10_8.FILE_CHECKPOINT_MTR_SIZE
    assert redo_10_8.file_checkpoint_size(bytearray(alone + bytes(99)), HEADER, checkpoint) == len(alone)
    names = [redo_log.name_record(number, f"./db/t{number}.ibd") for number in range(1, 50)]
    together = mtr(*names, redo_log.file_checkpoint(20000))
    assert redo_10_8.file_checkpoint_size(bytearray(together + alone), HEADER, checkpoint) == len(together)
    several = mtr(*names[:20]) + mtr(*names[20:]) + alone
    assert redo_10_8.file_checkpoint_size(bytearray(several), HEADER, checkpoint) == len(several)


def test_file_checkpoint_of_another_checkpoint_or_damaged_is_not_found() -> None:
    checkpoint = redo_format.MariadbCheckpoint(20000, 30000)
    assert redo_10_8.file_checkpoint_size(bytearray(mtr(redo_log.file_checkpoint(20001))), HEADER, checkpoint) is None
    damaged = bytearray(mtr(redo_log.file_checkpoint(20000)))
    damaged[-1] ^= 1
    assert redo_10_8.file_checkpoint_size(damaged, HEADER, checkpoint) is None
    inside = mtr(b"\x3d" + b"x" + redo_log.file_checkpoint(20000) + b"x", record(3))
    assert redo_10_8.file_checkpoint_size(bytearray(inside), HEADER, checkpoint) is None


# --- writing


@pytest.mark.parametrize(
    ("version", "creator"),
    [
        ("10.11.19-MariaDB-0+deb12u1-log", "Backup 10.11.19"),
        ("11.4.2", "Backup 11.4.2"),
        ("1" * 60, "Backup " + "1" * 24),
    ],
)
def test_the_backup_header_reads_back(version: str, creator: str) -> None:
    data = redo_10_8.render_backup_header(redo_format.MariadbCheckpoint(763404396, 763404999), version)
    assert len(data) == 12288
    header = redo.parse_header(data, len(data) + 16, "ib_logfile0")
    assert (header.first_lsn, header.creator) == (763404396, creator)
    assert redo_10_8.newest_checkpoint(data, header) == redo_format.MariadbCheckpoint(763404396, 763404999)
    assert not any(data[8192:])
    assert header.offset(763404396) == 12288
    assert data[:8] == b"Phys\0\0\0\0"


def test_only_what_ends_before_the_last_block_is_stable() -> None:
    one = mtr(record(9))
    data = (3 * 4096 // len(one)) * one
    walked = walk(data)
    assert walked.size == len(data)
    last_block = (len(data) - 1) // 4096 * 4096
    assert last_block - len(one) < walked.stable <= last_block
    assert walked.stable % len(one) == 0
    assert walk(one).stable == 0
