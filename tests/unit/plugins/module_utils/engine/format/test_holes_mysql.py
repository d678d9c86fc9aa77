# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holes of MySQL's compressed pages: each page says of itself that it is compressed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.holes import (
    BLOCK,
    HolePages,
    PageSplitter,
    split_pages,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import compressed_page_size
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import pack
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink

SIZE = 16384
KIND = HolePages(SIZE, frozenset({14, 16}))


def page(page_type: int, kept: int) -> bytes:
    """A page with data in its first ``kept`` bytes."""
    data = bytearray(random.Random(page_type * kept).randbytes(kept - 1) + b"\x01" + bytes(SIZE - kept))
    data[24:26] = page_type.to_bytes(2, "big")
    return bytes(data)


def tablespace(flags: int = 0x4021) -> bytes:
    first = bytearray(page(8, SIZE))
    first[4:8], first[54:58] = bytes(4), flags.to_bytes(4, "big")
    kinds = [(14, 500), (14, 5000), (16, 8192), (14, SIZE), (17855, SIZE), (17855, 3000), (15, 700), (14, 4096)]
    return bytes(first) + b"".join(page(*kind) for kind in kinds) * 3 + bytes(4 * SIZE)


def pairs(content: bytes) -> list[tuple[int, int]]:
    return [(hole, len(data)) for hole, data in split_pages(memoryview(content), KIND)]


def test_only_compressed_pages_have_holes() -> None:
    assert pairs(page(14, 500)) == [(0, BLOCK), (3 * BLOCK, 0)]
    assert pairs(page(16, 5000)) == [(0, 2 * BLOCK), (2 * BLOCK, 0)]
    for other in (page(17855, 500), page(15, 500), page(0, 500), bytes(SIZE)):
        assert pairs(other) == [(0, SIZE)]
    holes = sum(hole for hole, _data in split_pages(memoryview(tablespace()), KIND))
    assert holes == 3 * (3 + 2 + 2 + 3) * BLOCK


@pytest.mark.parametrize("piece", [100, 4096, 16384, 100_000, 1 << 20])
def test_pieces_of_any_size_give_the_same_holes(piece: int) -> None:
    content, splitter, rebuilt, holes = tablespace() + b"t" * 100, PageSplitter(compressed_page_size), bytearray(), 0
    for at in range(0, len(content), piece):
        for hole, data in splitter.feed(memoryview(content)[at : at + piece]):
            rebuilt += bytes(hole) + data
            holes += hole
    rebuilt += splitter.end()
    assert bytes(rebuilt) == content
    assert holes == 30 * BLOCK


@pytest.mark.parametrize("options", [{}, {"sparse": True}, {"compress": Compression("zstd", 1, 2)}])
def test_holes_stay_holes_on_the_way_through_an_archive(tmp_path: Path, options: dict[str, object]) -> None:
    files = {"d/t.ibd": tablespace(), "general.ibd": tablespace(0x4800)}
    sink = DirectorySink(tmp_path / "backup")
    entries = []
    for path, content in files.items():
        with sink.open(path) as file:
            kind = compressed_page_size(content)
            if kind is None:
                file.write(content)
            else:
                file.write_pages(memoryview(content), kind)
            entries.append(file.close())
    sink.publish(Manifest({"id": "1"}, tuple(entries)))
    if options:
        arguments = {**options, "sparse": compressed_page_size if "sparse" in options else None}
        pack.create_archive(tmp_path / "backup", tmp_path / "archive", **arguments)  # type: ignore[arg-type]
    else:
        archive = ArchiveSink(tmp_path / "archive")
        for path, content in files.items():
            with archive.open(path) as file:
                file.write(content)
                file.close()
        archive.publish(Manifest({"id": "1"}, tuple(entries)))
    extract_archive(
        source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(page_size_of=compressed_page_size)
    )
    for directory in ("backup", "dest"):
        for path, content in files.items():
            copy = tmp_path / directory / path
            assert copy.read_bytes() == content
            room = copy.stat().st_blocks * 512
            expected = len(content) - (30 * BLOCK if path == "d/t.ibd" else 0)
            assert expected <= room <= expected + BLOCK
