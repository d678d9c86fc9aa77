# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One authenticated TLS connection of a transfer, as both ends use it.

OpenSSL does not allow two threads in one connection at once, and a blocking read would hold up the writers. So
the socket is non-blocking, a lock is held around each single (short) call, and all waiting happens in poll(2)
outside the lock.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import math
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Callable

from ..errors import PeerRefused, PeerTimeout, StreamCorrupt, StreamError
from . import tls_framing as framing
from .sockets import ConnectionLost, broken, ready, tune
from .tls_framing import Buffer, FrameType

_POLL_SLICE = 0.2  # seconds after which a waiting thread looks whether the session has failed
_RECORD_LENGTH = 16 << 10  # the most bytes that one TLS record carries

# parts of OpenSSL's reasons that are about who the peer is; all others are about the connection
_IDENTITY_REASONS = ("CERTIFICATE", "CERT", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR", "UNSUPPORTED")


def translate(error: OSError, peer: str) -> StreamError:
    """The engine's error for ``error`` of a connection with ``peer``."""
    if isinstance(error, ssl.SSLEOFError):
        return ConnectionLost(f"{peer} ended the connection", peer=peer)
    if isinstance(error, ssl.SSLError):
        # its errno is a number of OpenSSL's
        reason = error.reason or str(error)
        if any(part in reason for part in _IDENTITY_REASONS):
            detail = getattr(error, "verify_message", "") or reason
            return PeerRefused(f"{peer} and this end do not trust each other: {detail}", peer=peer, reason=reason)
        return ConnectionLost(f"the TLS connection with {peer} failed: {reason}", peer=peer, reason=reason)
    return broken(error, peer)


class TlsConnection:
    """One TLS connection. Any thread may send frames; one thread receives.

    ``peer`` names the other end in messages. Until ``join``, everything must be over at ``deadline``
    (time.monotonic); afterwards each silence of the peer is bounded by the session's idle time-out.
    """

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, peer: str, deadline: float) -> None:
        raw.setblocking(False)
        self.peer = peer
        self.sent_at = time.monotonic()
        self._deadline = deadline
        self.idle_timeout = math.inf
        self._check: Callable[[], None] = _nothing
        self._require_no_failure: Callable[[], None] = _nothing
        self._read_error: OSError | None = None
        self._broken = False  # a frame was begun and not finished: nothing can follow it
        self._call_lock = threading.Lock()  # around each call into OpenSSL
        self._frame_lock = threading.Lock()  # around each frame that is sent
        self._socket = context.wrap_socket(
            raw, server_side=context.protocol == ssl.PROTOCOL_TLS_SERVER, do_handshake_on_connect=False
        )

    def handshake(self, pinned: bytes | None) -> None:
        """Agree on keys. Raises PeerRefused unless the peer holds the key of the certificate ``pinned`` (DER), if that
        is given."""
        while True:
            try:
                self._socket.do_handshake()
                break
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                self._wait(wanted, self._deadline, _nothing)
            except OSError as error:
                raise translate(error, self.peer) from error
        if pinned is None:
            return
        certificate = self._socket.getpeercert(binary_form=True)
        if not certificate or not hmac.compare_digest(certificate, pinned):
            raise PeerRefused(f"{self.peer} presented another certificate than the pinned one", peer=self.peer)

    def join(
        self, timeout: float, silence_limit: float, check: Callable[[], None], require_no_failure: Callable[[], None]
    ) -> None:
        """Become part of a session. ``check`` raises its failure where this end waits for the peer or begins a
        frame; ``require_no_failure`` does so, a little later, where it waits for the rest of a frame to be taken.

        The kernel gives the peer up after ``timeout`` seconds, receiving does after a silence of ``silence_limit``."""
        self._deadline, self.idle_timeout = math.inf, silence_limit
        self._check, self._require_no_failure = check, require_no_failure
        tune(self._socket, timeout)

    # --- sending ---------------------------------------------------------------------------------

    def send(self, kind: FrameType, *payload: Buffer) -> None:
        """Send one frame of the buffers ``payload``, which are consumed on return. Raises ConnectionLost,
        PeerTimeout, or the session's failure."""
        with self._frame_lock:
            self._check()
            self._send_frame(kind, payload, self._deadline, self._require_no_failure)

    def send_finally(self, kind: FrameType, payload: bytes, seconds: float) -> None:
        """Send a last frame, if that is possible within ``seconds``; never raises."""
        if self._frame_lock.acquire(timeout=seconds):
            try:
                self._send_frame(kind, [payload], time.monotonic() + seconds, _nothing)
            except (StreamError, ValueError):  # ValueError: closed already
                self._broken = True
            finally:
                self._frame_lock.release()
        self.end_sending()

    def end_sending(self) -> None:
        """The peer sees the end of the connection after all that was sent."""
        with contextlib.suppress(OSError):
            # not SSLSocket.shutdown: that ends decryption too, and the thread that receives would take encrypted
            # bytes for data
            socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def beat(self) -> None:
        """Send a heartbeat, unless a frame is under way or there is no room: either way the peer has to read."""
        if self._frame_lock.acquire(blocking=False):
            try:
                if not self._broken and ready(self._socket, select.POLLOUT, 0):
                    self._send_frame(FrameType.HEARTBEAT, (), self._deadline, self._require_no_failure)
            finally:
                self._frame_lock.release()

    def _send_frame(self, kind: FrameType, payload: Sequence[Buffer], until: float, check: Callable[[], None]) -> None:
        if self._broken:
            raise ConnectionLost(f"the connection with {self.peer} is broken", peer=self.peer)
        self._broken = True
        first = bytearray(framing.render_header(kind, sum(map(len, payload))))
        rest: list[memoryview] = []
        for buffer in payload:
            # what is small shares the header's record
            room = 0 if rest else _RECORD_LENGTH - len(first)
            view = memoryview(buffer)
            first += view[:room]
            if len(view) > room:
                rest.append(view[room:])
        self._send_all(memoryview(first), until, check)
        for view in rest:
            self._send_all(view, until, check)
        self._broken = False
        self.sent_at = time.monotonic()

    def _send_all(self, view: memoryview, until: float, check: Callable[[], None]) -> None:
        while view:
            try:
                with self._call_lock:
                    count = self._socket.send(view)
                view = view[count:]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                self._wait(wanted, until, check)
            except OSError as error:
                raise translate(error, self.peer) from error

    # --- receiving -------------------------------------------------------------------------------

    def receive_into(self, view: memoryview) -> int:
        """Some bytes into ``view`` (not empty), as many as there are, or 0 at the end of the connection. Raises
        PeerTimeout after the idle time-out, ConnectionLost, or the session's failure."""
        until = 0.0
        received = 0
        while received < len(view) and self._read_error is None:
            try:
                with self._call_lock:
                    count = self._socket.recv_into(view[received:])  # a record at a time
                if not count:
                    break
                received += count
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                if received:
                    break
                # a record may need several reads; the silence counts from the first one
                until = until or min(self._deadline, time.monotonic() + self.idle_timeout)
                self._wait(wanted, until, self._check)
            except OSError as error:
                self._read_error = error  # the kernel tells some of them only once
        if self._read_error is not None and not received:
            raise translate(self._read_error, self.peer) from self._read_error
        return received

    def receive_exactly(self, length: int) -> bytes:
        """``length`` bytes; raises as receive_into, and ConnectionLost when the connection ends before."""
        data = bytearray(length)
        view = memoryview(data)
        while view:
            count = self.receive_into(view)
            if not count:
                raise ConnectionLost(f"{self.peer} ended the connection", peer=self.peer)
            view = view[count:]
        return bytes(data)

    def receive_header(self) -> tuple[FrameType, int]:
        """Type and length (bytes of payload) of the next frame."""
        self._check()
        return framing.parse_header(self.receive_exactly(framing.HEADER_LENGTH), self.peer)

    def receive_control(self, *wanted: FrameType) -> tuple[FrameType, bytes]:
        """Type and payload of the next frame that is not a heartbeat. Raises StreamCorrupt when it is not one of
        ``wanted``, and the peer's error when it is that."""
        while True:
            kind, length = self.receive_header()
            if kind not in wanted and kind not in (FrameType.HEARTBEAT, FrameType.ERROR):
                expected = " or ".join(item.name for item in wanted) or "nothing"
                raise StreamCorrupt(f"{self.peer} sent a {kind.name} frame; {expected} was expected", peer=self.peer)
            payload = self.receive_exactly(length)
            if kind is FrameType.ERROR:
                raise framing.parse_error(payload, self.peer)
            if kind is not FrameType.HEARTBEAT:
                return kind, payload

    # --- waiting and closing ---------------------------------------------------------------------

    def _wait(self, wanted: ssl.SSLError, until: float, check: Callable[[], None]) -> None:
        """Wait until the socket is ready for what OpenSSL wants."""
        events = select.POLLIN if isinstance(wanted, ssl.SSLWantReadError) else select.POLLOUT
        began = time.monotonic()
        while True:
            check()
            left = until - time.monotonic()
            # looked at even when the time is up: perhaps it was this process that stood still
            if ready(self._socket, events, max(0.0, min(left, _POLL_SLICE))):
                self._require_network()
                return
            if left <= 0:
                waited = max(0.0, until - began)
                raise PeerTimeout(f"{self.peer} gave no sign of life for {waited:.1f} s", peer=self.peer)

    def _require_network(self) -> None:
        """Raises PeerTimeout when the kernel has given the peer up. The kernel says so once, and Python's ssl (3.10 and
        3.11 at least) takes it for the end of the connection, as if the peer had hung up."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == errno.ETIMEDOUT:
            raise broken(OSError(code, os.strerror(code)), self.peer)

    def drain(self, until: float) -> None:
        """Throw away what the peer still sends, until it hangs up: closing with unread bytes would reset the
        connection, and the peer might lose our last frame. Only after the receiving thread has ended."""
        buffer = bytearray(1 << 18)
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed already
            while ready(self._socket, select.POLLIN, max(0.0, until - time.monotonic())):
                if not socket.socket.recv_into(self._socket, buffer) or time.monotonic() > until:
                    return

    def shut(self) -> None:
        """End the connection in both directions; threads that wait for it wake up."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the socket, when no thread is about to use it."""
        if self._frame_lock.acquire(timeout=_POLL_SLICE * 2):
            try:
                with self._call_lock:
                    self._broken = True
                    self._socket.close()
            finally:
                self._frame_lock.release()


def _nothing() -> None:
    """No session that could have failed."""
