# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two ends of a TLS transfer on this machine, ends of our own making that do what a test wants, and a free port."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import credentials
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_framing as framing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_connection import TlsConnection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_framing import FrameType
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import dial
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.transfer import TOKEN, Ends, make_ends

FILES = {"ibdata1": b"system" * 1000, "db/t.ibd": os.urandom(3 << 20), "db/empty.frm": b"", "db/u.ibd": b"u" * 70_000}


@pytest.fixture(name="port")
def _port() -> int:
    return free_port()


@pytest.fixture(name="ends")
def _ends(tmp_path: Path) -> Ends:
    return make_ends(tmp_path)


def assert_arrived(ends: Ends, files: dict[str, bytes] | None = None) -> None:
    files = FILES if files is None else files
    found = {str(path.relative_to(ends.dest)): path for path in ends.dest.rglob("*") if path.is_file()}
    assert set(found) == {*files, file_kinds.MANIFEST_NAME}
    for name, data in files.items():
        assert found[name].read_bytes() == data, name
    assert ends.leftovers() == [ends.dest.name]


def assert_nothing_arrived(ends: Ends) -> None:
    assert ends.leftovers() == []


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def greet(
    ends: Ends, index: int = 0, count: int = 1, session: str = "s", token: str = TOKEN, attempt: int = 0
) -> TlsConnection:
    """A sender of our own making, up to its HELLO."""
    connection = dial(ends.target(), credentials.load(ends.sender), time.monotonic() + 5)
    hello = framing.Hello(session, index, count, 10.0, token, attempt=attempt)
    connection.send(FrameType.HELLO, framing.render_message(hello))
    return connection


def enter(ends: Ends, index: int = 0, count: int = 1, session: str = "s") -> TlsConnection:
    """A sender of our own making that was let in."""
    connection = greet(ends, index, count, session)
    connection.receive_control(FrameType.WELCOME)
    return connection


class FakeReceiver:
    """A receiver of our own making: lets ``count`` connections in, then does what the test says."""

    def __init__(self, ends: Ends, count: int = 1) -> None:
        own = credentials.load(ends.receiver)
        self._context = credentials.tls_context(own)
        self._pinned = credentials.certificate_der(own.peer_certificate)
        self._socket = socket.create_server(("127.0.0.1", ends.port))
        self.connections: list[TlsConnection] = []
        self._thread = threading.Thread(target=self._accept, args=(count,), daemon=True)
        self._thread.start()

    def _accept(self, count: int) -> None:
        for _number in range(count):
            connection = TlsConnection(self._socket.accept()[0], self._context, "the sender", time.monotonic() + 30)
            connection.handshake(self._pinned)
            connection.receive_control(FrameType.HELLO)
            connection.send(FrameType.WELCOME, framing.render_message(framing.Welcome(60.0)))
            self.connections.append(connection)

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()
        for connection in self.connections:
            connection.shut()
            connection.close()
