# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of ours in which an archive is unpacked and recovered before its files get their places."""

from __future__ import annotations

from ..host import durable, running, state
from .placement import Staging

_MODE = 0o711  # the account that recovers a backup has to get through
_ENDING_SECONDS = 30.0  # a recovering server of a killed run that is just ending


def make_unpacking_place(staging: Staging) -> None:
    """Make that directory, or take the one of a run that was killed; what is somebody else's is removed. Raises
    StorageError."""
    place = staging.unpacking_place
    if not state.is_ours(place):
        remove_unpacked(staging)
        with durable.storage_errors("creating", place):
            place.mkdir(mode=_MODE)
            place.chmod(_MODE)


def remove_unpacked(staging: Staging) -> None:
    """Remove what unpacking an archive has left, once the server that may have recovered it is gone. Raises
    ServerRunning, StorageError."""
    for path in staging.unpacking():
        inner = path.iterdir() if path.is_dir() and not path.is_symlink() else ()
        for place in (path, *inner):
            running.wait_until_unused(place, _ENDING_SECONDS)
        durable.remove_tree(path)
