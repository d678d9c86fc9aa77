# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storm of DDL on a server: every kind of schema change, in several sessions, without a pause.

What is done is random, from a seed. Many statements fail (a table that is not there, a column that is): that is how a
server is used, too, and only a lost connection ends the storm.
"""

from __future__ import annotations

import threading
from random import Random
from types import TracebackType
from typing import Any

import pymysql

from .checksums import base_tables
from .servers import DatabaseServer, MariaDBServer

_LOST = (2006, 2013)  # server has gone away, lost connection
_COLUMNS = "id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(300), KEY ka (a)"
_PLAIN = "id INT NOT NULL PRIMARY KEY, a INT, b VARCHAR(300)"
_RANGES = (
    "PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200), "
    "PARTITION pm VALUES LESS THAN MAXVALUE)"
)


class DdlStorm:
    """A storm that lasts as long as the ``with`` block, or until ``stop``; ``statements`` succeeded."""

    def __init__(self, server: DatabaseServer, seed: int, *, sessions: int = 3) -> None:
        self.statements = 0
        self._ended = threading.Event()
        self._failed: list[BaseException] = []
        self._sessions = [_Session(self, server, Random(seed * 100 + number), number) for number in range(sessions)]
        self._threads = [threading.Thread(target=self._run, args=(session,)) for session in self._sessions]

    def __enter__(self) -> DdlStorm:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """End the storm; raises what ended a session before."""
        self.__exit__(None, None, None)
        if self._failed:
            raise self._failed[0]

    def _run(self, session: _Session) -> None:
        try:
            session.begin()
            while not self._ended.is_set():
                session.change()
        except pymysql.MySQLError as error:
            self._failed.append(error)
        finally:
            session.close()


class _Session:
    """One session, with databases of its own: sessions meet in the server, not in their tables."""

    def __init__(self, storm: DdlStorm, server: DatabaseServer, random: Random, number: int) -> None:
        self._storm = storm
        self._server = server
        self._random = random
        self._mysql = not isinstance(server, MariaDBServer)
        self._connection = server.connect(charset="utf8mb4")
        self._database = f"d{number}"
        self._odd_database = f"`d-{number} x`"  # its directory is not called so
        self._space = f"space{number}"
        self._undo = f"undo{number}"
        self._tables = [f"{self._database}.t{n}" for n in range(5)]
        self._tables += [f"{self._database}.`Ünï #{n}`" for n in range(2)]
        self._tables += [f"{self._odd_database}.`t%{n}`" for n in range(2)]
        changes = [self._create] * 4 + [self._alter] * 8 + [self._move] * 2 + [self._partition] * 3 + [self._define] * 2
        self._changes = [*changes, self._remove, self._remove, *([self._tablespace] * 2 if self._mysql else [])]

    def begin(self) -> None:
        """Make what the changes need."""
        self._do(f"CREATE DATABASE {self._database}", f"CREATE DATABASE {self._odd_database}")
        if self._mysql:
            self._do(f"CREATE TABLESPACE {self._space} ADD DATAFILE '{self._space}.ibd'")

    def close(self) -> None:
        """Leave the server."""
        self._connection.close()

    def change(self) -> None:
        """One change of the schema, and some rows."""
        self._do(*self._random.choice(self._changes)())
        if self._random.random() < 0.6:
            self._do(self._rows(self._table()))
        if self._random.random() < 0.2:
            self._do(f"DELETE FROM {self._table()} WHERE a % 3 = 1")

    def _do(self, *statements: str) -> None:
        with self._connection.cursor() as cursor:
            for statement in statements:
                try:
                    cursor.execute(statement)
                    cursor.fetchall()
                    self._storm.statements += 1
                except pymysql.MySQLError as error:
                    if error.args[0] in _LOST:
                        raise

    def _table(self) -> str:
        return self._random.choice(self._tables)

    def _rows(self, table: str) -> str:
        first, count = self._random.randrange(1, 2_000_000), self._random.choice([1, 50, 400])
        return (
            f"INSERT IGNORE INTO {table} (id, a, b) SELECT {first} + seq, seq, REPEAT(CHAR(97 + seq % 26), seq % 280) "
            f"FROM {self._server.numbers(count)}"
        )

    def _create(self) -> list[str]:
        table = self._table()
        kinds = [
            f"({_COLUMNS}) ENGINE=InnoDB",
            f"({_COLUMNS}) ENGINE=MyISAM",
            f"({_COLUMNS}, FULLTEXT KEY fb (b)) ENGINE=InnoDB",
            f"({_COLUMNS}) ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4",
            f"({_PLAIN}) ENGINE=InnoDB {_RANGES}",
        ]
        if self._mysql:
            kinds += [f"({_COLUMNS}) COMPRESSION='zlib'", f"({_COLUMNS}) TABLESPACE {self._space}"]
        else:
            kinds += [f"({_COLUMNS}) ENGINE=InnoDB PAGE_COMPRESSED=1", f"({_COLUMNS}) ENGINE=Aria"]
        return [f"CREATE TABLE {table} {self._random.choice(kinds)}", self._rows(table)]

    def _remove(self) -> list[str]:
        table = self._table()
        statements = [[f"DROP TABLE {table}"], [f"TRUNCATE TABLE {table}"]]
        if self._random.random() < 0.3:
            statements.append([f"DROP DATABASE {self._odd_database}", f"CREATE DATABASE {self._odd_database}"])
        return self._random.choice(statements)

    def _move(self) -> list[str]:
        one, other, between = self._table(), self._table(), f"{self._database}.between"
        return self._random.choice(
            [
                [f"RENAME TABLE {one} TO {other}"],
                [f"RENAME TABLE {one} TO {between}, {other} TO {one}, {between} TO {other}"],
            ]
        )

    def _alter(self) -> list[str]:
        number = self._random.randrange(3)
        engine = self._random.choice(["InnoDB", "InnoDB", "MyISAM", "MyISAM" if self._mysql else "Aria"])
        changes = [
            f"ADD COLUMN c{number} INT DEFAULT {number}, ALGORITHM=INSTANT",
            f"ADD COLUMN c{number} INT DEFAULT {number}",
            f"DROP COLUMN c{number}",
            f"ADD INDEX i{number} (b(20), a), ALGORITHM=INPLACE",
            f"DROP INDEX i{number}",
            "ADD FULLTEXT INDEX fb (b)",
            f"FORCE, ALGORITHM={self._random.choice(['COPY', 'INPLACE'])}",
            f"ENGINE={engine}",
            f"CONVERT TO CHARACTER SET {self._random.choice(['latin1', 'utf8mb4'])}",
        ]
        statements = [
            *(f"ALTER TABLE {self._table()} {change}" for change in changes),
            f"OPTIMIZE TABLE {self._table()}",
        ]
        return [self._random.choice(statements)]

    def _partition(self) -> list[str]:
        table, exchanged = self._table(), f"{self._database}.exchanged"
        upper = self._random.randrange(300, 9000)
        split = f"PARTITION p{upper} VALUES LESS THAN ({upper}), PARTITION pm VALUES LESS THAN MAXVALUE"
        return self._random.choice(
            [
                [f"ALTER TABLE {table} TRUNCATE PARTITION p{self._random.randrange(2)}"],
                [f"ALTER TABLE {table} PARTITION BY HASH (id) PARTITIONS {self._random.randrange(1, 4)}"],
                [f"ALTER TABLE {table} REORGANIZE PARTITION pm INTO ({split})"],
                [
                    f"DROP TABLE IF EXISTS {exchanged}",
                    f"CREATE TABLE {exchanged} ({_PLAIN}) ENGINE=InnoDB",
                    f"INSERT INTO {exchanged} SELECT seq, seq, 'x' FROM {self._server.numbers(90)}",
                    f"ALTER TABLE {table} EXCHANGE PARTITION p0 WITH TABLE {exchanged}",
                ],
            ]
        )

    def _define(self) -> list[str]:
        number = self._random.randrange(99)
        trigger = f"{self._database}.filled"
        return self._random.choice(
            [
                [f"CREATE OR REPLACE VIEW {self._database}.v{number % 3} AS SELECT {number} AS x"],
                [
                    f"DROP TRIGGER IF EXISTS {trigger}",
                    f"CREATE TRIGGER {trigger} BEFORE INSERT ON {self._table()} FOR EACH ROW SET NEW.a = {number}",
                ],
            ]
        )

    def _tablespace(self) -> list[str]:
        space = self._random.choice([self._space, "innodb_file_per_table", "innodb_system"])
        return self._random.choice(
            [
                [f"ALTER TABLE {self._table()} TABLESPACE {space}"],
                [f"CREATE UNDO TABLESPACE {self._undo} ADD DATAFILE '{self._undo}.ibu'"],
                [f"ALTER UNDO TABLESPACE {self._undo} SET INACTIVE", f"DROP UNDO TABLESPACE {self._undo}"],
            ]
        )


def damaged_tables(server: DatabaseServer) -> list[dict[str, Any]]:
    """What CHECK TABLE says against any table of ``server``."""
    said = []
    for database, name, _engine in base_tables(server):
        said += server.rows(f"CHECK TABLE `{database}`.`{name}` EXTENDED")
    return [row for row in said if row["Msg_type"] in ("error", "Error", "warning") or row["Msg_text"] == "Corrupt"]
