# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions of every transfer over TCP, encrypted or not: listen, connect, wait, notice a dead peer, name an error."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import select
import socket
import time
from typing import Any, Callable, TypeVar

from ..addresses import endpoint
from ..errors import InvalidOption, PeerFailed, PeerTimeout
from .admission import address_of

_log = logging.getLogger(__name__)

_KEEPALIVE_PROBES = 3
_ATTEMPT_TIME = 10.0  # seconds for one attempt to connect
RETRY_PAUSE = 0.25  # seconds between two attempts
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}  # why a host can take no connection just now

T = TypeVar("T")


class ConnectionLost(PeerFailed):
    """The connection ended or broke; the peer may have said why on another one."""


def broken(error: OSError, peer: str) -> PeerFailed:
    """The engine's error for ``error`` of a connection with ``peer``."""
    if error.errno == errno.ETIMEDOUT:
        return PeerTimeout(f"the network lost the connection with {peer}", peer=peer)
    text = os.strerror(error.errno) if error.errno else str(error)
    return ConnectionLost(f"the connection with {peer} broke: {text}", peer=peer)


def tune(raw: socket.socket, idle_timeout: float) -> None:
    """Let the kernel notice a dead peer within about ``idle_timeout`` seconds, and send small frames at once."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    interval = max(1, int(idle_timeout / (_KEEPALIVE_PROBES + 1)))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1000, int(idle_timeout * 1000)))


def ready(channel: socket.socket, events: int, seconds: float) -> bool:
    """Returns whether ``channel`` is ready for ``events`` (of poll), or broken, within ``seconds``."""
    poll = select.poll()
    poll.register(channel, events)
    return bool(poll.poll(math.ceil(seconds * 1000)))


def listen(address: str, port: int) -> socket.socket:
    """A listening socket; for no ``address`` in particular it takes IPv6 and IPv4 where the host has both. Raises
    InvalidOption."""
    try:
        if not address:
            with contextlib.suppress(OSError):
                if socket.has_dualstack_ipv6():
                    return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
            return socket.create_server(("", port))
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address, port), family=family)
    except (OSError, OverflowError) as error:
        raise InvalidOption(
            f"cannot listen on {address or '*'}:{port}: {getattr(error, 'strerror', None) or error}",
            remedy="Choose an address of this host and a port that is free.",
            address=address,
            port=port,
        ) from error


def sender_name(address: tuple[Any, ...]) -> str:
    """Returns the name in messages of the sender at ``address``, a socket's address.

    A socket for both families says ``::ffff:192.0.2.1`` where people know 192.0.2.1.
    """
    host = str(address[0])
    known = address_of(host)
    return f"the sender {endpoint(host if known.version == 6 else str(known), address[1])}"


def connect(
    host: str, port: int, enter: Callable[[socket.socket], T], *, peer: str, deadline: float, seconds: float
) -> T:
    """Returns what ``enter`` makes of a connection with ``peer``, tried again while nobody listens or ``enter`` loses
    it.

    Raises PeerTimeout at ``deadline`` (time.monotonic), ``seconds`` after the first attempt of this transfer.
    """
    _log.info("connecting to %s, %g s at most", peer, seconds)
    while True:
        try:
            timeout = max(0.1, min(deadline - time.monotonic(), _ATTEMPT_TIME))
            raw = socket.create_connection((host, port), timeout=timeout)
            if raw.getsockname() == raw.getpeername():
                # on one host, a port on which nobody listens may be given to this very attempt
                raw.close()
                raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            entered = enter(raw)
            _log.info("connected to %s", peer)
            return entered
        except (OSError, OverflowError, ConnectionLost, PeerTimeout) as error:
            _log.debug("not connected to %s: %s", peer, error)
            if time.monotonic() + RETRY_PAUSE >= deadline:
                cause = getattr(error, "strerror", None) or str(error)
                raise PeerTimeout(
                    f"{peer} cannot be reached within {seconds:.0f} s: {cause}",
                    remedy="Check that the receiver is running and that no firewall is in between.",
                    host=host,
                    port=port,
                ) from error
        time.sleep(RETRY_PAUSE)
