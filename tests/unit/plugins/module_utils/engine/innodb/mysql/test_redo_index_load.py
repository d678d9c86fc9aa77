# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Index loads are found wherever they lie in the log."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_index_load import (
    IndexLoad,
    IndexLoads,
)

_DATA = 496  # bytes of a block that are not header and trailer

#: number -> as the server compresses it
COMPRESSED = {
    0: "00",
    0x7F: "7f",
    0x80: "8080",
    0x3FFF: "bfff",
    0x4000: "c04000",
    0x1FFFFF: "dfffff",
    0x200000: "e0200000",
    0xFFFFFFF: "efffffff",
    0x10000000: "f010000000",
    0xFEFFFFFF: "f0feffffff",
    0xFF000000: "fe000000",
    0xFFFE0000: "fc0000",
    0xFFFFFC00: "f800",
    0xFFFFFFFE: "fbfe",
}


def record(space: int, page: int, index: int) -> bytes:
    return b"\xbd" + bytes.fromhex(COMPRESSED[space] + COMPRESSED[page]) + index.to_bytes(8, "big")


def blocks(data: bytes) -> bytes:
    data = data.ljust(-(-len(data) // _DATA) * _DATA, b"\x11")
    return b"".join(b"h" * 12 + data[at : at + _DATA] + b"tail" for at in range(0, len(data), _DATA))


@pytest.mark.parametrize("space", COMPRESSED)
def test_a_record_of_any_tablespace_is_found(space: int) -> None:
    loads = IndexLoads()
    loads.feed(blocks(b"\x55" * 100 + record(space, 0x4000, 4711) + b"\x55" * 100), 512)
    assert loads.found == [IndexLoad(space, 0x4000, 4711, 512)]


@pytest.mark.parametrize("at", range(_DATA - 20, _DATA + 1))
def test_a_record_across_blocks_and_reads_is_found(at: int) -> None:
    data = b"\xbd" * at + record(0x10000000, 0x200000, 4711)
    whole = blocks(data + bytes(2 * _DATA - len(data)))
    together, apart, peeked = IndexLoads(), IndexLoads(), IndexLoads()
    together.feed(whole, 1024)
    apart.feed(whole[:512], 512)
    apart.feed(whole[512:], 1024)
    peeked.feed(whole[:512], 512)
    peeked.peek(whole[512 : 512 + 12 + len(data) - _DATA] if len(data) > _DATA else whole[512:524], 1000)
    for loads in (together, apart, peeked):
        found = {(load.space_id, load.page_no) for load in loads.found if load.index_id == 4711}
        assert found == {(0x10000000, 0x200000)}


def test_records_that_overlap_what_only_looks_like_one_are_found() -> None:
    loads = IndexLoads()
    loads.feed(blocks(b"\xbd\xbd" + record(0, 0x7F, 1) + record(0x80, 0x80, 2)), 512)
    assert {IndexLoad(0, 0x7F, 1, 512), IndexLoad(0x80, 0x80, 2, 512)} <= set(loads.found)
