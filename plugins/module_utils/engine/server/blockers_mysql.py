# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in the way of a backup lock of a MySQL server.

``performance_schema.metadata_locks`` names exactly who holds what is waited for; where the account may not read it
(with ``performance_schema.threads``), or it is switched off, the process list is what there is to tell from.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..errors import ServerError
from .blockers import MOST, Blocker, blocker_of, guess_blockers, oldest_first
from .connection import Connection
from .user_tables import UserTable

_HOLDERS = (
    "SELECT t.PROCESSLIST_ID AS ID FROM performance_schema.metadata_locks AS m "
    "JOIN performance_schema.threads AS t ON t.THREAD_ID = m.OWNER_THREAD_ID "
    "WHERE m.LOCK_STATUS = 'GRANTED' AND t.PROCESSLIST_ID IS NOT NULL AND "
)
# who holds LOCK INSTANCE FOR BACKUP off: schema changes that have begun
_SCHEMA_CHANGES = "m.OBJECT_TYPE = 'BACKUP LOCK' AND m.LOCK_TYPE = 'INTENTION_EXCLUSIVE'"
# FLUSH TABLES WITH READ LOCK of somebody else
_GLOBAL_LOCK = "m.OBJECT_TYPE = 'GLOBAL' AND m.LOCK_TYPE = 'SHARED'"


def instance_blockers(connection: Connection, own: Collection[int]) -> list[Blocker]:
    """The sessions in the way of LOCK INSTANCE FOR BACKUP, the likeliest first; ``own`` ids are left out."""
    rows = _sessions(connection, own)
    held = _holding(rows, _holders(connection, _SCHEMA_CHANGES))
    return [blocker_of(row) for row in held or guess_blockers(rows)][:MOST]


def table_blockers(connection: Connection, own: Collection[int], tables: Sequence[UserTable]) -> list[Blocker]:
    """The sessions in the way of a lock on ``tables``, the likeliest first; ``own`` ids are left out."""
    rows = _sessions(connection, own)
    names = [(table.schema, table.name) for table in tables]
    condition = f"({_GLOBAL_LOCK} OR m.OBJECT_TYPE = 'TABLE' AND (m.OBJECT_SCHEMA, m.OBJECT_NAME) IN %s)"
    held = _holding(rows, _holders(connection, condition, [tuple(names)]) if names else set())
    # reading a table is enough to be in its way: who names one of them is the likeliest
    naming = [
        row
        for row in oldest_first(rows)
        if any(table.name.lower() in str(row["INFO"] or "").lower() for table in tables)
        and not str(row["STATE"] or "").lower().startswith("waiting for table")
    ]
    return [blocker_of(row) for row in held or naming or guess_blockers(rows)][:MOST]


def _sessions(connection: Connection, own: Collection[int]) -> list[dict[str, Any]]:
    """The process list without ``own``, its columns in capital letters; needs PROCESS."""
    rows = [{name.upper(): value for name, value in row.items()} for row in connection.query("SHOW FULL PROCESSLIST")]
    return [row for row in rows if int(row["ID"]) not in own]


def _holders(connection: Connection, condition: str, args: Sequence[Any] = ()) -> set[int]:
    """Ids of the sessions that hold a lock; empty also when the server does not tell."""
    try:
        return {int(row["ID"]) for row in connection.query(_HOLDERS + condition, args)}
    except ServerError:
        return set()


def _holding(rows: list[dict[str, Any]], holders: set[int]) -> list[dict[str, Any]]:
    return oldest_first([row for row in rows if int(row["ID"]) in holders])
