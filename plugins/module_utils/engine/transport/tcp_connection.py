# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One plain TCP connection that carries the raw bytes of a stream: nothing but its end says anything about them.

The receiving end cannot tell a complete stream from one whose sender has died, unless the latter breaks the
connection instead of ending it. So a connection is set up to be broken (reset) however this process ends, until
``end`` or ``close`` has ended it in order. The other way, the sender takes the receiver's end of the connection for
its word that all has been taken, and a reset for a failure.
"""

from __future__ import annotations

import array
import fcntl
import select
import socket
import struct
import termios
import threading
import time
from collections.abc import Sequence

from ..errors import Cancelled, Option, PeerTimeout
from ..stream.archive import IOV_MAX, Channel, drop_written
from ..stream.sink import Buffer
from .sockets import broken, ready, tune

_SLICE = 0.2  # seconds after which a waiting thread looks up
_LAST_BYTES = 0.02  # seconds between looks at what the other host has not confirmed yet


class PlainConnection(Channel):
    """Owns ``raw``. Each wait for ``peer`` (its name in messages) ends after ``timeout`` seconds without progress."""

    def __init__(self, raw: socket.socket, peer: str, timeout: float) -> None:
        self.peer = peer
        self._socket = raw
        self._timeout = timeout
        self._lock = threading.Lock()  # held by whoever uses the socket
        self._closing = False
        raw.setblocking(False)
        tune(raw, timeout)
        self._reset_at_close(True)

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Send all of ``buffers``. Raises PeerFailed, PeerTimeout."""
        views = [memoryview(buffer) for buffer in buffers if len(buffer)]
        with self._lock:
            until = time.monotonic() + self._timeout
            while views:
                self._require_open()
                try:
                    count = self._socket.sendmsg(views[:IOV_MAX])
                except BlockingIOError:
                    self._wait(select.POLLOUT, until, "took no data")
                    continue
                except OSError as error:
                    raise broken(error, self.peer) from error
                drop_written(views, count)
                until = time.monotonic() + self._timeout

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of ``buffer`` (not empty); returns the count of bytes, 0 when the peer has ended its stream. Raises
        PeerFailed, PeerTimeout."""
        with self._lock:
            until = time.monotonic() + self._timeout
            while True:
                self._require_open()
                try:
                    return self._socket.recv_into(buffer)
                except BlockingIOError:
                    self._wait(select.POLLIN, until, "neither sent data nor ended the connection")
                except OSError as error:
                    raise broken(error, self.peer) from error

    def end(self) -> None:
        """All is written: wait until the peer has ended the connection too. Raises PeerFailed, PeerTimeout."""
        with self._lock:
            try:
                self._require_open()
                self._socket.shutdown(socket.SHUT_WR)
                self._wait_until_taken()
            except OSError as error:
                raise broken(error, self.peer) from error
            self._close()

    def require_sound(self) -> None:
        """Raises PeerFailed when the peer has broken the connection, also after the end of its stream."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            error = OSError(number, "")
            raise broken(error, self.peer) from error

    def close(self) -> None:
        """End the connection in order, after which the peer counts its stream as taken."""
        with self._lock:
            self._close()

    def reset(self) -> None:
        """Break the connection, so that the peer can take nothing for complete; does nothing after the end."""
        self._closing = True
        with self._lock:
            self._socket.close()

    def _wait_until_taken(self) -> None:
        """Until the peer has ended its side, and its host has confirmed all that was sent.

        Both: what has nothing to send may end its side long before (``nc`` whose standard input is empty).
        """
        ignored = bytearray(64 << 10)
        ended, unsent, until = False, self._unsent(), time.monotonic() + self._timeout
        while not ended or unsent:
            self._require_open()
            if ended:
                time.sleep(_LAST_BYTES)
                self.require_sound()
            elif ready(self._socket, select.POLLIN, _SLICE):
                ended = not self._socket.recv_into(ignored)
            left = self._unsent()
            if left < unsent:
                unsent, until = left, time.monotonic() + self._timeout
            if time.monotonic() > until and (unsent or not ended):
                raise self._silent("has not confirmed the end of the stream")

    def _unsent(self) -> int:
        """Bytes that the other host has not confirmed."""
        count = array.array("i", [0])
        fcntl.ioctl(self._socket, termios.TIOCOUTQ, count)
        return count[0]

    def _wait(self, events: int, until: float, failing: str) -> None:
        while not ready(self._socket, events, _SLICE):
            self._require_open()
            if time.monotonic() > until:
                raise self._silent(failing)

    def _silent(self, failing: str) -> PeerTimeout:
        return PeerTimeout(
            f"{self.peer} {failing} for {self._timeout:.0f} s",
            remedy=f"Look at the other end; if it is only slow, raise {Option('timeout')}. nc needs -N to end "
            "the connection when "
            "its standard input ends.",
            peer=self.peer,
        )

    def _require_open(self) -> None:
        if self._closing:
            raise Cancelled(f"the connection with {self.peer} was closed")

    def _reset_at_close(self, reset: bool) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", reset, 0))

    def _close(self) -> None:
        self._closing = True
        try:
            self._reset_at_close(False)
        finally:
            self._socket.close()
