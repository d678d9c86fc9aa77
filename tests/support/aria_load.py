# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load that transactional Aria tables get on a MariaDB server, the server's own (accounts, grants) among them.

What it writes goes into the binary log, so a copy that is right catches up and is then equal.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from types import TracebackType

import pymysql

from .servers import DatabaseServer

DATABASE = "aria_load"
_ROWS = 2000
_COLUMNS = "id INT PRIMARY KEY, number INT, padding VARCHAR(300), content BLOB, KEY (number), KEY (padding(20))"


#: ER_GET_ERRNO, ER_ERROR_DURING_COMMIT, and HA_ERR_KEY_NOT_FOUND, which the server returns as it is
_ENGINE_FAILED = frozenset({1030, 1180, 120})


class SourceFailed(AssertionError):
    """The source's own Aria engine failed in a statement of the load: there is nothing to compare a copy with.

    Seen once in some 700 backups (10.11.19): error 120 of an UPDATE, then 122 and 197 of all that wrote.
    """


class AriaLoad:
    """Writers on ``tables`` Aria tables each, one that makes and drops accounts, and one that loads a table in bulk.

    They run as long as the ``with`` block does. ``pause`` (s) is between two statements of one writer.
    """

    def __init__(self, server: DatabaseServer, *, tables: int = 3, pause: float = 0.002, payload: int = 2000) -> None:
        self._server = server
        self._tables = tables
        self._pause = pause
        self._payload = payload
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.statements = 0
        self.errors: list[str] = []
        self._engine_failed = False

    def __enter__(self) -> AriaLoad:
        self._server.execute(
            f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
            *(f"CREATE TABLE {DATABASE}.t{n} ({_COLUMNS}) ENGINE=Aria" for n in range(self._tables)),
            f"CREATE TABLE {DATABASE}.parts ({_COLUMNS}) ENGINE=Aria PARTITION BY HASH (id) PARTITIONS 3",
            f"CREATE TABLE {DATABASE}.bulk ({_COLUMNS}) ENGINE=Aria",
        )
        tables = [*(f"t{n}" for n in range(self._tables)), "parts"]
        works = [*((self._write, table) for table in tables), (self._grant, ""), (self._load, "bulk")]
        for work, table in works:
            thread = threading.Thread(target=self._guard, args=(work, table), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the load; raises AssertionError when a writer failed, SourceFailed when it was the server's engine."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(120)
        if self._engine_failed:
            raise SourceFailed(f"{self.errors}\n{self._server.log_tail()}")
        assert not self.errors, self.errors
        # a replica (10.11) counts only the first event's rows of a load into an empty Aria table: its COUNT(*) is wrong
        # until the table is made anew
        self._server.execute(f"TRUNCATE {DATABASE}.bulk")

    def wait_for(self, statements: int, timeout: float = 120) -> None:
        """Wait until so many more statements have ended."""
        wanted, deadline = self.statements + statements, time.monotonic() + timeout
        while self.statements < wanted:
            assert not self.errors, self.errors
            assert time.monotonic() < deadline, f"no {statements} statements in {timeout} s"
            time.sleep(0.02)

    # --- the writers -----------------------------------------------------------------------------

    def _guard(self, work: object, table: str) -> None:
        try:
            with self._server.session(database=DATABASE) as connection, connection.cursor() as cursor:
                work(cursor, table, random.Random(table))  # type: ignore[operator]
        except Exception as error:
            if not self._stopping.is_set():
                self.errors.append(repr(error))
                self._engine_failed |= isinstance(error, pymysql.Error) and error.args[0] in _ENGINE_FAILED

    def _run(self, cursor: pymysql.cursors.Cursor, *statements: str) -> None:
        for statement in statements:
            if self._stopping.is_set():
                return
            cursor.execute(statement)
            with self._lock:
                self.statements += 1
            self._stopping.wait(self._pause)

    def _write(self, cursor: pymysql.cursors.Cursor, table: str, chance: random.Random) -> None:
        while not self._stopping.is_set():
            rows = ", ".join(
                f"({chance.randrange(_ROWS)}, {chance.randrange(10**6)}, '{chance.randbytes(140).hex()}', "
                f"REPEAT('{chance.randrange(10**9)}', {chance.randrange(1, self._payload // 9)}))"
                for _row in range(chance.randrange(1, 20))
            )
            low = chance.randrange(_ROWS)
            changed = f"number = number + 1, content = REPEAT('y', {chance.randrange(self._payload)})"
            self._run(
                cursor,
                f"REPLACE INTO {table} VALUES {rows}",
                f"UPDATE {table} SET {changed} WHERE id BETWEEN {low} AND {low + 40}",
                f"DELETE FROM {table} WHERE id BETWEEN {low} AND {low + 15}",
            )

    def _grant(self, cursor: pymysql.cursors.Cursor, _table: str, _chance: random.Random) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            self._run(
                cursor,
                f"CREATE OR REPLACE USER aria_{number} IDENTIFIED BY 'a-password-of-a-test'",
                f"GRANT SELECT, INSERT ON {DATABASE}.* TO aria_{number}",
                f"GRANT SELECT (number) ON {DATABASE}.t0 TO aria_{number}",
                *([f"DROP USER aria_{number - 5}"] if number > 5 else []),
            )

    def _load(self, cursor: pymysql.cursors.Cursor, table: str, chance: random.Random) -> None:
        """Fill an empty table by one statement: the server then logs none of its rows."""
        cursor.execute("SET SESSION lock_wait_timeout = 600")
        while not self._stopping.is_set():
            rows = chance.randrange(200, 1000)
            self._run(
                cursor,
                f"INSERT INTO {table} SELECT seq, seq * 3, MD5(seq), REPEAT('z', seq % 900) FROM seq_1_to_{rows}",
                f"UPDATE {table} SET number = {rows} WHERE id < 20",
                f"DELETE FROM {table}",
            )


def fill_log(server: DatabaseServer, mib: int) -> None:
    """Write about ``mib`` MiB of Aria log; the table that it is about stays small. The server purges none of it as
    long as aria_log_purge_type is "external", or the log's file is larger than that."""
    # a row that is replaced is in the log three times
    row = f"INSERT INTO {DATABASE}.filler VALUES (REPEAT(RANDOM_BYTES(1024), 1024))"
    server.execute(
        f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
        f"CREATE TABLE {DATABASE}.filler (content LONGBLOB) ENGINE=Aria",
        *[statement for n in range(mib) for statement in (row, f"TRUNCATE {DATABASE}.filler")[: 1 + (n % 4 == 3)]],
    )


def damaged(server: DatabaseServer) -> list[str]:
    """What CHECK TABLE EXTENDED says about the Aria tables of ``server`` that are not sound."""
    found = []
    rows = server.rows(
        "SELECT table_schema AS d, table_name AS t FROM information_schema.tables WHERE engine = 'Aria' "
        "AND table_type = 'BASE TABLE' AND table_schema <> 'information_schema'"
    )
    for row in rows:
        for answer in server.rows(f"CHECK TABLE `{row['d']}`.`{row['t']}` EXTENDED"):
            if answer["Msg_text"] not in ("OK", "Table is already up to date"):
                found.append(f"{row['d']}.{row['t']}: {answer['Msg_type']}: {answer['Msg_text']}")
    return found


def accounts(server: DatabaseServer) -> list[str]:
    """The accounts that a load has made on ``server``, each with its grants."""
    rows = server.rows("SELECT User AS u FROM mysql.global_priv WHERE User LIKE 'aria%' ORDER BY 1")
    found = []
    for name in [row["u"] for row in rows]:
        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"SHOW GRANTS FOR `{name}`")
            found += [str(row[0]) for row in cursor.fetchall()]
    return found
