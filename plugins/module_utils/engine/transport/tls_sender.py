# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sending end of a TLS transfer: a stream sink whose channels are connections to a waiting receiver."""

from __future__ import annotations

import itertools
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..addresses import endpoint
from ..errors import InvalidOption, Option, StreamCorrupt
from ..manifest import Manifest
from ..stream.archive import Channel, StreamSink
from ..stream.codec import Compression
from ..stream.digests import StreamDigests
from ..stream.sink import Buffer
from . import sockets
from . import tls_framing as framing
from .credentials import Credentials, certificate_der, tls_context
from .session_credentials import SessionCredentials
from .sockets import ConnectionLost
from .tls_connection import TlsConnection
from .tls_framing import FrameType, Hello
from .tls_sending_link import SendingLink
from .tls_session import TlsSession

_GREETING_TIME = 10.0  # seconds for the handshake and the first frames
_LEAST_GREETING_TIME = 1.0  # seconds, however little is left
_SILENCES = 3  # of what part of the time-out the receiver may be silent before the connection is replaced
_GOODBYE_TIME = 1.0  # seconds for the last frame
_KEPT = 32 << 20  # bytes that all links keep until the receiver has taken them
_KEPT_BY_LINK = 4 << 20


@dataclass(frozen=True)
class TlsTarget:
    """Address, credentials and limits of a receiver.

    ``timeout`` (seconds) bounds each silence of the receiver; ``connect_timeout`` the wait until it listens.
    """

    host: str
    port: int
    credentials: SessionCredentials
    connections: int = 2
    timeout: float = 60.0
    connect_timeout: float = 60.0

    @property
    def peer(self) -> str:
        """The receiver's name in messages."""
        return f"the receiver {endpoint(self.host, self.port)}"


class TlsSink(StreamSink):
    """A backup on its way to a receiver. Publishing waits until the receiver has verified and published it.

    The constructor connects. Raises InvalidOption (credentials, digests), PeerTimeout (nobody listens), PeerRefused.
    The receiver compares the ``digests`` before it publishes.
    """

    def __init__(
        self,
        target: TlsTarget,
        *,
        compress: Compression | None = None,
        encrypt_key: bytes | None = None,
        digests: Sequence[str] = (),
        sparse: bool = False,
    ) -> None:
        StreamDigests(digests)  # refuses unknown ones before anybody is bothered
        self._target = target
        self._digests = tuple(digests)
        self._ack: framing.Ack | None = None
        self._expected_sha256 = ""
        self._links: list[SendingLink] = []
        self._session = self._connect()
        self._channels = [_TlsChannel(link) for link in self._links]
        super().__init__(self._channels, compress=compress, encrypt_key=encrypt_key, digests=digests, sparse=sparse)

    def publish(self, manifest: Manifest) -> dict[str, Any]:
        self._expected_sha256 = manifest.own_sha256
        return super().publish(manifest)

    def _finish(self) -> dict[str, Any]:
        for channel, digests in reversed(list(zip(self._channels, self._channel_digests()))):
            channel.end(digests)
        self._session.wait(lambda: self._ack is not None)
        ack = self._ack
        if ack is None or ack.manifest_sha256 != self._expected_sha256:
            raise StreamCorrupt(
                f"{self._target.peer} published another manifest than was sent to it",
                confirmed="" if ack is None else ack.manifest_sha256,
                expected=self._expected_sha256,
            )
        for link in self._links:
            link.connection.send_finally(FrameType.GOODBYE, b"", _GOODBYE_TIME)
        self._session.close()
        return {"path": ack.published}

    def _abort(self, reason: BaseException) -> None:
        self._session.close(reason)

    def _connect(self) -> TlsSession:
        target = self._target
        if not 1 <= target.connections <= framing.MAX_CONNECTIONS:
            raise InvalidOption(
                f"{Option('connections')}: {target.connections} is not in 1 to {framing.MAX_CONNECTIONS}"
            )
        own = target.credentials.load("sender")
        deadline = time.monotonic() + target.connect_timeout
        name, count = secrets.token_hex(16), target.connections
        hellos = [
            _Hellos(Hello(name, index, count, target.timeout, own.token, self._digests)) for index in range(count)
        ]
        connection, welcome = _enter(target, own, hellos[0], deadline)
        session = TlsSession(target.timeout, welcome.timeout, target.timeout / _SILENCES)
        try:
            self._add(session, own, connection, hellos[0])
            for following in hellos[1:]:
                connection, _welcome = _enter(target, own, following, deadline)
                self._add(session, own, connection, following)
            session.check()
        except BaseException as error:
            session.close(error)
            raise
        return session

    def _add(self, session: TlsSession, own: Credentials, connection: TlsConnection, hellos: _Hellos) -> None:
        target = self._target

        def connect(seconds: float) -> tuple[TlsConnection, framing.Welcome]:
            return _enter(target, own, hellos, time.monotonic() + seconds)

        link = SendingLink(
            session,
            connection,
            target.timeout,
            capacity=min(_KEPT // target.connections, _KEPT_BY_LINK),
            connect=connect,
        )
        self._links.append(link)
        session.add(link, lambda: self._receive(session, link))

    def _receive(self, session: TlsSession, link: SendingLink) -> None:
        """Listen on ``link`` to what the receiver says while this end sends."""
        ack = framing.parse_ack(link.receive(), link.peer)
        session.succeed()
        with session.changing():
            self._ack = ack


class _TlsChannel(Channel):
    """One link as a channel of the stream."""

    def __init__(self, link: SendingLink) -> None:
        self._link = link

    def write(self, buffers: Sequence[Buffer]) -> None:
        self._link.write(buffers)

    def end(self, digests: dict[str, str]) -> None:
        """All is written to this channel, and has these ``digests``."""
        self._link.end(framing.End(self._link.position, digests))


class _Hellos:
    """The HELLO of each connection of one link: ``first``, then with a higher attempt each time."""

    def __init__(self, first: Hello) -> None:
        self._first = first
        self._attempts = itertools.count()

    def render(self) -> bytes:
        """The payload of the next one."""
        return framing.render_message(replace(self._first, attempt=next(self._attempts)))


def _enter(
    target: TlsTarget, own: Credentials, hellos: _Hellos, deadline: float
) -> tuple[TlsConnection, framing.Welcome]:
    """A connection that the receiver has let in. Raises PeerTimeout when nobody listens until ``deadline``, and
    PeerRefused when the receiver does not want it.

    Tried again when the receiver hangs up without a word: among many connections it may not have authenticated this
    one."""
    while True:
        connection = dial(target, own, deadline)
        try:
            try:
                connection.send(FrameType.HELLO, hellos.render())
            except ConnectionLost:
                # TLS 1.3: this end is done before the receiver has verified its certificate. If it has hung up already,
                # the reason is still there to be read
                connection.receive_control()
            _kind, answer = connection.receive_control(FrameType.WELCOME)
            return connection, framing.parse_welcome(answer, connection.peer)
        except ConnectionLost:
            connection.close()
            if time.monotonic() + sockets.RETRY_PAUSE >= deadline:
                raise
            time.sleep(sockets.RETRY_PAUSE)
        except BaseException:
            connection.close()
            raise


def dial(target: TlsTarget, own: Credentials, deadline: float) -> TlsConnection:
    """A connection with the receiver, authenticated; tried again until ``deadline`` while nobody listens."""
    context = tls_context(own)
    pinned = certificate_der(own.peer_certificate, "peer_certificate")

    def enter(raw: socket.socket) -> TlsConnection:
        now = time.monotonic()
        until = min(now + _GREETING_TIME, max(deadline, now + _LEAST_GREETING_TIME))
        connection = TlsConnection(raw, context, target.peer, until)
        try:
            connection.handshake(pinned)
            return connection
        except BaseException:
            connection.close()
            raise

    return sockets.connect(
        target.host, target.port, enter, peer=target.peer, deadline=deadline, seconds=target.connect_timeout
    )
