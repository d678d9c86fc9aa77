# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of files, by every way that the system offers."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    DiskFull,
    StorageError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.content_digest import new_digest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import PART_SUFFIX
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import copying
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import (
    Copier,
    CopyTask,
    Ownership,
    data_extents,
    sync_files,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress

CONTENT = os.urandom(5_000_000)


def digest(content: bytes) -> str:
    value = new_digest()
    value.update(content)
    return str(value.hexdigest())


def copy(*tasks: CopyTask, ownership: Ownership | None = None, parallel: int = 1) -> Progress:
    progress = Progress("test")
    Copier(ownership, progress, sync=True).copy_all(tasks, parallel)
    return progress


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("way", ["as it comes", "no copy in the kernel", "verified"])
def test_every_way_gives_the_same_bytes(
    source: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> int:
        raise OSError(errno.EXDEV, "no")

    if way == "no copy in the kernel":
        monkeypatch.setattr(os, "copy_file_range", refuse)
    expected = digest(CONTENT) if way == "verified" else None
    progress = copy(CopyTask(source, tmp_path / "target", len(CONTENT), expected))
    assert (tmp_path / "target").read_bytes() == CONTENT
    assert progress.snapshot()["bytes"] == len(CONTENT)


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    copy(CopyTask(tmp_path / "a", tmp_path / "b", 0), CopyTask(tmp_path / "a", tmp_path / "c", 0, digest(b"")))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes() == b""


@pytest.mark.parametrize("verified", [False, True])
def test_holes_stay_holes(tmp_path: Path, verified: bool) -> None:
    with open(tmp_path / "source", "wb") as sparse:
        sparse.write(b"head")
        sparse.seek(40 << 20)
        sparse.write(b"tail")
        sparse.truncate(64 << 20)
    expected = digest((tmp_path / "source").read_bytes()) if verified else None
    progress = copy(CopyTask(tmp_path / "source", tmp_path / "target", 64 << 20, expected))
    assert progress.snapshot()["bytes"] == 64 << 20
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()
    assert (tmp_path / "target").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("place", [0, 5 << 20, (9 << 20) - 1])
def test_a_digest_counts_what_is_in_holes(tmp_path: Path, place: int) -> None:
    with open(tmp_path / "source", "wb") as sparse:
        sparse.truncate(9 << 20)
    other = bytearray(9 << 20)
    other[place] = 1
    with pytest.raises(BackupIncomplete, match="other content"):
        copy(CopyTask(tmp_path / "source", tmp_path / "target", 9 << 20, digest(bytes(other))))


def test_a_file_system_that_knows_no_holes_gives_one_extent(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> int:
        raise OSError(errno.EINVAL, "no")

    descriptor = os.open(source, os.O_RDONLY)
    monkeypatch.setattr(os, "lseek", refuse)
    assert list(data_extents(descriptor, 10)) == [(0, 10)]
    os.close(descriptor)


def test_other_content_is_found_and_gets_no_name(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupIncomplete, match="other content"):
        copy(CopyTask(source, tmp_path / "target", len(CONTENT), digest(CONTENT[:-1] + b"x")))
    assert not (tmp_path / "target").exists()


def test_another_size_is_found_before_a_byte_is_written(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupIncomplete, match="5000000 bytes instead of 7"):
        copy(CopyTask(source, tmp_path / "target", 7))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_owner_and_permissions_are_there_when_the_name_is(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    renamed = os.rename

    def look(old: Any, new: Any) -> None:
        status = os.stat(old)
        seen.append((status.st_uid, status.st_mode & 0o7777))
        renamed(old, new)

    ownership = Ownership(uid=os.getuid(), gid=os.getgid(), file_mode=0o640)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", look)
        copy(CopyTask(source, tmp_path / "target"), ownership=ownership)
    assert seen == [(os.getuid(), 0o640)]


def test_without_ownership_the_permissions_are_the_sources(source: Path, tmp_path: Path) -> None:
    source.chmod(0o604)
    copy(CopyTask(source, tmp_path / "target"))
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o604


def test_links_are_not_followed(source: Path, tmp_path: Path) -> None:
    os.symlink(source, tmp_path / "link")
    with pytest.raises(StorageError):
        copy(CopyTask(tmp_path / "link", tmp_path / "target"))
    os.symlink(tmp_path / "precious", tmp_path / f"other{PART_SUFFIX}")
    with pytest.raises(StorageError):
        copy(CopyTask(source, tmp_path / "other"))
    assert not (tmp_path / "precious").exists()


def test_the_first_error_ends_all_and_is_the_one_that_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "full")

    tasks = []
    for number in range(40):
        path = tmp_path / f"s{number}"
        path.write_bytes(CONTENT[: 1000 + number])
        tasks.append(CopyTask(path, tmp_path / f"t{number}", 1000 + number))
    monkeypatch.setattr(copying, "copy_range", full)
    with pytest.raises(DiskFull, match="writing .*t"):
        copy(*tasks, parallel=4)


def test_a_file_that_shrinks_while_it_is_copied_is_an_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "copy_range", lambda *_arguments: 0)
    with pytest.raises(StorageError, match="shorter"):
        copy(CopyTask(source, tmp_path / "target"))


def test_many_files_in_parallel(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    tasks = []
    for number in range(200):
        path = tmp_path / "in" / str(number)
        path.write_bytes(CONTENT[: number * 100])
        tasks.append(CopyTask(path, tmp_path / "out" / str(number), number * 100, digest(CONTENT[: number * 100])))
    copy(*tasks, parallel=4)
    sync_files(tmp_path / "out", 4)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "in").iterdir()
    }
