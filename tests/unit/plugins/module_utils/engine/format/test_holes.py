# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zeros that end pages become holes, in directories, in sparse chunks and when archives are unpacked."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.holes import (
    BLOCK,
    PageSplitter,
    digest_zeros,
    split_pages,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import compressed_page_size
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import pack, xbstream
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink, Sink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.stream_file import (
    CHUNK_SIZE,
    EntryChunks,
    SparseStreamFile,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.xbstream import (
    TYPE_PAYLOAD,
    TYPE_SPARSE,
    Chunk,
    ChunkReader,
    EntryLedger,
)
from ansible_collections.innodb.xtrabackup.tests.support.streams import ShortSource, page_compressed, tree

#: a page, as the lengths of data and of the zeros behind it, in blocks
PAGES = st.lists(st.sampled_from([(4, 0), (3, 1), (1, 3), (0, 4)]), max_size=30)


def content_of(pages: list[tuple[int, int]]) -> bytes:
    return b"".join(b"\xa5" * (data * BLOCK) + bytes(zeros * BLOCK) for data, zeros in pages)


def allocated(path: Path) -> int:
    """Bytes that the file has on the disk."""
    return path.stat().st_blocks * 512


def needed(content: bytes, page_size: int = 16384) -> int:
    """Bytes that have to be on the disk when holes are left out."""
    pages = [content[at : at + page_size] for at in range(0, len(content), page_size)]
    return sum(-(-len(page.rstrip(b"\0")) // BLOCK) * BLOCK for page in pages)


# --- finding them


@given(PAGES)
def test_pages_are_split_into_the_longest_holes_and_runs(pages: list[tuple[int, int]]) -> None:
    content = content_of(pages)
    pairs = [(hole, bytes(data)) for hole, data in split_pages(memoryview(content), 16384)]
    assert b"".join(bytes(hole) + data for hole, data in pairs) == content
    assert sum(hole for hole, _data in pairs) == BLOCK * sum(zeros for _data, zeros in pages)
    assert all(hole for hole, _data in pairs[1:])
    assert all(data for _hole, data in pairs[:-1])


def test_zeros_are_holes_in_whole_blocks_at_the_end_of_a_page_only() -> None:
    page = bytearray(16384)
    page[12287] = 1
    assert [(hole, len(data)) for hole, data in split_pages(memoryview(page), 16384)] == [(0, 12288), (4096, 0)]
    page[12288] = 1
    assert [(hole, len(data)) for hole, data in split_pages(memoryview(page), 16384)] == [(0, 16384)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 60_000), max_size=40), st.sampled_from([4096, 16384, 65536]), st.integers(0, 5000))
def test_pieces_of_any_size_give_the_same_holes(cuts: list[int], page_size: int, tail: int) -> None:
    content = page_compressed(20, page_size) + b"t" * tail
    splitter, rebuilt, holes, view = PageSplitter(compressed_page_size), bytearray(), 0, memoryview(content)
    for size in [100, *cuts, len(content)]:
        for hole, data in splitter.feed(view[:size]):
            rebuilt += bytes(hole) + data
            holes += hole
        view = view[size:]
    rebuilt += splitter.end()
    assert bytes(rebuilt) == content
    whole = content[: len(content) - len(content) % page_size]
    assert holes == len(whole) - needed(whole, page_size)


def test_what_is_no_page_compressed_tablespace_is_passed_on_as_it_comes() -> None:
    data = memoryview(b"text" + bytes(65536))
    for page_size_of in (None, compressed_page_size):
        splitter = PageSplitter(page_size_of)
        pieces = [*splitter.feed(data), *splitter.feed(data[1:])]
        assert [(hole, piece.nbytes) for hole, piece in pieces] == [(0, 65540), (0, 65539)]
        assert not splitter.end()


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (3 << 20) + 5])
def test_a_digest_of_zeros_is_that_of_the_bytes(size: int) -> None:
    digest = hashlib.sha256()
    digest_zeros(digest, size)
    assert digest.hexdigest() == hashlib.sha256(bytes(size)).hexdigest()


# --- into a directory


def write_pages(sink: Sink, files: dict[str, bytes], piece: int = 1 << 20) -> dict[str, Any]:
    """Write ``files`` as the copier writes page_compressed tablespaces, through one buffer, and publish."""
    entries, buffer = [], bytearray(piece)
    for path, content in files.items():
        with sink.open(path) as file:
            for at in range(0, len(content), piece):
                part = content[at : at + piece]
                buffer[: len(part)] = part
                file.write_pages(memoryview(buffer)[: len(part)], 16384)
            entries.append(file.close())
        assert entries[-1].size == len(content)
    return sink.publish(Manifest({"id": "backup-1"}, tuple(entries)))


@pytest.fixture(name="files")
def _files() -> dict[str, bytes]:
    """Tablespaces that begin and end in every way."""
    content = page_compressed(300)
    return {
        "d/a.ibd": content,
        "d/ends_in_holes.ibd": content + bytes(5 << 20),
        "d/zero.ibd": bytes(3 << 20),
        "d/full.ibd": random.Random(1).randbytes(16384 * 5),
        "d/empty.ibd": b"",
        "d/one_page.ibd": content[:16384] + bytes(16384),
    }


def test_a_directory_has_the_holes_and_the_manifest_the_digests_of_all_bytes(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    write_pages(DirectorySink(tmp_path / "dest"), files)
    for path, content in files.items():
        assert (tmp_path / "dest" / path).read_bytes() == content
        assert allocated(tmp_path / "dest" / path) <= needed(content) + BLOCK
    manifests.verify_directory(tmp_path / "dest", manifests.read(tmp_path / "dest"), digests=True)


def test_nothing_behind_a_hole_does_not_end_it(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path / "dest")
    with sink.open("t.ibd") as file:
        file.write(b"x")
        file.hole(99_999)
        file.write(b"")
        file.close()
    sink.publish(Manifest({"id": "1"}, ()))
    assert (tmp_path / "dest" / "t.ibd").read_bytes() == b"x" + bytes(99_999)


# --- into an archive


def chunks(path: Path) -> list[Chunk]:
    return list(ChunkReader(ShortSource(path.read_bytes()), "the archive"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sparse": True},
        {"compress": Compression("zstd", 1, 2)},
        {"compress": Compression("lz4", 0, 2)},
        {"compress": Compression("zstd", 1, 2), "encrypt_key": bytes(32)},
        {"encrypt_key": bytes(32)},
    ],
    ids=["plain", "sparse", "zstd", "lz4", "zstd encrypted", "encrypted"],
)
def test_archives_of_every_kind_are_unpacked_with_holes(
    files: dict[str, bytes], tmp_path: Path, options: dict[str, Any]
) -> None:
    write_pages(ArchiveSink(tmp_path / "archive", **options), files)
    key = options.get("encrypt_key")
    verify_archive(source_at(tmp_path / "archive"), ExtractOptions(decrypt_key=key))
    extract_archive(
        source_at(tmp_path / "archive"),
        tmp_path / "dest",
        ExtractOptions(decrypt_key=key, page_size_of=compressed_page_size),
    )
    found = tree(tmp_path / "dest")
    found.pop(file_kinds.MANIFEST_NAME)
    assert found == files
    for path in ("d/a.ibd", "d/ends_in_holes.ibd", "d/one_page.ibd"):
        assert allocated(tmp_path / "dest" / path) <= needed(files[path]) + BLOCK
    sparse = any(chunk.kind == TYPE_SPARSE for chunk in chunks(tmp_path / "archive"))
    assert sparse is bool(options.get("sparse"))
    if sparse:
        size = (tmp_path / "archive").stat().st_size
        assert size < 1.01 * sum(map(needed, files.values())) + 100_000


def test_other_files_of_a_sparse_archive_are_as_in_any_other(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(3_000_000) + bytes(1_000_000)
    for name, sparse in (("sparse", True), ("plain", False)):
        sink = ArchiveSink(tmp_path / name, sparse=sparse)
        with sink.open("t.MYD") as file:
            for at in range(0, len(content), 70_000):
                file.write(content[at : at + 70_000])
            entry = file.close()
        sink.publish(Manifest({"id": "1"}, (entry,)))
    assert (tmp_path / "sparse").read_bytes() == (tmp_path / "plain").read_bytes()


def test_an_ordinary_tablespace_is_unpacked_without_holes(tmp_path: Path) -> None:
    content = bytearray(page_compressed(100))
    content[54:58] = (0x15).to_bytes(4, "big")
    write_pages(ArchiveSink(tmp_path / "archive"), {"d/t.ibd": bytes(content), "d/t.MYD": page_compressed(100)})
    extract_archive(
        source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(page_size_of=compressed_page_size)
    )
    for name in ("t.ibd", "t.MYD"):
        assert allocated(tmp_path / "dest" / "d" / name) >= len(content)


def test_a_tablespace_that_ddl_made_meanwhile_gets_its_holes_too(tmp_path: Path) -> None:
    content = page_compressed(100)
    sink = ArchiveSink(tmp_path / "archive")
    with sink.open("d/t.ibd") as file:
        file.close()
    with sink.replace("d/t.ibd") as file:
        file.write_pages(memoryview(content), 16384)
        entry = file.close()
    sink.publish(Manifest({"id": "1"}, (entry,)))
    extract_archive(
        source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(page_size_of=compressed_page_size)
    )
    assert (tmp_path / "dest" / "d" / "t.ibd").read_bytes() == content
    assert allocated(tmp_path / "dest" / "d" / "t.ibd") <= needed(content) + BLOCK


# --- sparse chunks


class Written:
    """What a SparseStreamFile wrote, read again."""

    def __init__(self) -> None:
        stream = bytearray()

        def write(buffers: Any) -> None:
            for buffer in buffers:
                stream.extend(buffer)

        self.stream = stream
        self.file = SparseStreamFile("t", "t", EntryChunks(b"t", write, lambda _digest: None, None))

    def chunks(self) -> list[Chunk]:
        ledger, found = EntryLedger(), []
        for chunk in ChunkReader(ShortSource(bytes(self.stream)), "the stream"):
            ledger.accept(chunk, "the stream")
            found.append(chunk)
        assert ledger.finish("the stream") == {"t": self.file.size}
        return found[:-1]

    def content(self) -> bytes:
        content = bytearray()
        for chunk in self.chunks():
            at = 0
            for hole, length in chunk.ranges or ((0, chunk.length),):
                content += bytes(hole) + chunk.payload[at : at + length]
                at += length
        return bytes(content)


@settings(max_examples=60, deadline=None)
@example([(True, 0)])
@example([(False, 7), (True, 0), (False, 7)])
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1_400_000)), max_size=12))
def test_any_order_of_data_and_holes_comes_back(pieces: list[tuple[bool, int]]) -> None:
    written, content = Written(), b""
    for hole, size in pieces:
        if hole:
            written.file.hole(size)
        else:
            written.file.write(b"\x5a" * size)
        content += (b"\0" if hole else b"\x5a") * size
    entry = written.file.close()
    assert written.content() == content
    digest = manifests.new_digest()
    digest.update(content)
    assert (entry.size, entry.digest) == (len(content), digest.hexdigest())
    for chunk in written.chunks():
        assert chunk.kind in (TYPE_PAYLOAD, TYPE_SPARSE)
        assert chunk.length > 0
        assert chunk.kind == TYPE_PAYLOAD or chunk.length <= 2 * CHUNK_SIZE


def test_a_hole_longer_than_a_range_can_be_is_several() -> None:
    written = Written()
    size = 2 * xbstream.MAX_SPARSE_LENGTH + 7
    written.file._hole(size)  # without its digest, which takes long
    written.file._write(b"end")
    written.file._close()
    written.file.size = size + 3
    (chunk,) = written.chunks()
    longest = xbstream.MAX_SPARSE_LENGTH
    assert chunk.ranges == ((longest, 0), (longest, 0), (7, 3))


def test_a_chunk_has_no_more_ranges_than_readers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xbstream, "MAX_SPARSE_RANGES", 4)
    written = Written()
    for _number in range(10):
        written.file.write(b"x")
        written.file.hole(2)
    written.file.close()
    assert written.content() == b"x\0\0" * 10
    assert max(len(chunk.ranges) for chunk in written.chunks()) == 4


# --- packing


def test_a_directory_is_packed_with_and_without_its_holes(files: dict[str, bytes], tmp_path: Path) -> None:
    write_pages(DirectorySink(tmp_path / "backup"), files)
    logical, physical = sum(map(len, files.values())), sum(map(needed, files.values()))
    pack.create_archive(tmp_path / "backup", tmp_path / "plain")
    pack.create_archive(tmp_path / "backup", tmp_path / "sparse", sparse=compressed_page_size)
    assert all(chunk.kind != TYPE_SPARSE for chunk in chunks(tmp_path / "plain"))
    assert (tmp_path / "plain").stat().st_size > logical
    # a file of zeros alone says nothing about its pages
    assert (tmp_path / "sparse").stat().st_size < physical + len(files["d/zero.ibd"]) + 100_000
    for name in ("plain", "sparse"):
        extract_archive(
            source_at(tmp_path / name), tmp_path / f"{name}.dest", ExtractOptions(page_size_of=compressed_page_size)
        )
        found = tree(tmp_path / f"{name}.dest")
        assert found == tree(tmp_path / "backup")
        assert allocated(tmp_path / f"{name}.dest" / "d" / "a.ibd") <= needed(files["d/a.ibd"]) + BLOCK


@pytest.mark.parametrize("options", [{"compress": Compression("zstd", 1, 1)}, {"encrypt_key": bytes(32)}])
def test_sparse_chunks_do_not_go_with_compression_and_encryption(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match="sparse") as caught:
        pack.create_archive(tmp_path, tmp_path / "archive", sparse=compressed_page_size, **options)
    assert caught.value.details["option"] == "sparse"
    assert not list(tmp_path.iterdir())
