# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A statement that waits for a lock must not wait for longer than its deadline, whatever the server does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from typing import Callable

from ..errors import ConnectionFailed, ServerError, XtrabackupError
from .blockers import Blocker
from .connection import Connection

_log = logging.getLogger(__name__)

_LOCK_WAIT_TIMEOUT = 1205  # ER_LOCK_WAIT_TIMEOUT
_QUERY_INTERRUPTED = 1317  # ER_QUERY_INTERRUPTED
_KILL_QUERY_GRACE = 1.0  # seconds after the deadline in which the server's own timeout may still answer
_KILL_CONNECTION_GRACE = 4.0  # seconds after the deadline at which the whole session is killed
_LOOK_EVERY = 0.5  # seconds between two looks whether a statement waits
_LOOK_AHEAD = 0.2  # seconds before the deadline at which the blocking sessions are looked up

FindBlockers = Callable[[Connection, Collection[int]], "list[Blocker]"]


class DeadlineGuard:
    """While a statement of another session runs: look who is in its way, and end it after its deadline.

    A context manager around the statement. ``deadline`` in seconds; ``find`` is who looks, on a second session and
    with the ids of sessions that are our own. ``fired`` tells that the statement was told to stop.
    """

    def __init__(
        self, thread_id: int, open_second: Callable[[], Connection], deadline: float, find: FindBlockers
    ) -> None:
        self._thread_id = thread_id
        self._open_second = open_second
        self._deadline = deadline
        self._find = find
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="backup-lock-deadline", daemon=True)
        self.blockers: list[Blocker] = []
        self.fired = False

    def __enter__(self) -> DeadlineGuard:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        # whoever got its answer does not wait for a guard that is talking to a slow server
        self._done.set()
        self._thread.join(timeout=_KILL_CONNECTION_GRACE)

    def _watch(self) -> None:
        started = time.monotonic()

        def passed(seconds: float) -> bool:
            """Wait until ``seconds`` after the start; False when the statement ended first."""
            return not self._done.wait(max(0.0, started + seconds - time.monotonic()))

        if not passed(max(0.0, self._deadline - _LOOK_AHEAD)):
            return
        try:
            with self._open_second() as second:
                self.blockers = self._find(second, {self._thread_id, second.thread_id})
                if passed(self._deadline + _KILL_QUERY_GRACE):
                    self.fired = True
                    _log.info("ending the statement of session %s, after its deadline", self._thread_id)
                    second.execute(f"KILL QUERY {self._thread_id}")
                    if passed(self._deadline + _KILL_CONNECTION_GRACE):
                        second.execute(f"KILL CONNECTION {self._thread_id}")
        except XtrabackupError:
            # without a second session the server's own lock_wait_timeout is what ends the statement
            return

    def found(self) -> list[Blocker]:
        """Those who were in the way shortly before the deadline, else those who are now."""
        if self.blockers:
            return self.blockers
        try:
            with self._open_second() as second:
                return self._find(second, {self._thread_id, second.thread_id})
        except XtrabackupError:
            return []


class WaitGuard(DeadlineGuard):
    """As DeadlineGuard, for a statement that may also have much to do: only the time counts in which it waits for a
    lock of somebody else."""

    def _watch(self) -> None:
        try:
            if not self._done.wait(_LOOK_EVERY):
                with self._open_second() as second:
                    self._watch_waits(second)
        except XtrabackupError:
            # without a second session the server's own lock_wait_timeout is what ends the statement
            return

    def _watch_waits(self, second: Connection) -> None:
        waited, since = 0.0, time.monotonic() - _LOOK_EVERY
        while True:
            rows = [row for row in second.query("SHOW PROCESSLIST") if int(row["Id"]) == self._thread_id]
            now = time.monotonic()
            if any(str(row["State"] or "").startswith("Waiting for") for row in rows):
                waited += now - since
            since = now
            if waited >= self._deadline:
                self.blockers = self._find(second, {self._thread_id, second.thread_id})
                self.fired = True
                _log.info("ending the statement of session %s, which waited for %.1f s", self._thread_id, waited)
                second.execute(f"KILL QUERY {self._thread_id}")
                if not self._done.wait(_KILL_CONNECTION_GRACE):
                    second.execute(f"KILL CONNECTION {self._thread_id}")
                return
            if self._done.wait(_LOOK_EVERY):
                return


def is_timeout(error: ServerError) -> bool:
    """Returns whether the server gave the lock up, or the statement was ended by a DeadlineGuard."""
    errno = error.details.get("errno")
    return errno in (_LOCK_WAIT_TIMEOUT, _QUERY_INTERRUPTED) and not isinstance(error, ConnectionFailed)


def milliseconds(seconds: float) -> float:
    """As backups record times: to a tenth."""
    return round(seconds * 1000, 1)
