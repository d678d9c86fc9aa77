# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking: what arrives, where, with which memory; foreign streams; places and disks that fail; listings."""

from __future__ import annotations

import gc
import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DiskFull,
    StorageError,
    StreamCorrupt,
    StreamTruncated,
    TargetBusy,
    TargetNotEmpty,
    TargetUnsafe,
    UnknownFormat,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import cipher, extract
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.buffers import BufferPool
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    Extractor,
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    ShortSource,
    boundaries,
    chunks_of,
    end,
    entries_of,
    entry,
    make_archive,
    payload,
    raw_archive,
    some_files,
    sparse,
    tree,
    unpacks,
)

KEY = bytes(range(32))
ENCODINGS = [(None, None), ("zstd", None), ("lz4", None), (None, KEY), ("zstd", KEY), ("lz4", KEY)]


@pytest.mark.parametrize(("algorithm", "key"), ENCODINGS)
def test_an_unpacked_archive_is_the_backup_with_a_plain_manifest(
    tmp_path: Path, algorithm: str | None, key: bytes | None
) -> None:
    published = make_archive(tmp_path / "archive", some_files(), algorithm=algorithm, key=key, backup={"to_lsn": 5})
    manifest = extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(decrypt_key=key))
    unpacked = tree(tmp_path / "dest")
    stored = unpacked.pop(MANIFEST_NAME)
    assert unpacked == some_files()
    assert manifests.digest_of(stored) == published["sha256"]
    assert manifest is not None
    assert manifests.parse(stored, "dest") == manifest == manifest.plain()
    assert manifest.backup == {"id": "backup-1", "to_lsn": 5}
    assert sorted(os.listdir(tmp_path)) == ["archive", "dest"]
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "dest").rglob("*") if path.is_file()}
    assert modes == {0o640}


@pytest.mark.parametrize("readers", [1, 2, 5])
def test_one_backup_may_come_in_several_streams(tmp_path: Path, readers: int) -> None:
    files = {f"db/t{number}.ibd": random.Random(number).randbytes(400_000) for number in range(20)}
    manifest = Manifest({"id": "1"}, tuple(entry(path, data) for path, data in sorted(files.items())))
    parts = [dict(list(files.items())[number::readers]) for number in range(readers)]
    streams = [raw_archive(part, manifest if not number else None) for number, part in enumerate(parts)]
    (tmp_path / "dest").mkdir()
    extractor = Extractor(tmp_path / "dest", ExtractOptions(parallel=3))
    extractor.run(
        [extractor.reader(ShortSource(stream, most=100_000), f"stream {n}") for n, stream in enumerate(streams)]
    )
    assert extractor.finish() == manifest
    unpacked = tree(tmp_path / "dest")
    del unpacked[MANIFEST_NAME]
    assert unpacked == files


def test_a_name_in_two_streams_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    extractor = Extractor(tmp_path / "dest")
    stream = payload(b"t.ibd", 0, b"x") + end(b"t.ibd")
    with pytest.raises(StreamCorrupt, match=r"occurs twice|reordered"):
        extractor.run([extractor.reader(ShortSource(stream), f"stream {number}") for number in range(2)])
    extractor.abort(RuntimeError())


# --- streams of other tools

STOCK = {"ibdata1": b"page", "xtrabackup_checkpoints": b"c", "xtrabackup_info": b"i"}


def test_a_stock_stream_is_taken_when_asked_for(tmp_path: Path) -> None:
    assert unpacks(raw_archive(STOCK, None), tmp_path, require_manifest=False) == STOCK


@pytest.mark.parametrize("missing", ["xtrabackup_checkpoints", "xtrabackup_info"])
def test_a_stock_stream_without_its_last_files_is_truncated(tmp_path: Path, missing: str) -> None:
    files = {name: data for name, data in STOCK.items() if name != missing}
    with pytest.raises(StreamTruncated, match=missing):
        unpacks(raw_archive(files, None), tmp_path, require_manifest=False)


def test_a_stock_stream_with_an_unfinished_file_is_truncated(tmp_path: Path) -> None:
    with pytest.raises(StreamTruncated, match="ib_logfile0"):
        unpacks(raw_archive(STOCK, None, payload(b"ib_logfile0", 0, b"x")), tmp_path, require_manifest=False)


def test_names_of_newer_mariadb_backup_are_known(tmp_path: Path) -> None:
    files = {"mariadb_backup_checkpoints": b"", "mariadb_backup_info": b""}
    assert unpacks(raw_archive(files, None), tmp_path, require_manifest=False) == files


def test_sparse_entries_become_files_with_holes(tmp_path: Path) -> None:
    hole = 4 << 20
    extra = sparse(b"t.ibd", 0, [(0, 4), (hole, 4), (hole, 0)], b"headtail") + end(b"t.ibd")
    unpacked = unpacks(raw_archive(STOCK, None, extra), tmp_path, require_manifest=False)
    assert unpacked["t.ibd"] == b"head" + bytes(hole) + b"tail" + bytes(hole)
    assert (tmp_path / "dest" / "t.ibd").stat().st_blocks * 512 < hole


def test_a_sparse_chunk_in_a_compressed_entry_is_refused(tmp_path: Path) -> None:
    extra = sparse(b"t.ibd.zst", 0, [(0, 4)], b"data") + end(b"t.ibd.zst")
    with pytest.raises(StreamCorrupt, match="sparse"):
        unpacks(raw_archive(STOCK, None, extra), tmp_path, require_manifest=False)


def test_quicklz_is_refused_by_name(tmp_path: Path) -> None:
    extra = payload(b"t.ibd.qp", 0, b"qpress10") + end(b"t.ibd.qp")
    with pytest.raises(UnknownFormat, match="quicklz"):
        unpacks(raw_archive(STOCK, None, extra), tmp_path, require_manifest=False)


def test_two_entries_that_unpack_to_one_file_are_refused(tmp_path: Path) -> None:
    frame = Compression("zstd").compressor().compress(b"x")
    extra = payload(b"ibdata1.zst", 0, frame) + end(b"ibdata1.zst")
    with pytest.raises(StreamCorrupt, match="two entries unpack to ibdata1"):
        unpacks(raw_archive(STOCK, None, extra), tmp_path, require_manifest=False)


def test_an_entry_below_a_file_is_refused(tmp_path: Path) -> None:
    extra = payload(b"ibdata1/t.ibd", 0, b"x") + end(b"ibdata1/t.ibd")
    with pytest.raises(StorageError, match="ibdata1"):
        (tmp_path / "archive").write_bytes(raw_archive(STOCK, None, extra))
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(require_manifest=False))
    assert os.listdir(tmp_path) == ["archive"]


def test_thousands_of_unfinished_entries_do_not_use_up_the_descriptors(tmp_path: Path) -> None:
    extra = b"".join(payload(b"t%d" % number, 0, b"x") for number in range(1500))
    with pytest.raises(StreamCorrupt, match="incomplete at once"):
        extractor = Extractor(tmp_path, ExtractOptions(require_manifest=False))
        extractor.run([extractor.reader(ShortSource(raw_archive(STOCK, None, extra)), "the stream")])
    extractor.abort(RuntimeError())


# --- the place


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "mine").write_bytes(b"precious")
    with pytest.raises(TargetNotEmpty):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert tree(tmp_path / "dest") == {"mine": b"precious"}
    assert sorted(os.listdir(tmp_path)) == ["archive", "dest"]


def test_force_replaces_what_is_there_only_by_something_complete(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    stream = (tmp_path / "archive").read_bytes()
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "xtrabackup_checkpoints").write_bytes(b"old")
    (tmp_path / "dest" / "mine").write_bytes(b"old")
    (tmp_path / "bad").write_bytes(stream[:-1])
    with pytest.raises(StreamTruncated):
        extract_archive(source_at(tmp_path / "bad"), tmp_path / "dest", ExtractOptions(force=True))
    assert tree(tmp_path / "dest") == {"xtrabackup_checkpoints": b"old", "mine": b"old"}
    extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(force=True))
    assert tree(tmp_path / "dest").keys() == {*some_files(), MANIFEST_NAME}
    assert sorted(os.listdir(tmp_path)) == ["archive", "bad", "dest"]


def test_an_empty_directory_and_the_rest_of_a_killed_run_are_no_obstacle(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest.partial").mkdir()
    (tmp_path / "dest.partial" / "ibdata1").write_bytes(b"half")
    extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert sorted(os.listdir(tmp_path)) == ["archive", "dest"]


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dest").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TargetNotEmpty):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert not os.listdir(tmp_path / "elsewhere")


def test_two_jobs_do_not_unpack_into_one_place(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    with durable.exclusive_lock(tmp_path / "dest.lock", "the test"), pytest.raises(TargetBusy):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert os.listdir(tmp_path) == ["archive"]


@pytest.mark.parametrize("dest", ["/", "/proc", "/usr/.."])
def test_a_root_or_mount_point_is_no_target(tmp_path: Path, dest: str) -> None:
    make_archive(tmp_path / "archive", some_files())
    with pytest.raises(TargetUnsafe):
        extract_archive(source_at(tmp_path / "archive"), dest, ExtractOptions(force=True))


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    missing = source_at(tmp_path / "no-such-archive")
    for function in (list_archive, verify_archive, lambda source: extract_archive(source, tmp_path / "dest")):
        with pytest.raises(StorageError, match="no-such-archive"):
            function(missing)
    assert not os.listdir(tmp_path)


def test_too_little_space_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_archive(tmp_path / "archive", some_files(), algorithm="zstd")
    monkeypatch.setattr(durable, "free_bytes", lambda _path: 1000)
    monkeypatch.setattr(Extractor, "__init__", lambda *_arguments, **_options: pytest.fail("unpacking began"))
    with pytest.raises(DiskFull, match="1000 bytes free"):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert os.listdir(tmp_path) == ["archive"]


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_a_disk_that_fails_at_any_call_ends_unpacking_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    make_archive(tmp_path / "archive", {"big.ibd": bytes(5 << 20), "xtrabackup_info": b"", "small.frm": b"x"})
    staging = tmp_path / "dest"
    staging.mkdir()
    real = getattr(os, call)

    def failing(*arguments: Any, **options: Any) -> Any:
        target = os.fspath(arguments[0]) if call == "open" else os.readlink(f"/proc/self/fd/{arguments[0]}")
        if "big.ibd" in target:
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, failing)
    extractor = Extractor(staging, ExtractOptions(parallel=3))
    with pytest.raises(DiskFull, match=r"big\.ibd"):
        with open(tmp_path / "archive", "rb", buffering=0) as source:
            extractor.run([extractor.reader(source, "the archive")])
        extractor.finish()
    extractor.abort(RuntimeError())


def test_a_failure_to_store_that_the_kernel_reports_once_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_archive(tmp_path / "archive", {"big.ibd": random.Random(1).randbytes(8 << 20)})
    real, calls = os.fsync, []

    def once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", once)
    with pytest.raises(StorageError, match=r"Input/output error"):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert not (tmp_path / "dest").exists()
    calls.clear()
    with pytest.raises(StorageError, match=r"again\.partial: Input/output error"):
        make_archive(tmp_path / "again", {"big.ibd": random.Random(1).randbytes(8 << 20)})
    assert not (tmp_path / "again").exists()


# --- threads, memory, descriptors


def test_memory_between_readers_and_workers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lent: list[int] = []
    real = BufferPool.take

    def take(self: BufferPool, size: int) -> memoryview:
        view = real(self, size)
        lent.append(self._lent_size)
        return view

    monkeypatch.setattr(extract, "_MEMORY", 6 << 20)
    monkeypatch.setattr(BufferPool, "take", take)
    files = {f"t{number}.ibd": random.Random(number).randbytes(7 << 20) for number in range(4)}
    make_archive(tmp_path / "archive", files, algorithm="zstd")
    extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert max(lent) <= 6 << 20
    assert len(lent) > 20


def test_a_chunk_larger_than_the_memory_passes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "_MEMORY", 1 << 20)
    files = {**STOCK, "a.ibd": bytes(3 << 20), "b.ibd": bytes(5 << 20)}
    assert unpacks(raw_archive(files, None), tmp_path, require_manifest=False) == files


def test_an_error_of_a_worker_reaches_readers_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "_MEMORY", 1 << 20)
    bad = bytearray(payload(b"t.ibd", 0, bytes(1 << 20)))
    bad[-1] ^= 1
    stream = bytes(bad) + b"".join(payload(b"t.ibd", n << 20, bytes(1 << 20)) for n in range(1, 20))
    extractor = Extractor(tmp_path, ExtractOptions(parallel=1))
    first = extractor.reader(ShortSource(stream), "first")
    second = extractor.reader(ShortSource(stream.replace(b"t.ibd", b"u.ibd")), "second")

    def run() -> None:
        with pytest.raises(StreamCorrupt):
            extractor.run([first, second])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    with pytest.raises(StreamCorrupt, match="checksum"):
        extractor.finish()


def test_neither_threads_nor_descriptors_are_left_behind(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files(), algorithm="zstd")
    (tmp_path / "bad").write_bytes((tmp_path / "archive").read_bytes()[:-40])
    gc.collect()
    threads, descriptors = set(threading.enumerate()), set(os.listdir("/proc/self/fd"))
    for number in range(3):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / f"dest{number}")
        with pytest.raises(StreamTruncated):
            extract_archive(source_at(tmp_path / "bad"), tmp_path / "bad-dest", ExtractOptions(require_manifest=False))
    # what other tests have left may vanish meanwhile
    assert set(threading.enumerate()) <= threads
    assert set(os.listdir("/proc/self/fd")) <= descriptors


def test_progress_counts_the_unpacked_bytes(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files(), algorithm="zstd")
    progress = Progress("test")
    extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest", progress=progress)
    snapshot = progress.snapshot()
    total = sum(map(len, some_files().values()))
    assert snapshot["bytes_total"] == total
    assert total <= snapshot["bytes"] <= total + 10_000  # and the manifest


# --- listing


@pytest.mark.parametrize(("algorithm", "key"), ENCODINGS)
def test_a_listing_names_everything_without_the_key(tmp_path: Path, algorithm: str | None, key: bytes | None) -> None:
    published = make_archive(tmp_path / "archive", some_files(), algorithm=algorithm, key=key)
    listing = list_archive(source_at(tmp_path / "archive"))
    assert listing.size == (tmp_path / "archive").stat().st_size
    assert listing.manifest is not None
    assert manifests.digest_of(listing.manifest.plain().render()) == published["sha256"]
    assert listing.entries.keys() == {MANIFEST_NAME, *(file.stored or file.path for file in listing.manifest.files)}
    assert {file.path for file in listing.manifest.files} == set(some_files())


def test_a_listing_of_a_cut_archive_fails_wherever_it_is_cut_but_between_files(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    stream = (tmp_path / "archive").read_bytes()
    starts_of_files = {0}
    for path, _chunk in entries_of(stream).items():
        starts_of_files.add(sum(len(data) for name, data in chunks_of(stream) if name == path) + max(starts_of_files))
    source = random.Random(3)
    for cut in {*boundaries(stream), *(source.randrange(1, len(stream)) for _repeat in range(100))} - starts_of_files:
        (tmp_path / "cut").write_bytes(stream[:cut])
        with pytest.raises(StreamTruncated):
            list_archive(source_at(tmp_path / "cut"))


def test_an_archive_of_many_files_of_one_sink_is_listed_in_order_of_writing(tmp_path: Path) -> None:
    sink = ArchiveSink(tmp_path / "archive", encrypt_key=KEY)
    entries = []
    for name in ("b.ibd", "a.ibd"):
        with sink.open(name) as file:
            entries.append(file.close())
    sink.publish(Manifest({"id": "1"}, tuple(entries)))
    assert list(list_archive(source_at(tmp_path / "archive")).entries) == [
        "b.ibd" + cipher.SUFFIX,
        "a.ibd" + cipher.SUFFIX,
        MANIFEST_NAME,
    ]
