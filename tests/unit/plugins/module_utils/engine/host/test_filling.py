# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that are filled where they are: the same one afterwards, and never a half backup that looks whole."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.catalog import describe_path
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    TargetBusy,
    TargetNotEmpty,
    TargetUnsafe,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.filling import (
    MARKER_NAME,
    STAGING_NAME,
    Filling,
    require_finished,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.pack import create_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.packed_directory import (
    PackedDirectorySink,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.staging import staging_inside
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    unpack_directory,
)
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at
from ansible_collections.innodb.xtrabackup.tests.support.streams import make_archive, write_backup

FILES = {"ibdata1": b"system" * 100, "shop/t.ibd": b"table" * 100, "xtrabackup_checkpoints": b"backup_type = full\n"}
NOBODY = 65534


def tree(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def identity(place: Path) -> tuple[int, int, int, int]:
    status = place.stat()
    return status.st_ino, status.st_mode, status.st_uid, status.st_gid


@pytest.fixture(name="dest")
def _dest(tmp_path: Path) -> Path:
    """An empty directory of somebody else, with an unusual mode."""
    dest = tmp_path / "dest"
    dest.mkdir()
    dest.chmod(0o2710)
    if os.geteuid() == 0:
        os.chown(dest, NOBODY, NOBODY)
    return dest


def to_directory(dest: Path) -> None:
    write_backup(DirectorySink(dest), FILES)


def to_packed_directory(dest: Path) -> None:
    write_backup(PackedDirectorySink(dest, compress=Compression("zstd")), FILES)


def by_unpacking(dest: Path) -> None:
    extract_archive(source_at(dest.parent / "archive"), dest)


def by_streaming(dest: Path) -> None:
    with staging_inside(dest) as staging:
        for name, content in {**FILES, MANIFEST_NAME: b"{}"}.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(content)


WAYS = [to_directory, to_packed_directory, by_unpacking, by_streaming]


@pytest.mark.parametrize("fill", WAYS)
def test_an_empty_directory_stays_the_same_one(dest: Path, fill: Callable[[Path], None]) -> None:
    make_archive(dest.parent / "archive", FILES)
    before = identity(dest)
    fill(dest)
    assert identity(dest) == before
    assert (dest / MANIFEST_NAME).exists()
    assert sorted(path.name for path in dest.parent.iterdir()) == ["archive", "dest"]
    assert not [path for path in dest.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("fill", WAYS)
def test_a_job_killed_at_any_of_its_steps_leaves_what_nobody_takes_for_a_backup_and_the_next_one_finishes(
    dest: Path, fill: Callable[[Path], None]
) -> None:
    make_archive(dest.parent / "archive", FILES)
    (dest / "lost+found").mkdir()
    fill(dest)
    whole = tree(dest)
    step = 0
    while True:
        shutil.rmtree(dest)
        (dest / "lost+found").mkdir(parents=True)
        before = identity(dest)
        if not killed_at(step, lambda: fill(dest)):
            break
        if (dest / MARKER_NAME).exists():
            for read in (require_finished, read_backup_directory, manifest.read):
                with pytest.raises(BackupIncomplete):
                    read(dest)
            facts, _record = describe_path(dest)
            assert (facts["kind"], facts["complete"], facts["partial"]) == ("backup", False, True), step
        else:
            # not begun, or over
            assert tree(dest) in ({}, whole), step
        if tree(dest) != whole:
            fill(dest)
        assert tree(dest) == whole, step
        assert identity(dest) == before, step
        assert (dest / "lost+found").is_dir()
        step += 1
    assert step > 5


def test_what_somebody_has_put_there_since_a_job_was_killed_is_kept(dest: Path) -> None:
    assert killed_at(6, lambda: to_directory(dest))
    moved = [name for name in ("ibdata1", "shop") if (dest / name).exists()]
    assert moved == ["ibdata1"]
    (dest / "ibdata1").rename(dest / "mine")
    (dest / "ibdata1").write_bytes(b"somebody's")
    before = (dest / "ibdata1").read_bytes(), (dest / "mine").read_bytes()
    with pytest.raises(TargetNotEmpty, match="ibdata1, mine"):
        DirectorySink(dest)
    assert ((dest / "ibdata1").read_bytes(), (dest / "mine").read_bytes()) == before


def test_a_failed_job_leaves_the_directory_as_it_was_found(dest: Path) -> None:
    sink = DirectorySink(dest)
    with sink.open("shop/t.ibd") as file:
        file.write(b"x")
        file.close()
    sink.abort(XtrabackupError("it failed"))
    assert list(dest.iterdir()) == []
    assert sorted(path.name for path in dest.parent.iterdir()) == ["dest"]


def test_a_file_that_appears_meanwhile_is_never_replaced(dest: Path) -> None:
    sink = DirectorySink(dest)
    with sink.open("ibdata1") as file:
        file.write(b"x")
        entry = file.close()
    (dest / "ibdata1").write_bytes(b"somebody's")
    with pytest.raises(TargetNotEmpty, match="ibdata1") as caught:
        sink.publish(manifest.Manifest({"id": "1"}, (entry,)))
    sink.abort(caught.value)
    assert tree(dest) == {"ibdata1": b"somebody's"}


def test_two_at_once_are_one_too_many(dest: Path) -> None:
    sink = DirectorySink(dest)
    with pytest.raises(TargetBusy, match=str(os.getpid())):
        DirectorySink(dest)
    with pytest.raises(TargetBusy):
        Filling(dest, shared=True)
    sink.abort(XtrabackupError("over"))
    to_directory(dest)
    with pytest.raises(TargetNotEmpty):
        DirectorySink(dest)


def test_what_a_job_was_killed_over_beside_the_directory_is_removed(dest: Path) -> None:
    left = dest.with_name("dest.partial")
    left.mkdir()
    (left / "ibdata1").write_bytes(b"half")
    with durable.exclusive_lock(dest.with_name("dest.lock"), "it"), pytest.raises(TargetBusy):
        to_directory(dest)
    to_directory(dest)
    assert not left.exists()


def test_an_unfinished_directory_is_no_source_of_anything(dest: Path) -> None:
    to_packed_directory(dest)
    (dest / MARKER_NAME).write_bytes(b"1\n")
    with pytest.raises(BackupIncomplete, match="is being written"):
        create_archive(dest, dest.with_name("archive"))
    with pytest.raises(BackupIncomplete, match="is being written"):
        unpack_directory(dest, UnpackOptions(Decoding()), Progress("test"))


def test_a_journal_that_leads_out_of_the_directory_removes_nothing(dest: Path) -> None:
    outside = dest.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"kept")
    (dest / "link").symlink_to(outside)
    status = (outside / "precious").stat()
    for name in ("link/precious", "../outside/precious", str(outside / "precious")):
        (dest / MARKER_NAME).write_text(f'1\n[["{name}", {status.st_dev}, {status.st_ino}]]\n')
        with pytest.raises(TargetUnsafe):
            Filling(dest, shared=True)
        assert (outside / "precious").exists()


@pytest.mark.parametrize("journal", [b"", b"12", b"12\n", b'12\n[["ibdata1", 1'])
def test_a_journal_that_was_cut_off_names_nothing(dest: Path, journal: bytes) -> None:
    (dest / MARKER_NAME).write_bytes(journal)
    (dest / STAGING_NAME).mkdir()
    to_directory(dest)
    assert tree(dest).keys() == {*FILES, MANIFEST_NAME}


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    """A directory that any user can get to, and only root can write to."""
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    place.chmod(0o711)
    yield place
    place.chmod(0o755)
    shutil.rmtree(place)


def as_ordinary_user(action: Callable[[], object]) -> int:
    """Do ``action`` in a process without any rights of root; returns its exit status."""
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            action()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("fill", [to_directory, to_packed_directory, by_streaming])
def test_an_ordinary_user_needs_no_rights_on_the_parent(place: Path, fill: Callable[[Path], None]) -> None:
    (place / "dest").mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(place / "dest", NOBODY, NOBODY)
    place.chmod(0o511)
    before = identity(place / "dest")
    assert as_ordinary_user(lambda: fill(place / "dest")) == 0
    assert identity(place / "dest") == before
    assert (place / "dest" / MANIFEST_NAME).exists()
    if fill is to_packed_directory:
        options = UnpackOptions(Decoding(), remove_original=True)
        assert as_ordinary_user(lambda: unpack_directory(place / "dest", options, Progress("test"))) == 0
        assert tree(place / "dest").keys() == {*FILES, MANIFEST_NAME}
    assert os.listdir(place) == ["dest"]


def test_a_marker_that_somebody_else_may_have_written_is_not_believed(dest: Path) -> None:
    (dest / "ibdata1").write_bytes(b"kept")
    status = (dest / "ibdata1").stat()
    (dest / MARKER_NAME).write_text(f'1\n[["ibdata1", {status.st_dev}, {status.st_ino}]]\n')
    # a file of ours that was given another name here
    (dest / MARKER_NAME).rename(dest.parent / "ours")
    os.link(dest.parent / "ours", dest / MARKER_NAME)
    with pytest.raises(TargetNotEmpty, match="not written by a job of this user"):
        to_directory(dest)
    if os.geteuid() == 0:
        (dest.parent / "ours").unlink()
        os.chown(dest / MARKER_NAME, NOBODY, NOBODY)
        with pytest.raises(TargetNotEmpty, match="not written by a job of this user"):
            to_directory(dest)
    assert (dest / "ibdata1").exists()
