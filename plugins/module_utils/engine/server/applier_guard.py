# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that starts SQL threads again when the one that stopped them is killed.

It is forked before anything is stopped, belongs to no group of the other's, ignores what ends that one, and reads a
pipe: first what is going to be stopped, then that all is running again. If the pipe ends between the two, whatever
the reason, it does what is left to do. Only the end of the whole host, or of everything in a control group at once,
ends it too.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import time
import warnings
from collections.abc import Sequence
from typing import Callable

from ..errors import XtrabackupError
from ..format.family import Family
from .appliers import Appliers
from .connection import Connection

_RETRY_SECONDS = 3600.0  # seconds in which a server may be away, or a STOP may wait for a long transaction
_LAST_RETRY_SECONDS = 10.0
_PAUSE = 1.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGALRM, signal.SIGQUIT)
_MOST_DESCRIPTORS = 1 << 20


class ApplierGuard:
    """The guard, seen from the process that it guards. ``open_second`` opens a connection to the server, which is of
    ``family``, for it."""

    def __init__(self, open_second: Callable[[], Connection], family: Family) -> None:
        reader, self._writer = os.pipe()
        with warnings.catch_warnings():
            # the child uses nothing that another thread could have locked
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            _run_guard(reader, open_second, family)
        os.close(reader)
        os.waitpid(child, 0)

    def will_stop(self, session: int, channels: Sequence[str]) -> None:
        """``session`` is about to stop the SQL threads of ``channels``."""
        os.write(self._writer, json.dumps({"session": session, "channels": list(channels)}).encode() + b"\n")

    def done(self) -> None:
        """All of them run again: the guard has nothing to do."""
        with contextlib.suppress(OSError):
            os.write(self._writer, b"{}\n")

    def close(self) -> None:
        """Let the guard go; without ``done`` it starts what was stopped."""
        os.close(self._writer)


def _run_guard(reader: int, open_second: Callable[[], Connection], family: Family) -> None:
    """The child's life; does not return."""
    try:
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        os.setsid()
        if os.fork() == 0:
            # a connection of the other one must end with it, and so must its output
            os.dup2(reader, 0)
            limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _MOST_DESCRIPTORS)
            os.closerange(1, limit)
            for _number in (1, 2):
                os.open(os.devnull, os.O_RDWR)
            _guard(open_second, family)
    finally:
        os._exit(0)


def _guard(open_second: Callable[[], Connection], family: Family) -> None:
    received = b""
    while True:
        data = os.read(0, 65536)
        if not data:
            break
        received += data
    # a line that was cut off tells of something that was never begun
    orders = [json.loads(line) for line in received.split(b"\n")[:-1]]
    if orders and orders[-1]:
        session, channels = int(orders[-1]["session"]), list(orders[-1]["channels"])
        restart(open_second, family, session, channels, _RETRY_SECONDS)
        # once more, for a STOP that was on its way when its sender was killed
        time.sleep(_PAUSE)
        restart(open_second, family, session, channels, _LAST_RETRY_SECONDS)


def restart(
    open_second: Callable[[], Connection], family: Family, session: int, channels: Sequence[str], timeout: float
) -> list[str]:
    """Start the SQL threads of ``channels`` once ``session``, which has stopped them, is gone; goes on for ``timeout``
    seconds, also while the server is away. Returns the channels that do not run then; one that has stopped with an
    error of its own, or is gone, is not waited for."""
    left = list(channels)
    deadline = time.monotonic() + timeout
    while left:
        with contextlib.suppress(XtrabackupError), open_second() as connection:
            left = _restart(Appliers(connection, family), session, left)
        if not left or time.monotonic() > deadline:
            break
        time.sleep(min(_PAUSE, max(0.05, deadline - time.monotonic())))
    return left


def _restart(appliers: Appliers, session: int, channels: Sequence[str]) -> list[str]:
    """One attempt; returns the channels that it is not known of that they run."""
    gone = appliers.end_stopping(session)
    found = {applier.channel: applier for applier in appliers.read()}
    for channel in channels:
        if channel in found and not found[channel].running:
            appliers.start(channel)
    if not gone:
        return list(channels)
    found = {applier.channel: applier for applier in appliers.read()}
    return [name for name in channels if name in found and not (found[name].running or found[name].error)]
