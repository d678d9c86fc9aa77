# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other clients of a server, who are busy or in the way while a test looks."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import pymysql

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)

from .servers import DatabaseServer


def opener(server: DatabaseServer, user: str = "root", password: str = "") -> Callable[[], Connection]:
    """What opens another connection of the engine, over the socket."""
    parameters = ConnectionParameters(unix_socket=str(server.socket), user=user, password=password, config_file="")
    return lambda: Connection(parameters)


def session_id(client: pymysql.Connection[Any]) -> int:
    """The server's id of ``client``."""
    with client.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        (number,) = cursor.fetchone() or (0,)
    return int(number)


@contextlib.contextmanager
def busy(server: DatabaseServer, statement: str, state: str = "User sleep") -> Iterator[int]:
    """Another client in the middle of ``statement``, in ``state``; its thread id. It is ended with the block."""
    with server.session() as client:
        number = session_id(client)

        def run() -> None:
            # it is killed at the end of the block
            with contextlib.suppress(pymysql.MySQLError), client.cursor() as cursor:
                cursor.execute(statement)

        thread = threading.Thread(target=run)
        thread.start()
        sessions = f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {number}"
        wait_for(server, f"{sessions} AND STATE = '{state}'")
        try:
            yield number
        finally:
            # it may have ended by itself
            with contextlib.suppress(pymysql.MySQLError):
                server.execute(f"KILL {number}")
            thread.join(10)


@contextlib.contextmanager
def holding(server: DatabaseServer, *statements: str) -> Iterator[int]:
    """Another client that has run ``statements`` and does nothing now; its thread id."""
    with server.session() as client, client.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield session_id(client)


def wait_for(server: DatabaseServer, question: str, timeout: float = 10) -> None:
    """Wait until the server answers ``question`` with something true.

    INNODB_TRX shows what InnoDB gathered earlier as long as questions come within 100 ms of each other
    (MySQL's ``CACHE_MIN_IDLE_TIME_NS``, storage/innobase/trx/trx0i_s.cc): asked faster, it never changes.
    """
    deadline = time.monotonic() + timeout
    while not server.value(question):
        assert time.monotonic() < deadline, question
        time.sleep(0.15)
