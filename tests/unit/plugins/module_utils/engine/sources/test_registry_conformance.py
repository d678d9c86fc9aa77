# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every source promises: a backup is read as it is, or an error says that it is not.

A new source gets a line in ``KINDS`` of conftest.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations.base import Encoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    Cancelled,
    NotABackup,
    PeerTimeout,
    StorageError,
    UnsafeFile,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.content_digest import new_digest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.base import Source
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.descriptor import DescriptorSource
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.network import ArrivingSource, TcpSource
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.place import (
    ArchiveSource,
    DirectorySource,
    PipeSource,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.digests import StreamDigests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import Buffer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.xbstream import ByteSource
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import DirectoryIntake
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_receiver import TcpListenOptions
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.sources import VaultSource
from ansible_collections.innodb.xtrabackup.tests.support.streams import prints, tree, write_backup

from .conftest import FILES, KINDS, PACKED, PIECE, PLAIN, Make, archive, descriptor, directory, pipe, take

OTHER = {**FILES, "shop/large.ibd": b"other" * 500_000}


def opened_files() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [pytest.param(kind, PLAIN, id=f"{name}-plain") for name, kind in KINDS.items()]
    + [pytest.param(kind, PACKED, id=f"{name}-packed") for name, kind in KINDS.items() if kind is not directory],
)
def test_a_backup_is_read_as_it_was_and_its_sizes_and_digests_are_told(
    tmp_path: Path, kind: Make, encoding: Encoding
) -> None:
    place = kind(tmp_path, encoding, False)
    manifest = take(place, tmp_path / "dest", encoding)
    assert manifest is not None
    found = {name: data for name, data in tree(tmp_path / "dest").items() if name != MANIFEST_NAME}
    assert prints(found) == prints(FILES)
    assert {file.path: file.size for file in manifest.files} == {name: len(data) for name, data in FILES.items()}
    for file in manifest.files:
        digest = new_digest(manifest.digest_algorithm)
        digest.update(FILES[file.path])
        assert file.digest == digest.hexdigest()
    assert not place.errors


def test_what_is_there_is_told_before_it_is_read(tmp_path: Path, kind: Make) -> None:
    place = kind(tmp_path, PLAIN, False)
    source = place.source
    if isinstance(source, ArrivingSource):
        assert source.location
    elif source.is_stored or source.directory is not None:
        assert source.is_there()
        manifest = source.require_complete()
        assert {file.path for file in manifest.files} == set(FILES)
        assert source.manifest_location.startswith(source.location)
        assert source.size() is None or source.size() == len(b"".join(_pieces(source)))
    else:
        assert source.is_there()
        assert (source.ranges(), source.size()) == (None, None)
        with pytest.raises(NotABackup):
            source.require_complete()
    take(place, tmp_path / "dest")


def _pieces(source: Source) -> list[bytes]:
    """All bytes of an archive, in ranges."""
    opening = source.ranges()
    assert opening is not None
    with opening as ranges:
        size = ranges.size()
        return [ranges.read_at(None, start, min(PIECE, size - start)) for start in range(0, size, PIECE)]


@pytest.mark.parametrize("name", ["archive", "vault"])
def test_ranges_of_an_archive_are_those_of_its_stream(tmp_path: Path, name: str) -> None:
    source = KINDS[name](tmp_path, PACKED, False).source
    assert isinstance(source, Source)
    stream = b"".join(_pieces(source))
    with source.reading() as reading:
        buffer = bytearray(len(stream) + 1)
        filled = 0
        while count := reading.readinto(memoryview(buffer)[filled:]) or 0:
            filled += count
    assert bytes(buffer[:filled]) == stream
    with source.reading() as reading:
        assert reading.skip is not None
        reading.skip(5)
        rest = bytearray(10)
        assert reading.readinto(memoryview(rest)) == 10
        assert bytes(rest) == stream[5:15]


@pytest.mark.parametrize("make", [directory, archive])
def test_a_range_behind_the_end_is_an_error_that_names_the_file(tmp_path: Path, make: Make) -> None:
    source = make(tmp_path, PLAIN, False).source
    assert isinstance(source, Source)
    opening = source.ranges()
    assert opening is not None
    with opening as ranges:
        name = "ibdata1" if source.directory is not None else None
        size = ranges.size(name)
        assert ranges.read_at(name, size - 3, 3)
        with pytest.raises(BackupIncomplete, match="2 bytes too early"):
            ranges.read_at(name, size - 3, 5)
        with pytest.raises(NotABackup):
            ranges.size("ibdata1" if name is None else None)


def test_nothing_is_read_from_where_nothing_is(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    for source in (DirectorySource(absent), PipeSource(absent), ArchiveSource(absent), VaultSource("absent")):
        assert not source.is_there()
        with pytest.raises(StorageError), source.reading():
            pass
        opening = source.ranges()
        if opening is not None:
            with pytest.raises(StorageError), opening:
                pass
        with pytest.raises(XtrabackupError):
            source.require_complete()
    listening = TcpSource(TcpListenOptions(free_port(), "127.0.0.1", 0.3, 0.3))
    with pytest.raises(PeerTimeout):
        listening.receive(DirectoryIntake(tmp_path / "dest"))
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    unreadable = ArchiveSource(Path("/proc/self/mem"))  # its first bytes are an input/output error
    for read in (list_archive, verify_archive, lambda source: extract_archive(source, tmp_path / "dest")):
        with pytest.raises(StorageError, match="/proc/self/mem"):
            read(unreadable)
    with pytest.raises(StorageError, match="Is a directory"), DirectorySource(tmp_path).reading():
        pass
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(StorageError, match="the pipe"), DescriptorSource(reader, "the pipe").reading():
        pass
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsafeFile, match="a FIFO"), ArchiveSource(tmp_path / "pipe").ranges():
        pass
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_is_torn_in_the_middle_is_never_a_backup(tmp_path: Path, kind: Make) -> None:
    place = kind(tmp_path, PLAIN, True)
    with pytest.raises(XtrabackupError):
        take(place, tmp_path / "dest")
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("make", [pipe, descriptor])
def test_who_writes_into_a_pipe_that_is_no_longer_read_is_told(tmp_path: Path, make: Make) -> None:
    place = make(tmp_path, PLAIN, False)
    assert isinstance(place.source, Source)
    with place.source.reading() as reading:
        assert reading.skip is None
        assert reading.readinto(memoryview(bytearray(1000)))
    if isinstance(place.source, DescriptorSource):
        os.close(place.source.number)  # reading has left it open
    place.end()
    assert [type(error) for error in place.errors] == [BrokenPipeError]


class _Stopping(StreamDigests):
    """Cancels the reading at its first bytes."""

    def update(self, data: Buffer) -> None:
        raise Cancelled("stopped by a signal")


class _StoppingIntake(DirectoryIntake):
    """Cancels what is received at its first bytes."""

    def consume(self, source: ByteSource, where: str) -> None:
        raise Cancelled("stopped by a signal")


def test_what_is_cancelled_leaves_nothing_and_nothing_open(tmp_path: Path, kind: Make) -> None:
    place = kind(tmp_path, PLAIN, False)
    before = opened_files()
    with pytest.raises(Cancelled):
        take(place, tmp_path / "dest", digests=_Stopping(), intake=_StoppingIntake)
    assert not (tmp_path / "dest").exists()
    assert opened_files() <= before


def test_an_archive_that_is_replaced_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    source = archive(tmp_path, PLAIN, False).source
    assert isinstance(source, ArchiveSource)
    stream = source.path.read_bytes()
    (tmp_path / "other").write_bytes(b"x" * len(stream))
    opening = source.ranges()
    with opening as ranges, source.reading() as reading:
        found = bytearray(len(stream))
        filled = reading.readinto(memoryview(found)[:1000])
        os.replace(tmp_path / "other", source.path)
        while filled < len(found):
            filled += reading.readinto(memoryview(found)[filled:]) or len(found)
        assert bytes(found) == stream
        assert ranges.read_at(None, 0, len(stream)) == stream


def test_a_directory_that_is_replaced_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    source = directory(tmp_path, PLAIN, False).source
    assert isinstance(source, DirectorySource)
    with source.ranges() as ranges:
        (source.path / "a/b/deep.ibd").unlink()
        (source.path / "a/b/deep.ibd").symlink_to("/etc/passwd")
        with pytest.raises(UnsafeFile):
            ranges.read_at("a/b/deep.ibd", 0, 1)
        source.path.rename(tmp_path / "old")
        source.path.mkdir()
        (source.path / "ibdata1").write_bytes(b"other")
        assert ranges.read_at("ibdata1", 0, ranges.size("ibdata1")) == FILES["ibdata1"]
        for name in ("../full/ibdata1", "/etc/passwd"):
            with pytest.raises(UnsafeFile):
                ranges.size(name)


def test_a_source_that_is_replaced_between_two_readings_is_what_it_is_then(tmp_path: Path) -> None:
    source = archive(tmp_path, PLAIN, False).source
    assert isinstance(source, ArchiveSource)
    first = source.require_complete()
    source.path.unlink()
    write_backup(ArchiveSink(source.path), OTHER)
    assert source.require_complete() != first
    assert extract_archive(source, tmp_path / "dest") == source.require_complete()
    assert tree(tmp_path / "dest")["shop/large.ibd"] == OTHER["shop/large.ibd"]
