# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of streams: those that other tools print, over one connection and several, and what is expected."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption, StreamCorrupt
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.digests import (
    ALGORITHMS,
    Checksum,
    StreamDigests,
    combine,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.selection import Selection
from ansible_collections.innodb.xtrabackup.tests.support.streams import make_archive, some_files


def test_the_digests_are_those_that_other_tools_print() -> None:
    digests = StreamDigests(list(ALGORITHMS))
    assert digests.hexdigests()["xxh3"] == "2d06800538d394c2"  # of nothing; the reference implementation's vectors
    assert digests.hexdigests()["xxh128"] == "99aa06d3014798d86001c324468d497f"
    data = random.Random(1).randbytes(100_000)
    for start in range(0, len(data), 977):
        digests.update(memoryview(data)[start : start + 977])
    found = digests.hexdigests()
    for name in ("sha256", "sha512", "sha1", "md5"):
        assert found[name] == hashlib.new(name, data).hexdigest()
    assert {name: len(value) // 2 for name, value in found.items()} == ALGORITHMS


def test_one_connection_has_the_digest_of_its_bytes_several_that_of_their_digests_in_order() -> None:
    parts = [{"sha256": hashlib.sha256(data).hexdigest()} for data in (b"one", b"two", b"three")]
    assert combine(parts[:1]) == parts[0]
    raw = b"".join(hashlib.sha256(data).digest() for data in (b"one", b"two", b"three"))
    assert combine(parts) == {"sha256": hashlib.sha256(raw).hexdigest()}
    assert combine(parts[::-1]) != combine(parts)
    assert combine([{}, {}]) == {}


@pytest.mark.parametrize(
    "text", ["", "sha256", "sha256:", "sha256:12", "sha3:" + "0" * 64, "md5:" + "g" * 32, "0" * 64, "sha1:" + "0" * 41]
)
def test_a_checksum_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="checksum"):
        Checksum.parse(text)


def test_a_checksum_is_compared_whatever_its_case() -> None:
    digest = hashlib.md5(b"data").hexdigest()
    digests = StreamDigests((), Checksum.parse(f" md5:{digest.upper()} "))
    digests.update(b"data")
    digests.check("the archive")
    digests.update(b"more")
    with pytest.raises(StreamCorrupt, match=f"the archive: its md5 is .* and {digest} was expected"):
        digests.check("the archive")


@pytest.mark.parametrize("selection", [None, Selection(tables=("shop.orders",))])
def test_all_bytes_of_an_archive_count_and_nothing_is_published_when_they_are_others(
    tmp_path: Path, selection: Selection | None
) -> None:
    archive, dest = tmp_path / "archive", tmp_path / "dest"
    make_archive(archive, some_files(), algorithm="zstd")
    digest = hashlib.sha1(archive.read_bytes()).hexdigest()
    right = StreamDigests(("xxh3",), Checksum.parse(f"sha1:{digest}"))
    wrong = Checksum.parse("sha1:" + "0" * 40)
    with pytest.raises(StreamCorrupt, match=digest):
        extract_archive(source_at(archive), dest, ExtractOptions(selection=selection), digests=StreamDigests((), wrong))
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
    extract_archive(source_at(archive), dest, ExtractOptions(selection=selection), digests=right)
    assert right.hexdigests()["sha1"] == digest
    with pytest.raises(StreamCorrupt, match="sha1"):
        verify_archive(source_at(archive), digests=StreamDigests((), wrong))
    verify_archive(source_at(archive), digests=StreamDigests((), Checksum.parse(f"sha1:{digest}")))
