# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a stream is unpacked: beside its destination, which appears only when all is there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .. import durable
from ..errors import TargetNotEmpty, TargetUnsafe
from ..manifest import MANIFEST_NAME

_INNER_NAME = ".xbstream"


@contextlib.contextmanager
def staging_directory(dest: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """A new directory ``<dest>.partial`` for the block; at its end it becomes ``dest``, after an error it is removed.

    Raises TargetUnsafe for a root or a mount point, TargetNotEmpty when ``dest`` holds something, unless ``force``
    says to replace it; TargetBusy when another job unpacks there.
    """
    final = Path(dest)
    if final.name in ("", "..") or os.path.ismount(final):
        raise TargetUnsafe(
            f"{final} cannot be renamed, so nothing is unpacked there",
            remedy="Name a directory in it.",
            path=str(final),
        )
    staging = final.with_name(final.name + durable.PARTIAL_SUFFIX)
    with durable.storage_errors("creating", final.parent):
        final.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with durable.exclusive_lock(final.with_name(final.name + ".lock"), str(final)):
        require_free(final, force=force)
        durable.remove_tree(staging)
        with durable.storage_errors("creating", staging):
            staging.mkdir(mode=0o750)
        try:
            yield staging
            _replace(staging, final)
        except BaseException:
            durable.remove_tree(staging)
            raise


@contextlib.contextmanager
def staging_inside(dest: str | os.PathLike[str]) -> Iterator[Path]:
    """A new directory in ``dest``, which exists and may hold other things, for the block; at its end all its files get
    their places in ``dest``, the manifest last, and none of what is there is replaced. After an error nothing is left.

    Raises, with nothing moved, TargetNotEmpty when a name is taken, TargetUnsafe when a directory's name is that of
    something else or of another file system; TargetBusy when another job unpacks there.
    """
    final = Path(dest)
    if not final.is_dir():
        raise TargetUnsafe(f"{final} is not a directory", path=str(final))
    staging = final / f"{_INNER_NAME}{durable.PARTIAL_SUFFIX}"
    with durable.exclusive_lock(final / f"{_INNER_NAME}.lock", str(final)):
        durable.remove_tree(staging)
        with durable.storage_errors("creating", staging):
            staging.mkdir(mode=0o750)
        try:
            yield staging
            _move_in(staging, final)
        finally:
            durable.remove_tree(staging)


def _move_in(staging: Path, final: Path) -> None:
    files = sorted(path.relative_to(staging) for path in staging.rglob("*") if not path.is_dir())
    taken = [str(path) for path in files if os.path.lexists(final / path)]
    if taken:
        raise TargetNotEmpty(
            f"{final} holds files of these names already: {', '.join(taken[:5])}"
            + (f" and {len(taken) - 5} more" if len(taken) > 5 else ""),
            remedy="Unpack into another directory, or remove what is there yourself.",
            path=str(final),
        )
    folders = sorted({parent for path in files for parent in path.parents})
    for folder in folders[1:]:
        _require_inner(final, folder)
    with durable.storage_errors("writing", final):
        for folder in folders:
            (final / folder).mkdir(mode=0o750, exist_ok=True)
        for wanted in (False, True):
            for path in files:
                if (str(path) == MANIFEST_NAME) == wanted:
                    os.rename(staging / path, final / path)
            for folder in folders:
                durable.fsync_directory(final / folder)


def _require_inner(final: Path, folder: Path) -> None:
    """Files are renamed into ``folder``, which must not lead anywhere else, nor fail when half of them are there."""
    target = final / folder
    with durable.storage_errors("looking at", target):
        if os.path.lexists(target) and (
            target.is_symlink() or not target.is_dir() or target.stat().st_dev != final.stat().st_dev
        ):
            raise TargetUnsafe(
                f"{target} is there already, and is no directory of the file system of {final}",
                remedy="Unpack into another directory.",
                path=str(target),
            )


def is_taken(dest: Path) -> bool:
    """Whether ``dest`` is anything but absent or an empty directory."""
    with durable.storage_errors("looking at", dest):
        return os.path.lexists(dest) and (dest.is_symlink() or not dest.is_dir() or any(dest.iterdir()))


def require_free(dest: Path, *, force: bool) -> None:
    """Raises TargetNotEmpty when ``dest`` is taken, unless ``force``."""
    if not force and is_taken(dest):
        raise TargetNotEmpty(f"{dest} exists and is not empty", path=str(dest))


def _replace(staging: Path, final: Path) -> None:
    replaced = final.with_name(final.name + ".replaced")
    durable.remove_tree(replaced)
    if is_taken(final):
        durable.publish(final, replaced)
    durable.publish(staging, final)
    durable.remove_tree(replaced)
