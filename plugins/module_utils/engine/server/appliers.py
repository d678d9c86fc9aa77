# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL threads of a replica's channels: which there are, and how one is stopped and started.

A STOP that was begun goes on in the server whatever becomes of the session that asked for it: it ends when the thread
has finished its transaction. So nobody may believe that a thread runs, or start it, before that session is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import ServerError
from ..format.family import Family
from .connection import Connection
from .mariadb import appliers as mariadb_appliers
from .mysql import appliers as mysql_appliers

_NO_SUCH_THREAD = 1094  # ER_NO_SUCH_THREAD


@dataclass(frozen=True)
class Applier:
    """The SQL thread of one channel. ``until``: it was started with an UNTIL, which a start of ours would forget;
    ``error``: what it stopped with, "" when with nothing."""

    channel: str
    running: bool
    until: bool
    error: str


class _Statements(Protocol):
    """Functions that the module of a family has."""

    STATUS: str
    NAME: str
    RUNNING: str
    STOP: str
    START: str
    LEFT_ALONE: tuple[str, ...]


_STATEMENTS: dict[Family, _Statements] = {Family.MARIADB: mariadb_appliers, Family.MYSQL: mysql_appliers}


class Appliers:
    """The SQL threads of the server of ``connection``, which is of ``family``."""

    def __init__(self, connection: Connection, family: Family) -> None:
        self._connection = connection
        self._statements = _STATEMENTS[family]

    def read(self) -> list[Applier]:
        """The SQL threads there are, those of group replication left out."""
        says = self._statements
        found = [_applier(row, says.NAME, says.RUNNING) for row in self._connection.query(says.STATUS)]
        return [applier for applier in found if not applier.channel.startswith(says.LEFT_ALONE)]

    def open_temporary_tables(self) -> int:
        """Returns the number of temporary tables that statements of the source have open here; no file holds them."""
        names = ("Replica_open_temp_tables", "Slave_open_temp_tables")
        return max((int(value) for value in self._connection.status(*names).values()), default=0)

    def stop(self, channel: str) -> None:
        """Stop a SQL thread; returns when it has finished its transaction."""
        self._connection.execute(self._statements.STOP, [channel])

    def start(self, channel: str) -> None:
        """Start a SQL thread; nothing happens to one that runs."""
        self._connection.execute(self._statements.START, [channel])

    def start_statement(self, channel: str) -> str:
        """Returns the statement that starts the SQL thread of ``channel``."""
        return f"{self._statements.START % self._connection.escape(channel)};"

    def end_stopping(self, session: int) -> bool:
        """Returns whether ``session`` stops nothing any more; it is told to give up a STOP that it is in."""
        # after a restart of the server, the number may be that of somebody else
        statements = [
            str(row["Info"] or "")
            for row in self._connection.query("SHOW FULL PROCESSLIST")
            if int(row["Id"]) == session
        ]
        if not any(statement.upper().startswith("STOP ") for statement in statements):
            return True
        try:
            self._connection.execute(f"KILL {session}")
        except ServerError as error:
            if error.details.get("errno") != _NO_SUCH_THREAD:
                raise
        return False


def _applier(row: Mapping[str, Any], name: str, running: str) -> Applier:
    until = str(row.get("Until_Condition") or "None")
    return Applier(
        channel=str(row.get(name) or ""),
        # MySQL and MariaDB know no third state of this thread
        running=str(row[running]) == "Yes",
        until=until not in ("None", ""),
        error=str(row.get("Last_SQL_Error") or "") if int(row.get("Last_SQL_Errno") or 0) else "",
    )
