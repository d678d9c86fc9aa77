# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that root writes into, wherever it is: opened once, and from then on reached by its descriptor.

Backups are kept in directories of other accounts, and who owns a directory can rename what is in it. So the way to the
directory is walked once, without following a link that somebody else could change; later renames on that way lead root
nowhere. Errors name what is there by the directory's real path (``errors.base``).
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Callable, Optional

from ..errors import TargetUnsafe
from . import below, durable

#: Called with each directory on the way: its descriptor, its path, and the descriptor of the directory that it is in.
Reached = Callable[[int, Path, Optional[int]], None]

_PASSING = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # as the kernel has it


class Anchor(below.Root):
    """The open directory ``directory``; its ``path`` is the one by which this process gets there. ``make``: the mode
    (0750) with which it is made, and all on the way to it that is missing.

    Raises TargetUnsafe for a symbolic link that somebody else could change, StorageError.
    """

    def __init__(self, directory: str | os.PathLike[str], *, make: int | None = None) -> None:
        with durable.storage_errors("opening", directory):
            descriptor = open_path(Path(os.path.abspath(directory)), make=make)
        super().__init__(below.path_of(descriptor), descriptor)


def is_anchored(directory: Path) -> bool:
    """Returns whether ``directory`` is the path of a directory that this process has open."""
    return directory.parent == below.OWN_DESCRIPTORS


class NewDirectory(below.Root):
    """The new, empty directory ``name`` in ``parent`` (0750); its ``path`` is the one by which this process gets there.
    An account that may rename what is in ``parent`` gets it out of the way, and no more.

    Raises StorageError, TargetUnsafe when another one is in its place.
    """

    def __init__(self, parent: below.Root, name: str) -> None:
        self.name = name
        self._inside_of = parent
        with durable.storage_errors("creating", parent.path / name):
            os.mkdir(name, 0o750, dir_fd=parent.fileno())
            descriptor = below.open_directory(name, parent.fileno())
        super().__init__(below.path_of(descriptor), descriptor)
        try:
            if self.status().st_uid != os.geteuid() or self.names():
                raise _replaced(parent.path / name)
        except BaseException:
            self.close()
            raise

    def publish_as(self, name: str) -> None:
        """Give it the name ``name``, which is free or that of an empty directory, durably."""
        target = self._inside_of.path / name
        with durable.storage_errors("publishing", target):
            os.rename(self.name, name, src_dir_fd=self._inside_of.fileno(), dst_dir_fd=self._inside_of.fileno())
            # what fails from here on removes it under this name
            self.name = name
            if not self._has_its_name():
                raise _replaced(target)
            self._inside_of.fsync()

    def remove(self) -> None:
        """Remove it with all that is in it, and close it. Raises StorageError."""
        try:
            with durable.storage_errors("removing", self.path):
                for name in self.names():
                    durable.remove_tree(self.path / name)
                if self._has_its_name():
                    os.rmdir(self.name, dir_fd=self._inside_of.fileno())
        finally:
            self.close()

    def _has_its_name(self) -> bool:
        try:
            return os.path.samestat(self._inside_of.status(self.name), self.status())
        except FileNotFoundError:
            return False


def _replaced(path: Path) -> TargetUnsafe:
    return TargetUnsafe(
        f"{path} was replaced by something else while this job wrote it",
        remedy="Somebody who may write to the directory does that: find out who, or choose a directory in which only "
        "you can.",
        path=str(path),
    )


def open_path(directory: Path, *, make: int | None = None, reached: Reached | None = None) -> int:
    """A descriptor of ``directory`` (an absolute path), to which each step is taken from the one before.

    One that may not be listed is only good to go on from (O_PATH), as are those on the way, unless ``reached`` is to
    have them. Raises FileNotFoundError and other OSErrors, TargetUnsafe.
    """
    left, links = list(directory.parts[1:]), 0
    with contextlib.ExitStack() as opened:

        def keep(descriptor: int) -> int:
            opened.callback(os.close, descriptor)
            return descriptor

        if below.OWN_DESCRIPTORS in directory.parents:
            current = keep(os.dup(int(directory.parts[4])))
            path, left = Path(os.readlink(below.OWN_DESCRIPTORS / directory.parts[4])), list(directory.parts[5:])
        else:
            path, current = Path("/"), keep(_open("/", None, reached))
        if reached is not None:
            reached(current, path, None)
        while left:
            name = left.pop(0)
            if name == "..":
                left, path, current = [*path.parent.parts[1:], *left], Path("/"), keep(_open("/", None, reached))
                continue
            status = _status(name, current, make)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                _require_lasting(path / name, status, os.fstat(current), links)
                left = [*(path / os.readlink(name, dir_fd=current)).parts[1:], *left]
                path, current = Path("/"), keep(_open("/", None, reached))
                continue
            child = keep(_open(name, current, reached))
            path /= name
            if reached is not None:
                reached(child, path, current)
            current = child
        try:
            return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=current)
        except PermissionError:
            return os.dup(current)


def followed(path: Path) -> Path:
    """Returns the target of ``path``, which need not exist: the path itself (absolute) unless it is a symbolic link.

    Raises TargetUnsafe for a link, and for one on its way, that somebody else could change, StorageError.
    """
    path = Path(os.path.abspath(path))
    links = 0
    with durable.storage_errors("looking at", path):
        while path.is_symlink():
            links += 1
            above = open_path(path.parent)
            try:
                status = os.stat(path.name, dir_fd=above, follow_symlinks=False)
                if not stat.S_ISLNK(status.st_mode):
                    break
                _require_lasting(path, status, os.fstat(above), links)
                target = os.readlink(path.name, dir_fd=above)
                path = Path(os.readlink(below.path_of(above))) / target
            finally:
                os.close(above)
            path = _without_dots(path)
    return path


def _without_dots(path: Path) -> Path:
    """``path`` with the real path of the directory that it is in, as far as that is there."""
    try:
        descriptor = open_path(path if path.name == ".." else path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return Path(os.path.normpath(path))
    try:
        real = Path(os.readlink(below.path_of(descriptor)))
    finally:
        os.close(descriptor)
    return real if path.name == ".." else real / path.name


def _open(name: str, parent: int | None, reached: Reached | None) -> int:
    return os.open(name, _PASSING, dir_fd=parent) if reached is None else below.open_directory(name, parent)


def _status(name: str, directory: int, make: int | None) -> os.stat_result:
    if make is not None:
        try:
            return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, make, dir_fd=directory)
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def _require_lasting(path: Path, status: os.stat_result, directory: os.stat_result, links: int) -> None:
    """Raises TargetUnsafe for a symbolic link that somebody else could change under root, or one too many."""
    if links > _MOST_LINKS:
        raise TargetUnsafe(f"{path}: too many symbolic links", path=str(path))
    of_root = directory.st_uid == 0 and not directory.st_mode & 0o022
    if os.geteuid() == 0 and status.st_uid != 0 and not of_root:
        raise TargetUnsafe(
            f"{path} is a symbolic link of uid {status.st_uid}, who could change it while root works there",
            remedy=f"Give it to root (chown -h root {path}), or name the directory that it leads to.",
            path=str(path),
        )
