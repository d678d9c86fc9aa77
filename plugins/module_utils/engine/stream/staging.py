# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging directory for unpacking a stream: its content appears in its destination only when all is there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import TargetUnsafe, XtrabackupError
from ..host.filling import Filling
from ..host.replaceable import Replaceable, holds_backup
from ..host.staging import staged_directory
from ..host.trees import files_below
from .entry import output_name
from .listing import list_archive
from .readable import Readable


@contextlib.contextmanager
def staging_directory(
    dest: str | os.PathLike[str], *, force: bool = False, replaceable: Replaceable = holds_backup
) -> Iterator[Path]:
    """A new directory for the block; at its end what is in it is ``dest``, after an error it is removed.

    Raises TargetNotEmpty when ``dest`` holds something, unless ``force`` says to replace it and it is ``replaceable``;
    TargetUnsafe when it cannot be replaced, TargetBusy when another job works there.
    """
    with staged_directory(dest, replace=force, replaceable=replaceable) as place:
        yield place.staging
        place.publish()


@contextlib.contextmanager
def staging_inside(dest: str | os.PathLike[str]) -> Iterator[Path]:
    """A new directory in ``dest``, which exists and may hold other things, for the block; at its end all that is in it
    gets its place in ``dest``, the manifest last, and none of what is there is replaced. An error leaves nothing.

    Raises, with nothing moved, TargetNotEmpty when a name is taken, TargetUnsafe when a directory's name is that of
    something else or of another file system; TargetBusy when another job works there.
    """
    final = Path(dest)
    if not final.is_dir():
        raise TargetUnsafe(f"{final} is not a directory", path=str(final))
    filling = Filling(final, shared=True)
    try:
        yield filling.staging
        filling.publish()
    except BaseException:
        # the first error is what has to be known
        with contextlib.suppress(XtrabackupError):
            filling.abandon()
        raise


def replaceable_by(source: Readable, require_manifest: bool) -> Replaceable:
    """Returns a function that tells what unpacking the archive ``source`` may replace: a backup; for an archive without
    a manifest also a directory that holds files of that archive, and no others."""

    def is_replaceable(path: Path) -> bool:
        if require_manifest or not path.is_dir() or path.is_symlink():
            return holds_backup(path)
        found = set(files_below(path))
        return holds_backup(path) or (bool(found) and found <= set(map(output_name, list_archive(source).entries)))

    return is_replaceable
