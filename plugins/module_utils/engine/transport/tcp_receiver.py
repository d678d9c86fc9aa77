# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving end of plain TCP: the first connection that sends something is the sender, whoever that may be."""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import PeerTimeout
from ..progress import Progress
from ..stream.digests import Checksum, DigestingSource, StreamDigests
from . import sockets
from .admission import ANYWHERE, AllowedNetworks, WaitingConnections
from .intake import Intake, Received
from .tcp_connection import PlainConnection

_log = logging.getLogger(__name__)

_PAUSE = 0.05  # seconds to wait when this host can take no connection just now
_SLICE = 0.2  # seconds after which this end looks up (and signals are handled)


@dataclass(frozen=True)
class TcpListenOptions:
    """Options of a listening socket. ``address`` empty: on all of this host's.

    ``timeout`` (seconds) bounds each silence of the sender, ``accept_timeout`` the wait for its first byte.
    ``sources``: where the sender may come from.
    """

    port: int
    address: str = ""
    timeout: float = 60.0
    accept_timeout: float = 600.0
    sources: AllowedNetworks = ANYWHERE

    @property
    def where(self) -> str:
        """Address and port in messages."""
        return f"{self.address or '*'}:{self.port}"


def receive(
    listen: TcpListenOptions,
    intake: Intake,
    *,
    digests: Sequence[str] = (),
    checksum: Checksum | None = None,
    progress: Progress | None = None,
) -> Received:
    """Wait for one sender and give what it sends to ``intake``, which publishes it when all is verified and durable.

    ``digests`` are those of the bytes that came, ``checksum`` is compared before anything is published. Then the
    connection is ended in order; after any failure it is reset.

    The phases of ``progress`` are ``listening`` (a sender may connect now), ``receiving``, ``publishing``.
    Raises TargetNotEmpty, TargetUnsafe and TargetBusy before listening, InvalidOption (address), PeerTimeout,
    PeerFailed, and what reading the stream or writing the files raises; nothing is left at the destination then.
    """
    progress = progress or Progress("receive")
    connection: PlainConnection | None = None
    try:
        with intake.opened():
            with sockets.listen(listen.address, listen.port) as listening:
                progress.phase("listening")
                connection = _first_sender(listening, listen)
            progress.phase("receiving")
            found = StreamDigests(tuple(dict.fromkeys(digests)), checksum)

            def take(data: memoryview) -> None:
                found.update(data)
                progress.advance(len(data))

            intake.consume(DigestingSource(connection, take), connection.peer)
            progress.phase("publishing")
            found.check(intake.where)
            received = replace(intake.finish(), digests=found.hexdigests())
            # a sender that has failed or given up meanwhile will not know that its backup is here: then it is not
            connection.require_sound()
    except BaseException:
        if connection is not None:
            _log.info("resetting the connection with %s", connection.peer)
            connection.reset()
        raise
    connection.close()
    return received


def _first_sender(listening: socket.socket, options: TcpListenOptions) -> PlainConnection:
    """The first connection that has sent a byte; others are closed. Raises PeerTimeout when there is none in time."""
    deadline = time.monotonic() + options.accept_timeout
    listening.setblocking(False)
    silent: WaitingConnections[_Silent] = WaitingConnections()
    gone = 0
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    try:
        while True:
            for descriptor, _events in poll.poll(_SLICE * 1000):
                if descriptor == listening.fileno():
                    gone += _accept(listening, options.sources, silent, poll)
                    continue
                found = next((item for item in silent if item.raw.fileno() == descriptor), None)
                if found is None:  # it had to make room meanwhile
                    continue
                silent.leave(found)
                if _has_sent(found.raw):
                    _log.info("taking what %s sends", found.peer)
                    return PlainConnection(found.raw, found.peer, options.timeout)
                poll.unregister(descriptor)
                found.raw.close()
                gone += 1
            if time.monotonic() >= deadline:
                raise PeerTimeout(
                    f"nobody sent anything to {options.where} within {options.accept_timeout:.0f} s"
                    + (f"; {len(silent) + gone} connected" if silent or gone else ""),
                    remedy="Check that the sender was started and can reach this port.",
                    connected=len(silent) + gone,
                )
    finally:
        for item in silent:
            item.raw.close()


@dataclass(frozen=True, eq=False)
class _Silent:
    """A connection that has not sent anything; ``peer`` is its name in messages."""

    raw: socket.socket
    peer: str


def _accept(
    listening: socket.socket, sources: AllowedNetworks, silent: WaitingConnections[_Silent], poll: select.poll
) -> int:
    """Let the next connection wait; returns how many were closed for it, or instead."""
    try:
        raw, address = listening.accept()
    except OSError as error:  # gone again already, or no descriptor is free just now
        if error.errno in sockets.NO_ROOM:
            time.sleep(_PAUSE)
        return 0
    if not sources.has(address[0]):
        raw.close()
        return 1
    raw.setblocking(False)
    newcomer = _Silent(raw, sockets.sender_name(address))
    evicted = silent.admit(newcomer, address[0])
    if evicted is not None:
        poll.unregister(evicted.raw)
        evicted.raw.close()
    poll.register(raw, select.POLLIN)
    return int(evicted is not None)


def _has_sent(raw: socket.socket) -> bool:
    """Returns whether the first byte has come on ``raw``, rather than its end."""
    try:
        return bool(raw.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
