# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a plain TCP transfer on this machine, and peers that do what a test wants."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Callable

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.digests import Checksum
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import (
    Intake,
    Received,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_receiver import (
    TcpListenOptions,
    receive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_sender import TcpSink, TcpTarget
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    some_files,
)
from ansible_collections.innodb.xtrabackup.tests.support.transfer import wait_for_phase

HERE = "127.0.0.1"
FILES = {**some_files(), "db/large.ibd": random.Random(3).randbytes(6 << 20)}


class Receiver:
    """``receive`` in a thread."""

    def __init__(
        self,
        port: int,
        intake: Intake,
        *,
        timeout: float = 10.0,
        accept_timeout: float = 20.0,
        checksum: Checksum | None = None,
    ) -> None:
        self.received: Received | None = None
        self.error: BaseException | None = None
        progress_file = intake.dest.with_name("progress.json")
        options = TcpListenOptions(port, HERE, timeout, accept_timeout)

        def run() -> None:
            progress = Progress("receive", progress_file)
            try:
                self.received = receive(options, intake, digests=["sha256"], checksum=checksum, progress=progress)
            except BaseException as error:
                self.error = error
            progress_file.unlink(missing_ok=True)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        wait_for_phase(progress_file, "listening", self._thread.is_alive)

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive(), "the receiver has not ended"

    def failed_with(self, kind: type[XtrabackupError]) -> XtrabackupError:
        self.join()
        assert isinstance(self.error, kind), self.error
        return self.error


def sender(port: int, timeout: float = 10.0) -> TcpSink:
    return TcpSink(TcpTarget(HERE, port, timeout, connect_timeout=5.0), digests=["sha256"])


class Peer:
    """A receiver of the test's own: listens, and does ``work`` with its first connection."""

    def __init__(self, port: int, work: Callable[[socket.socket], None]) -> None:
        self._socket = socket.create_server((HERE, port))

        def run() -> None:
            with self._socket.accept()[0] as connection, contextlib.suppress(OSError):
                work(connection)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(20)
        self._socket.close()
        assert not self._thread.is_alive()


def send_bytes(port: int, data: bytes) -> socket.socket:
    """A sender of the test's own that has sent ``data``."""
    connection = socket.create_connection((HERE, port))
    connection.sendall(data)
    return connection


def ended_in_order(connection: socket.socket) -> bool:
    """Whether the peer ends ``connection`` in order, rather than by a reset."""
    connection.settimeout(20)
    with connection:
        try:
            return connection.recv(1) == b""
        except ConnectionResetError:
            return False


def break_off(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def write_to_the_end(sink: TcpSink) -> None:
    """Send until it fails, which it must."""
    with sink.open("db/endless.ibd") as file:
        for _number in range(1000):
            file.write(FILES["db/large.ibd"])
    raise AssertionError("6 GB were taken")
