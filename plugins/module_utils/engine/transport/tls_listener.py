# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving end's door: lets the connections of one authenticated session in, and nobody else."""

from __future__ import annotations

import contextlib
import hmac
import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Callable

from ..errors import PeerRefused, PeerTimeout, XtrabackupError
from . import sockets
from . import tls_framing as framing
from .admission import ANYWHERE, AllowedNetworks, WaitingConnections
from .credentials import certificate_der, tls_context
from .session_credentials import SessionCredentials
from .tls_connection import TlsConnection
from .tls_framing import FrameType, Hello
from .tls_receiving_link import ReceivingLink
from .tls_session import TlsSession

_GREETING_TIME = 10.0  # seconds for a handshake and the first frame
_PARTING_TIME = 1.0  # seconds for who was turned away to hang up
_PAUSE = 0.05  # seconds to wait when this host can take no connection just now
_SLICE = 0.2  # seconds after which the waiting thread looks up (and signals are handled)


@dataclass(frozen=True)
class ListenOptions:
    """Options of a listening socket. ``address`` empty: on all of this host's.

    ``timeout`` (seconds) bounds each silence of the sender, ``accept_timeout`` the wait for its first connection.
    ``sources``: where the sender may come from.
    """

    port: int
    credentials: SessionCredentials
    address: str = ""
    timeout: float = 60.0
    accept_timeout: float = 600.0
    max_connections: int = framing.MAX_CONNECTIONS
    sources: AllowedNetworks = ANYWHERE

    @property
    def where(self) -> str:
        """Address and port in messages."""
        return f"{self.address or '*'}:{self.port}"


class Listener:
    """A listening socket, and the session that enters by it. Until ``close``, a lost connection may be replaced.

    ``welcome`` makes the link of a connection that may join the session; ``reader`` serves it in a thread of its own.
    The constructor raises InvalidOption (address, credentials), PeerRefused (token used before) or StreamError.
    """

    def __init__(
        self,
        options: ListenOptions,
        welcome: Callable[[TlsSession, TlsConnection, Hello], ReceivingLink],
        reader: Callable[[ReceivingLink], None],
    ) -> None:
        self._options = options
        self._welcome = welcome
        self._reader = reader
        self._own = own = options.credentials.load("receiver")
        self._pinned = certificate_der(own.peer_certificate, "peer_certificate") if own.peer_certificate else None
        self._context = tls_context(own)
        self._lock = threading.Lock()
        self._greetings: WaitingConnections[TlsConnection] = (
            WaitingConnections()
        )  # connections that have not proven who they are yet
        self._turned_away = 0
        self._last_refusal = ""
        self._open = True
        self._failure: XtrabackupError | None = None
        self._hello: Hello | None = None
        self._joined: dict[int, ReceivingLink] = {}
        self.session: TlsSession | None = None
        self._server: threading.Thread | None = None  # which lets in what replaces a connection that was lost
        self._socket = sockets.listen(options.address, options.port)

    def accept(self) -> TlsSession:
        """The session with all its connections. Raises PeerTimeout when no sender comes (or not all of its
        connections), or the session's failure. However many unauthenticated connections come, this end goes on to
        wait."""
        deadline, entered = time.monotonic() + self._options.accept_timeout, False
        while True:
            with self._lock:
                session, hello, joined = self.session, self._hello, len(self._joined)
            if self._failure is not None:
                raise self._failure
            if session is not None and hello is not None:
                session.check()
                if joined == hello.count:
                    self._server = threading.Thread(target=self._serve, name="tls-listener", daemon=True)
                    self._server.start()
                    return session
                if not entered:
                    deadline, entered = time.monotonic() + self._options.timeout, True
            if time.monotonic() >= deadline:
                raise self._nobody_came(joined)
            self._accept_one()

    def close(self) -> None:
        """Stop listening; who has not entered stays outside."""
        with self._lock:
            self._open = False
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes it
            self._server.join()
        self._socket.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _serve(self) -> None:
        while self._open:
            self._accept_one()

    def _accept_one(self) -> None:
        if not sockets.ready(self._socket, select.POLLIN, _SLICE):
            return
        try:
            raw, address = self._socket.accept()
        except OSError as error:  # gone again already, or no descriptor is free just now
            if error.errno in sockets.NO_ROOM:
                time.sleep(_PAUSE)
            return
        peer = sockets.sender_name(address)
        if not self._options.sources.has(address[0]):
            self._refused(f"{peer} does not come from where the sender may come from")
            raw.close()
            return
        try:
            connection = TlsConnection(raw, self._context, peer, time.monotonic() + _GREETING_TIME)
        except (OSError, ValueError) as error:
            self._refused(f"{peer}: {error}")
            raw.close()
            return
        with self._lock:
            crowded_out = self._greetings.admit(connection, address[0])
            if crowded_out is not None:
                # its own thread closes it; under the lock, so that it has not done so yet
                crowded_out.shut()
        try:
            threading.Thread(target=self._greet, args=(connection,), name="tls-greeting", daemon=True).start()
        except RuntimeError:  # this process may have no more threads just now
            self._turn_away(connection, "this host has no room for it")
            time.sleep(_PAUSE)

    def _greet(self, connection: TlsConnection) -> None:
        """Authenticate one connection and let it in, or turn it away."""
        trusted = greeted = False
        try:
            connection.handshake(self._pinned)
            if self._pinned is not None:
                trusted = self._trust(connection)
            greeted = True
            _kind, payload = connection.receive_control(FrameType.HELLO)
            hello = framing.parse_hello(payload, connection.peer)
            self._require_token(connection, hello)
            if not trusted:
                trusted = self._trust(connection)
            self._admit(connection, hello)
        except (XtrabackupError, OSError, ValueError) as error:
            # who was turned away shall be able to read why
            if greeted:
                connection.send_finally(FrameType.ERROR, framing.render_error(error), _PARTING_TIME)
            elif connection in self._greetings:
                connection.end_sending()
            else:
                self._turn_away(connection, f"{connection.peer} had to make room for others")
                return
            connection.drain(time.monotonic() + _PARTING_TIME)
            self._turn_away(connection, str(error))

    def _trust(self, connection: TlsConnection) -> bool:
        """``connection`` has proven who it is, and waits no longer among the others. Raises PeerRefused when it does
        not wait any more."""
        with self._lock:
            if self._greetings.leave(connection):
                return True
        raise PeerRefused(f"{connection.peer} had to make room for others")

    def _require_token(self, connection: TlsConnection, hello: Hello) -> None:
        if not hmac.compare_digest(hello.token.encode(), self._own.token.encode()):
            raise PeerRefused(f"{connection.peer} does not have the token of this transfer")

    def _turn_away(self, connection: TlsConnection, reason: str) -> None:
        """Close ``connection``; nobody else uses it any more."""
        with self._lock:
            self._greetings.leave(connection)
        self._refused(reason)
        connection.shut()
        connection.close()

    def _admit(self, connection: TlsConnection, hello: Hello) -> None:
        with self._lock:
            self._check(connection, hello)
            if self.session is None:
                self._consume_token()
                self._hello = hello
                self.session = TlsSession(self._options.timeout, hello.timeout)
            session = self.session
            session.check()
            known = self._joined.get(hello.index)
            if known is not None:
                known.adopt(connection, hello)
                return
            try:
                link = self._welcome(session, connection, hello)
                session.add(link, lambda: self._reader(link))
                self._joined[hello.index] = link
            except XtrabackupError as error:
                session.fail(error)
                raise

    def _check(self, connection: TlsConnection, hello: Hello) -> None:
        """Raises PeerRefused when ``hello`` does not open or join the one session."""
        if not self._open or (self._hello is not None and hello.session != self._hello.session):
            raise PeerRefused(f"{connection.peer} wants to use the token of a transfer that has begun already")
        if hello.count > self._options.max_connections:
            raise PeerRefused(
                f"{connection.peer} wants {hello.count} connections, {self._options.max_connections} are allowed"
            )
        known = self._joined.get(hello.index)
        if self._hello is not None and (
            hello.count != self._hello.count
            or hello.digests != self._hello.digests
            or (known is not None and hello.attempt <= known.attempt)
        ):
            raise PeerRefused(f"{connection.peer} announced connection {hello.index} of {hello.count} unexpectedly")

    def _consume_token(self) -> None:
        """From here on the token is worthless, whatever becomes of this session."""
        try:
            self._options.credentials.consume_token(self._own)
        except XtrabackupError as error:
            self._failure = error
            raise

    def _refused(self, reason: str) -> None:
        with self._lock:
            self._turned_away += 1
            self._last_refusal = reason

    def _nobody_came(self, joined: int) -> PeerTimeout:
        expected = f"only {joined} of {self._hello.count} connections" if self._hello else "no sender"
        turned_away = f"; {self._turned_away} turned away, the last: {self._last_refusal}" if self._turned_away else ""
        return PeerTimeout(
            f"{expected} came to {self._options.where} in time{turned_away}",
            remedy="Check that the sender was started with this transfer's credentials and can reach this port.",
            refused=self._turned_away,
        )
