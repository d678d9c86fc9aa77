# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that are received into an archive, by TLS too, and the digests of both ends."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DecryptionFailed,
    PeerFailed,
    StreamCorrupt,
    StreamTruncated,
    TargetBusy,
    TargetNotEmpty,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import FileChannel
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.digests import Checksum
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import Buffer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_framing as framing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import ArchiveIntake, Received
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    ShortSource,
    chunks_of,
    end,
    make_archive,
    payload,
    prints,
    raw_archive,
    some_files,
    tree,
)
from ansible_collections.innodb.xtrabackup.tests.support.transfer import Ends, Receiver, make_ends, send

KEY = b"k" * 32
FILES = {**some_files(), "db/large.ibd": random.Random(5).randbytes(5 << 20)}


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return make_ends(tmp_path)


def store(stream: bytes, dest: Path, key: bytes | None = None, *, require_manifest: bool = True) -> Received:
    """Have an archive made of ``stream``, which comes in pieces of any length."""
    intake = ArchiveIntake(dest, ExtractOptions(decrypt_key=key, require_manifest=require_manifest))
    with intake.opened():
        intake.consume(ShortSource(stream, most=200_000), "the sender")
        return intake.finish()


def archive_of(directory: Path, key: bytes | None = None, algorithm: str | None = "zstd") -> bytes:
    make_archive(directory / "made", FILES, algorithm=algorithm, key=key)
    stream = (directory / "made").read_bytes()
    (directory / "made").unlink()
    return stream


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("algorithm", [None, "zstd"])
def test_a_stream_is_stored_byte_by_byte_and_verified(tmp_path: Path, key: bytes | None, algorithm: str | None) -> None:
    stream = archive_of(tmp_path, key, algorithm)
    received = store(stream, tmp_path / "dest", key)
    assert (tmp_path / "dest").read_bytes() == stream
    assert received.verified
    assert received.manifest
    assert received.manifest.id == "backup-1"
    assert os.listdir(tmp_path) == ["dest"]


def test_what_readers_are_to_ignore_is_stored_too(tmp_path: Path) -> None:
    files = {"xtrabackup_checkpoints": b"", "xtrabackup_info": b""}
    ignorable = payload(b"x", 0, b"future", kind=b"Z", flags=1)
    stream = ignorable + payload(b"./db/t.ibd", 0, b"page") + end(b"./db/t.ibd") + raw_archive(files, None) + ignorable
    received = store(stream, tmp_path / "dest", require_manifest=False)
    assert (tmp_path / "dest").read_bytes() == stream
    assert (received.manifest, received.verified) == (None, False)


def test_chunks_are_written_whole_and_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = FileChannel.write

    def watch(self: FileChannel, buffers: Sequence[Buffer]) -> None:
        written.append(b"".join(map(bytes, buffers)))
        write(self, buffers)

    stream = archive_of(tmp_path, algorithm=None)
    monkeypatch.setattr(FileChannel, "write", watch)
    store(stream, tmp_path / "dest")
    assert [chunk for chunk in written if chunk] == [chunk for _path, chunk in chunks_of(stream)]


def test_an_encrypted_stream_without_a_key_is_stored_and_said_not_to_be_verified(tmp_path: Path) -> None:
    received = store(archive_of(tmp_path, KEY), tmp_path / "dest")
    assert received.manifest
    assert not received.verified
    verify_archive(source_at(tmp_path / "dest"), ExtractOptions(decrypt_key=KEY))


def test_with_the_wrong_key_nothing_is_stored(tmp_path: Path) -> None:
    with pytest.raises(DecryptionFailed):
        store(archive_of(tmp_path, KEY), tmp_path / "dest", b"K" * 32)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", [1 / 3, 2 / 3, 0.97])
@pytest.mark.parametrize("key", [None, KEY])
def test_damage_is_found_with_and_without_the_key(tmp_path: Path, key: bytes | None, place: float) -> None:
    stream = bytearray(archive_of(tmp_path, KEY))
    stream[int(len(stream) * place)] ^= 1
    with pytest.raises((StreamCorrupt, StreamTruncated, DecryptionFailed)):
        store(bytes(stream), tmp_path / "dest", key)
    assert os.listdir(tmp_path) == []


def test_an_entry_that_is_missing_is_found_without_the_key(tmp_path: Path) -> None:
    stream = archive_of(tmp_path, KEY)
    one = stream.index(b"shop/orders.ibd.zst.xbcrypt") - 14
    two = stream.index(end(b"shop/orders.ibd.zst.xbcrypt")) + len(end(b"shop/orders.ibd.zst.xbcrypt"))
    with pytest.raises(StreamTruncated, match=r"shop/orders\.ibd"):
        store(stream[:one] + stream[two:], tmp_path / "dest")
    assert os.listdir(tmp_path) == []


def test_the_rest_of_a_killed_run_is_no_obstacle_and_another_job_is(tmp_path: Path) -> None:
    (tmp_path / "dest.partial").write_bytes(b"half of something")
    with durable.exclusive_lock(tmp_path / "dest.lock", "it"), pytest.raises(TargetBusy):
        store(archive_of(tmp_path), tmp_path / "dest")
    store(archive_of(tmp_path), tmp_path / "dest")
    assert os.listdir(tmp_path) == ["dest"]
    with pytest.raises(TargetNotEmpty):
        store(archive_of(tmp_path), tmp_path / "dest")


# --- by TLS --------------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 3, 8])
@pytest.mark.parametrize("key", [None, KEY])
def test_chunks_of_several_connections_make_one_archive(ends: Ends, connections: int, key: bytes | None) -> None:
    receiver = Receiver(ends, ArchiveIntake(ends.dest, ExtractOptions(decrypt_key=key)))
    sink = TlsSink(ends.target(connections=connections), compress=Compression("zstd"), encrypt_key=key)
    published = sink.publish(send(sink, FILES))
    receiver.join()
    assert receiver.error is None
    assert receiver.received
    assert receiver.received.verified
    assert published["path"] == str(ends.dest)
    assert ends.leftovers() == [ends.dest.name]
    extract_archive(source_at(ends.dest), ends.directory / "unpacked", ExtractOptions(decrypt_key=key))
    unpacked = tree(ends.directory / "unpacked")
    assert hashlib.sha256(unpacked.pop("xtrabackup_manifest.json")).hexdigest() == published["sha256"]
    assert prints(unpacked) == prints(FILES)


@pytest.mark.parametrize("connections", [1, 4])
def test_both_ends_have_the_same_digests(ends: Ends, connections: int) -> None:
    receiver = Receiver(ends, ArchiveIntake(ends.dest))
    sink = TlsSink(ends.target(connections=connections), digests=["sha256", "xxh3"])
    published = sink.publish(send(sink, FILES))
    receiver.join()
    assert receiver.received
    assert receiver.received.digests == published["digests"]
    assert published["digests"].keys() == {"sha256", "xxh3"}
    stored = hashlib.sha256(ends.dest.read_bytes()).hexdigest()
    assert (stored == published["digests"]["sha256"]) == (connections == 1)


def test_a_digest_that_does_not_fit_is_a_failure_of_both_ends(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(message: framing.End) -> bytes:
        if isinstance(message, framing.End):
            message = replace(message, digests={"md5": "0" * 32})
        return render(message)

    render = framing.render_message
    receiver = Receiver(ends)
    sink = TlsSink(ends.target(connections=2), digests=["md5"])
    manifest = send(sink, FILES)
    monkeypatch.setattr(framing, "render_message", lie)
    with pytest.raises(PeerFailed, match="sent bytes whose md5 is 0000"):
        sink.publish(manifest)
    receiver.join()
    assert isinstance(receiver.error, StreamCorrupt)
    assert ends.leftovers() == []


def test_a_receivers_own_digests_and_checksum_are_compared_before_anything_is_published(ends: Ends) -> None:
    received = listen(ends, "md5:" + "0" * 32)
    assert isinstance(received, StreamCorrupt)
    digest = received.details["found"]
    assert ends.leftovers() == []
    again = make_ends(ends.directory)
    outcome = listen(again, f"md5:{digest}")
    assert isinstance(outcome, Received)
    assert outcome.digests["md5"] == digest == hashlib.md5(again.dest.read_bytes()).hexdigest()
    assert outcome.digests.keys() == {"md5", "sha1"}


def listen(ends: Ends, checksum: str) -> Received | BaseException | None:
    """Receive what is the same each time, and expect ``checksum`` of it."""
    receiver = Receiver(ends, ArchiveIntake(ends.dest), digests=["sha1"], checksum=Checksum.parse(checksum))
    sink = TlsSink(ends.target(connections=1))
    file = {"db/t.ibd": b"always the same"}
    try:
        sink.publish(send(sink, file))
    except PeerFailed as error:
        sink.abort(error)
    receiver.join()
    return receiver.received or receiver.error
