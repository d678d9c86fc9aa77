# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of directories that somebody else can have made, as deep as he likes: walked to a depth that no server has,
and removed whatever their depth. (Python's own walks recurse, until 3.11 or 3.12, and fail where they are.)"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..errors import UnsafeFile
from ..format.names import DEEPEST

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def walk(
    root: str | os.PathLike[str], *, strict: bool = False, deepest: int | None = DEEPEST
) -> Iterator[tuple[str, list[str], list[str]]]:
    """As ``os.walk`` from the top: path, names of directories, which may be changed, and names of all else. Links are
    not followed. What cannot be listed is left out, unless ``strict``: then raises OSError.

    Raises UnsafeFile for directories that are nested deeper than ``deepest``.
    """
    left = [(os.fspath(root), 0)]
    while left:
        directory, depth = left.pop()
        if deepest is not None and depth > deepest:
            raise too_deep(root, directory)
        folders: list[str] = []
        others: list[str] = []
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    (folders if entry.is_dir() else others).append(entry.name)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise too_deep(root, directory) from error
            if strict:
                raise
            continue
        yield directory, folders, others
        inner = [os.path.join(directory, name) for name in reversed(folders)]
        left += [(path, depth + 1) for path in inner if not os.path.islink(path)]


def files_below(root: str | os.PathLike[str]) -> list[str]:
    """Paths, relative to ``root``, of all below it but directories; links are named themselves."""
    found = []
    for directory, folders, others in walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(directory, name))]
        found += [os.path.relpath(os.path.join(directory, name), root) for name in (*others, *links)]
    return sorted(found)


def require_shallow(root: str | os.PathLike[str]) -> None:
    """Raises UnsafeFile for directories below ``root`` that are nested too deeply."""
    for _directory, _folders, _others in () if os.path.islink(root) else walk(root):
        pass


def too_deep(root: str | os.PathLike[str], path: str | os.PathLike[str]) -> UnsafeFile:
    """The error for a directory ``path`` below ``root`` that is nested too deeply."""
    top = Path(root, *Path(path).relative_to(root).parts[:1])
    return UnsafeFile(
        f"{top}: directories in it are nested too deeply (more than {DEEPEST})",
        remedy=f"No server makes such directories: look who did, and move {top} away or remove it.",
        path=str(top),
    )


def remove(path: str | os.PathLike[str]) -> None:
    """Remove the directory ``path`` with all that is in it, however deep; links are not followed. Raises OSError."""
    top = os.open(path, _OPEN)
    try:
        while _empty(top, top, 0):
            pass
    finally:
        os.close(top)
    os.rmdir(path)


def _empty(folder: int, top: int, depth: int) -> bool:
    """Remove what is in the open directory ``folder``; what is deeper than we go is moved up to ``top``. Whether there
    was such a thing."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    moved = False
    for name, is_directory in found:
        if not is_directory:
            os.unlink(name, dir_fd=folder)
        elif depth >= DEEPEST:
            os.rename(name, f".deep-{secrets.token_hex(16)}", src_dir_fd=folder, dst_dir_fd=top)
            moved = True
        else:
            child = os.open(name, _OPEN, dir_fd=folder)
            try:
                moved = _empty(child, top, depth + 1) or moved
            finally:
                os.close(child)
            os.rmdir(name, dir_fd=folder)
    return moved
