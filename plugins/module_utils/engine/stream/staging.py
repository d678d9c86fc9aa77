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
