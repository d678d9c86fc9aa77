# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to a database server, wherever it is: private on this machine (servers.py), or on a host (hosts.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
from pymysql.cursors import DictCursor


class DatabaseClient:
    """Statements and queries; each on a connection of its own unless ``session`` is used."""

    flavor: str

    def connect(self, **arguments: Any) -> pymysql.Connection[Any]:
        """A new connection, autocommit on; the caller closes it."""
        raise NotImplementedError

    @contextlib.contextmanager
    def session(self, **arguments: Any) -> Iterator[pymysql.Connection[Any]]:
        """``connect``, closed at the end of the block."""
        connection = self.connect(**arguments)
        try:
            yield connection
        finally:
            connection.close()

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run ``statements`` one after the other on one new connection."""
        with self.session(database=database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, statement: str, arguments: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a query, as dicts."""
        with self.session(cursorclass=DictCursor) as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return list(cursor.fetchall())

    def value(self, statement: str, arguments: Sequence[Any] | None = None) -> Any:
        """The first column of the first row of a query; None where there is no row."""
        with self.session() as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            row = cursor.fetchone()
        return None if row is None else row[0]

    def variable(self, name: str) -> str:
        """A global variable, as SHOW GLOBAL VARIABLES prints it."""
        rows = self.rows("SHOW GLOBAL VARIABLES LIKE %s", [name])
        return str(rows[0]["Value"])

    def status(self, name: str) -> str:
        """A global status variable."""
        rows = self.rows("SHOW GLOBAL STATUS LIKE %s", [name])
        return str(rows[0]["Value"])

    def numbers(self, last: int, first: int = 1) -> str:
        """A table for FROM whose column ``seq`` counts from ``first`` to ``last``."""
        if self.flavor == "mariadb":
            return f"seq_{first}_to_{last}"
        # MySQL has no sequence engine
        recursion = f"SELECT {first} AS seq UNION ALL SELECT seq + 1 FROM counted WHERE seq < {last}"
        return f"(WITH RECURSIVE counted AS ({recursion}) SELECT seq FROM counted) AS numbers"

    def log_tail(self, lines: int = 30) -> str:
        """The end of the server's error log, to show with a failure."""
        raise NotImplementedError
