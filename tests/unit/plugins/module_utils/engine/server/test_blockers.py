# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in the way, told from a process list; and what a broken channel says."""

from __future__ import annotations

from typing import Any

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.blockers import (
    Blocker,
    describe,
    guess_blockers,
    running_statements,
    shortened,
)


def session(number: int, info: str | None, *, command: str = "Query", state: str = "", time: int = 5) -> dict[str, Any]:
    return {"ID": number, "USER": "u", "DB": "d", "COMMAND": command, "TIME": time, "STATE": state, "INFO": info}


def ids(*rows: dict[str, Any]) -> list[int]:
    return [row["ID"] for row in guess_blockers(list(rows))]


def test_writes_and_ddl_are_named_oldest_first_and_reads_are_not() -> None:
    assert ids(
        session(1, "SELECT 1"),
        session(2, "INSERT INTO t VALUES (1)", time=3),
        session(3, "ALTER TABLE t ADD c INT", time=90),
        session(4, None, command="Sleep"),
    ) == [3, 2]


def test_those_who_wait_for_us_are_not_named() -> None:
    assert ids(
        session(1, "CREATE TABLE x (a INT)", state="Waiting for backup lock"),
        session(2, "UPDATE t SET a = 1", state="Waiting for table metadata lock"),
        session(3, "INSERT INTO m SELECT SLEEP(9)", state="User sleep"),
    ) == [3]


def test_idle_sessions_are_suspected_when_nobody_writes() -> None:
    assert ids(session(1, "SELECT SLEEP(9)"), session(2, None, command="Sleep", time=400)) == [2, 1]


def test_replication_and_daemons_are_never_suspected_for_being_there() -> None:
    assert ids(session(1, None, command="Daemon"), session(2, None, command="Binlog Dump")) == []


def test_a_session_is_described_with_its_statement_or_as_idle() -> None:
    assert "'DROP TABLE t'" in describe(Blocker(7, "u", "d", 3, "", "DROP TABLE t"))
    assert "session 7 of u (3 s): idle" in describe(Blocker(7, "u", "d", 3, "", ""))


def test_statements_that_wait_and_sessions_without_one_are_not_at_work() -> None:
    rows = [
        session(1, "SELECT SLEEP(9)", time=2),
        session(2, "UPDATE t SET a = 1", state="Waiting for table metadata lock"),
        session(3, None, command="Sleep"),
        session(4, None, state="Waiting for dependent transaction to commit"),
        session(5, None, command="Binlog Dump GTID"),
        session(6, "INSERT INTO t VALUES (1)", time=70),
    ]
    assert [row["ID"] for row in running_statements(rows)] == [6, 1]


def test_a_long_text_is_cut() -> None:
    assert (shortened("x" * 400), shortened("y" * 101, 100)) == ("x" * 400, "y" * 97 + "...")
