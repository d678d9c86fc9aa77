# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""zstd and lz4: frames that stand alone, input cut anywhere, bounded output, damage detected."""

from __future__ import annotations

import random

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    InvalidOption,
    StreamCorrupt,
    StreamError,
    StreamTruncated,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import (
    CODECS,
    OUTPUT_STEP,
    Compression,
    Lz4,
    Zstd,
)

ALGORITHMS = sorted(CODECS)
MIXED = random.Random(3).randbytes(200_000) + bytes(300_000) + b"a page of text " * 20_000


def unpack(algorithm: str, data: bytes, step: int | None = None) -> bytes:
    decoder = CODECS[algorithm].decompressor("t.ibd" + CODECS[algorithm].SUFFIX)
    step = step or max(len(data), 1)
    output = [bytes(part) for at in range(0, len(data), step) for part in decoder.feed(data[at : at + step])]
    decoder.finish()
    return b"".join(output)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=30, deadline=None)
@given(blocks=st.lists(st.binary(max_size=5000), max_size=4), step=st.sampled_from([1, 2, 7, 1000, None]))
def test_frames_cut_anywhere_unpack_to_what_was_packed(algorithm: str, blocks: list[bytes], step: int | None) -> None:
    compressor = Compression(algorithm).compressor()
    packed = b"".join(compressor.compress(block) for block in blocks)
    assert unpack(algorithm, packed, step) == b"".join(blocks)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("step", [1, 3, 1000, 65_536, None])
def test_frames_of_many_blocks_unpack_whatever_the_pieces(algorithm: str, step: int | None) -> None:
    compressor = Compression(algorithm).compressor()
    packed = compressor.compress(MIXED) + compressor.compress(b"") + compressor.compress(MIXED[::-1])
    assert unpack(algorithm, packed, step) == MIXED + MIXED[::-1]


@pytest.mark.parametrize("level", [1, 3, 9, 19])
def test_zstd_frames_carry_checksum_and_size_and_stand_alone(level: int) -> None:
    compressor = Compression("zstd", level).compressor()
    for block in (MIXED, MIXED[:1000]):
        frame = compressor.compress(block)
        parameters = zstandard.get_frame_parameters(frame)
        assert parameters.content_size == len(block)
        assert parameters.has_checksum
        assert zstandard.ZstdDecompressor().decompress(frame) == block


@pytest.mark.parametrize("level", [0, 1, 9])
def test_lz4_frames_carry_checksum_and_size_and_stand_alone(level: int) -> None:
    frame = Compression("lz4", level).compressor().compress(MIXED)
    facts = lz4.frame.get_frame_info(frame)
    assert facts["content_size"] == len(MIXED)
    assert facts["content_checksum"]
    assert not facts["block_linked"]
    assert lz4.frame.decompress(frame) == MIXED


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_small_input_that_unpacks_to_much_is_unpacked_in_bounded_steps(algorithm: str) -> None:
    size = 200 << 20
    if algorithm == "zstd":
        bomb = zstandard.ZstdCompressor(level=19).compress(bytes(size))
    else:
        bomb = lz4.frame.compress(bytes(size))
    assert len(bomb) < 1 << 20
    total = largest = 0
    decoder = CODECS[algorithm].decompressor("bomb")
    for part in decoder.feed(bomb):
        total += len(part)
        largest = max(largest, len(part))
    decoder.finish()
    assert total == size
    assert largest <= OUTPUT_STEP + (256 << 10)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_entry_that_ends_in_a_frame_is_truncated(algorithm: str) -> None:
    frame = Compression(algorithm).compressor().compress(MIXED[:150_000])
    for length in [1, 4, 5, 10, len(frame) // 2, len(frame) - 5, len(frame) - 1]:
        with pytest.raises(StreamTruncated, match=r"t\.ibd"):
            unpack(algorithm, frame + frame[:length])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_damage_is_detected(algorithm: str) -> None:
    frame = Compression(algorithm).compressor().compress(MIXED[:150_000] + b"compressible " * 1000)
    source = random.Random(4)
    for _attempt in range(60):
        damaged = bytearray(frame)
        damaged[source.randrange(len(frame))] ^= 1 << source.randrange(8)
        try:
            output = unpack(algorithm, bytes(damaged))
        except StreamError as error:
            assert "t.ibd" in error.message  # noqa: PT017
        else:
            # some bits of a header mean nothing to a decoder
            assert output == MIXED[:150_000] + b"compressible " * 1000


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_something_else_is_no_frame(algorithm: str) -> None:
    with pytest.raises(StreamCorrupt):
        unpack(algorithm, b"this was never compressed by anybody")


def test_zstd_frames_that_decoders_skip_are_skipped() -> None:
    frame = Compression("zstd").compressor().compress(b"data")
    skippable = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    empty_skippable = b"\x50\x2a\x4d\x18" + bytes(4)
    for step in (1, 1000):
        assert unpack("zstd", skippable + frame + empty_skippable + frame + skippable, step) == b"datadata"


def test_zstd_frames_of_other_writers_are_read() -> None:
    for options in ({}, {"write_content_size": False}, {"write_checksum": True}, {"threads": 2}):
        stream = zstandard.ZstdCompressor(level=3, **options).compressobj()
        packed = stream.compress(MIXED) + stream.flush()
        assert unpack("zstd", packed + packed, 1000) == MIXED * 2


def test_lz4_frames_of_other_writers_are_read() -> None:
    packed = lz4.frame.compress(MIXED, block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=True, store_size=False)
    assert unpack("lz4", packed + packed, 1000) == MIXED * 2


def test_a_zstd_frame_that_wants_too_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(StreamCorrupt, match="zstd"):
        unpack("zstd", stream.compress(MIXED) + stream.flush())


@pytest.mark.parametrize(
    ("algorithm", "level", "threads"),
    [
        ("zstd", 0, 2),
        ("zstd", 20, 2),
        ("lz4", 17, 2),
        ("lz4", -1, 2),
        ("quicklz", 1, 2),
        ("zstd", 1, 0),
        ("zstd", 1, 999),
    ],
)
def test_options_out_of_range_are_refused(algorithm: str, level: int, threads: int) -> None:
    with pytest.raises(InvalidOption, match="compress"):
        Compression(algorithm, level, threads)


def test_suffixes_are_those_of_the_stock_tools() -> None:
    assert (Zstd.SUFFIX, Lz4.SUFFIX) == (".zst", ".lz4")
