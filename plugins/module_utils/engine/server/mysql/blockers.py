# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that block a backup lock of a MySQL server.

``performance_schema.metadata_locks`` names exactly who holds what is waited for; where the account may not read it
(with ``performance_schema.threads``), or it is switched off, the process list is what there is to tell from.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from ...errors import ServerError
from ..blockers import MOST, Blocker, blocker_of, guess_blockers, oldest_first, running_statements
from ..connection import Connection
from .user_tables import UserTable

_HOLDERS = (
    "SELECT t.PROCESSLIST_ID AS ID FROM performance_schema.metadata_locks AS m "
    "JOIN performance_schema.threads AS t ON t.THREAD_ID = m.OWNER_THREAD_ID "
    "WHERE t.PROCESSLIST_ID IS NOT NULL AND "
)
_GRANTED = "m.LOCK_STATUS = 'GRANTED'"
# who holds, or wants before it, a lock on the table that a session waits for
_IN_THE_WAY_OF = (
    "EXISTS (SELECT 1 FROM performance_schema.metadata_locks AS w "
    "JOIN performance_schema.threads AS s ON s.THREAD_ID = w.OWNER_THREAD_ID "
    "WHERE s.PROCESSLIST_ID = %s AND w.LOCK_STATUS = 'PENDING' AND w.OBJECT_TYPE = m.OBJECT_TYPE "
    "AND w.OBJECT_SCHEMA = m.OBJECT_SCHEMA AND w.OBJECT_NAME = m.OBJECT_NAME)"
)
_SCHEMA_CHANGE = re.compile(r"\s*(alter|create|drop|optimize|truncate|rename|analyze\s+table)\b", re.IGNORECASE)
# who holds LOCK INSTANCE FOR BACKUP off: schema changes that have begun
_SCHEMA_CHANGES = f"{_GRANTED} AND m.OBJECT_TYPE = 'BACKUP LOCK' AND m.LOCK_TYPE = 'INTENTION_EXCLUSIVE'"
# FLUSH TABLES WITH READ LOCK of somebody else
# what FLUSH TABLES WITH READ LOCK waits for: statements that write, LOCK TABLES ... WRITE
_WRITES = f"{_GRANTED} AND m.OBJECT_TYPE = 'GLOBAL' AND m.LOCK_TYPE = 'INTENTION_EXCLUSIVE'"
_GLOBAL_LOCK = "m.OBJECT_TYPE = 'GLOBAL' AND m.LOCK_TYPE = 'SHARED'"


def instance_blockers(connection: Connection, own: Collection[int]) -> list[Blocker]:
    """The sessions in the way of LOCK INSTANCE FOR BACKUP, the likeliest first; ``own`` ids are left out."""
    rows = _sessions(connection, own)
    held = _holding(rows, _holders(connection, _SCHEMA_CHANGES))
    return [blocker_of(row) for row in held or guess_blockers(rows)][:MOST]


def global_blockers(connection: Connection, own: Collection[int]) -> list[Blocker]:
    """The sessions in the way of FLUSH TABLES WITH READ LOCK, the likeliest first; ``own`` ids are left out."""
    rows = _sessions(connection, own)
    held = _holding(rows, _holders(connection, _WRITES))
    running = [row for row in running_statements(rows) if row not in held]
    return [blocker_of(row) for row in held + running or guess_blockers(rows)][:MOST]


def waiting_schema_changes(connection: Connection, own: Collection[int]) -> list[Blocker]:
    """The sessions whose schema change waits for LOCK INSTANCE FOR BACKUP; ``own`` ids are left out."""
    rows = [row for row in _sessions(connection, own) if str(row["STATE"] or "").lower() == "waiting for backup lock"]
    return [blocker_of(row) for row in oldest_first(rows)][:MOST]


def long_statements(connection: Connection, own: Collection[int], seconds: int) -> list[Blocker]:
    """The sessions in which a statement has been running for ``seconds``, and idle ones that hold tables with LOCK
    TABLES; ``own`` ids are left out."""
    rows = _sessions(connection, own)
    found = [row for row in running_statements(rows) if int(row["TIME"] or 0) >= seconds]
    found += [row for row in _holding(rows, _holders(connection, _WRITES)) if str(row["COMMAND"]) == "Sleep"]
    return [blocker_of(row) for row in found][:MOST]


def dictionary_blockers(connection: Connection, own: Collection[int], session: int) -> list[Blocker]:
    """The sessions in the way of what ``session`` waits for while it reads InnoDB's dictionary: schema changes, and who
    holds these up; ``own`` ids are left out."""
    rows = _sessions(connection, own)
    held = _holding(rows, _holders(connection, _IN_THE_WAY_OF, [session]))
    changes = [row for row in oldest_first(rows) if _SCHEMA_CHANGE.match(str(row["INFO"] or ""))]
    return [blocker_of(row) for row in held or changes or guess_blockers(rows)][:MOST]


def table_blockers(connection: Connection, own: Collection[int], tables: Sequence[UserTable]) -> list[Blocker]:
    """The sessions in the way of a lock on ``tables``, the likeliest first; ``own`` ids are left out."""
    rows = _sessions(connection, own)
    names = [(table.schema, table.name) for table in tables]
    condition = f"{_GRANTED} AND ({_GLOBAL_LOCK} OR m.OBJECT_TYPE = 'TABLE' AND (m.OBJECT_SCHEMA, m.OBJECT_NAME) IN %s)"
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
