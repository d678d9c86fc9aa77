# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest with SHA-256 digests, which is pinned, pins the content: everything that reads compares with them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    FormatError,
    StreamCorrupt,
    UnknownFormat,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.content_digest import SHA256, XXH128
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Copier, CopyTask
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import (
    FileEntry,
    Manifest,
    verify_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    Extractor,
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.pack import create_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.packed_directory import (
    PackedDirectorySink,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.selection import Selection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink, Sink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    unpack_directory,
)
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    page_compressed,
    prints,
    raw_archive,
    some_files,
    tree,
    write_backup,
)

KEY = bytes(range(32))
FILES = {**some_files(), "shop/pages.ibd": page_compressed(40)}
DIGESTS = {path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()}

STORES: dict[str, Callable[[Path], Sink]] = {
    "directory": DirectorySink,
    "archive": ArchiveSink,
    "sparse": lambda place: ArchiveSink(place, sparse=True),
    "compressed": lambda place: ArchiveSink(place, compress=Compression("zstd")),
    "encrypted": lambda place: ArchiveSink(place, encrypt_key=KEY),
    "packed": lambda place: PackedDirectorySink(place, compress=Compression("lz4")),
}


def store(kind: str, place: Path) -> Path:
    sink = STORES[kind](place)
    sink.digest_algorithm = SHA256
    write_backup(sink, FILES)
    return place


def digests_of(manifest: Manifest | None) -> dict[str, str]:
    assert manifest is not None
    assert manifest.digest_algorithm == SHA256
    return {file.path: file.digest for file in manifest.files}


def other_content(files: dict[str, bytes]) -> dict[str, bytes]:
    """As long, and not to be told from the right one by any digest but SHA-256."""
    changed = bytearray(files["ibdata1"])
    changed[77] ^= 1
    return {**files, "ibdata1": bytes(changed)}


def lying_archive(place: Path) -> Path:
    """An archive with the right manifest and another content."""
    entries = tuple(FileEntry(path, len(data), DIGESTS[path]) for path, data in FILES.items())
    manifest = Manifest({"id": "1"}, entries, digest_algorithm=SHA256)
    place.write_bytes(raw_archive(other_content(FILES), manifest))
    return place


@pytest.mark.parametrize("kind", STORES)
def test_each_store_has_the_digests_and_each_reader_compares_them(tmp_path: Path, kind: str) -> None:
    place = store(kind, tmp_path / "stored")
    key = KEY if kind == "encrypted" else None
    if kind == "packed":
        unpack_directory(place, UnpackOptions(Decoding(), remove_original=True), Progress("test"))
    if place.is_dir():
        found = manifests.read(place)
        verify_directory(place, found, digests=True)
        create_archive(place, tmp_path / "again", sparse=None)
        place = tmp_path / "again"
        assert digests_of(list_archive(source_at(place)).manifest) == DIGESTS
    assert digests_of(verify_archive(source_at(place), ExtractOptions(decrypt_key=key))) == DIGESTS
    assert digests_of(extract_archive(source_at(place), tmp_path / "dest", ExtractOptions(decrypt_key=key))) == DIGESTS
    unpacked = tree(tmp_path / "dest")
    assert json.loads(unpacked.pop(MANIFEST_NAME))["digest"] == "sha256"
    assert prints(unpacked) == prints(FILES)
    part = extract_archive(
        source_at(place), tmp_path / "part", ExtractOptions(selection=Selection(files=("ibdata1",)), decrypt_key=key)
    )
    assert digests_of(part) == {"ibdata1": DIGESTS["ibdata1"]}


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_stream_whose_manifest_comes_last_is_compared_with_it(tmp_path: Path, parallel: int) -> None:
    """As from a connection or a pipe: the digests that will be there are not known beforehand."""
    for archive, right in ((store("archive", tmp_path / "right"), True), (lying_archive(tmp_path / "wrong"), False)):
        staging = tmp_path / f"staging-{right}"
        for kept in (staging, None):
            if kept:
                kept.mkdir()
            extractor = Extractor(kept, ExtractOptions(parallel=parallel))
            with open(archive, "rb", buffering=0) as source:
                extractor.run([extractor.reader(source, "the stream")])
            if right:
                assert digests_of(extractor.finish()) == DIGESTS
            else:
                with pytest.raises(StreamCorrupt, match="ibdata1: other content"):
                    extractor.finish()


def test_a_pipe_is_verified(tmp_path: Path) -> None:
    for archive, right in ((store("archive", tmp_path / "right"), True), (lying_archive(tmp_path / "wrong"), False)):
        pipe = tmp_path / f"pipe-{right}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(archive.read_bytes(),))
        writer.start()
        if right:
            assert digests_of(verify_archive(source_at(pipe))) == DIGESTS
        else:
            with pytest.raises(StreamCorrupt, match="other content"):
                verify_archive(source_at(pipe))
        writer.join()


def test_other_content_is_found_in_an_archive(tmp_path: Path) -> None:
    archive = lying_archive(tmp_path / "archive")
    with pytest.raises(StreamCorrupt, match="ibdata1: other content"):
        verify_archive(source_at(archive))
    with pytest.raises(StreamCorrupt, match="ibdata1: other content"):
        extract_archive(source_at(archive), tmp_path / "dest")
    assert os.listdir(tmp_path) == ["archive"]


def test_other_content_is_found_in_a_directory(tmp_path: Path) -> None:
    place = store("directory", tmp_path / "backup")
    found = manifests.read(place)
    (place / "ibdata1").write_bytes(other_content(FILES)["ibdata1"])
    with pytest.raises(BackupIncomplete, match="ibdata1: other content"):
        verify_directory(place, found, digests=True)
    with pytest.raises(BackupIncomplete, match="other content"):
        create_archive(place, tmp_path / "archive")
    entry = next(file for file in found.files if file.path == "ibdata1")
    task = CopyTask(place / "ibdata1", tmp_path / "copy", entry.size, entry.digest)
    with pytest.raises(BackupIncomplete, match="other content"):
        Copier(None, Progress("test"), sync=False).copy(task)
    (place / "ibdata1").write_bytes(FILES["ibdata1"])
    Copier(None, Progress("test"), sync=False).copy(task)
    assert (tmp_path / "copy").read_bytes() == FILES["ibdata1"]


def test_other_content_is_found_in_a_packed_directory(tmp_path: Path) -> None:
    place = store("packed", tmp_path / "packed")
    compressor = Compression("lz4").compressor()
    (place / "ibdata1.lz4").write_bytes(bytes(compressor.compress(other_content(FILES)["ibdata1"])))
    with pytest.raises(XtrabackupError, match="ibdata1"):
        unpack_directory(place, UnpackOptions(Decoding()), Progress("test"))


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [(SHA256, "0" * 32), (XXH128, "0" * 64), (SHA256, "g" * 64), (SHA256, "A" * 64), (XXH128, "0" * 31), (SHA256, 7)],
)
def test_a_digest_that_is_none_of_the_manifest_s_algorithm(algorithm: str, digest: object) -> None:
    """A weaker one must not slip in."""
    document = json.loads(Manifest({"id": "1"}, (FileEntry("ibdata1", 3, ""),), digest_algorithm=algorithm).render())
    document["files"][0]["digest"] = digest
    with pytest.raises(FormatError, match="digest"):
        manifests.parse(json.dumps(document).encode(), "here")


@pytest.mark.parametrize("algorithm", ["md5", "", None, 7, ["sha256"]])
def test_an_algorithm_that_nobody_knows(algorithm: object) -> None:
    document = {**json.loads(Manifest({"id": "1"}, ()).render()), "digest": algorithm}
    with pytest.raises(UnknownFormat, match="sha256"):
        manifests.parse(json.dumps(document).encode(), "here")


def test_the_algorithm_is_part_of_what_is_pinned() -> None:
    manifest = Manifest({"id": "1"}, (FileEntry("ibdata1", 0, ""),))
    assert replace(manifest, digest_algorithm=SHA256).own_sha256 != manifest.own_sha256
