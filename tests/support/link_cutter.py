# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy between both ends of a transfer that cuts, resets, freezes or refuses what goes through it."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time

from .ports import free_port

_PIECE = 64 << 10


class _Pipe:
    """One connection through the proxy."""

    def __init__(self, cutter: LinkCutter, client: socket.socket) -> None:
        self._cutter = cutter
        self._client = client
        self._server = socket.create_connection(("127.0.0.1", cutter.target))
        self.frozen = False
        self.open = True
        threading.Thread(target=self._forward, daemon=True).start()

    def cut(self, *, reset: bool) -> None:
        """End both halves, with a FIN or a RST."""
        self.open = False
        for half in (self._client, self._server):
            with contextlib.suppress(OSError):
                if reset:
                    half.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    half.shutdown(socket.SHUT_RDWR)

    def _forward(self) -> None:
        other = {self._client: self._server, self._server: self._client}
        reading = set(other)
        with contextlib.suppress(OSError, ValueError):
            while self.open and reading:
                if self.frozen:
                    time.sleep(0.01)
                    continue
                for half in select.select(list(reading), (), (), 0.02)[0]:
                    data = half.recv(_PIECE)
                    if not data:
                        reading.discard(half)
                        other[half].shutdown(socket.SHUT_WR)
                    elif half is self._client:
                        self._cutter.sent(len(data))
                    if self.open and data and not self.frozen:
                        other[half].sendall(data)
        self._client.close()
        self._server.close()


class LinkCutter:
    """Listens on ``port`` of ``address`` and forwards to ``target``, a port of this host. After each ``every`` bytes
    that went there (0: never) it cuts all connections, ``times`` times at most."""

    def __init__(
        self,
        target: int,
        *,
        every: int = 0,
        times: int = 0,
        reset: bool = False,
        address: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        self.target = target
        self.address = address
        self.port = port or free_port()
        self.cuts = 0
        self.refuses_after_cut = False
        self._every, self._times, self._reset = every, times, reset
        self._passed = 0
        self._pipes: list[_Pipe] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        """Let connections in."""
        self._listener = socket.create_server((self.address, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Let no connection in from now on."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def cut(self) -> None:
        """Cut all connections that there are."""
        with self._lock:
            pipes, self._pipes = self._pipes, []
        self.cuts += 1
        for pipe in pipes:
            pipe.cut(reset=self._reset)

    def freeze(self) -> None:
        """Forward nothing more of the connections that there are, as a firewall that has forgotten them."""
        with self._lock:
            for pipe in self._pipes:
                pipe.frozen = True

    def sent(self, count: int) -> None:
        """``count`` more bytes are on their way to the target."""
        with self._lock:
            before, self._passed = self._passed, self._passed + count
            due = self._every and self.cuts < self._times and before // self._every != self._passed // self._every
        if due:
            if self.refuses_after_cut:
                self.refuse()
            self.cut()

    def close(self) -> None:
        """Let nobody in, and cut what there is."""
        self.refuse()
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                try:
                    pipe = _Pipe(self, client)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._pipes.append(pipe)
