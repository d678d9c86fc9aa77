# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every destination promises: a backup arrives whole and as it was, or not at all, and the sender knows which.

A new destination gets a line in ``DESTINATIONS``.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations import registry
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations.archive import Archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations.base import (
    Destination,
    Encoding,
    Encryption,
    StreamDestination,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations.command import Command, Descriptor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations.directory import (
    Directory,
    PackedDirectory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations.network import Tcp, Tls
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DiskFull,
    InvalidOption,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.content_digest import new_digest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import read
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    unpack_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import DirectoryIntake, Intake
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_receiver import (
    TcpListenOptions,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_receiver import (
    receive as receive_tcp,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_sender import TcpTarget
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_receiver import (
    receive as receive_tls,
)
from ansible_collections.innodb.xtrabackup.plugins.modules import xtrabackup_backup
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.streams import some_files, tree, write_backup
from ansible_collections.innodb.xtrabackup.tests.support.transfer import make_ends

KEY = b"0123456789abcdef" * 2
FILES = some_files()
PLAIN = Encoding()
PACKED = Encoding(Compression("zstd", 1, 2), Encryption("AES256", key=KEY))

STORE = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, open(sys.argv[1], 'wb'))"


@dataclass
class Place:
    """A destination, and how what arrived there is looked at: its directory, None where nothing is."""

    destination: Destination
    arrived: Callable[[], Path | None]


def key_of(encoding: Encoding) -> bytes | None:
    """The key to read with; without one, nothing has to be authentic."""
    return KEY if encoding.encryption else None


def unpacked(archive: Path, encoding: Encoding) -> Path | None:
    """What a stream in a file holds; None for one that is not complete."""
    dest = archive.with_name(f"{archive.name}.unpacked")
    try:
        extract_archive(source_at(archive), dest, ExtractOptions(decrypt_key=key_of(encoding)))
    except XtrabackupError:
        return None
    return dest


def directory(place: Path, encoding: Encoding) -> Place:
    dest = place / "full"
    if encoding is PLAIN:
        return Place(Directory(dest), lambda: dest if dest.exists() else None)

    def look() -> Path | None:
        if not dest.exists():
            return None
        options = UnpackOptions(Decoding(decompress=True, decrypt=True), decrypt_key=KEY, remove_original=True)
        unpack_directory(dest, options, Progress("test"))
        return dest

    return Place(PackedDirectory(dest, encoding=encoding), look)


def archive(place: Path, encoding: Encoding) -> Place:
    dest = place / "full.xb"
    return Place(Archive(dest, encoding=encoding), lambda: unpacked(dest, encoding) if dest.exists() else None)


def command(place: Path, encoding: Encoding) -> Place:
    out = place / "out.xb"
    return Place(Command(((sys.executable, "-c", STORE, str(out)),), encoding), lambda: unpacked(out, encoding))


def descriptor(place: Path, encoding: Encoding) -> Place:
    out = place / "out.xb"
    number = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    return Place(Descriptor(number, encoding), lambda: unpacked(out, encoding))


def received(run: Callable[[Intake], Any], dest: Path, encoding: Encoding) -> Callable[[], Path | None]:
    """A receiver in a thread; once it has ended, what it has published."""

    def work() -> None:
        try:
            run(DirectoryIntake(dest, ExtractOptions(decrypt_key=key_of(encoding))))
        except XtrabackupError:
            return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def look() -> Path | None:
        thread.join(30)
        assert not thread.is_alive()
        return dest if dest.exists() else None

    return look


def tcp(place: Path, encoding: Encoding) -> Place:
    port = free_port()
    look = received(
        lambda intake: receive_tcp(TcpListenOptions(port, "127.0.0.1", 10.0, 5.0), intake), place / "arrived", encoding
    )
    return Place(Tcp(TcpTarget("127.0.0.1", port, 10.0, 10.0), encoding), look)


def tls(place: Path, encoding: Encoding) -> Place:
    (place / "ends").mkdir()
    ends = make_ends(place / "ends")
    return Place(
        Tls(ends.target(), encoding), received(lambda intake: receive_tls(ends.listen(), intake), ends.dest, encoding)
    )


DESTINATIONS = [directory, archive, command, descriptor, tcp, tls]
Make = Callable[[Path, Encoding], Place]


@pytest.fixture(name="place", params=[PLAIN, PACKED], ids=["plain", "packed"])
def _encoding(request: pytest.FixtureRequest) -> Encoding:
    assert isinstance(request.param, Encoding)
    return request.param


@pytest.mark.parametrize("make", DESTINATIONS)
def test_a_backup_arrives_as_it_was_and_its_sizes_and_digests_are_told(
    tmp_path: Path, make: Make, place: Encoding
) -> None:
    there = make(tmp_path, place)
    sink = there.destination.open()
    published = write_backup(sink, FILES)
    arrived = there.arrived()
    assert arrived is not None
    assert {name: data for name, data in tree(arrived).items() if name != MANIFEST_NAME} == FILES
    found = read(arrived)
    assert {file.path: file.size for file in found.files} == {name: len(data) for name, data in FILES.items()}
    for file in found.files:
        digest = new_digest(sink.digest_algorithm)
        digest.update(FILES[file.path])
        assert file.digest == digest.hexdigest()
    assert len(published["sha256"]) == 64
    assert there.destination.existing() is None or there.destination.path is not None


@pytest.mark.parametrize("written", [0, 1, 3])
@pytest.mark.parametrize("make", DESTINATIONS)
def test_nothing_arrives_of_a_backup_that_failed(tmp_path: Path, make: Make, place: Encoding, written: int) -> None:
    there = make(tmp_path, place)
    before = sorted(os.listdir(tmp_path))
    sink = there.destination.open()
    for name in list(FILES)[:written]:
        with sink.open(name) as file:
            file.write(FILES[name])
            file.close()
    unfinished = sink.open("half.ibd")
    unfinished.write(b"x" * 1000)
    sink.abort(RuntimeError("the backup failed"))
    assert there.arrived() is None
    if there.destination.path is not None:
        assert sorted(os.listdir(tmp_path)) == before
    if isinstance(there.destination, Descriptor):
        os.close(there.destination.number)


@pytest.fixture(name="small_files")
def _small_files() -> Iterator[Callable[[], None]]:
    """A function after which no file of this process can be larger than 100 KB, as if the disk were full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("make", [directory, archive, descriptor])
def test_a_full_disk_is_named_and_nothing_is_left(
    tmp_path: Path, make: Make, place: Encoding, small_files: Callable[[], None]
) -> None:
    there = make(tmp_path, place)
    before = sorted(os.listdir(tmp_path))
    sink = there.destination.open()
    small_files()
    with pytest.raises(DiskFull) as caught:
        write_backup(sink, FILES)
    assert caught.value.details["errno"] == errno.errorcode[errno.EFBIG]
    sink.abort(caught.value)
    if there.destination.path is not None:
        assert sorted(os.listdir(tmp_path)) == before
    else:
        assert isinstance(there.destination, Descriptor)
        os.close(there.destination.number)


@pytest.mark.parametrize("kind", ["command", "descriptor"])
def test_a_reader_that_goes_away_is_an_error(kind: str, place: Encoding) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    destination: Destination = Descriptor(writer, place)
    if kind == "command":
        os.close(writer)
        destination = Command(((sys.executable, "-c", "pass"),), place)
    sink = destination.open()
    with pytest.raises(XtrabackupError) as caught:
        write_backup(sink, {**FILES, "large.ibd": os.urandom(4 << 20)})
    sink.abort(caught.value)


@pytest.mark.parametrize("make", DESTINATIONS)
def test_what_is_told_of_it_shows_no_key(tmp_path: Path, make: Make) -> None:
    there = make(tmp_path, PACKED)
    reported = f"{there.destination!r} {there.destination.describe()} {there.destination.warnings()}"
    assert KEY.decode() not in reported
    there.destination.open().abort(RuntimeError())
    there.arrived()


# --- the registry --------------------------------------------------------------------------------


def options(**given: Any) -> dict[str, Any]:
    """The module's options, as Ansible hands them over."""
    return {
        "dest": None,
        "format": "directory",
        "stream_to": None,
        "compress": None,
        "encrypt": None,
        "digests": [],
        "sparse": False,
        "force": False,
        **given,
    }


def test_the_module_names_the_destinations_that_are_registered() -> None:
    spec = xtrabackup_backup._argument_spec()
    assert set(spec["stream_to"]["options"]) == set(registry.STREAMS)
    assert set(spec["format"]["choices"]) == {Directory.format, Archive.format}


def test_options_become_destinations(tmp_path: Path) -> None:
    dest = str(tmp_path / "full")
    assert registry.from_options(options(dest=dest)) == Directory(tmp_path / "full")
    compress = {"algorithm": "lz4", "level": 1, "threads": 3}
    assert registry.from_options(options(dest=dest, format="xbstream", force=True, compress=compress)) == Archive(
        tmp_path / "full", True, Encoding(Compression("lz4", 1, 3))
    )
    found = registry.from_options(options(stream_to={"command": [["tee", 5]], "tcp": None, "tls": None}))
    assert found == Command((("tee", "5"),))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"digests": ["sha256"]}, "digests"),
        ({"sparse": True}, "sparse"),
        ({"compress": {"algorithm": "zstd", "level": 1, "threads": 1}}, "compress"),
        ({"encrypt": {"algorithm": "AES256", "key_file": "/nowhere"}}, "encrypt"),
    ],
)
def test_a_plain_directory_is_not_encoded(tmp_path: Path, given: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        registry.from_options(options(dest=str(tmp_path / "full"), **given))
    assert caught.value.details["option"] == name


def test_a_new_destination_is_a_class_and_a_line_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Drawer(StreamDestination):
        name: str
        key = "drawer"

        @classmethod
        def from_option(cls, value: Any, encoding: Encoding) -> StreamDestination:
            return cls(value)

        def open(self) -> Any:
            raise NotImplementedError

        def describe(self) -> dict[str, Any]:
            return {"stream_to": self.name}

    monkeypatch.setitem(registry.STREAMS, Drawer.key, Drawer)
    assert registry.from_options(options(stream_to={"command": None, "drawer": "upper"})) == Drawer("upper")
