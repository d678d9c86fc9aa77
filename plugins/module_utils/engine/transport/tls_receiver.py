# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving end of a TLS transfer: listen, take in beside the destination, verify, publish, confirm."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from ..errors import StreamCorrupt, StreamTruncated
from ..progress import Progress
from ..stream.digests import Checksum, StreamDigests, combine
from . import tls_framing as framing
from .intake import Intake, Received
from .sockets import ConnectionLost
from .tls_connection import TlsConnection
from .tls_framing import FrameType, Hello
from .tls_listener import Listener, ListenOptions
from .tls_session import TlsSession


def receive(
    listen: ListenOptions,
    intake: Intake,
    *,
    digests: Sequence[str] = (),
    checksum: Checksum | None = None,
    progress: Progress | None = None,
) -> Received:
    """Wait for one sender and give what it sends to ``intake``, which publishes it when all is verified and durable.

    The ``digests``, and those that the sender announces, are of the stream (see the module digests); what the sender
    computed, and ``checksum``, are compared before anything is published.

    The phases of ``progress`` are ``listening`` (a sender may connect now), ``receiving``, ``publishing``.
    Raises TargetNotEmpty, TargetUnsafe and TargetBusy before listening, PeerTimeout, PeerFailed, PeerRefused, and
    what reading the stream or writing the files raises; nothing is left at the destination or beside it then.
    """
    return _Reception(listen, intake, digests, checksum, progress or Progress("receive")).run()


class _Reception:
    """One transfer into one destination."""

    def __init__(
        self,
        listen: ListenOptions,
        intake: Intake,
        digests: Sequence[str],
        checksum: Checksum | None,
        progress: Progress,
    ) -> None:
        self._listen = listen
        self._intake = intake
        self._digests = digests
        self._checksum = checksum
        self._progress = progress
        self._session: TlsSession | None = None
        self._ended: dict[int, dict[str, str]] = {}  # connections whose data has all arrived, with its digests

    def run(self) -> Received:
        """Listen, receive, publish, confirm."""
        try:
            with self._intake.opened():
                received = self._receive()
        except BaseException as error:
            if self._session is not None:
                self._session.close(error)
            raise
        self._confirm(received)
        return received

    def _receive(self) -> Received:
        """Wait for the sender and for the end of its stream, verify that."""
        listener: Listener | None = None
        try:
            with Listener(self._listen, self._read) as listener:
                self._progress.phase("listening")
                session = listener.accept()
            self._progress.phase("receiving")
            count = len(session.connections)
            session.wait(lambda: len(self._ended) == count)
            self._progress.phase("publishing")
            received = self._verified(count)
            # a sender that has failed or vanished meanwhile will not know that its backup is here: then it is not
            session.check()
            return received
        except BaseException as error:
            self._stop(listener.session if listener else None, error)
            raise
        finally:
            self._session = listener.session if listener else None

    def _verified(self, count: int) -> Received:
        found = combine([self._ended[index] for index in range(count)])
        if self._checksum is not None:
            self._checksum.compare(found, self._intake.where)
        received = self._intake.finish()
        if received.manifest is None:
            # only this collection sends by TLS
            raise StreamTruncated(f"{self._intake.where} ends without a manifest")
        return replace(received, digests=found)

    def _stop(self, session: TlsSession | None, error: BaseException) -> None:
        """End all threads, so that staging can be removed, and tell the sender."""
        if session is not None:
            session.fail(error)
        with contextlib.suppress(Exception):  # the error is what the caller must see
            self._intake.abort(error)  # before the readers are waited for: they may be waiting for memory
        if session is not None:
            session.close(error)

    def _confirm(self, received: Received) -> None:
        """Tell the sender; what becomes of the connections now no longer matters to this end."""
        session = self._session
        if session is None or received.manifest is None:
            return
        ack = framing.Ack(str(self._intake.dest), received.manifest.own_sha256)
        session.succeed()
        with session.failures():
            session.connections[0].send(FrameType.ACK, framing.render_message(ack))
        session.close()

    def _read(self, session: TlsSession, connection: TlsConnection, hello: Hello) -> None:
        """Take in what comes by one connection; then listen for bad news until the session is closed."""
        announced = dict.fromkeys((*hello.digests, *self._digests))
        source = _DataFrames(session, connection, StreamDigests(tuple(announced), self._checksum), self._progress)
        self._intake.consume(source, connection.peer)
        digests = source.finish(hello.digests)
        with session.changing():
            self._ended[hello.index] = digests
        connection.receive_control()


class _DataFrames:
    """The DATA of one connection as a source of bytes (readinto), up to END."""

    def __init__(
        self, session: TlsSession, connection: TlsConnection, digests: StreamDigests, progress: Progress
    ) -> None:
        self._session = session
        self._connection = connection
        self._digests = digests
        self._progress = progress
        self._left = 0  # bytes of the current frame that have not been read
        self._received = 0
        self._end: framing.End | None = None

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of ``buffer`` (not empty); returns the count of bytes, 0 after END. Raises the session's failure,
        which the loss of the connection becomes."""
        try:
            while not self._left:
                if self._end is not None:
                    return 0
                self._next_frame()
            count = self._connection.receive_into(buffer[: self._left])
            if not count:
                raise ConnectionLost(
                    f"{self._connection.peer} hung up in the middle of its data", peer=self._connection.peer
                )
        except ConnectionLost as error:
            # it may have said why on another connection
            self._session.lost(error)
            raise
        self._digests.update(buffer[:count])
        self._left -= count
        return count

    def finish(self, announced: Sequence[str]) -> dict[str, str]:
        """All is read: returns the digests. Raises StreamCorrupt when there is more DATA than the stream's format
        wants, or when those ``announced`` by the sender are others."""
        peer = self._connection.peer
        if self._left or self._end is None:
            raise StreamCorrupt(f"{peer} sent more than a stream", peer=peer)
        found = self._digests.hexdigests()
        for name in announced:
            sent = self._end.digests.get(name)
            if sent != found[name]:
                raise StreamCorrupt(
                    f"{peer} sent bytes whose {name} is {sent}, those that arrived have {found[name]}",
                    peer=peer,
                    algorithm=name,
                    sent=sent,
                    found=found[name],
                )
        return found

    def _next_frame(self) -> None:
        kind, length = self._connection.receive_header()
        if kind is FrameType.DATA:
            self._left = length
            self._received += length
            self._progress.advance(length)
            return
        payload = self._connection.receive_exactly(length)
        if kind is FrameType.ERROR:
            raise framing.parse_error(payload, self._connection.peer)
        if kind is FrameType.END:
            self._end = framing.parse_end(payload, self._connection.peer)
            if self._end.sent != self._received:
                raise StreamTruncated(
                    f"{self._connection.peer} sent {self._end.sent} bytes, {self._received} arrived",
                    sent=self._end.sent,
                    received=self._received,
                )
        elif kind is not FrameType.HEARTBEAT:
            raise StreamCorrupt(f"{self._connection.peer} sent a {kind.name} frame among its data")
