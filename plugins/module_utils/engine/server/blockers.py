# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that block a backup lock."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

MOST = 20  # sessions that an error lists
_TEXT_LENGTH = 200  # characters of a statement that an error shows
# sessions in these states are waiting for us, or for somebody who is
_VICTIM_STATES = (
    "waiting for backup lock",
    "waiting for table metadata lock",
    "waiting for schema metadata lock",
    "waiting for global read lock",
    "waiting for table flush",
)
_SERVICES = ("Daemon", "Binlog Dump", "Binlog Dump GTID")
_READ = re.compile(r"\s*\(*\s*(select|show|explain|describe|desc|set|use|analyze\s+(select|format))\b", re.IGNORECASE)


@dataclass(frozen=True)
class Blocker:
    """One session: ``seconds`` in its present state, ``info`` its statement, cut to 200 characters."""

    id: int
    user: str
    db: str
    seconds: int
    state: str
    info: str

    def as_dict(self) -> dict[str, Any]:
        """As in the details of an error."""
        return asdict(self)


def describe(blocker: Blocker) -> str:
    """One session for a person."""
    statement = f"{blocker.info!r}" if blocker.info else "idle, holding locks"
    return f"session {blocker.id} of {blocker.user} ({blocker.seconds} s): {statement}"


def shortened(text: str, length: int = 400) -> str:
    """``text``, its end left out if it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: length - 3] + "..."


def running_statements(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the process list in which a statement of a client is at work, and waits for nobody."""
    return [
        row
        for row in oldest_first(rows)
        if row["INFO"]
        and str(row["COMMAND"]) not in (*_SERVICES, "Sleep")
        and str(row["STATE"] or "").lower() not in _VICTIM_STATES
    ]


def guess_blockers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the process list that may hold locks: running writes and DDL; when there are none, idle sessions
    (one of them holds LOCK TABLES, or another backup), and last of all running reads."""
    rows = oldest_first([row for row in rows if str(row["COMMAND"]) not in _SERVICES])
    present = [row for row in rows if str(row["STATE"] or "").lower() not in _VICTIM_STATES]
    writing = [row for row in present if row["INFO"] and not _READ.match(str(row["INFO"]))]
    if writing:
        return writing
    idle = [row for row in present if str(row["COMMAND"]) == "Sleep"]
    reading = [row for row in present if row["INFO"] and row not in idle]
    return idle + reading


def oldest_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a process list, those longest in their state first."""
    return sorted(rows, key=lambda row: -int(row["TIME"] or 0))


def blocker_of(row: dict[str, Any]) -> Blocker:
    """The session in one row of a process list (names of columns in capital letters)."""
    info = " ".join(str(row["INFO"] or "").split())
    return Blocker(
        id=int(row["ID"]),
        user=str(row["USER"] or ""),
        db=str(row["DB"] or ""),
        seconds=int(row["TIME"] or 0),
        state=str(row["STATE"] or ""),
        info=info[:_TEXT_LENGTH],
    )
