# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender's end of a link: keeps what the receiver may not have taken, and connects again."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Callable

from ..errors import StreamCorrupt, StreamError
from . import tls_framing as framing
from .sockets import RETRY_PAUSE
from .tls_connection import TlsConnection
from .tls_framing import Buffer, FrameType
from .tls_link import SLICE, Link, Session, is_loss

_ATTEMPT, _LEAST_ATTEMPT = 5.0, 0.5  # seconds for one attempt to replace a connection
_REASON_GRACE = 0.5  # seconds for the receiver's reason to be read
_REFUSED_FOR = 4.0  # seconds for which nobody listens at the receiver's port, after which it is taken to be gone


class _Unacknowledged:
    """The bytes of DATA that the receiver may not have taken, in a ring of ``capacity`` bytes. Positions are counts of
    bytes from the beginning of the transfer."""

    def __init__(self, capacity: int) -> None:
        self._ring = memoryview(bytearray(capacity))
        self.begin = self.end = 0

    @property
    def room(self) -> int:
        """Count of bytes that it can still hold."""
        return len(self._ring) - (self.end - self.begin)

    def append(self, data: memoryview) -> None:
        """Keep ``data``, for which there is room."""
        place = self.end % len(self._ring)
        first = min(len(data), len(self._ring) - place)
        self._ring[place : place + first] = data[:first]
        self._ring[: len(data) - first] = data[first:]
        self.end += len(data)

    def forget(self, position: int) -> None:
        """The receiver has all up to ``position``."""
        self.begin = position

    def piece(self, position: int) -> memoryview:
        """Some bytes from ``position`` on, at most those of one frame, and no small rest after it."""
        place, left = position % len(self._ring), self.end - position
        if framing.MAX_DATA_LENGTH < left < 2 * framing.MAX_DATA_LENGTH:
            left //= 2
        return self._ring[place : place + min(left, framing.MAX_DATA_LENGTH)]


class SendingLink(Link):
    """The sender's end of a link. One thread writes; ``receive`` is a thread of its own.

    ``connect`` returns a connection that the receiver has let in as the next one of this link, and its WELCOME; raises
    PeerTimeout or ConnectionLost when that cannot be had within so many seconds. ``capacity``: bytes that are kept
    until the receiver has taken them.
    """

    def __init__(
        self,
        session: Session,
        connection: TlsConnection,
        timeout: float,
        *,
        capacity: int,
        connect: Callable[[float], tuple[TlsConnection, framing.Welcome]],
    ) -> None:
        super().__init__(session, connection, timeout)
        self._connect = connect
        self._order = threading.Lock()  # around each DATA and END frame
        self._kept = _Unacknowledged(capacity)
        self._sent = 0  # position up to which the connection has DATA
        self._end: bytes | None = None
        self._end_sent = False

    @property
    def position(self) -> int:
        """Count of bytes that were written."""
        return self._kept.end

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Send all of ``buffers``, which are consumed on return. Raises the session's failure."""
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            while view:
                room = self._wait_for_room()
                with self._changed:
                    self._kept.append(view[:room])
                view = view[room:]
                if view:
                    self._send()
        self._send()

    def end(self, message: framing.End) -> None:
        """All is written. Raises the session's failure."""
        with self._changed:
            self._end = framing.render_message(message)
        self._send()

    def receive(self) -> bytes:
        """Listen to the receiver, and connect again when that is needed, until it confirms; returns the payload of
        ACK. Raises PeerTimeout when the link is lost, PeerFailed, StreamCorrupt, or the session's failure."""
        while True:
            connection = self.connection
            try:
                kind, payload = connection.receive_control(FrameType.TAKEN, FrameType.ACK)
            except StreamError as error:
                self.lose(connection, error)
                self._reconnect()
                continue
            if kind is FrameType.ACK:
                return payload
            self._forget(framing.parse_taken(payload, self.peer))

    def _wait_for_room(self) -> int:
        with self._changed:
            while not self._kept.room:
                self.session.check()
                self._changed.wait(SLICE)
            return self._kept.room

    def _forget(self, position: int) -> None:
        with self._changed:
            if not self._kept.begin <= position <= self._kept.end:
                raise StreamCorrupt(f"{self.peer} has taken {position} bytes, {self._kept.end} were sent")
            self._kept.forget(position)
            self._changed.notify_all()

    def _send(self) -> None:
        """Send what the connection does not have yet; a connection that is lost gets it when it is replaced."""
        with self._order:
            while True:
                with self._changed:
                    connection, kept = self.connection, self._kept
                    piece = kept.piece(self._sent)
                    end = None if self._end_sent or piece else self._end
                    if self._loss is not None or not (piece or end):
                        break
                try:
                    if piece:
                        connection.send(FrameType.DATA, piece)
                    elif end:
                        connection.send(FrameType.END, end)
                except StreamError as error:
                    if is_loss(error):
                        self._note(connection, error)
                        self._wait_for_reason(connection)
                    self.lose(connection, error)
                    break
                with self._changed:
                    if connection is self.connection:
                        self._sent += len(piece)
                        self._end_sent = self._end_sent or not piece
        self.session.check()

    def _wait_for_reason(self, connection: TlsConnection) -> None:
        """Give ``receive`` a moment to read the reason why ``connection`` takes nothing any more."""
        until = time.monotonic() + _REASON_GRACE
        with self._changed:
            while connection is self.connection and not self.session.decided.is_set() and time.monotonic() < until:
                self._changed.wait(_REASON_GRACE / 10)

    def _reconnect(self) -> None:
        """Replace the lost connection, and send again what the receiver has not taken."""
        refused_since = 0.0
        while True:
            began = time.monotonic()
            try:
                left = self._lost_at + self._timeout - began
                connection, welcome = self._connect(max(_LEAST_ATTEMPT, min(left, _ATTEMPT)))
                break
            except StreamError as error:
                if not is_loss(error):
                    raise
                refused_since = (refused_since or began) if isinstance(error.__cause__, ConnectionRefusedError) else 0.0
                if refused_since and time.monotonic() - refused_since > _REFUSED_FOR:
                    raise self._given_up("listens no longer") from error
                if time.monotonic() - self._lost_at > self._timeout:
                    raise self._given_up() from error
            self.session.check()
            time.sleep(RETRY_PAUSE)
        self.session.join(connection)
        self._forget(welcome.taken)
        with self._changed:
            self._sent, self._end_sent = welcome.taken, welcome.ended
            self._replace(connection)
        self.session.start(self._send, "resend")  # this thread has to hear what the receiver takes meanwhile
