# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports for servers and transfers, each handed out to one of them although many tests run at once."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket

PORTS = range(24400, 26000)  # below what the kernel gives to connections


def _shares() -> list[int]:
    """The ports of this process: with several pytest workers each has its own share of them."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = list(PORTS[worker::workers])
    random.shuffle(ports)  # another run on this machine begins elsewhere
    return ports


_ports = itertools.cycle(_shares())


def free_port() -> int:
    """A loopback port on which nothing listens now, and that this process has not handed out for a long time.

    Between this call and the server's bind another process may ask too: what is only free now would not do.
    """
    for port in itertools.islice(_ports, len(PORTS)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port between {PORTS.start} and {PORTS.stop - 1}")
