# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A write load on a server, in a process of its own, with invariants that a consistent copy must keep.

Each of ``threads`` writers runs transactions over InnoDB tables (transfers between accounts, a ledger, deletes, a
part of them rolled back) and, after each commit, writes the same number to a table of each of ``step_engines``
(MyISAM, Aria, ...) one by one. On a copy of one instant therefore:

* the balances of all accounts add up to what they were at the beginning;
* every account's balance is its opening balance plus its ledger entries;
* a writer's number in each table in step is at most one behind the table before it.

``check_invariants`` looks at exactly that. The process that writes is this file run as a script: it needs nothing but
PyMySQL, stops by itself after ``max_seconds``, and when its standard input closes (its parent is gone) or, with
``until_signalled`` (as a service on a host), when it gets SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import pymysql

if TYPE_CHECKING:
    from .client import DatabaseClient
    from .servers import DatabaseServer

ACCOUNTS = 1000
OPENING_BALANCE = 1000
USUAL_RATE = 100
AS_FAST_AS_IT_CAN = 0


class LoadFailed(AssertionError):
    """The write load did not run, or not as it should."""


@dataclass(frozen=True)
class LoadReport:
    """What a load did."""

    transactions: int
    rolled_back: int
    schema_changes: int
    seconds: float
    errors: tuple[str, ...]

    @property
    def per_second(self) -> float:
        """Committed transactions a second."""
        return self.transactions / self.seconds if self.seconds else 0.0


class WriteLoad:
    """A load that runs while the ``with`` block does; after it, ``report`` says what was done.

    ``schema_changes`` lets one more thread create, alter, rename, truncate and drop tables all the time.
    ``per_second`` bounds the transactions a second of all threads together; AS_FAST_AS_IT_CAN takes a processor from
    whatever else is running.
    ``may_lose_server`` is for tests that kill the server under it: lost connections are then no failure.
    """

    def __init__(
        self,
        server: DatabaseServer,
        *,
        database: str = "load_test",
        threads: int = 4,
        payload: int = 200,
        step_engines: tuple[str, ...] = (),
        schema_changes: bool = False,
        per_second: float = USUAL_RATE,
        max_seconds: float = 900,
        may_lose_server: bool = False,
    ) -> None:
        self.server = server
        self.database = database
        self.step_engines = step_engines
        self.may_lose_server = may_lose_server
        self.report: LoadReport | None = None
        self._settings = {
            "socket": str(server.socket),
            "database": database,
            "threads": threads,
            "payload": payload,
            "step_engines": list(step_engines),
            "schema_changes": schema_changes,
            "per_second": per_second,
            "max_seconds": max_seconds,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def __enter__(self) -> WriteLoad:
        create_load_tables(self.server, self.database, self.step_engines)
        self._output = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), json.dumps(self._settings)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.wait_for(1)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except LoadFailed:
            if kind is None:  # the first failure is the one to see
                raise

    def ledger_entries(self) -> int:
        """The newest entry of the ledger: grows with every transaction."""
        return int(self.server.value(f"SELECT COALESCE(MAX(id), 0) FROM `{self.database}`.ledger"))

    def wait_for(self, transactions: int, *, timeout: float = 60) -> None:
        """Wait until about ``transactions`` more than now are committed; raises LoadFailed when the load ends."""
        wanted = self.ledger_entries() + 2 * transactions  # each transaction makes two entries
        deadline = time.monotonic() + timeout
        while self.ledger_entries() < wanted:
            if self._process is not None and self._process.poll() is not None:
                raise LoadFailed(f"the load ended by itself: {self._read_output()}")
            if time.monotonic() > deadline:
                raise LoadFailed(f"no {transactions} transactions in {timeout} s")
            time.sleep(0.02)

    def wait_until_ended(self, timeout: float = 60) -> None:
        """Wait until the load has ended by itself, as it does when its server dies; raises LoadFailed."""
        assert self._process is not None
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise LoadFailed(f"the load still runs after {timeout} s") from error

    def stop(self) -> LoadReport:
        """End the load and return its report; raises LoadFailed when a writer failed or nothing was written."""
        if self.report is not None:
            return self.report
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            self._process.wait()
            raise LoadFailed("the load did not stop in 60 s") from error
        output = self._read_output()
        try:
            answer = json.loads(output.splitlines()[-1])
        except (IndexError, ValueError) as error:
            raise LoadFailed(f"the load ended with status {self._process.returncode}: {output}") from error
        self.report = LoadReport(**dict(answer, errors=tuple(answer["errors"])))
        if self.report.errors and not self.may_lose_server:
            raise LoadFailed(f"the load failed: {'; '.join(self.report.errors)}")
        if self.report.transactions == 0:
            raise LoadFailed("the load wrote nothing")
        return self.report

    def _read_output(self) -> str:
        assert self._output is not None
        self._output.seek(0)
        return self._output.read().decode(errors="replace")


def create_load_tables(server: DatabaseClient, database: str, step_engines: tuple[str, ...] = ()) -> None:
    """Make the tables of a load anew: accounts with their opening balance, an empty ledger, tables in step."""
    statements = [
        f"DROP DATABASE IF EXISTS `{database}`",
        f"CREATE DATABASE `{database}` CHARACTER SET utf8mb4",
        f"USE `{database}`",
        "CREATE TABLE accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL, touched TIMESTAMP(6)) ENGINE=InnoDB",
        f"INSERT INTO accounts SELECT seq, {OPENING_BALANCE}, NOW(6) FROM {server.numbers(ACCOUNTS)}",
        (
            "CREATE TABLE ledger (id BIGINT AUTO_INCREMENT PRIMARY KEY, account INT NOT NULL, amount BIGINT NOT NULL, "
            "payload VARBINARY(4096), KEY (account)) ENGINE=InnoDB"
        ),
        "CREATE TABLE churn (id INT PRIMARY KEY, payload LONGBLOB) ENGINE=InnoDB",
        "CREATE TABLE step_0_innodb (writer INT PRIMARY KEY, number BIGINT NOT NULL) ENGINE=InnoDB",
    ]
    for index, engine in enumerate(step_engines, start=1):
        statements.append(
            f"CREATE TABLE step_{index}_{engine.lower()} (writer INT NOT NULL, number BIGINT NOT NULL, "
            f"KEY (writer, number)) ENGINE={engine}"
        )
    server.execute(*statements)


def check_invariants(server: DatabaseClient, database: str = "load_test") -> None:
    """Check that ``server`` holds a load's tables as they were at one instant; raises LoadFailed."""
    total = server.value(f"SELECT SUM(balance) FROM `{database}`.accounts")
    if total != ACCOUNTS * OPENING_BALANCE:
        raise LoadFailed(f"the balances add up to {total}, not to {ACCOUNTS * OPENING_BALANCE}")
    wrong = server.value(
        f"SELECT COUNT(*) FROM `{database}`.accounts AS a LEFT JOIN "
        f"(SELECT account, SUM(amount) AS amount FROM `{database}`.ledger GROUP BY account) AS l ON l.account = a.id "
        f"WHERE a.balance <> {OPENING_BALANCE} + COALESCE(l.amount, 0)"
    )
    if wrong:
        raise LoadFailed(f"{wrong} accounts do not agree with their ledger")
    steps = [row["t"] for row in server.rows(
        "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = %s AND table_name LIKE 'step%%' "
        "ORDER BY 1", [database],
    )]  # fmt: skip
    numbers = [_step_numbers(server, f"`{database}`.`{table}`") for table in steps]
    for writer in numbers[0]:
        sequence = [table.get(writer, 0) for table in numbers]
        in_order = all(later in (earlier, earlier - 1) for earlier, later in zip(sequence, sequence[1:]))
        if not in_order or sequence[0] - sequence[-1] > 1:
            raise LoadFailed(f"writer {writer} is at {dict(zip(steps, sequence))}: the tables are not in step")


def _step_numbers(server: DatabaseClient, table: str) -> dict[int, int]:
    rows = server.rows(f"SELECT writer, MAX(number) AS number FROM {table} GROUP BY writer")
    return {row["writer"]: row["number"] for row in rows}


# --- the process that writes ---------------------------------------------------------------------


class _Writers:
    """The threads of one load, and what they count."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.transactions = 0
        self.rolled_back = 0
        self.schema_changes = 0
        self.errors: list[str] = []

    def run(self) -> dict[str, Any]:
        begun = time.monotonic()
        threads = [threading.Thread(target=self._guard, args=(self._write, n)) for n in range(self.settings["threads"])]
        if self.settings["schema_changes"]:
            threads.append(threading.Thread(target=self._guard, args=(self._change_schema, 0)))
        for thread in threads:
            thread.start()
        while not self._told_to_stop() and time.monotonic() - begun < self.settings["max_seconds"]:
            pass
        seconds = time.monotonic() - begun
        self.stopping.set()
        for thread in threads:
            thread.join(30)
        return {
            "transactions": self.transactions,
            "rolled_back": self.rolled_back,
            "schema_changes": self.schema_changes,
            "seconds": seconds,
            "errors": self.errors,
        }

    def _told_to_stop(self) -> bool:
        """Wait a moment; whether the load ends now: a writer has failed, or nobody wants it any more."""
        if self.settings.get("until_signalled"):
            return self.stopping.wait(0.1)
        closed = select.select([sys.stdin], [], [], 0.1)[0] and not os.read(sys.stdin.fileno(), 4096)
        return bool(closed) or self.stopping.is_set()

    def _guard(self, work: Any, number: int) -> None:
        try:
            connection = pymysql.connect(
                unix_socket=self.settings["socket"], user="root", database=self.settings["database"], autocommit=False,
                ssl_disabled=True,
            )  # fmt: skip
            with contextlib.closing(connection):
                work(connection, number)
        except (pymysql.MySQLError, OSError) as error:
            with self.lock:
                self.errors.append(f"writer {number}: {error}")
            self.stopping.set()

    def _pause(self, transactions: int) -> float:
        """Seconds in which all threads together may make so many transactions."""
        return transactions / self.settings["per_second"] if self.settings["per_second"] else 0.0

    def _write(self, connection: pymysql.Connection[Any], writer: int) -> None:
        chance = random.Random(writer)
        pause = self._pause(self.settings["threads"])
        with connection.cursor() as cursor:
            number = self._last_step(cursor, writer)
            while not self.stopping.is_set():
                begun = time.monotonic()
                try:
                    committed = self._transfer(connection, cursor, chance, writer, number + 1)
                except pymysql.OperationalError as error:
                    if error.args[0] not in (1205, 1213):  # lock wait time-out and deadlock are a transfer's life
                        raise
                    connection.rollback()
                    committed = False
                with self.lock:
                    self.transactions += committed
                    self.rolled_back += not committed
                if committed:
                    number += 1
                    self._step(connection, cursor, writer, number)
                left = pause - (time.monotonic() - begun)
                if left > 0:
                    self.stopping.wait(left)

    def _transfer(self, connection: Any, cursor: Any, chance: random.Random, writer: int, number: int) -> bool:
        """One transaction; returns whether it was committed."""
        first, second = sorted(chance.sample(range(1, ACCOUNTS + 1), 2))
        amount = chance.randrange(1, 100)
        payload = chance.randbytes(self.settings["payload"])
        cursor.execute("UPDATE accounts SET balance = balance - %s, touched = NOW(6) WHERE id = %s", (amount, first))
        cursor.execute("UPDATE accounts SET balance = balance + %s, touched = NOW(6) WHERE id = %s", (amount, second))
        cursor.execute(
            "INSERT INTO ledger (account, amount, payload) VALUES (%s, %s, %s), (%s, %s, %s)",
            (first, -amount, payload, second, amount, payload),
        )
        if number % 10 == 0:  # pages that are freed, large columns, work for purge
            cursor.execute("REPLACE INTO churn VALUES (%s, %s)", (writer * 100 + number % 97, payload * 40))
            cursor.execute("DELETE FROM churn WHERE id = %s", (writer * 100 + chance.randrange(97),))
        if chance.random() < 0.05:
            connection.rollback()
            return False
        if self.settings["step_engines"]:
            cursor.execute("REPLACE INTO step_0_innodb VALUES (%s, %s)", (writer, number))
        connection.commit()
        return True

    def _last_step(self, cursor: Any, writer: int) -> int:
        """The number up to which an earlier load has come on these tables: this one goes on from there."""
        if not self.settings["step_engines"]:
            return 0
        cursor.execute("SELECT COALESCE(MAX(number), 0) FROM step_0_innodb WHERE writer = %s", [writer])
        return int(cursor.fetchone()[0])

    def _step(self, connection: Any, cursor: Any, writer: int, number: int) -> None:
        for index, engine in enumerate(self.settings["step_engines"], start=1):
            cursor.execute(f"INSERT INTO step_{index}_{engine.lower()} VALUES (%s, %s)", (writer, number))
            connection.commit()

    def _change_schema(self, connection: Any, _number: int) -> None:
        turn = 0
        pause = self._pause(2)
        with connection.cursor() as cursor:
            while not self.stopping.is_set():
                turn += 1
                table = f"changing_{turn % 8}"
                for statement in (
                    f"DROP TABLE IF EXISTS {table}, {table}_renamed",
                    f"CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(200)) ENGINE=InnoDB",
                    f"INSERT INTO {table} (a, b) SELECT id, REPEAT('x', 150) FROM accounts WHERE id <= 200",
                    f"ALTER TABLE {table} ADD COLUMN c INT DEFAULT {turn}, ALGORITHM=INSTANT",
                    f"ALTER TABLE {table} ADD INDEX (a), ALGORITHM=INPLACE",
                    f"ALTER TABLE {table} DROP COLUMN b, ALGORITHM=COPY",
                    f"RENAME TABLE {table} TO {table}_renamed",
                    f"TRUNCATE TABLE {table}_renamed" if turn % 2 else f"OPTIMIZE TABLE {table}_renamed",
                    f"INSERT INTO {table}_renamed (a) VALUES ({turn})",
                ):
                    cursor.execute(statement)
                    cursor.fetchall()
                    connection.commit()
                    with self.lock:
                        self.schema_changes += 1
                    if self.stopping.wait(pause):
                        return


def _main() -> int:
    writers = _Writers(json.loads(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda _number, _frame: writers.stopping.set())
    report = writers.run()
    print(json.dumps(report))
    return 1 if report["errors"] else 0


if __name__ == "__main__":
    sys.exit(_main())
