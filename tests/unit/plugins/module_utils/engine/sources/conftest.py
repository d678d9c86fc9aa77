# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of source with one backup in it, or on its way."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Union

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations.base import Encoding, Encryption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.base import Source
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.descriptor import DescriptorSource
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.network import (
    ArrivingSource,
    TcpSource,
    TlsSource,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.place import (
    ArchiveSource,
    DirectorySource,
    PipeSource,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.digests import StreamDigests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import DirectoryIntake
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_receiver import TcpListenOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.sources import VaultSource
from ansible_collections.innodb.xtrabackup.tests.support.streams import some_files, write_backup
from ansible_collections.innodb.xtrabackup.tests.support.transfer import make_ends

KEY = b"0123456789abcdef" * 2
FILES = {**some_files(), "shop/large.ibd": os.urandom(3 << 20)}
PLAIN = Encoding()
PACKED = Encoding(Compression("zstd", 1, 2), Encryption("AES256", key=KEY))
PIECE = 100_000

AnySource = Union[Source, ArrivingSource]


@dataclass
class Place:
    """A source, and who writes to it meanwhile; ``errors``: what those met."""

    source: AnySource
    writer: threading.Thread | None = None
    errors: list[BaseException] = field(default_factory=list)

    def end(self) -> None:
        """Wait until nobody writes any more."""
        if self.writer is not None:
            self.writer.join(30)
            assert not self.writer.is_alive()


Make = Callable[[Path, Encoding, bool], Place]


def stream_of(place: Path, encoding: Encoding, cut: bool) -> bytes:
    """The backup as an archive; ``cut``: its first two thirds."""
    made = place / "made"
    write_backup(ArchiveSink(made, **encoding.read()), FILES)
    stream = made.read_bytes()
    made.unlink()
    return stream[: len(stream) * 2 // 3] if cut else stream


def started(place: Place, work: Callable[[], None]) -> Place:
    """``place``, to which ``work`` writes in a thread."""

    def run() -> None:
        try:
            work()
        except (OSError, XtrabackupError) as error:
            place.errors.append(error)

    place.writer = threading.Thread(target=run, daemon=True)
    place.writer.start()
    return place


def directory(place: Path, _encoding: Encoding, cut: bool) -> Place:
    dest = place / "full"
    write_backup(DirectorySink(dest), FILES)
    if cut:
        os.truncate(dest / "shop/large.ibd", 1 << 20)
    return Place(DirectorySource(dest))


def archive(place: Path, encoding: Encoding, cut: bool) -> Place:
    (place / "full.xb").write_bytes(stream_of(place, encoding, cut))
    return Place(ArchiveSource(place / "full.xb"))


def vault(place: Path, encoding: Encoding, cut: bool) -> Place:
    source = VaultSource.at(VaultSource.put(stream_of(place, encoding, cut)))
    assert source is not None
    return Place(source)


def pipe(place: Path, encoding: Encoding, cut: bool) -> Place:
    stream = stream_of(place, encoding, cut)
    os.mkfifo(place / "pipe")
    return started(Place(PipeSource(place / "pipe")), lambda: _write(place / "pipe", stream))


def _write(path: Path, stream: bytes) -> None:
    with open(path, "wb", buffering=0) as target:
        view = memoryview(stream)
        while view:
            view = view[target.write(view) :]


def descriptor(place: Path, encoding: Encoding, cut: bool) -> Place:
    stream = stream_of(place, encoding, cut)
    reader, writer = os.pipe()

    def work() -> None:
        with open(writer, "wb") as target:
            target.write(stream)

    return started(Place(DescriptorSource(reader, "the pipe")), work)


def tcp(place: Path, encoding: Encoding, cut: bool) -> Place:
    stream, port = stream_of(place, encoding, cut), free_port()

    def work() -> None:
        with connected(port) as sender:
            sender.sendall(stream)
            sender.shutdown(socket.SHUT_WR)
            sender.recv(1)

    return started(Place(TcpSource(TcpListenOptions(port, "127.0.0.1", 10.0, 20.0))), work)


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection to ``port`` of this host, as soon as somebody listens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            sender = socket.create_connection(("127.0.0.1", port), timeout=10)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    with sender:
        yield sender


def tls(place: Path, encoding: Encoding, cut: bool) -> Place:
    (place / "ends").mkdir()
    ends = make_ends(place / "ends")

    def work() -> None:
        sink = TlsSink(ends.target(), **encoding.read())
        if not cut:
            write_backup(sink, FILES)
            return
        with sink.open("ibdata1") as file:
            file.write(FILES["ibdata1"])
            file.close()
        sink.abort(RuntimeError("the backup failed"))

    return started(Place(TlsSource(ends.listen())), work)


#: all kinds; a new one gets a line
KINDS: dict[str, Make] = {
    "directory": directory,
    "archive": archive,
    "vault": vault,
    "pipe": pipe,
    "descriptor": descriptor,
    "tcp": tcp,
    "tls": tls,
}


def take(
    place: Place,
    dest: Path,
    encoding: Encoding = PLAIN,
    *,
    digests: StreamDigests | None = None,
    intake: type[DirectoryIntake] = DirectoryIntake,
) -> Manifest | None:
    """Bring the backup into the directory ``dest`` in the way of its kind; returns its manifest."""
    options = ExtractOptions(decrypt_key=KEY if encoding.encryption else None)
    try:
        if isinstance(place.source, ArrivingSource):
            return place.source.receive(intake(dest, options)).manifest
        if place.source.directory is None:
            return extract_archive(place.source, dest, options, digests=digests)
        return _copy(place.source, dest, digests)
    finally:
        if isinstance(place.source, DescriptorSource):
            os.close(place.source.number)
        place.end()


def _copy(source: Source, dest: Path, digests: StreamDigests | None) -> Manifest:
    """The files that a source names, range by range, once they are known to be complete."""
    manifest = source.require_complete()
    opening = source.ranges()
    assert opening is not None
    found: dict[str, bytes] = {}
    with opening as ranges:
        for name in ranges.names():
            size = ranges.size(name)
            pieces = [
                ranges.read_at(name, start, min(PIECE, size - start)) for start in reversed(range(0, size, PIECE))
            ]
            if digests is not None:
                digests.update(b"".join(pieces))
            found[name] = b"".join(reversed(pieces))
    for name, data in found.items():
        (dest / name).parent.mkdir(parents=True, exist_ok=True)
        (dest / name).write_bytes(data)
    return manifest


@pytest.fixture(name="kind", params=KINDS)
def _kind(request: pytest.FixtureRequest) -> Make:
    return KINDS[request.param]
