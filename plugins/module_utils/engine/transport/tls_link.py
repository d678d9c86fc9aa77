# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One of the parallel links of a transfer: it outlives its connection.

A link numbers the bytes of DATA that go over it. The receiver tells how many it has taken; the sender keeps those that
it has not. When the connection breaks or falls silent, the sender connects again, the receiver says from where, and the
transfer goes on: nothing of the stream is lost or comes twice. Only after a whole time-out without the peer is the link
lost, and with it the transfer.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Callable, Protocol

from ..errors import PeerTimeout, StreamError
from .sockets import ConnectionLost
from .tls_connection import TlsConnection

_log = logging.getLogger(__name__)

SLICE = 0.2  # seconds after which a waiting thread looks whether the session is over


def is_loss(error: StreamError) -> bool:
    """Returns whether ``error`` is the loss of a connection, and not what the peer has reported."""
    return isinstance(error, (ConnectionLost, PeerTimeout)) and "peer_error" not in error.details


class Session(Protocol):
    """The part of a session that a link needs (see TlsSession)."""

    decided: threading.Event

    def changing(self) -> contextlib.AbstractContextManager[None]: ...

    def check(self) -> None: ...

    def start(self, target: Callable[[], None], name: str) -> None: ...

    def join(self, connection: TlsConnection) -> None: ...


class Link:
    """Common part of both ends of a link: its connection, and what is known about the loss of it.

    ``timeout`` (seconds): how long the loss of a connection is borne.
    """

    def __init__(self, session: Session, connection: TlsConnection, timeout: float) -> None:
        self.connection = connection
        self.peer = connection.peer
        self.replaced = 0  # times
        self.session = session
        self._timeout = timeout
        self._changed = threading.Condition(threading.RLock())  # around all that follows, and what subclasses say
        self._loss: StreamError | None = None
        self._lost_at = 0.0
        session.join(connection)

    @property
    def live(self) -> bool:
        """Returns whether the connection is not known to be lost."""
        return self._loss is None

    def lose(self, connection: TlsConnection, error: StreamError) -> None:
        """``connection`` broke or fell silent by ``error``. Raises the session's failure, or ``error`` if it is none
        or the session is over."""
        self.session.check()
        if self.session.decided.is_set() or not is_loss(error):
            raise error
        self._note(connection, error)
        connection.shut()

    def _note(self, connection: TlsConnection, error: StreamError) -> None:
        """``connection`` is lost. A time-out says more than an end: of the two threads that use it, one may see it as
        if the peer had hung up."""
        with self._changed:
            if connection is not self.connection:
                return
            silent = isinstance(error, PeerTimeout)
            if self._loss is None:
                _log.info("a connection was lost: %s", error)
                self._lost_at = time.monotonic() - (connection.idle_timeout if silent else 0.0)
            if self._loss is None or silent:
                self._loss = error
            self._changed.notify_all()

    def _replace(self, connection: TlsConnection) -> None:
        """``connection`` takes the place of the one that there was; under ``_changed``."""
        self.connection.shut()
        self.connection, self._loss = connection, None
        self.replaced += 1
        _log.info("a connection was replaced by that with %s", connection.peer)
        self._changed.notify_all()

    def _given_up(self, reason: str = "") -> StreamError:
        """The error of a link whose connection was lost and is not replaced."""
        cause = self._loss
        if isinstance(cause, PeerTimeout) and self.connection.idle_timeout >= self._timeout:
            return cause
        after = reason or f"did not come back within {self._timeout:.0f} s"
        return PeerTimeout(f"{cause.message if cause else self.peer}, and it {after}", peer=self.peer)
