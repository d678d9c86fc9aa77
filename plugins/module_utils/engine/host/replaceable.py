# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content that may be removed to make room for a backup: another backup, and nothing else, whatever a user has
consented to."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Callable

from ..errors import TargetNotEmpty, TargetUnsafe
from ..format.file_kinds import CHECKPOINTS_NAMES, MANIFEST_NAME
from . import durable

_SIGNS = (MANIFEST_NAME, *CHECKPOINTS_NAMES)
_ARCHIVE_MAGIC = b"XBSTCK01"

#: Whether what is at a path may be removed.
Replaceable = Callable[[Path], bool]


def holds_backup(path: Path) -> bool:
    """Returns whether ``path`` is, or once was, one backup: an archive, or a directory with what only backups have, in
    which there is no other backup. A link counts as what it leads to; only the link is ever removed. Raises
    StorageError."""
    with durable.storage_errors("looking at", path):
        if path.is_dir():
            return _has_signs(path) and not any(map(_is_backup, _entries(path)))
        return _is_archive(path)


def _entries(directory: Path) -> list[Path]:
    return [Path(entry.path) for entry in os.scandir(directory) if not entry.is_symlink()]


def _has_signs(directory: Path) -> bool:
    return any((directory / name).is_file() for name in _SIGNS)


def _is_backup(path: Path) -> bool:
    """Returns whether ``path``, in a directory that is to be removed, is a backup of its own."""
    return _has_signs(path) if path.is_dir() else _is_archive(path)


def _is_archive(path: Path) -> bool:
    try:
        # neither a pipe nor a device is waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and os.pread(descriptor, 8, 0) == _ARCHIVE_MAGIC
    finally:
        os.close(descriptor)


def always_replaceable(_path: Path) -> bool:
    """For places of our own: whatever is there goes."""
    return True


def require_replaceable(dest: Path, replaceable: Replaceable = holds_backup) -> None:
    """Raises TargetNotEmpty when ``dest``, or what is where that is put aside, may not be removed; nothing is no
    obstacle."""
    if os.path.lexists(dest) and not replaceable(dest):
        raise TargetNotEmpty(
            f"{dest} holds something that is no backup, or more than one: with consent, too, only a backup is replaced",
            remedy="Choose another place, or remove what is there yourself.",
            path=str(dest),
        )
    aside = durable.aside_of(dest)
    if os.path.lexists(aside) and not durable.is_replaced(aside) and not holds_backup(aside):
        raise TargetNotEmpty(
            f"{aside} holds something that is no backup, and what is at {dest} has to get that name before it goes",
            remedy=f"Give {aside} another name, or remove it yourself.",
            path=str(aside),
        )


def require_source_apart(source: Path, dest: Path) -> None:
    """Raises TargetUnsafe when ``source`` would be removed together with what is at ``dest``."""
    real = Path(os.path.realpath(source))
    with contextlib.suppress(ValueError):
        real.relative_to(os.path.realpath(dest))
        raise TargetUnsafe(
            f"{dest} cannot be replaced: {source} is in it, and would be removed with it",
            remedy="Choose another place.",
            path=str(dest),
        )
