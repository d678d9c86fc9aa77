# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in directories that somebody else can write to: no link leads out of them, and nothing is waited for.

A data directory belongs to the server's account, a backup directory to whoever made the backup. Root opens files there
relative to a descriptor of the directory, component by component, and follows no symbolic link: with openat2(2) where
the kernel has it (5.6), else by a walk that has the same results. What was opened is looked at before it is used: only
regular files and directories are, a FIFO or a device never blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import TracebackType
from typing import BinaryIO, Union

from ..errors import UnsafeFile
from . import kernel

Name = Union[str, PurePath]

#: where the kernel shows what this process has open
OWN_DESCRIPTORS = Path("/proc/self/fd")

_ALWAYS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_NOT_THERE = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG, errno.EAGAIN})
_NOT_WALKED = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EXDEV, errno.ENXIO})

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a regular file",
}


class Root:
    """A directory, opened once, below which files are opened. Its own path is trusted, with the links in it.

    Names are relative to it. All methods raise UnsafeFile for a name that would lead out of it, for a symbolic link in
    any component, and for what is not of the kind that was asked for; otherwise OSError, FileNotFoundError for what is
    not there.
    """

    def __init__(self, path: str | os.PathLike[str], descriptor: int | None = None) -> None:
        self.path = Path(path)
        # it need not be readable, as long as the names in it are known
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        self._descriptor = os.open(path, flags) if descriptor is None else descriptor

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor of the directory, which others can only be opened below."""
        return self._descriptor

    def names(self) -> list[str]:
        """The names in the directory, sorted."""
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._descriptor)
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the directory; again is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def require_owner(self, uid: int) -> None:
        """Raises UnsafeFile when the directory does not belong to ``uid``: somebody has put it in the place of ours."""
        found = self.status().st_uid
        if found != uid:
            raise UnsafeFile(f"{self.path} belongs to uid {found}, not to uid {uid}", path=str(self.path), owner=found)

    def open(self, name: Name, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
        """A descriptor of the regular file ``name``; ``mode`` is for one that is made (O_CREAT)."""
        return self._opened(name, flags | _ALWAYS, mode, stat.S_IFREG)

    def directory(self, name: Name) -> Root:
        """The directory ``name``, as a root of its own."""
        return Root(self.path / name, self._opened(name, _DIRECTORY, 0, stat.S_IFDIR))

    def status(self, name: Name = "") -> os.stat_result:
        """The status of ``name``, of a link that of the link itself; without a name, of the directory."""
        if not str(name):
            return os.fstat(self._descriptor)
        with self._parent(name) as (parent, last):
            return os.stat(last, dir_fd=parent, follow_symlinks=False)

    def read_link(self, name: Name) -> str:
        """Returns the target of the symbolic link ``name``."""
        with self._parent(name) as (parent, last):
            return os.readlink(last, dir_fd=parent)

    def unlink(self, name: Name) -> None:
        """Remove the name ``name`` of a file or link."""
        with self._parent(name) as (parent, last):
            os.unlink(last, dir_fd=parent)

    def rename(self, old: Name, new: Name) -> None:
        """Give the regular file ``old`` the name ``new``, whose file it replaces."""
        with self._parent(new) as (target, last):
            self._rename(old, last, target)

    def move_out(self, name: Name, target: Path) -> None:
        """Give the regular file ``name`` the path ``target``, in a directory that only root can write to."""
        self._rename(name, target)

    def move_in(self, source: Path, name: Name) -> None:
        """Give the file ``source``, from a directory that only root can write to, the name ``name``."""
        with self._parent(name) as (target, last):
            os.rename(source, last, dst_dir_fd=target)

    def fsync(self, name: Name = "") -> None:
        """Make the names in the directory ``name`` durable; without a name, in this directory."""
        with contextlib.nullcontext(self) if name in ("", PurePath()) else self.directory(name) as directory:
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.fileno())
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def make_directories(self, name: Name, mode: int = 0o750) -> None:
        """Make the directory ``name``, and those above it, where they are missing."""
        parts = self._parts(name)
        for count in range(1, len(parts) + 1):
            with contextlib.suppress(FileExistsError), self._parent("/".join(parts[:count])) as (parent, last):
                os.mkdir(last, mode, dir_fd=parent)

    # --- inside ----------------------------------------------------------------------------------

    def _rename(self, name: Name, target: str | Path, directory: int | None = None) -> None:
        with self._parent(name) as (source, last):
            require_kind(os.stat(last, dir_fd=source, follow_symlinks=False), self.path / name)
            os.rename(last, target, src_dir_fd=source, dst_dir_fd=directory)

    def _opened(self, name: Name, flags: int, mode: int, kind: int) -> int:
        parts = self._parts(name)
        try:
            descriptor = _resolve(self._descriptor, parts, flags, mode)
        except OSError as error:
            if error.errno in _NOT_WALKED:
                self._explain(parts, kind)
            raise
        try:
            require_kind(os.fstat(descriptor), self.path / name, kind)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextlib.contextmanager
    def _parent(self, name: Name) -> Iterator[tuple[int, str]]:
        """A descriptor of the directory that ``name`` is in, and the last component."""
        *parents, last = self._parts(name)
        if not parents:
            yield self._descriptor, last
            return
        with self.directory(PurePath(*parents)) as parent:
            yield parent.fileno(), last

    def _parts(self, name: Name) -> list[str]:
        text = str(name)
        parts = text.split("/")
        if "\0" in text or any(part in ("", ".", "..") for part in parts):
            raise UnsafeFile(f"{text!r} is no name of a file below {self.path}", path=str(self.path))
        return parts

    def _explain(self, parts: list[str], kind: int) -> None:
        """Raises UnsafeFile for what is in the way; nothing when that is gone again."""
        for count in range(1, len(parts) + 1):
            path = self.path.joinpath(*parts[:count])
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if stat.S_ISLNK(status.st_mode) or count == len(parts):
                    require_kind(status, path, kind)


def path_of(descriptor: int) -> Path:
    """The path by which this process, and no other, gets to what it has open, whatever the name of that is now."""
    return OWN_DESCRIPTORS / str(descriptor)


def kind_of(status: os.stat_result) -> str:
    """Returns the kind of a file, for a message: "a FIFO"."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")


def require_kind(status: os.stat_result, path: str | os.PathLike[str], kind: int = stat.S_IFREG) -> None:
    """Raises UnsafeFile unless ``path``, whose status this is, is a regular file (or of another ``kind``)."""
    if stat.S_IFMT(status.st_mode) != kind:
        wanted = "" if stat.S_ISLNK(status.st_mode) else f"not {_KINDS[kind]} but "
        raise UnsafeFile(f"{os.fspath(path)} is {wanted}{kind_of(status)}", path=os.fspath(path))


def require_one_name(status: os.stat_result, path: str | os.PathLike[str], owner: int) -> None:
    """Raises UnsafeFile when the file ``path`` has hard links and does not belong to ``owner``: who can write to the
    directory can have made such a link to a file that only others may read."""
    if status.st_nlink > 1 and status.st_uid != owner:
        raise UnsafeFile(
            f"{os.fspath(path)} is a hard link to a file that belongs to uid {status.st_uid}, not to uid {owner} as "
            "its directory does",
            remedy="Put a copy of the file in the place of the link, or give the directory to the file's owner.",
            path=os.fspath(path),
            owner=status.st_uid,
        )


def require_no_other_name(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    """Raises UnsafeFile when the file ``path`` has hard links: what is done to it is done to a file elsewhere."""
    if status.st_nlink > 1:
        raise UnsafeFile(
            f"{os.fspath(path)} has {status.st_nlink - 1} more names (hard links): a file elsewhere would be changed",
            remedy="Look who makes links there, and run it again.",
            path=os.fspath(path),
        )


def open_directory(path: str | os.PathLike[str], parent: int | None = None) -> int:
    """A descriptor of the directory ``path`` (below the open directory ``parent``), which can be listed and changed.
    Raises OSError, also for a symbolic link."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def open_in(root: str | os.PathLike[str], name: Name, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file ``name`` below the directory ``root``; raises as ``Root`` does, also for a hard
    link to a file of somebody else than the owner of ``root``."""
    with Root(root) as place:
        descriptor = place.open(name, flags)
        try:
            require_one_name(os.fstat(descriptor), place.path / name, place.status().st_uid)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def reading(root: str | os.PathLike[str], name: Name) -> BinaryIO:
    """As ``open_in``, a file object to read from."""
    return os.fdopen(open_in(root, name), "rb")


def open_file(path: str | os.PathLike[str]) -> int:
    """As ``open_in``, of a path whose directory is trusted, with the links in it."""
    path = Path(path)
    return open_in(path.parent, path.name)


def reading_file(path: str | os.PathLike[str]) -> BinaryIO:
    """As ``open_file``, a file object to read from."""
    return os.fdopen(open_file(path), "rb")


# --- openat2(2), and what does the same where it is not there ----------------------------------------


def _resolve(root: int, parts: list[str], flags: int, mode: int) -> int:
    try:
        return kernel.openat2(root, "/".join(parts), flags, mode)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
    return _walk(root, parts, flags, mode)


def _walk(root: int, parts: list[str], flags: int, mode: int) -> int:
    *parents, last = parts
    with contextlib.ExitStack() as opened:
        for part in parents:
            root = os.open(part, _DIRECTORY, dir_fd=root)
            opened.callback(os.close, root)
        return os.open(last, flags, mode, dir_fd=root)
