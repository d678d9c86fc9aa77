# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets in a directory whose owner puts links in the place of what a job has made there: nothing outside changes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    StorageError,
    TargetUnsafe,
    UnsafeFile,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import below, durable, filling
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.anchor import Anchor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.handover import handed_over
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.staging import staged_directory, staged_file
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.packed_directory import (
    PackedDirectorySink,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink, Sink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.staging import (
    staging_directory,
    staging_inside,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    unpack_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import credentials
from ansible_collections.innodb.xtrabackup.tests.support.streams import some_files, tree, write_backup

MYSQL = 61001


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    """A directory of the attacker's, in one that all can reach."""
    with tempfile.TemporaryDirectory(prefix="xtrabackup-", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        place = Path(name, "theirs")
        place.mkdir()
        os.chown(place, MYSQL, MYSQL)
        yield place


@pytest.fixture(name="outside")
def _outside(place: Path) -> Iterator[Path]:
    """A directory of root's, of which nothing may change."""
    outside = place.with_name("outside")
    (outside / "shop").mkdir(parents=True)
    (outside / "shop" / "t.ibd").write_text("precious")
    (outside / "ibdata1").write_text("precious")
    before, status = tree(outside), outside.stat()
    yield outside
    now = outside.stat()
    assert tree(outside) == before
    assert (now.st_mode, now.st_uid, now.st_gid) == (status.st_mode, status.st_uid, status.st_gid)


def swap(path: Path, outside: Path) -> None:
    """What the owner of the parent of ``path`` can do at any time."""
    path.rename(path.with_name(path.name + ".away"))
    path.symlink_to(outside)
    os.lchown(path, MYSQL, MYSQL)


Make = Callable[[Path], Sink]
SINKS = [DirectorySink, PackedDirectorySink]


@pytest.mark.parametrize("make", SINKS)
def test_a_backup_stays_where_it_was_begun(place: Path, outside: Path, make: Make) -> None:
    sink = make(place / "full")
    swap(place / "full.partial", outside)
    with pytest.raises(TargetUnsafe, match=f"{place}/full was replaced by something else"):
        write_backup(sink, some_files())
    # it is no success, and what was made of it is what the attacker has
    assert (place / "full").is_symlink()


@pytest.mark.parametrize("make", SINKS)
def test_a_failed_backup_removes_its_own_files_only(place: Path, outside: Path, make: Make) -> None:
    sink = make(place / "full")
    sink.open("ibdata1").write(b"x")
    swap(place / "full.partial", outside)
    sink.abort(RuntimeError())
    assert tree(place / "full.partial.away") == {}


@pytest.mark.parametrize("make", [*SINKS, ArchiveSink])
def test_it_stays_there_when_the_directory_gets_another_name(place: Path, outside: Path, make: Make) -> None:
    (place / "daily").mkdir()
    sink = make(place / "daily" / "full")
    swap(place / "daily", outside)
    write_backup(sink, some_files())
    assert os.listdir(place / "daily.away") == ["full"]


def test_an_archive_is_written_to_its_own_file(place: Path, outside: Path) -> None:
    sink = ArchiveSink(place / "full.xb")
    (outside / "file").write_text("precious")
    try:
        swap(place / "full.xb.partial", outside / "file")
        write_backup(sink, some_files())
        assert (outside / "file").read_text() == "precious"
    finally:
        (outside / "file").unlink()


@pytest.mark.parametrize("make", SINKS)
def test_an_existing_directory_of_theirs_is_filled_from_the_right_place(place: Path, outside: Path, make: Make) -> None:
    (place / "full").mkdir()
    os.chown(place / "full", MYSQL, MYSQL)
    sink = make(place / "full")
    swap(place / "full" / filling.STAGING_NAME, outside)
    write_backup(sink, some_files())
    assert "xtrabackup_manifest.json" in os.listdir(place / "full")


@pytest.mark.parametrize("unpack", [staging_directory, staging_inside])
def test_what_was_unpacked_before_an_error_is_removed(
    place: Path, outside: Path, unpack: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    dest = place / "dest"
    dest.mkdir()
    with pytest.raises(XtrabackupError), unpack(dest) as staging:
        swap(dest / filling.STAGING_NAME, outside)
        (staging / "cron.d").mkdir()
        (staging / "cron.d" / "job").write_text("* * * * * root /bin/false")
        raise StorageError("the stream ended")
    assert tree(dest / f"{filling.STAGING_NAME}.away") == {}


def test_files_get_their_places_below_the_directory_only(
    place: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = place / "dest"
    (dest / "shop").mkdir(parents=True)
    append = filling._append

    def late(descriptor: int, data: bytes) -> None:
        append(descriptor, data)
        if b"shop" in data:
            swap(dest / "shop", outside)

    monkeypatch.setattr(filling, "_append", late)
    with pytest.raises(UnsafeFile, match="shop is a symbolic link"), staging_inside(dest) as staging:
        (staging / "shop").mkdir()
        (staging / "shop" / "new.ibd").write_text("x")


def test_what_is_replaced_is_removed_and_nothing_else(
    place: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_backup(DirectorySink(place / "full"), some_files())
    names = below.Root.names
    removed: list[Path] = []

    def late(root: below.Root) -> list[str]:
        found = names(root)
        if root.path.name == "full.replaced":
            swap(place / "full.replaced", outside)
            removed.append(root.path)
        return found

    monkeypatch.setattr(below.Root, "names", late)
    write_backup(DirectorySink(place / "full", replace=True), some_files())
    assert removed
    assert tree(place / "full.replaced.away") == {durable._REPLACED_MARKER: b""}


def begin(kind: str, path: Path) -> Any:
    if kind == "handover":
        return handed_over(path, "scratch")
    if kind == "file":
        return staged_file(path / "full.xb")
    if kind == "directory":
        return staged_directory(path / "full")
    if kind == "inside":
        return staging_inside(path)
    unpack_directory(path, UnpackOptions(Decoding(decompress=True, decrypt=False)), Progress("test"))
    return Anchor(path)


KINDS = ["handover", "file", "directory", "inside", "unpacking"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("below_link", ["", "shop"])
def test_no_link_of_theirs_leads_root_elsewhere(place: Path, outside: Path, kind: str, below_link: str) -> None:
    (place / "way").symlink_to(outside)
    os.lchown(place / "way", MYSQL, MYSQL)
    with pytest.raises(TargetUnsafe) as caught, begin(kind, place / "way" / below_link):
        pass
    assert caught.value.message.startswith(f"{place}/way is a symbolic link of uid {MYSQL}")
    assert f"chown -h root {place}/way" in caught.value.remedy


@pytest.mark.parametrize("kind", KINDS)
def test_links_that_only_root_can_change_are_followed(place: Path, kind: str) -> None:
    (place / "real").mkdir()
    (place / "way").symlink_to("real")
    (place.parent / "link").symlink_to("theirs/way")
    os.lchown(place.parent / "link", MYSQL, MYSQL)
    with begin(kind, place.parent / "link"):
        pass


def test_directories_that_are_missing_are_of_root_alone(place: Path) -> None:
    before = os.umask(0)
    try:
        with staged_file(place / "a" / "b" / "full.xb"):
            pass
    finally:
        os.umask(before)
    assert [(place / name).stat().st_mode & 0o7777 for name in ("a", "a/b")] == [0o750, 0o750]


def test_an_error_names_a_place_by_its_path(place: Path) -> None:
    with staged_directory(place / "full") as dest:
        with pytest.raises(StorageError) as caught, durable.storage_errors("opening", dest.staging / "t.ibd"):
            (dest.staging / "t.ibd").open()
        assert caught.value.message == f"opening {place}/full.partial/t.ibd: No such file or directory"
        assert caught.value.details["path"] == f"{place}/full.partial/t.ibd"


def test_a_status_file_and_credentials_stay_in_the_directory_that_was_named(place: Path, outside: Path) -> None:
    (place / "run").mkdir()
    progress = Progress("test", place / "run" / "ibdata1")
    progress.phase("copying")
    swap(place / "run", outside)
    progress.phase("ending")
    progress.close()
    assert tree(place / "run.away") == {}
    with pytest.raises(TargetUnsafe, match=f"{place}/run is a symbolic link"):
        Progress("test", place / "run" / "status.json")
    with pytest.raises(TargetUnsafe, match=f"{place}/run is a symbolic link"):
        credentials.save(place / "run" / "ibdata1", credentials.create("sender"))
