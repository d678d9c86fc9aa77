# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled events of data that are to become a replica's: none of them may fire there.

A server that gets an event by replication notes it as SLAVESIDE_DISABLED (MySQL: REPLICA_SIDE_DISABLED); what the event
does arrives from the source. A copy brings the events along as the source has them, enabled. So they get that state in
the isolated run, whose server never starts its scheduler, and before any other server sees the data.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InvalidOption, Option


def is_as_requested(disabled: list[str] | None, requested: bool) -> bool:
    """Returns whether data of which the events ``disabled`` were disabled (None: nobody looked) are as ``requested``
    wants them."""
    return disabled is not None if requested else not disabled


def require_disabled(disabled: list[str] | None, path: Path) -> None:
    """Raises InvalidOption when nobody has disabled the events of the prepared data at ``path``."""
    if disabled is None:
        raise InvalidOption(
            f"{Option('disable_events')}: {path} was prepared before, and its events are still enabled",
            remedy=f"Prepare another copy of the backup with this option, or give a {Option('target_dir')}.",
            option="disable_events",
            path=str(path),
        )


def warnings_of(disabled: list[str] | None, requested: bool, path: Path) -> list[str]:
    """Returns the warnings about prepared data at ``path`` whose events ``disabled`` were disabled though ``requested``
    is not set: whoever restores them as they are misses these events."""
    if requested or not disabled:
        return []
    return [f"{path} was prepared for a replica: {len(disabled)} events are disabled on it: {', '.join(disabled[:10])}"]
