# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's end of a link: the bytes of its DATA, whatever becomes of its connections."""

from __future__ import annotations

import time

from ..errors import StreamCorrupt, StreamError, StreamTruncated
from ..progress import Progress
from ..stream.digests import StreamDigests
from . import tls_framing as framing
from .sockets import ConnectionLost
from .tls_connection import TlsConnection
from .tls_framing import FrameType
from .tls_link import SLICE, Link, Session, is_loss

_TELL_EVERY = 1 << 20  # bytes of DATA after which the receiver tells what it has taken


class ReceivingLink(Link):
    """The receiver's end of a link: the bytes of its DATA, up to END, as a source (readinto).

    ``index``, ``attempt``: those of the connection (see Hello). One thread reads.
    """

    def __init__(
        self,
        session: Session,
        connection: TlsConnection,
        timeout: float,
        *,
        hello: framing.Hello,
        digests: StreamDigests,
        progress: Progress,
    ) -> None:
        self.index, self.attempt = hello.index, hello.attempt
        self._announced = hello.digests
        self._digests = digests
        self._progress = progress
        self._left = 0  # bytes of the current frame that have not been read
        self._taken = self._told = 0
        self._end: framing.End | None = None
        self._ack: bytes | None = None
        super().__init__(session, connection, timeout)
        with self._changed:
            self._welcome()

    def adopt(self, connection: TlsConnection, hello: framing.Hello) -> None:
        """Go on with ``connection``, which ``hello`` has announced, and which has a higher attempt."""
        self.session.join(connection)
        with self._changed:
            self.attempt = hello.attempt
            # what a reader takes from the old one at this moment comes again by the new one
            self._left, self._told = 0, self._taken
            self._replace(connection)
            self._welcome()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of ``buffer`` (not empty); returns the count of bytes, 0 after END. Raises PeerTimeout when the
        link is lost, what the sender has failed with, StreamCorrupt, StreamTruncated, or the session's failure."""
        while True:
            connection, left, ended = self._state()
            try:
                if left:
                    count = self._take(connection, buffer[:left])
                    if count:
                        return count
                elif ended:
                    return 0
                else:
                    self._take_header(connection)
            except StreamError as error:
                self.lose(connection, error)

    def finish(self) -> dict[str, str]:
        """All is read: returns the digests. Raises StreamCorrupt when there is more DATA than the stream's format
        wants, or when those that the sender has announced are others."""
        if self._left or self._end is None:
            raise StreamCorrupt(f"{self.peer} sent more than a stream", peer=self.peer)
        found = self._digests.hexdigests()
        for name in self._announced:
            sent = self._end.digests.get(name)
            if sent != found[name]:
                raise StreamCorrupt(
                    f"{self.peer} sent bytes whose {name} is {sent}, those that arrived have {found[name]}",
                    peer=self.peer,
                    algorithm=name,
                    sent=sent,
                    found=found[name],
                )
        return found

    def wait_for_goodbye(self) -> None:
        """Listen to the sender until it has read ACK. Raises as ``readinto``."""
        while True:
            connection, _left, _ended = self._state()
            try:
                kind, _payload = connection.receive_control(FrameType.END, FrameType.GOODBYE)
                if kind is FrameType.GOODBYE:
                    return
            except StreamError as error:
                self.lose(connection, error)

    def confirm(self, ack: framing.Ack) -> None:
        """Tell the sender, by a later connection, too, if it must be. Raises the session's failure."""
        with self._changed:
            self._ack = framing.render_message(ack)
            if not self.live:
                return
            try:
                self.connection.send(FrameType.ACK, self._ack)
            except StreamError as error:
                self.lose(self.connection, error)

    def _welcome(self) -> None:
        """Tell the sender that it is let in, and from where to go on; under ``_changed``."""
        welcome = framing.Welcome(self._timeout, self._taken, self._end is not None)
        try:
            self.connection.send(FrameType.WELCOME, framing.render_message(welcome))
            if self._ack is not None:
                self.connection.send(FrameType.ACK, self._ack)
        except StreamError as error:
            self.lose(self.connection, error)

    def _state(self) -> tuple[TlsConnection, int, bool]:
        """The connection, when there is one that is not lost; bytes left of its frame; whether END has come."""
        with self._changed:
            while self._loss is not None:
                self.session.check()
                if self.session.decided.is_set():
                    raise self._loss
                if time.monotonic() - self._lost_at > self._timeout:
                    raise self._given_up()
                self._changed.wait(SLICE)
            return self.connection, self._left, self._end is not None

    def _take(self, connection: TlsConnection, buffer: memoryview) -> int:
        """Some bytes of the current frame into ``buffer``, or 0 when ``connection`` was replaced meanwhile."""
        count = connection.receive_into(buffer)
        if not count:
            raise ConnectionLost(f"{self.peer} hung up in the middle of its data", peer=self.peer)
        with self._changed:
            if connection is not self.connection:
                return 0
            self._taken += count
            self._left -= count
            tell = self._taken - self._told >= _TELL_EVERY
            if tell:
                self._told = self._taken
        self._digests.update(buffer[:count])
        self._progress.advance(count)
        if tell:
            try:
                connection.send(FrameType.TAKEN, framing.render_taken(self._told))
            except StreamError as error:
                if not is_loss(error):
                    raise
                # who reads next will notice, and may find the sender's reason
        return count

    def _take_header(self, connection: TlsConnection) -> None:
        """Read up to the next bytes of DATA, or END."""
        kind, length = connection.receive_header()
        payload = b"" if kind is FrameType.DATA else connection.receive_exactly(length)
        if kind is FrameType.ERROR:
            raise framing.parse_error(payload, self.peer)
        with self._changed:
            if connection is not self.connection:
                return
            if kind is FrameType.DATA:
                self._left = length
            elif kind is FrameType.END:
                self._end = framing.parse_end(payload, self.peer)
                if self._end.sent != self._taken:
                    raise StreamTruncated(
                        f"{self.peer} sent {self._end.sent} bytes, {self._taken} arrived",
                        sent=self._end.sent,
                        received=self._taken,
                    )
            elif kind is not FrameType.HEARTBEAT:
                raise StreamCorrupt(f"{self.peer} sent a {kind.name} frame among its data")
