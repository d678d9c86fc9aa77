# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup over plain TCP: the raw bytes of its archive on one connection, to our own receiver or to anything else."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..addresses import endpoint
from ..stream.archive import StreamSink
from ..stream.codec import Compression
from ..stream.digests import StreamDigests
from . import sockets
from .tcp_connection import PlainConnection


@dataclass(frozen=True)
class TcpTarget:
    """Address and limits of a receiver. ``timeout`` (seconds) bounds how long the receiver may take no data, and how
    long it may need to store all and to hang up at the end; ``connect_timeout`` the wait until it listens."""

    host: str
    port: int
    timeout: float = 60.0
    connect_timeout: float = 60.0

    @property
    def peer(self) -> str:
        """The receiver's name in messages."""
        return f"the receiver {endpoint(self.host, self.port)}"


class TcpSink(StreamSink):
    """A backup on its way to a receiver, which is believed to have taken it when it ends the connection in order.

    The constructor connects. Raises InvalidOption (digests), PeerTimeout (nobody listens).
    """

    def __init__(
        self,
        target: TcpTarget,
        *,
        compress: Compression | None = None,
        encrypt_key: bytes | None = None,
        digests: Sequence[str] = (),
        sparse: bool = False,
    ) -> None:
        StreamDigests(digests)  # refuses unknown ones before anybody is bothered

        def enter(raw: socket.socket) -> PlainConnection:
            return PlainConnection(raw, target.peer, target.timeout)

        self._connection = sockets.connect(
            target.host,
            target.port,
            enter,
            peer=target.peer,
            deadline=time.monotonic() + target.connect_timeout,
            seconds=target.connect_timeout,
        )
        try:
            super().__init__(
                [self._connection], compress=compress, encrypt_key=encrypt_key, digests=digests, sparse=sparse
            )
        except BaseException:
            self._connection.reset()
            raise

    def _finish(self) -> dict[str, Any]:
        self._connection.end()
        return {"path": None}

    def _abort(self, reason: BaseException) -> None:
        self._connection.reset()
