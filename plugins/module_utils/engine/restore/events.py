# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events in a backup: a restore leaves them as they are, so that those that are enabled run, and says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..format.file_kinds import ARIA_DATA_SUFFIX, SYSTEM_DATABASE
from .placement import Placement

_MARIADB_TABLE = f"{SYSTEM_DATABASE}/event{ARIA_DATA_SUFFIX}"
_EMPTY = 8192  # bytes of an Aria table without a row: one page of its bitmap
_THEY_RUN = "they are left as they are, and those that are enabled run as soon as the server's event_scheduler is on"


def event_warnings(record: Mapping[str, Any], placements: Iterable[Placement]) -> list[str]:
    """Returns the warnings about the events of a backup. ``record``: MySQL's says how many are enabled, as recovery has
    found them; MariaDB's are in a table, which keeps its size when rows are deleted. None of data whose events were
    disabled.
    """
    prepared = record.get("prepared") or {}
    if prepared.get("events_disabled") is not None:
        return []
    enabled = prepared.get("enabled_events")
    if enabled:
        return [f"the backup has enabled events ({enabled}): {_THEY_RUN}"]
    if any(one.name == _MARIADB_TABLE and one.size > _EMPTY for one in placements):
        return [f"the backup has events, or had some: {_THEY_RUN}"]
    return []
