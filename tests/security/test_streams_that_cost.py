# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small streams that would cost hours or gigabytes; and that those of backups never meet what stops them."""

from __future__ import annotations

import importlib
import io
import itertools
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import StreamCorrupt
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import buffers, cipher, xbstream
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import CODECS
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import Extractor, verify_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.xbstream import (
    TYPE_END,
    TYPE_PAYLOAD,
    TYPE_SPARSE,
    Chunk,
    EntryLedger,
)
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.streams import end, payload, sparse

KEY = bytes(range(32))
HOLE = xbstream.MAX_SPARSE_LENGTH
BACKUP = b"".join(payload(name, 0, b"x") + end(name) for name in (b"xtrabackup_checkpoints", b"xtrabackup_info"))


def verify(path: Path, stream: bytes) -> None:
    path.write_bytes(stream)
    verify_archive(source_at(path), ExtractOptions(require_manifest=False))


# --- holes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [1, 500])
def test_thousands_of_huge_holes_in_a_few_bytes_are_refused_and_not_digested(tmp_path: Path, chunks: int) -> None:
    count, stream = 1000 // chunks, b""
    for number in range(chunks):
        stream += sparse(b"t.ibd", number * (HOLE * count + 1), [(HOLE, 0)] * (count - 1) + [(HOLE, 1)], b"x")
    stream += end(b"t.ibd") + BACKUP
    assert len(stream) < 40 << 10
    with pytest.raises(StreamCorrupt, match="entry t.ibd.*holes of [0-9]+ bytes"):
        verify(tmp_path / "archive", stream)
    with pytest.raises(StreamCorrupt, match="holes of"):
        list_archive(source_at(tmp_path / "archive"))


def test_holes_of_many_entries_count_together(tmp_path: Path) -> None:
    names = [b"t%d.ibd" % number for number in range(500)]
    stream = b"".join(sparse(name, 0, [(HOLE, 0)], b"") + end(name) for name in names)
    with pytest.raises(StreamCorrupt, match="holes of"):
        verify(tmp_path / "archive", stream + BACKUP)


@pytest.mark.parametrize("page_size", [4 << 10, 16 << 10, 64 << 10])
def test_a_tablespace_that_is_nearly_empty_has_no_holes_that_are_refused(page_size: int) -> None:
    """Of all pages only the two at the beginning of each group that describes extents hold anything, a block each."""
    ledger, offset, group = EntryLedger(), 0, page_size**2
    for number in range(2000):
        holes = ((0, 4096), (page_size - 4096, 4096), (group - page_size - 4096, 0))
        ledger.accept(Chunk("t.ibd", TYPE_SPARSE, number, offset, ranges=holes, length=8192), "the stream")
        offset += group
    # just made longer
    ledger.accept(Chunk("t.ibd", TYPE_SPARSE, 0, offset, ranges=((HOLE, 0),)), "the stream")
    ledger.accept(Chunk("t.ibd", TYPE_END), "the stream")
    assert ledger.finish("the stream") == {"t.ibd": offset + HOLE}


def test_chunks_with_many_ranges_wait_for_the_workers_as_many_chunks_do() -> None:
    extract = importlib.import_module(Extractor.__module__)
    ranges = ((0, 1),) * xbstream.MAX_SPARSE_RANGES
    assert extract._weight(Chunk("t.ibd", TYPE_SPARSE, ranges=ranges)) > extract._MAX_QUEUED
    assert extract._weight(Chunk("t.ibd", TYPE_PAYLOAD)) == 1


# --- entries -------------------------------------------------------------------------------------


def test_entries_without_end_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(xbstream, "MAX_ENTRIES", 5000)
    names = [b"t%d" % number for number in range(5001)]
    with pytest.raises(StreamCorrupt, match="more than 5000 entries"):
        verify(tmp_path / "archive", b"".join(map(end, names)))
    with pytest.raises(StreamCorrupt, match="more than 5000 entries"):
        list_archive(source_at(tmp_path / "archive"))


def test_more_incomplete_entries_than_any_writer_has_are_refused(tmp_path: Path) -> None:
    stream = b"".join(payload(b"t%d" % number, 0, b"") for number in range(1001))
    for read in (lambda: verify(tmp_path / "archive", stream), lambda: list_archive(source_at(tmp_path / "archive"))):
        with pytest.raises(StreamCorrupt, match="more than 1000 entries are incomplete at once"):
            read()


def test_the_limit_of_entries_is_beyond_what_a_manifest_can_name() -> None:
    shortest = b'  {\n   "digest": "%032d",\n   "path": "a",\n   "size": 1\n  },\n' % 0
    assert manifests.MAX_BYTES // len(shortest) > xbstream.MAX_ENTRIES
    assert manifests.MAX_BYTES // (len(shortest) + 60) < xbstream.MAX_ENTRIES  # a database and a table


def test_twenty_thousand_tables_are_an_archive_like_any_other(tmp_path: Path) -> None:
    stream = b"".join(payload(b"db/t%d.ibd" % n, 0, b"data") + end(b"db/t%d.ibd" % n) for n in range(20_000))
    verify(tmp_path / "archive", stream + BACKUP)


# --- decoders ------------------------------------------------------------------------------------


def zstd_of_zeros(window: int, size: int) -> bytes:
    """The beginning of a frame that asks for ``window`` bytes (a power of two) and unpacks to ``size``: 4 bytes a
    block."""
    blocks = size // (128 << 10)
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(window.bit_length() - 11) << 3]) + b"\x02\0\x10\0" * blocks


def lz4_of_zeros() -> bytes:
    """The beginning of a frame with blocks of 4 MiB."""
    frame: bytes = importlib.import_module("lz4.frame").compress(bytes(4 << 20), block_size=7, block_linked=False)
    return frame[:180]


def bombs(kind: str) -> bytes:
    """Entries that never go on after what has made their decoders large."""
    frame = zstd_of_zeros(32 << 20, 32 << 20) if kind == "zst" else lz4_of_zeros()
    names = [b"t%d.ibd.%s" % (number, kind.encode()) for number in range(12 if kind == "zst" else 60)]
    return b"".join(payload(name, 0, frame) for name in names)


@pytest.mark.parametrize("kind", ["zst", "lz4"])
def test_a_few_kilobytes_never_take_a_decoder_window_for_each_entry(tmp_path: Path, kind: str) -> None:
    stream = bombs(kind)
    assert len(stream) < 14 << 10
    with pytest.raises(StreamCorrupt, match=r"t[0-9]+\.ibd.*bytes of memory"):
        verify(tmp_path / "archive", stream)


def test_the_memory_that_a_hostile_stream_takes_is_bounded(tmp_path: Path) -> None:
    frame = zstd_of_zeros(32 << 20, 32 << 20)
    (tmp_path / "archive").write_bytes(b"".join(payload(b"t%d.ibd.zst" % n, 0, frame) for n in range(40)))
    script = (
        "import resource, sys\n"
        "from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at\n"
        "from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import extract\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    wanted = extract.ExtractOptions(require_manifest=False)\n"
        "    extract.verify_archive(source_at(sys.argv[1]), wanted)\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "archive")],
        check=True,
        capture_output=True,
        text=True,
        env=same_imports(),
    )
    kind, kibibytes = run.stdout.split()
    assert kind == "StreamCorrupt"
    # the budget, and for each of two workers one more window
    assert int(kibibytes) << 10 < buffers.MAX_DECODERS + 3 * (33 << 20)


def test_encrypted_chunks_that_never_end_are_part_of_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "MAX_DECODERS", 4 << 20)
    encrypted = b"".join(map(bytes, cipher.Encryptor(KEY).encrypt(bytes(1 << 20))))
    extractor = Extractor(None, ExtractOptions(decrypt_key=KEY, require_manifest=False))
    extractor._memory = buffers.DecoderMemory(4 << 20)
    stream = b"".join(payload(b"t%d.ibd.xbcrypt" % number, 0, encrypted[:-1]) for number in range(6))
    with pytest.raises(StreamCorrupt, match="bytes of memory"):
        extractor.run([extractor.reader(io.BytesIO(stream), "the stream")])
        extractor.finish()
    extractor.abort(StreamCorrupt("over"))


Writer = Callable[[bytes], bytes]


def ours(kind: str) -> Writer:
    compressor = next(codec for codec in CODECS.values() if f".{kind}" == codec.SUFFIX)(1)
    return compressor.compress


def foreign(level: int, window_log: int) -> Writer:
    """As the program zstd writes to a pipe: one frame of unknown size for a whole file."""

    def write(data: bytes) -> bytes:
        zstandard: Any = importlib.import_module("zstandard")
        settings = zstandard.ZstdCompressionParameters.from_level(level, window_log=window_log)
        stream = zstandard.ZstdCompressor(compression_params=settings).compressobj()
        return bytes(stream.compress(data) + stream.flush())

    return write


def interleaved(entries: dict[bytes, bytes], step: int) -> Iterator[bytes]:
    """The chunks of all ``entries`` in turns, as that many parallel writers make them, then their ends."""
    positions: Iterable[int] = range(0, max(map(len, entries.values())), step)
    for at, (name, data) in itertools.product(positions, entries.items()):
        if at < len(data):
            yield payload(name, at, data[at : at + step])
    yield from map(end, entries)


@pytest.mark.parametrize(
    ("suffix", "writer", "size", "count"),
    [
        ("zst", ours("zst"), 1, 128),
        ("lz4", ours("lz4"), 1, 128),
        ("zst", foreign(1, 19), 2, 128),
        ("zst", foreign(1, 23), 10, 24),
    ],
    ids=["ours, zstd", "ours, lz4", "program zstd", "program zstd at its highest level"],
)
def test_many_parallel_writers_of_a_backup_never_meet_the_budget(
    tmp_path: Path, suffix: str, writer: Writer, size: int, count: int
) -> None:
    """Cut in the middle of frames, all entries incomplete at once."""
    data = writer(random.Random(1).randbytes(64 << 10) * 16 * size) * 2
    entries = {b"db/t%d.ibd.%s" % (number, suffix.encode()): data for number in range(count)}
    verify(tmp_path / "archive", b"".join(interleaved(entries, len(data) // 5 + 1)) + BACKUP)
