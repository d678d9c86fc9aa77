# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that a restore will make, with their sizes, for those who decide whether it may: the diff of a preview."""

from __future__ import annotations

from typing import Any

from ..recovery.backup_directory import walk_files
from .plan import RestoreOptions, RestorePlan


def preview(plan: RestorePlan, options: RestoreOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """(before, after) of the data directory: backup, request, and bytes of data.

    Before: those of all files that are there. After: those of the backup as it is now; recovery adds a redo log.
    """
    datadir = plan.layout.datadir
    restored = plan.journal.restored()
    here = restored.request if restored else ""
    before = {**plan.before, "request": here or None}
    if not plan.changed:
        return before, before
    if datadir.is_dir():
        before["bytes"] = sum(status.st_size for _name, status in walk_files(datadir, linked_directories=True))
    wanted = options.request.id if options.request else None
    after = {**plan.after, "request": wanted}
    if plan.placements:
        after.update(files=len(plan.placements), bytes=plan.bytes)
    return before, after
