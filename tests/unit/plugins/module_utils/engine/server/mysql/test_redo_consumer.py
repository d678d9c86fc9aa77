# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements of a consumer; what servers do is in tests/integration_servers/test_redo_follower_mysql.py."""

from __future__ import annotations

from typing import Any, cast

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ConnectionFailed, ServerError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import Connection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_consumer import RedoConsumer


class Statements:
    """Notes statements, and answers those that begin like a key of ``answers`` with it (an error is raised)."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {f"SELECT innodb_redo_log_consumer_{name}": answer for name, answer in answers.items()}
        self.said: list[str] = []
        self.closed = False

    def scalar(self, sql: str) -> Any:
        self.said.append(sql)
        for beginning, answers in self.answers.items():
            if sql.startswith(beginning):
                answer = answers.pop(0) if isinstance(answers, list) else answers
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return 0

    query = execute = scalar

    def close(self) -> None:
        self.closed = True


def consumer(statements: Statements) -> RedoConsumer:
    return RedoConsumer(cast(Connection, statements), lease=7)


def test_the_hold_is_a_lease_that_is_renewed_and_given_back() -> None:
    statements = Statements()
    with consumer(statements) as held:
        assert held.held
        for lsn in (5000, 6000, 6000):
            held.advance(lsn)
    assert not held.held
    assert statements.said == [
        "SELECT innodb_redo_log_consumer_register() AS status",
        "SET SESSION wait_timeout = 7",
        "SELECT innodb_redo_log_consumer_advance(5000)",
        "SELECT innodb_redo_log_consumer_advance(6000)",
        "SELECT 1",
        "SELECT innodb_redo_log_consumer_unregister()",
    ]


def test_a_server_that_wants_a_name_gets_one_whatever_quotes_mean_to_it() -> None:
    statements = Statements(register=[ServerError("wrong arguments", errno=1123), 0])
    with consumer(statements) as held:
        assert held.held
    assert statements.said[1] == "SELECT innodb_redo_log_consumer_register('xtrabackup') AS status"
    assert statements.said[-1] == "SELECT innodb_redo_log_consumer_unregister()"


def test_a_server_without_consumers_is_backed_up_without_one() -> None:
    statements = Statements(
        register=ServerError("FUNCTION innodb_redo_log_consumer_register does not exist", errno=1305)
    )
    with consumer(statements) as held:
        assert not held.held
        assert "does not exist" in held.reason
        held.advance(5000)
    assert len(statements.said) == 1


def test_a_second_consumer_is_none() -> None:
    for answer in (1, None):
        with consumer(Statements(register=answer)) as held:
            assert not held.held
            assert held.reason == "another consumer of the redo log is registered"


def test_a_lease_that_has_ended_is_known_and_its_session_is_closed() -> None:
    statements = Statements(advance=ConnectionFailed("the server has gone away", errno=2006))
    with consumer(statements) as held:
        held.advance(5000)
        assert (held.held, held.reason) == (False, "the server has gone away")
        held.advance(6000)
    assert statements.closed
    assert statements.said[-1] == "SELECT innodb_redo_log_consumer_advance(5000)"
