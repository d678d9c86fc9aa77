# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stream sinks: entries and their names, failures, and the archive file."""

from __future__ import annotations

import hashlib
import io
import os
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    Cancelled,
    DiskFull,
    InvalidOption,
    PeerFailed,
    StorageError,
    StreamCorrupt,
    StreamError,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import FileEntry, Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import (
    ArchiveSink,
    Channel,
    StreamSink,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import (
    BLOCK_SIZE,
    CODECS,
    Compression,
    Zstd,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import Buffer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.stream_file import (
    CHUNK_SIZE,
    MAX_CHUNK_SIZE,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.xbstream import (
    Chunk,
    ChunkReader,
    EntryLedger,
)
from ansible_collections.innodb.xtrabackup.tests.support.streams import ShortSource, some_files, write_backup


class MemoryChannel(Channel):
    """Keeps what is written; fails from ``fail_at`` bytes on."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.data = bytearray()
        self._fail_at = fail_at

    def write(self, buffers: Sequence[Buffer]) -> None:
        if self._fail_at is not None and len(self.data) >= self._fail_at:
            raise PeerFailed("the other end is gone")
        for buffer in buffers:
            self.data += buffer

    def chunks(self) -> list[Chunk]:
        return list(ChunkReader(ShortSource(bytes(self.data)), "the channel"))

    def entries(self) -> dict[str, bytes]:
        """Stored name and stored content of each entry; checks the order of chunks."""
        ledger, content = EntryLedger(), dict[str, bytes]()
        for chunk in self.chunks():
            ledger.accept(chunk, "the channel")
            content[chunk.path] = content.get(chunk.path, b"") + bytes(chunk.payload)
        ledger.finish("the channel")
        return content


class MemorySink(StreamSink):
    """A sink into channels in memory."""

    def __init__(self, *channels: MemoryChannel, **options: Any) -> None:
        self.channels = channels or (MemoryChannel(),)
        self.aborted: list[BaseException] = []
        super().__init__(self.channels, **options)

    def _finish(self) -> dict[str, Any]:
        return {"path": "memory"}

    def _abort(self, reason: BaseException) -> None:
        self.aborted.append(reason)

    def entries(self) -> dict[str, bytes]:
        return {name: data for channel in self.channels for name, data in channel.entries().items()}


def put(sink: StreamSink, path: str, content: bytes = b"", **options: Any) -> FileEntry:
    with sink.open(path, **options) as file:
        file.write(content)
        return file.close()


@pytest.mark.parametrize("algorithm", [None, "zstd", "lz4"])
def test_blocks_of_any_size_arrive_in_order(algorithm: str | None) -> None:
    source = random.Random(7)
    content = source.randbytes(2_500_000) + bytes(13_000_000) + b"tail"
    sink = MemorySink(compress=Compression(algorithm) if algorithm else None)
    buffer = bytearray(16 << 20)
    with sink.open("t.ibd") as file:
        at = 0
        while at < len(content):
            size = source.choice([1, 4096, 100_000, BLOCK_SIZE, BLOCK_SIZE - 1, 3 * BLOCK_SIZE + 5, 12 << 20])
            part = content[at : at + size]
            buffer[: len(part)] = part
            file.write(memoryview(buffer)[: len(part)])
            buffer[: len(part)] = bytes(len(part))  # as a caller that reuses its buffer does
            at += len(part)
        entry = file.close()
    assert (entry.path, entry.size) == ("t.ibd", len(content))
    stored = sink.entries()[entry.stored or entry.path]
    if algorithm:
        decoder = CODECS[algorithm].decompressor("t.ibd")
        stored = b"".join(bytes(part) for part in decoder.feed(stored))
        decoder.finish()
    assert stored == content
    assert max(len(chunk.payload) for chunk in sink.channels[0].chunks()) <= MAX_CHUNK_SIZE


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        ({}, ""),
        ({"compress": Compression("zstd")}, ".zst"),
        ({"compress": Compression("lz4")}, ".lz4"),
        ({"encrypt_key": bytes(32)}, ".xbcrypt"),
        ({"compress": Compression("zstd"), "encrypt_key": bytes(16)}, ".zst.xbcrypt"),
    ],
)
def test_data_gains_the_suffixes_of_what_was_done_to_it_and_metadata_stays_plain(
    options: dict[str, Any], suffix: str
) -> None:
    sink = MemorySink(**options)
    data, metadata = put(sink, "db/t.ibd", b"page"), put(sink, "xtrabackup_info", b"uuid = 1\n", compress=False)
    assert data.stored == (f"db/t.ibd{suffix}" if suffix else None)
    assert metadata.stored is None
    assert (data.size, data.digest) == (4, manifests.digest_file(io.BytesIO(b"page"))[1])
    entries = sink.entries()
    assert entries["xtrabackup_info"] == b"uuid = 1\n"
    assert (entries[f"db/t.ibd{suffix}"] == b"page") is (suffix == "")


def test_an_empty_file_is_a_lone_end_or_an_empty_frame() -> None:
    sink = MemorySink()
    put(sink, "empty")
    assert [(chunk.path, chunk.kind) for chunk in sink.channels[0].chunks()] == [("empty", "E")]
    sink = MemorySink(compress=Compression("zstd"))
    put(sink, "empty")
    frame = sink.entries()["empty.zst"]
    assert frame
    assert list(CODECS["zstd"].decompressor("empty").feed(frame)) == []


def test_files_of_many_threads_spread_over_channels_and_stay_whole() -> None:
    sink = MemorySink(MemoryChannel(), MemoryChannel(), MemoryChannel(), compress=Compression("zstd", 1, 3))
    contents = {f"db/t{number}.ibd": random.Random(number).randbytes(700_000) * 3 for number in range(12)}
    entries: list[FileEntry] = []

    def work(paths: list[str]) -> None:
        for path in paths:
            entries.append(put(sink, path, contents[path]))

    threads = [threading.Thread(target=work, args=(sorted(contents)[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.publish(Manifest({"id": "1"}, tuple(entries)))
    stored = sink.entries()
    for path, content in contents.items():
        assert b"".join(map(bytes, CODECS["zstd"].decompressor(path).feed(stored[path + ".zst"]))) == content
    assert all(channel.data for channel in sink.channels)
    assert sink.channels[0].chunks()[-1].path == file_kinds.MANIFEST_NAME


# --- what later schema changes override


def test_replace_and_discard_add_the_entries_that_mariadb_backup_writes() -> None:
    sink = MemorySink(compress=Compression("zstd"))
    kept = put(sink, "db/kept.ibd", b"1")
    put(sink, "db/changed.ibd", b"old")
    put(sink, "db/dropped.ibd", b"2")
    with sink.replace("db/changed.ibd") as file:
        file.write(b"new")
        changed = file.close()
    sink.discard("db/dropped.ibd")
    published = sink.publish(Manifest({"id": "1"}, (kept, changed)))
    assert (changed.path, changed.stored) == ("db/changed.ibd", "db/changed.new.zst")
    entries = sink.entries()
    assert entries["db/dropped.del"] == b""
    manifest = manifests.parse(entries[file_kinds.MANIFEST_NAME], "the stream")
    assert manifest.discarded == ("db/changed.ibd.zst", "db/dropped.del", "db/dropped.ibd.zst")
    assert published["sha256"] == manifests.digest_of(manifest.plain().render())


@pytest.mark.parametrize("path", ["db/t.frm", "ibdata1", "db/t.MYD"])
def test_nothing_but_tablespaces_can_be_replaced_in_a_stream(path: str) -> None:
    sink = MemorySink()
    put(sink, path)
    with pytest.raises(StreamError, match="only .ibd files"):
        sink.replace(path)
    with pytest.raises(StreamError, match="only .ibd files"):
        sink.discard(path)


def test_what_was_not_written_cannot_be_replaced_or_discarded() -> None:
    sink = MemorySink()
    with pytest.raises(StreamError, match="not written before"):
        sink.replace("db/t.ibd")
    with pytest.raises(StreamError, match="not written before"):
        sink.discard("db/t.ibd")


def test_a_name_is_written_once() -> None:
    sink = MemorySink()
    put(sink, "db/t.ibd")
    with pytest.raises(StreamError, match="twice"):
        sink.open("db/t.ibd")
    with sink.replace("db/t.ibd") as file:
        file.close()
    with pytest.raises(StreamError, match="twice"):
        sink.replace("db/t.ibd")


def test_a_name_that_no_reader_takes_is_refused_with_its_suffix() -> None:
    sink = MemorySink(compress=Compression("zstd"))
    with pytest.raises(StreamCorrupt, match="512 bytes cannot be stored"):
        sink.open("n" * 508)
    put(sink, "n" * 507)


# --- failures


def test_the_first_failure_ends_all_writers_and_publishes_nothing() -> None:
    channel = MemoryChannel(fail_at=1)
    sink = MemorySink(channel)
    put_open = sink.open("b")
    sink.open("c")
    with sink.open("a") as file:
        file.write(bytes(CHUNK_SIZE))
        with pytest.raises(PeerFailed):
            file.write(bytes(CHUNK_SIZE))
    written = len(channel.data)
    with pytest.raises(PeerFailed, match="the other end is gone"):
        put_open.write(bytes(CHUNK_SIZE))
    with pytest.raises(PeerFailed):
        sink.open("d")
    with pytest.raises(StreamError):
        sink.publish(Manifest({"id": "1"}, ()))
    assert len(channel.data) == written
    reason = RuntimeError("why")
    sink.abort(reason)
    assert sink.aborted == [reason]


def test_an_open_file_keeps_the_manifest_back() -> None:
    sink = MemorySink()
    sink.open("a")
    with pytest.raises(StreamError, match="1 files of the stream were not closed"):
        sink.publish(Manifest({"id": "1"}, ()))
    assert not sink.channels[0].data


def test_abort_never_raises_and_stops_the_pool() -> None:
    class Broken(MemorySink):
        def _abort(self, reason: BaseException) -> None:
            raise RuntimeError("even this fails")

    sink = Broken(compress=Compression("zstd"))
    file = sink.open("a")
    file.write(bytes(5 * BLOCK_SIZE))
    sink.abort(RuntimeError("why"))
    with pytest.raises(Cancelled):
        file.write(bytes(5 * BLOCK_SIZE))


def test_a_writer_that_waits_for_the_pool_is_told_that_the_stream_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink(compress=Compression("zstd", 1, 1))
    blocked, waiting = threading.Event(), threading.Event()

    def compress(_self: Zstd, _block: Buffer) -> bytes:
        waiting.set()
        blocked.wait(20)
        return b""

    monkeypatch.setattr(Zstd, "compress", compress)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            with sink.open("t.ibd") as file:
                file.write(bytes(8 * BLOCK_SIZE))
                file.close()
        except XtrabackupError as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    assert waiting.wait(20)
    aborting = threading.Thread(target=sink.abort, args=(RuntimeError("why"),))
    aborting.start()
    blocked.set()
    aborting.join(20)
    writer.join(20)
    assert [type(error) for error in errors] == [Cancelled]


# --- the archive file


def test_an_archive_appears_whole_with_the_digests_of_its_bytes(tmp_path: Path) -> None:
    dest = tmp_path / "new" / "full.xbstream"
    sink = ArchiveSink(dest, digests=["sha256", "sha1"])
    entry = put(sink, "db/t.ibd", bytes(3_000_000))
    assert sorted(os.listdir(dest.parent)) == ["full.xbstream.lock", "full.xbstream.partial"]
    published = sink.publish(Manifest({"id": "1"}, (entry,)))
    assert os.listdir(dest.parent) == ["full.xbstream"]
    assert published["path"] == str(dest)
    assert published["digests"] == {
        "sha256": hashlib.sha256(dest.read_bytes()).hexdigest(),
        "sha1": hashlib.sha1(dest.read_bytes()).hexdigest(),
    }
    assert dest.stat().st_mode & 0o777 == 0o640


def test_an_aborted_archive_leaves_nothing_and_what_was_there_before(tmp_path: Path) -> None:
    dest = tmp_path / "full.xbstream"
    dest.write_bytes(b"the one of yesterday")
    sink = ArchiveSink(dest, compress=Compression("zstd"))
    file = sink.open("db/t.ibd")
    file.write(random.Random(1).randbytes(4 << 20))
    sink.abort(RuntimeError("why"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {dest.name: b"the one of yesterday"}
    with pytest.raises(Cancelled):
        file.write(bytes(4 << 20))


def test_the_rest_of_a_killed_run_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "full.xbstream.partial").write_bytes(b"half of something")
    write_backup(ArchiveSink(tmp_path / "full.xbstream"), some_files())
    assert os.listdir(tmp_path) == ["full.xbstream"]


def test_a_full_disk_is_named_with_the_file() -> None:
    channel = archive.FileChannel(os.open("/dev/full", os.O_WRONLY), Path("/backups/full.xbstream.partial"))
    with pytest.raises(DiskFull, match=r"full\.xbstream\.partial"):
        channel.write([b"x"])
    channel.close()


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file"):
        ArchiveSink(tmp_path / "file" / "full.xbstream")


@pytest.mark.parametrize("name", ["md17", "shake_128", ""])
def test_an_unknown_digest_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidOption, match="digests"):
        ArchiveSink(tmp_path / "full.xbstream", digests=[name])
    assert not os.listdir(tmp_path)


def test_more_buffers_than_one_system_call_takes_are_written(tmp_path: Path) -> None:
    parts = [bytes([number % 256]) * 3 for number in range(5000)]
    with open(tmp_path / "out", "wb") as out:
        archive.write_all(out.fileno(), [*parts, b"", b"end"])
    assert (tmp_path / "out").read_bytes() == b"".join(parts) + b"end"


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, views: real(descriptor, [views[0][:7]]))
    with open(tmp_path / "out", "wb") as out:
        archive.write_all(out.fileno(), [b"0123456789", b"abc", bytes(20)])
    assert (tmp_path / "out").read_bytes() == b"0123456789abc" + bytes(20)
