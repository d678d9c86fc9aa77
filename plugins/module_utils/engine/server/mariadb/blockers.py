# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that block a backup lock of a MariaDB server."""

from __future__ import annotations

from collections.abc import Collection

from ...errors import ServerError
from ..blockers import MOST, Blocker, blocker_of, guess_blockers, oldest_first
from ..connection import Connection

# backup locks that only say "a transaction is open" or "a backup is running with me": they stop no stage
_HARMLESS_MODES = frozenset({"MDL_BACKUP_ALTER_COPY"})


def find_blockers(connection: Connection, own: Collection[int]) -> list[Blocker]:
    """The sessions that may be in the way of a backup lock, the likeliest first; ``own`` ids are left out.

    Exact when the plugin METADATA_LOCK_INFO is active; otherwise told from the process list (needs PROCESS).
    """
    rows = [
        row
        for row in connection.query(
            "SELECT ID, USER, DB, COMMAND, TIME, STATE, INFO FROM information_schema.PROCESSLIST"
        )
        if int(row["ID"]) not in own
    ]
    holders = _holders(connection)
    if holders is not None:
        return [blocker_of(row) for row in oldest_first(rows) if int(row["ID"]) in holders][:MOST]
    return [blocker_of(row) for row in guess_blockers(rows)][:MOST]


def _holders(connection: Connection) -> set[int] | None:
    """Sessions that hold a backup lock, None when the server does not tell."""
    try:
        rows = connection.query(
            "SELECT THREAD_ID, LOCK_MODE FROM information_schema.METADATA_LOCK_INFO WHERE LOCK_TYPE = 'Backup lock'"
        )
    except ServerError:
        return None
    return {int(row["THREAD_ID"]) for row in rows if row["LOCK_MODE"] not in _HARMLESS_MODES}
