# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The xbstream container: what is written, what is read, and what is refused."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    StreamCorrupt,
    StreamError,
    StreamTruncated,
    UnknownFormat,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import xbstream
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.xbstream import ChunkReader, EntryLedger
from ansible_collections.innodb.xtrabackup.tests.support.streams import ShortSource, end, head, payload, sparse

NAME = "the archive"


def read_all(data: bytes, *, most: int = 1 << 20, seed: int = 0) -> dict[str, bytes]:
    """All files of a stream, through the reader and the ledger."""
    files: dict[str, bytearray] = {}
    ledger = EntryLedger()
    for chunk in ChunkReader(ShortSource(data, seed, most), NAME):
        ledger.accept(chunk, NAME)
        content = files.setdefault(chunk.path, bytearray())
        at = 0
        for hole, length in chunk.ranges or ((0, chunk.length),):
            content += bytes(hole) + chunk.payload[at : at + length]
            at += length
    sizes = ledger.finish(NAME)
    assert sizes == {path: len(content) for path, content in files.items()}
    return {path: bytes(content) for path, content in files.items()}


def render(path: str, offset: int, *parts: bytes) -> bytes:
    return b"".join(xbstream.render_payload(xbstream.encode_path(path), offset, list(parts)))


def test_payload_chunk_has_the_documented_layout() -> None:
    expected = b"XBSTCK01\0P\x04\0\0\0db/t" + struct.pack("<QQI", 5, 7, zlib.crc32(b"hello")) + b"hello"
    assert render("db/t", 7, b"hel", b"lo") == expected
    assert payload(b"db/t", 7, b"hello") == expected


def test_end_chunk_has_the_documented_layout() -> None:
    assert xbstream.render_end(b"db/t") == b"XBSTCK01\0E\x04\0\0\0db/t"


def test_payload_is_not_copied_when_a_chunk_is_rendered() -> None:
    data = memoryview(bytearray(10))
    assert xbstream.render_payload(b"x", 0, [data])[1] is data


@settings(max_examples=60, deadline=None)
@given(
    files=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="/\0."), min_size=1, max_size=20),
        st.lists(st.binary(max_size=3000), max_size=5),
        max_size=6,
    ),
    order=st.randoms(use_true_random=False),
    most=st.sampled_from([1, 3, 100, 70_000]),
)
def test_interleaved_files_are_read_as_they_were_written_however_short_the_reads(
    files: dict[str, list[bytes]], order: random.Random, most: int
) -> None:
    pending = {path: list(parts) for path, parts in files.items()}
    offsets = dict.fromkeys(files, 0)
    stream = b""
    while pending:
        path = order.choice(sorted(pending))
        if pending[path]:
            part = pending[path].pop(0)
            stream += render(path, offsets[path], part)
            offsets[path] += len(part)
        else:
            stream += xbstream.render_end(xbstream.encode_path(path))
            del pending[path]
    assert read_all(stream, most=most) == {path: b"".join(parts) for path, parts in files.items()}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_behind_a_valid_chunk_never_crash_the_reader(garbage: bytes) -> None:
    try:
        read_all(payload(b"f", 0, b"x") + end(b"f") + garbage)
    except XtrabackupError:
        return
    assert garbage == b"" or garbage.startswith(xbstream.MAGIC)


def test_names_that_are_no_text_survive() -> None:
    (chunk,) = ChunkReader(io.BytesIO(end(b"db/\xff\xfe.ibd")), NAME)
    assert xbstream.encode_path(chunk.path) == b"db/\xff\xfe.ibd"


def test_a_leading_dot_slash_is_taken_off() -> None:
    assert read_all(payload(b"./db/t.ibd", 0, b"1") + end(b"./db/t.ibd")) == {"db/t.ibd": b"1"}


STREAM = payload(b"db/t.ibd", 0, b"first part") + payload(b"db/t.ibd", 10, b"second") + end(b"db/t.ibd")
#: field of the first chunk: offset in the stream, bytes
FIELDS = {
    "magic": (0, 8),
    "type": (9, 1),
    "path length": (10, 4),
    "payload length": (22, 8),
    "offset": (30, 8),
    "checksum": (38, 4),
    "payload": (42, 10),
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_flipped_bit_of_a_field_is_detected(field: str) -> None:
    start, length = FIELDS[field]
    for bit in range(8 * length):
        damaged = bytearray(STREAM)
        damaged[start + bit // 8] ^= 1 << bit % 8
        with pytest.raises((StreamError, UnknownFormat)) as caught:
            read_all(bytes(damaged))
        assert NAME in caught.value.message


def test_a_flipped_bit_of_a_name_makes_two_incomplete_files() -> None:
    for bit in range(8 * len(b"db/t.ibd")):
        damaged = bytearray(STREAM)
        damaged[14 + bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            read_all(bytes(damaged))


def test_flags_that_are_not_known_are_refused_and_known_ones_change_nothing() -> None:
    for bit in range(8):
        stream = payload(b"f", 0, b"x", flags=1 << bit) + end(b"f")
        if bit < 2:
            assert read_all(stream) == {"f": b"x"}
        else:
            with pytest.raises(StreamCorrupt, match="flags"):
                read_all(stream)


def test_damage_is_reported_with_offset_and_entry() -> None:
    damaged = bytearray(STREAM)
    damaged[FIELDS["payload"][0]] ^= 1
    with pytest.raises(StreamCorrupt, match=r"the archive: at offset 0 \(entry db/t.ibd\): .*checksum") as caught:
        read_all(bytes(damaged))
    assert caught.value.details == {"where": NAME, "offset": 0, "entry": "db/t.ibd"}


def test_truncation_anywhere_is_an_error() -> None:
    first_end = len(payload(b"db/t.ibd", 0, b"first part"))
    for length in range(1, len(STREAM)):
        with pytest.raises(StreamTruncated):
            read_all(STREAM[:length])
    with pytest.raises(StreamTruncated, match="db/t.ibd"):
        read_all(STREAM[:first_end])


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/passwd",
        b"../x",
        b"a/../../x",
        b"a/..",
        b"a//b",
        b"a/./b",
        b".",
        b"./",
        b"./../x",
        b"a\0b",
        b"a/",
        b".//x/..",
    ],
)
def test_names_that_leave_the_directory_are_refused(path: bytes) -> None:
    with pytest.raises(StreamCorrupt, match="unsafe file name"):
        read_all(payload(path, 0, b"x") + end(path))


@pytest.mark.parametrize(("length", "fits"), [(1, True), (511, True), (512, False), (0, False)])
def test_names_have_1_to_511_bytes(length: int, fits: bool) -> None:
    stream = end(b"n" * length)
    if fits:
        assert read_all(stream) == {"n" * length: b""}
        assert xbstream.encode_path("n" * length) == b"n" * length
    else:
        with pytest.raises(StreamCorrupt, match="file name"):
            read_all(stream)
        with pytest.raises(StreamCorrupt, match="cannot be stored"):
            xbstream.encode_path("n" * length)


@pytest.mark.parametrize("length", [xbstream.MAX_PAYLOAD + 1, 1 << 40, (1 << 64) - 1])
def test_a_huge_length_is_refused_before_memory_is_taken(length: int) -> None:
    def allocate(size: int) -> memoryview:
        raise AssertionError(size)

    stream = head(b"f", b"P") + struct.pack("<QQI", length, 0, 0)
    with pytest.raises(StreamCorrupt, match="at most"):
        list(ChunkReader(io.BytesIO(stream), NAME, allocate=allocate))


def test_a_length_beyond_the_end_is_a_truncated_stream() -> None:
    stream = head(b"f", b"P") + struct.pack("<QQI", 1000, 0, 0) + b"only this"
    with pytest.raises(StreamTruncated, match=r"in the chunk that begins at 0 \(entry f\)"):
        read_all(stream)


def test_an_offset_beyond_any_file_is_refused() -> None:
    stream = head(b"f", b"P") + struct.pack("<QQI", 1, (1 << 64) - 1, zlib.crc32(b"x")) + b"x"
    with pytest.raises(StreamCorrupt, match="beyond the end of any file"):
        read_all(stream)


def test_sparse_chunks_of_percona_xtrabackup_are_read() -> None:
    stream = (
        sparse(b"t.ibd", 0, [(0, 4), (12, 3), (5, 0)], b"headabc")
        + payload(b"t.ibd", 24, b"plain")
        + sparse(b"t.ibd", 29, [(2, 1)], b"x")
        + end(b"t.ibd")
    )
    assert read_all(stream) == {"t.ibd": b"head" + bytes(12) + b"abc" + bytes(5) + b"plain" + bytes(2) + b"x"}


def test_sparse_chunk_has_the_documented_layout() -> None:
    sparse_map = bytes.fromhex("00000000 04000000 0c000000 03000000 05000000 00000000")
    checksum = zlib.crc32(sparse_map + b"headabc").to_bytes(4, "little")
    expected = (
        b"XBSTCK01\0S\x05\0\0\0t.ibd"
        + bytes.fromhex("03000000 0700000000000000 0010000000000000")
        + checksum
        + sparse_map
        + b"headabc"
    )
    written = xbstream.render_sparse(b"t.ibd", 4096, [(0, 4), (12, 3), (5, 0)], [b"hea", memoryview(b"dabc")])
    assert b"".join(written) == expected == sparse(b"t.ibd", 4096, [(0, 4), (12, 3), (5, 0)], b"headabc")


@settings(max_examples=100)
@given(
    chunks=st.lists(
        st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=300)), min_size=1, max_size=20), max_size=5
    )
)
def test_sparse_chunks_are_read_as_they_were_written(chunks: list[list[tuple[int, bytes]]]) -> None:
    stream, content = b"", b""
    for pieces in chunks:
        ranges = [(hole, len(data)) for hole, data in pieces]
        stream += b"".join(xbstream.render_sparse(b"t", len(content), ranges, [data for _hole, data in pieces]))
        content += b"".join(bytes(hole) + data for hole, data in pieces)
    assert read_all(stream + end(b"t"), most=777) == ({"t": content})


@pytest.mark.parametrize(
    "ranges",
    [[], [(0, 1)] * (xbstream.MAX_SPARSE_RANGES + 1), [(1 << 32, 4)], [(0, 3)], [(0, 4), (0, 1)]],
    ids=["none", "too many", "too long", "less than the payload", "more than the payload"],
)
def test_ranges_that_no_reader_would_take_are_not_written(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="ranges"):
        xbstream.render_sparse(b"t", 0, ranges, [b"four"])


def test_the_most_ranges_are_written_and_read() -> None:
    count = xbstream.MAX_SPARSE_RANGES
    stream = b"".join(xbstream.render_sparse(b"t", 0, [(1, 1)] * count, [b"x" * count])) + end(b"t")
    assert read_all(stream) == {"t": b"\0x" * count}


def test_holes_beyond_the_end_of_any_file_are_refused() -> None:
    stream = sparse(b"t", xbstream.MAX_OFFSET - 5000, [(5000, 1)], b"x") + end(b"t")
    with pytest.raises(StreamCorrupt, match="beyond the end of any file"):
        read_all(stream)


def test_a_sparse_chunk_that_is_cut_off_is_a_truncated_stream() -> None:
    stream = sparse(b"t", 0, [(4096, 4), (12, 3)], b"dataabc")
    for size in range(len(stream) - 1, 0, -1):
        with pytest.raises(StreamTruncated):
            read_all(stream[:size])


def test_the_map_of_a_sparse_chunk_is_part_of_its_checksum() -> None:
    stream = bytearray(sparse(b"t", 0, [(4, 4), (8, 4)], b"datadata") + end(b"t"))
    at = len(head(b"t", b"S")) + 24
    stream[at] ^= 1  # the first hole
    with pytest.raises(StreamCorrupt, match="checksum"):
        read_all(bytes(stream))


@pytest.mark.parametrize("ranges", [[(0, 3)], [(0, 9)], [], [(0, 1)] * 70_000])
def test_a_sparse_map_must_add_up(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(StreamCorrupt, match="sparse map"):
        read_all(sparse(b"t", 0, ranges, b"four") + end(b"t"))


def test_chunks_that_only_mariadb_knows_are_refused_by_name() -> None:
    whole = payload(b"t", 0, b"x") + end(b"t")
    seek = head(b"u", b"S") + struct.pack("<Q", 4096)
    rename = head(b"t", b"R") + struct.pack("<I", 1) + b"u"
    for stream, word in (
        (seek + whole + whole, "seek"),
        (rename + whole, "rename"),
        (head(b"t", b"D") + whole, "remove"),
    ):
        with pytest.raises(UnknownFormat, match=f"MariaDB {word} chunk"):
            read_all(stream)


def test_an_unknown_type_is_refused_unless_it_says_that_it_may_be_ignored() -> None:
    whole = payload(b"t", 0, b"x") + end(b"t")
    with pytest.raises(StreamCorrupt, match="unknown chunk type 'Q'"):
        read_all(payload(b"t", 0, b"?", kind=b"Q") + whole)
    assert read_all(payload(b"t", 0, b"?", kind=b"Q", flags=1) + whole) == {"t": b"x"}


@pytest.mark.parametrize(
    "stream",
    [
        payload(b"t", 0, b"abc") + payload(b"t", 2, b"c") + end(b"t"),
        payload(b"t", 0, b"abc") + payload(b"t", 4, b"e") + end(b"t"),
        payload(b"t", 3, b"abc") + end(b"t"),
        payload(b"t", 0, b"abc") + end(b"t") + end(b"t"),
        payload(b"t", 0, b"abc") + end(b"t") + payload(b"t", 0, b"abc") + end(b"t"),
        end(b"t") + payload(b"./t", 0, b"abc") + end(b"./t"),
    ],
)
def test_chunks_out_of_order_and_names_used_twice_are_refused(stream: bytes) -> None:
    with pytest.raises(StreamCorrupt, match=r"lost or reordered|occurs twice"):
        read_all(stream)


def test_chunks_larger_than_the_stock_tools_write_are_read() -> None:
    data = bytes(30 << 20)
    assert read_all(payload(b"t", 0, data) + end(b"t"), most=1 << 24) == {"t": data}


def test_payloads_that_are_not_wanted_are_skipped_unread() -> None:
    stream = payload(b"big", 0, bytes(1 << 20)) + payload(b"small", 0, b"wanted") + end(b"big") + end(b"small")
    source = io.BytesIO(stream)
    skipped = []

    def skip(count: int) -> None:
        skipped.append(count)
        source.seek(count, io.SEEK_CUR)

    reader = ChunkReader(source, NAME, skip=skip, wanted=lambda path: path == "small")
    chunks = list(reader)
    assert [(chunk.path, chunk.kind, bytes(chunk.payload), chunk.length) for chunk in chunks] == [
        ("big", "P", b"", 1 << 20),
        ("small", "P", b"wanted", 6),
        ("big", "E", b"", 0),
        ("small", "E", b"", 0),
    ]
    assert sum(skipped) > (1 << 20) - (128 << 10)
    assert reader.position == len(stream)
