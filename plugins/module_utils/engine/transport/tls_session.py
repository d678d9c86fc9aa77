# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All connections of one TLS transfer, as both ends hold them: signs of life, one failure for all, the farewell."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Callable

from ..errors import PeerFailed
from . import tls_framing as framing
from .sockets import ConnectionLost
from .tls_connection import TlsConnection
from .tls_framing import Buffer, FrameType

_log = logging.getLogger(__name__)

_HEARTBEAT_INTERVAL = 5.0  # seconds; less when a time-out is short
_LOSS_GRACE = 0.5  # seconds for the peer's reason to arrive on any connection after the loss of one
_FRAME_GRACE = 1.0  # seconds for a frame under way to be finished after this end has failed
_FAREWELL = 2.0  # seconds for the peer to take our last frames and to hang up
_SLICE = 0.2  # seconds after which a waiting thread looks up (and signals are handled)


class TlsSession:
    """The connections of one transfer. The first failure of any thread is the session's, and ends all others.

    ``idle_timeout`` (seconds) bounds a silence of the peer; ``peer_timeout`` is what the peer bounds ours by.
    """

    def __init__(self, idle_timeout: float, peer_timeout: float) -> None:
        self.connections: list[TlsConnection] = []
        self.decided = threading.Event()  # the transfer has failed, or all that matters has been received
        self.failure: BaseException | None = None
        self._failed_at = 0.0
        self._idle_timeout = idle_timeout
        self._interval = max(0.05, min(_HEARTBEAT_INTERVAL, idle_timeout / 4, peer_timeout / 4))
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._start(self._beat, "heartbeat")

    def add(self, connection: TlsConnection, reader: Callable[[TlsConnection], None]) -> None:
        """Take ``connection`` in; ``reader`` receives from it in a thread of its own, until it returns or raises."""
        connection.join(self._idle_timeout, self.check, self._require_no_failure)
        self.connections.append(connection)
        _log.info("connection %d of the session, with %s", len(self.connections), connection.peer)

        def run() -> None:
            with self.failures():
                reader(connection)

        self._start(run, "reader")

    def check(self) -> None:
        """Raises the session's failure, if there is one."""
        if self.failure is not None:
            raise self.failure

    def fail(self, error: BaseException) -> None:
        """``error`` is the session's failure, unless there is one already or the transfer is over."""
        with self._lock:
            if not self.decided.is_set():
                self.failure, self._failed_at = error, time.monotonic()
                _log.info("the session failed: %s: %s", type(error).__name__, error)
                self.decided.set()

    def succeed(self) -> None:
        """All that matters has been received: what happens from now on is no failure."""
        with self._lock:
            self.decided.set()

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """An exception of the block becomes the session's failure, and goes no further."""
        try:
            yield
        except ConnectionLost as error:
            if not self.decided.wait(_LOSS_GRACE):
                self.fail(error)
        except BaseException as error:  # noqa: BLE001  whatever ends a thread must end the transfer
            self.fail(error)

    def lost(self, error: ConnectionLost) -> None:
        """A connection broke: unless the peer says why on another one at once, that is the session's failure.
        Raises the session's failure, if there is one then."""
        if not self.decided.wait(_LOSS_GRACE):
            self.fail(error)
        self.check()

    def send(self, connection: TlsConnection, kind: FrameType, *payload: Buffer) -> None:
        """Send a frame on ``connection``; raises the session's failure, which a broken connection becomes."""
        with self.failures():
            connection.send(kind, *payload)
        self.check()

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds, which is changed under ``changing``; raises the session's failure."""
        with self._changed:
            while not condition():
                self.check()
                self._changed.wait(_SLICE)
        self.check()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """The block changes what ``wait`` may wait for; one thread at a time."""
        with self._changed:
            yield
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """End all connections and threads. When this end has failed by ``error``, the peer is told so."""
        if error is None:
            self.succeed()
        else:
            self.fail(error)
        until = time.monotonic() + _FAREWELL
        for connection in self.connections:
            if error is None:
                connection.end_sending()
            elif not _came_from_peer(error):
                left = max(0.1, until - time.monotonic())
                connection.send_finally(FrameType.ERROR, framing.render_error(error), left)
        if error is None:
            # the readers end when the peer has taken our last frame and hangs up
            for thread in self._threads:
                thread.join(max(0.0, until - time.monotonic()))
            for connection in self.connections:
                connection.shut()
        for thread in self._threads:
            thread.join()
        for connection in self.connections:
            if error is not None and not _came_from_peer(error):
                connection.drain(until)
            connection.shut()
            connection.close()

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=f"tls-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _beat(self) -> None:
        with self.failures():
            while not self.decided.wait(self._interval / 2):
                now = time.monotonic()
                for connection in list(self.connections):
                    if now - connection.sent_at >= self._interval:
                        connection.beat()

    def _require_no_failure(self) -> None:
        if self.failure is not None and time.monotonic() - self._failed_at > _FRAME_GRACE:
            raise self.failure


def _came_from_peer(error: BaseException) -> bool:
    return isinstance(error, PeerFailed) and "peer_error" in error.details
