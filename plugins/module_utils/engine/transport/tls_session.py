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

from ..errors import PeerFailed, StreamError
from . import tls_framing as framing
from .tls_connection import TlsConnection
from .tls_framing import FrameType
from .tls_link import Link, is_loss

_log = logging.getLogger(__name__)

_HEARTBEAT_INTERVAL = 5.0  # seconds; less when a time-out is short
_SIGNS_OF_LIFE = 8  # heartbeats within a time-out
_FRAME_GRACE = 1.0  # seconds for a frame under way to be finished after this end has failed
_FAREWELL = 2.0  # seconds for the peer to take our last frames and to hang up
_SLICE = 0.2  # seconds after which a waiting thread looks up (and signals are handled)


class TlsSession:
    """The links of one transfer. The first failure of any thread is the session's, and ends all others.

    ``timeout`` (seconds) bounds the loss of a connection and a silence of the peer, ``peer_timeout`` is what the peer
    bounds ours by. A silence of ``silence_limit`` seconds (default: ``timeout``) counts as a loss.
    """

    def __init__(self, timeout: float, peer_timeout: float, silence_limit: float | None = None) -> None:
        self.links: list[Link] = []
        self.decided = threading.Event()  # the transfer has failed, or all that matters has been received
        self.failure: BaseException | None = None
        self._failed_at = 0.0
        self._timeout = timeout
        self._silence_limit = timeout if silence_limit is None else silence_limit
        shortest = min(timeout, peer_timeout)
        self._interval = max(0.05, min(_HEARTBEAT_INTERVAL, shortest / _SIGNS_OF_LIFE))
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self.start(self._beat, "heartbeat")

    def add(self, link: Link, reader: Callable[[], None]) -> None:
        """Take ``link`` in; ``reader`` receives from it in a thread of its own, until it returns or raises."""
        self.links.append(link)
        _log.info("connection %d of the session, with %s", len(self.links), link.peer)
        self.start(reader, "reader")

    def join(self, connection: TlsConnection) -> None:
        """``connection`` becomes part of this session, as that of one of its links."""
        connection.join(self._timeout, self._silence_limit, self.check, self._require_no_failure)

    def start(self, target: Callable[[], None], name: str) -> None:
        """Run ``target`` in a thread; what it raises is the session's failure."""

        def run() -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001  whatever ends a thread must end the transfer
                self.fail(error)

        thread = threading.Thread(target=run, name=f"tls-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

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
        for link in self.links:
            if error is None:
                link.connection.end_sending()
            elif not _came_from_peer(error):
                left = max(0.1, until - time.monotonic())
                link.connection.send_finally(FrameType.ERROR, framing.render_error(error), left)
        if error is None:
            # the readers end when the peer has taken our last frame and hangs up
            for thread in list(self._threads):
                thread.join(max(0.0, until - time.monotonic()))
            for link in self.links:
                link.connection.shut()
        while self._threads:
            self._threads.pop().join()
        for link in self.links:
            if error is not None and not _came_from_peer(error):
                link.connection.drain(until)
            link.connection.shut()
            link.connection.close()

    def _beat(self) -> None:
        while not self.decided.wait(self._interval / 2):
            now = time.monotonic()
            for link in list(self.links):
                connection = link.connection
                if link.live and now - connection.sent_at >= self._interval:
                    try:
                        connection.beat()
                    except StreamError as error:
                        # who reads from it will notice
                        if not is_loss(error):
                            raise

    def _require_no_failure(self) -> None:
        if self.failure is not None and time.monotonic() - self._failed_at > _FRAME_GRACE:
            raise self.failure


def _came_from_peer(error: BaseException) -> bool:
    return isinstance(error, PeerFailed) and "peer_error" in error.details
