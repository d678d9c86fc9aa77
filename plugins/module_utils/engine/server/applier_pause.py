# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL threads that are stopped for the instant of a backup, and started again whatever happens.

A thread that was stopped in order has applied whole transactions, and its position is exactly that of the data. It is
also stopped while no temporary table of a statement-based source is open, for such a table is in no backup.
"""

from __future__ import annotations

import logging
import time
from typing import Callable

from ..errors import ConnectionFailed, LockTimeout, Option, ReplicationError
from ..format.family import Family
from .applier_guard import ApplierGuard, restart
from .appliers import Applier, Appliers
from .connection import Connection
from .privileges import require_stopping_privileges

_log = logging.getLogger(__name__)

_AGAIN = 1.0  # seconds that SQL threads go on before they are stopped once more
_LEAST_SECONDS = 1.0  # in which a thread without a transaction stops
_GUARD_SECONDS = 60.0  # in which a server answers the guard, or is asked again
_RESTART_SECONDS = 10.0  # in which threads that were stopped run again; then it is left to the guard


class ApplierPause:
    """A context manager, in whose block ``begin`` stops the SQL threads that run; its end starts them.

    ``connection`` looks at them, ``open_bounded`` opens further ones, which wait for an answer only for so many
    seconds. ``deadline`` (seconds) bounds the whole wait for
    their transactions and temporary tables. ``warnings`` gets what is to be known afterwards.
    """

    def __init__(
        self,
        connection: Connection,
        open_bounded: Callable[[float], Connection],
        deadline: float,
        warnings: list[str],
        family: Family,
    ) -> None:
        self._appliers = Appliers(connection, family)
        self._open_bounded = open_bounded
        self._deadline = deadline
        self._warnings = warnings
        self._family = family
        self._guard: ApplierGuard | None = None
        self._channels: list[str] = []
        #: those that a STOP was sent for, and that are not known to run again; no other one is ours to start
        self._stopped: list[str] = []
        self._session = 0

    def __enter__(self) -> ApplierPause:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()

    def begin(self) -> None:
        """Stop the SQL threads that run. Raises LockTimeout when they do not get there in time, ReplicationError for
        one that was started with an UNTIL."""
        running = [applier for applier in self._appliers.read() if applier.running]
        if not running:
            return
        require_no_until(running)
        self._channels = [applier.channel for applier in running]
        asked = time.monotonic()
        self._guard = ApplierGuard(lambda: self._open_bounded(_GUARD_SECONDS), self._family)
        while True:
            self._stop(asked)
            tables = self._appliers.open_temporary_tables()
            if not tables:
                return
            self._start(_RESTART_SECONDS)
            if time.monotonic() - asked + _AGAIN > self._deadline:
                raise LockTimeout(
                    f"the source's statements had {tables} temporary tables open here whenever the SQL threads were "
                    f"stopped, for {self._deadline:g} s",
                    remedy=f"Raise {Option('safe_slave_backup_timeout')}, or use row-based replication "
                    "(binlog_format=ROW).",
                    stage="appliers",
                    deadline=self._deadline,
                )
            time.sleep(_AGAIN)

    def end(self) -> None:
        """Start what was stopped. A thread that does not run at once is left to the guard, and named in a warning."""
        if self._guard is None:
            return
        guard, self._guard = self._guard, None
        try:
            left = self._start(_RESTART_SECONDS)
            if not left:
                guard.done()
        finally:
            guard.close()
        if left:
            statements = " ".join(self._appliers.start_statement(channel) for channel in left)
            self._warnings.append(
                "these SQL threads were stopped for the backup and do not run again yet; a process that was left "
                f"behind goes on starting them for an hour. See whether they run, else: {statements}"
            )

    # --- inside --------------------------------------------------------------------------------------

    def _stop(self, asked: float) -> None:
        guard = self._guard
        if guard is None:
            raise RuntimeError("nothing is stopped without a guard")
        for channel in self._channels:
            until = asked + self._deadline
            # not every server gives a STOP up when it is told to: who waits for it must give up
            with self._open_bounded(max(_LEAST_SECONDS, until - time.monotonic())) as session:
                self._session = session.thread_id
                _log.info("stopping the SQL thread of channel %r", channel)
                if channel not in self._stopped:
                    self._stopped.append(channel)
                guard.will_stop(session.thread_id, self._stopped)
                try:
                    Appliers(session, self._family).stop(channel)
                except ConnectionFailed as error:
                    if time.monotonic() < until:
                        raise
                    raise self._too_late(channel) from error
        stopped = {applier.channel: applier for applier in self._appliers.read()}
        running = [channel for channel in self._channels if channel in stopped and stopped[channel].running]
        if running:
            # the server has a deadline of its own for this (rpl_stop_replica_timeout)
            raise self._too_late(running[0])

    def _start(self, timeout: float) -> list[str]:
        _log.info("starting the SQL threads of %r", self._stopped)
        self._stopped = restart(
            lambda: self._open_bounded(timeout), self._family, self._session, self._stopped, timeout
        )
        return list(self._stopped)

    def _too_late(self, channel: str) -> LockTimeout:
        return LockTimeout(
            f"the SQL thread of the replica channel {channel!r} did not stop in time "
            f"({Option('safe_slave_backup_timeout', f'{self._deadline:g} s')}), for it is in the middle of a "
            "transaction; it is started again as soon as it has "
            "stopped",
            remedy=f"Raise {Option('safe_slave_backup_timeout')}, or back up at a quieter time.",
            stage="appliers",
            deadline=self._deadline,
            channel=channel,
        )


def require_pausable(connection: Connection, family: Family) -> None:
    """Raises, before anything is done, what would keep the SQL threads from being stopped and started:
    MissingPrivilege, ReplicationError."""
    running = [applier for applier in Appliers(connection, family).read() if applier.running]
    if running:
        require_stopping_privileges(connection)
        require_no_until(running)


def require_no_until(appliers: list[Applier]) -> None:
    """Raises ReplicationError for a SQL thread that would not stop any more where it was told to."""
    wrong = [applier.channel for applier in appliers if applier.until]
    if wrong:
        raise ReplicationError(
            f"the SQL thread of the replica channel {wrong[0]!r} was started with UNTIL; stopped for the backup and "
            "started again, it would go on behind that place",
            remedy=f"Take the backup without {Option('safe_slave_backup')}, or when the thread has got there.",
            channel=wrong[0],
        )
