# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there room for what a restore writes? Asked before anything is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiskFull
from ..host import durable
from ..recovery.backup_directory import PREPARED, BackupDirectory, walk_files
from .markers import MOVE
from .placement import Placement, file_size

if TYPE_CHECKING:
    from .plan import RestorePlan

_SPACE_MARGIN = 16 << 20
_RECOVERY_MARGIN = 96 << 20  # a new redo log of the smallest size, and pages that recovery adds


def require_space_unprepared(plan: RestorePlan, src: Path) -> None:
    """Raises DiskFull when a backup that will be prepared into ``src`` has no room there, or in the data directory."""
    device = _nearest(plan.layout.datadir).stat().st_dev
    places = {_nearest(src).stat().st_dev: src, device: plan.layout.datadir}
    if str(src) == plan.wanted.source:
        places.pop(_nearest(src).stat().st_dev, None)  # in place
    for place in places.values():
        _require_space(_nearest(place), plan.bytes + _RECOVERY_MARGIN, len(plan.placements))


def require_space(plan: RestorePlan) -> None:
    """Raises DiskFull when a file system has not room, or inodes, for what will be written to it."""
    needs: dict[int, tuple[Path, int, int]] = {}
    for placement in plan.placements:
        if not _to_be_written(plan, placement):
            continue
        place = _nearest(placement.staged.parent)
        device = place.stat().st_dev
        _place, size, count = needs.get(device, (place, 0, 0))
        stored = min(placement.size, placement.source.stat().st_blocks * 512)
        needs[device] = place, size + stored, count + 1
    for place, size, count in needs.values():
        _require_space(place, size + _SPACE_MARGIN, count)


def require_space_to_unpack(plan: RestorePlan, archived: BackupDirectory) -> None:
    """Raises DiskFull when an archive cannot be unpacked and recovered, or what belongs elsewhere has no room there."""
    unpacked = _nearest(plan.source.parent)
    device = unpacked.stat().st_dev
    # what an earlier run has left is removed first
    left = sum(_stored(path) for path in plan.staging.unpacking())
    margin = _SPACE_MARGIN if archived.state == PREPARED else _RECOVERY_MARGIN
    total = sum(entry.size for entry in archived.manifest.files) if archived.manifest else 0
    _require_space(unpacked, total + margin - left, len(plan.placements))
    elsewhere: dict[int, tuple[Path, int, int]] = {}
    for placement in plan.placements:
        place = _nearest(placement.staged.parent)
        if place.stat().st_dev != device:
            _place, size, count = elsewhere.get(place.stat().st_dev, (place, 0, 0))
            elsewhere[place.stat().st_dev] = place, size + placement.size, count + 1
    for place, size, count in elsewhere.values():
        _require_space(place, size + _SPACE_MARGIN, count)


def _stored(path: Path) -> int:
    """Bytes that a file, or all files of a directory, take of their file system."""
    statuses = [status for _name, status in walk_files(path)] if path.is_dir() else [path.lstat()]
    return sum(status.st_blocks * 512 for status in statuses)


def _require_space(place: Path, size: int, count: int) -> None:
    """Raises DiskFull unless the file system of ``place`` has ``size`` bytes and ``count`` inodes to spare."""
    durable.require_space(place, size, "the restored data")
    free = os.statvfs(place)
    if free.f_files and free.f_favail < count:
        raise DiskFull(
            f"the restored data has {count} files, and the file system of {place} has {free.f_favail} free inodes",
            remedy="Choose a file system with more inodes; nothing was written.",
            path=str(place),
        )


def _to_be_written(plan: RestorePlan, placement: Placement) -> bool:
    """Returns whether the file takes space: not when it is staged already, nor when it only gets another name."""
    if plan.unfinished is not None and file_size(placement.staged) == placement.size:
        return False
    if plan.wanted.method == MOVE:
        return placement.source.stat().st_dev != _nearest(placement.staged.parent).stat().st_dev
    return True


def _nearest(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
