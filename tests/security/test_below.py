# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files below a directory that somebody else can write to: opened over no link, and without waiting."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnsafeFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import below, kernel
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.below import Root

SECRET = b"root's own"
INTRUDER = 65534


@pytest.fixture(name="root", params=["openat2", "walk"])
def _root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """A directory with ``a/b/file``, opened in each way; beside it what nobody may get at."""
    if request.param == "walk":
        monkeypatch.setattr(kernel, "_HAS_OPENAT2", False)
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/file").write_bytes(b"content")
    (tmp_path / "outside/b").mkdir(parents=True)
    for name in ("file", "b/file"):
        (tmp_path / "outside" / name).write_bytes(SECRET)
    with Root(tmp_path / "root") as root:
        yield root


def read(root: Root, name: str) -> bytes:
    descriptor = root.open(name)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def test_a_file_below_is_opened_and_what_is_missing_is_said_so(root: Root) -> None:
    assert read(root, "a/b/file") == b"content"
    with root.directory("a") as directory:
        assert read(directory, "b/file") == b"content"
        assert directory.path == root.path / "a"
        assert directory.names() == ["b"]
    for name in ("none", "a/none", "none/file"):
        with pytest.raises(FileNotFoundError):
            root.open(name)
    with pytest.raises(NotADirectoryError):
        root.open("a/b/file/x")
    descriptor = root.open("a/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o640 & ~_umask()
    os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("place", ["a", "a/b", "a/b/file"])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_in_any_component_is_refused_by_name(root: Root, place: str, absolute: bool) -> None:
    path = root.path / place
    path.rename(root.path / "aside")
    outside = root.path.parent / "outside" / place.partition("/")[2]
    path.symlink_to(outside if absolute else os.path.relpath(outside, path.parent))
    for act in (root.open, root.status, root.unlink, lambda name: root.rename(name, "taken")):
        if place == "a/b/file" and act in (root.status, root.unlink):
            continue  # these are about the link itself
        with pytest.raises(UnsafeFile, match=f"{place} is a symbolic link"):
            act("a/b/file")
    assert (root.path.parent / "outside/b/file").read_bytes() == SECRET


def test_links_that_stay_inside_are_links_too(root: Root) -> None:
    (root.path / "link").symlink_to("a")
    with pytest.raises(UnsafeFile, match="link is a symbolic link"):
        root.open("link/b/file")
    with pytest.raises(UnsafeFile, match="link is a symbolic link"):
        root.directory("link")
    assert root.read_link("link") == "a"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../outside/file", "a/../a/b/file", "/etc/passwd", "a//b/file", "a/b\0"]
)
def test_names_that_could_lead_out_are_refused(root: Root, name: str) -> None:
    with pytest.raises(UnsafeFile, match="no name of a file"):
        root.open(name)


def test_nothing_is_waited_for(root: Root) -> None:
    os.mkfifo(root.path / "fifo")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(root.path / "socket"))
    for name, kind in (("fifo", "a FIFO"), ("socket", "a socket"), ("a/b", "a directory")):
        with pytest.raises(UnsafeFile, match=f"{name} is not a regular file but {kind}"):
            root.open(name)
    with pytest.raises(UnsafeFile, match="fifo is not a regular file but a FIFO"):
        root.open("fifo", os.O_WRONLY)
    with pytest.raises(UnsafeFile, match="file is not a directory but a regular file"):
        root.directory("a/b/file")
    with pytest.raises(UnsafeFile, match="null is not a regular file but a device"), Root("/dev") as devices:
        devices.open("null")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_or_a_sandbox_without_openat2_gets_the_walk(
    root: Root, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_root: int, _name: str, _flags: int, _mode: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(kernel, "openat2", refuse)
    assert read(root, "a/b/file") == b"content"


def test_a_directory_that_is_swapped_with_a_link_all_the_time_never_leads_out(root: Root) -> None:
    """Somebody exchanges ``a`` and a link to outside, which has the same names, while files are opened."""
    link, real, aside = root.path / "link", root.path / "a", root.path / "aside"
    link.symlink_to(root.path.parent / "outside")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            os.rename(real, aside)
            os.rename(link, real)
            os.rename(real, link)
            os.rename(aside, real)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for _attempt in range(20000):
            try:
                seen.add(read(root, "a/b/file"))
            except (UnsafeFile, FileNotFoundError, OSError) as error:
                seen.add(type(error).__name__.encode())
            if len(seen) > 2 and _attempt > 3000:
                break
    finally:
        done.set()
        swapping.join()
    assert SECRET not in seen
    assert b"content" in seen
    assert len(seen) > 1, "nothing was swapped meanwhile"


def test_a_hard_link_to_what_others_own_is_refused_and_one_to_what_the_owner_has_is_not(tmp_path: Path) -> None:
    directory, secret = tmp_path / "theirs", tmp_path / "secret"
    directory.mkdir()
    secret.write_bytes(SECRET)
    os.chown(directory, INTRUDER, -1)
    (directory / "x").hardlink_to(secret)
    (directory / "placed").write_bytes(b"by an administrator")
    (directory / "own").write_bytes(b"own")
    os.chown(directory / "own", INTRUDER, -1)
    (directory / "copy").hardlink_to(directory / "own")
    with pytest.raises(UnsafeFile, match="x is a hard link to a file that belongs to uid 0"):
        below.reading(directory, "x")
    for name, content in (("placed", b"by an administrator"), ("copy", b"own")):
        with below.reading(directory, name) as source:
            assert source.read() == content


def test_a_rename_moves_files_only(root: Root) -> None:
    root.rename("a/b/file", "a/other")
    assert (root.path / "a/other").read_bytes() == b"content"
    (root.path / "link").symlink_to(root.path.parent / "outside/file")
    os.mkfifo(root.path / "fifo")
    for name in ("link", "fifo", "a"):
        with pytest.raises(UnsafeFile):
            root.rename(name, "taken")
    root.unlink("link")
    assert (root.path.parent / "outside/file").read_bytes() == SECRET
