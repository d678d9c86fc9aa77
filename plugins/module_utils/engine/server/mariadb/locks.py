# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB's backup stages, none of which may make the site wait for longer than its deadline.

A stage that waits blocks those who come after it. So each wait has a deadline: when it passes, the backup locks are
released at once and LockTimeout names the sessions that blocked it. What a stage waits for (tested on 10.11):
START for running DDL, LOCK TABLES ... WRITE and other backups; FLUSH and BLOCK_DDL for statements that write to
non-transactional tables; BLOCK_COMMIT for commits in progress. Reads and open transactions are in nobody's way.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection
from typing import Callable

from ...errors import LockTimeout, ServerError, XtrabackupError
from ..blockers import describe
from ..connection import Connection
from ..deadline import DeadlineGuard, is_timeout, milliseconds
from .blockers import find_blockers

_log = logging.getLogger(__name__)

START, FLUSH, BLOCK_DDL, BLOCK_COMMIT = "START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT"
STAGES = (START, FLUSH, BLOCK_DDL, BLOCK_COMMIT)


class BackupStages:
    """The backup locks of one connection; a context manager whose end always releases them.

    ``open_second`` opens another connection to the same server: it names the blockers and ends a stage that does not
    obey its deadline. ``deadline`` is seconds to wait for each stage. ``times_ms`` holds, for each stage in small
    letters, how long it was held until the next one was granted, and as ``<stage>_wait`` how long it was waited for.
    ``own`` are ids of other sessions of this backup, which are in nobody's way.
    """

    def __init__(
        self,
        connection: Connection,
        open_second: Callable[[], Connection],
        deadline: float,
        own: Collection[int] = (),
    ) -> None:
        self._connection = connection
        self._open_second = open_second
        self._deadline = deadline
        self._own = own
        self._stage: str | None = None
        self._since = 0.0
        self.times_ms: dict[str, float] = {}

    def __enter__(self) -> BackupStages:
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        if kind is None:
            self.end()
        else:
            self._release()

    @property
    def stage(self) -> str | None:
        """The stage that is held, None when no lock is."""
        return self._stage

    def start(self, deadline: float | None = None) -> None:
        """Announce the backup: from here DDL is written to the server's ddl.log. Raises LockTimeout."""
        self._enter_stage(START, deadline)

    def flush(self, deadline: float | None = None) -> None:
        """Flush non-transactional tables that are not in use. Raises LockTimeout."""
        self._enter_stage(FLUSH, deadline)

    def block_ddl(self, deadline: float | None = None) -> None:
        """Block DDL and writes to non-transactional tables. Raises LockTimeout."""
        self._enter_stage(BLOCK_DDL, deadline)

    def block_commit(self, deadline: float | None = None) -> None:
        """Block commits: the instant of the backup. Raises LockTimeout."""
        self._enter_stage(BLOCK_COMMIT, deadline)

    def end(self) -> None:
        """Release every lock. Nothing happens when none is held.

        Raises ServerError when the locks turn out to be lost: then nobody knows what changed in the meantime.
        """
        if self._stage is None:
            return
        _log.info("BACKUP STAGE END")
        try:
            self._connection.execute("BACKUP STAGE END")
        except ServerError:
            # a session that cannot release its locks is ended: the server releases them with it
            self._connection.close()
            raise
        finally:
            self._note_held()

    # --- inside --------------------------------------------------------------------------------------

    def _enter_stage(self, stage: str, deadline: float | None) -> None:
        seconds = self._deadline if deadline is None else deadline
        self._connection.execute(f"SET SESSION lock_wait_timeout = {max(1, math.ceil(seconds))}")
        _log.info("BACKUP STAGE %s asked for, %g s at most", stage, seconds)
        asked = time.monotonic()
        guard = DeadlineGuard(
            self._connection.thread_id,
            self._open_second,
            seconds,
            lambda other, ids: find_blockers(other, {*ids, *self._own}),
        )
        try:
            with guard:
                self._connection.execute(f"BACKUP STAGE {stage}")
            if guard.fired:
                # granted so late that the order to stop crossed it: too late is not granted
                self._stage = self._stage or stage
                self._release()
                raise self._timeout(stage, seconds, time.monotonic() - asked, guard)
        except ServerError as error:
            self._release()
            if not (is_timeout(error) or guard.fired):
                raise
            raise self._timeout(stage, seconds, time.monotonic() - asked, guard) from error
        except BaseException:
            # stopped while the server still waits: only the end of the session makes it give up
            self._connection.close()
            self._note_held()
            raise
        granted = time.monotonic()
        self._note_held()
        self._stage, self._since = stage, granted
        self.times_ms[f"{stage.lower()}_wait"] = milliseconds(granted - asked)
        _log.info("BACKUP STAGE %s granted after %.1f ms", stage, (granted - asked) * 1000)

    def _note_held(self) -> None:
        if self._stage is not None:
            self.times_ms[self._stage.lower()] = milliseconds(time.monotonic() - self._since)
            _log.debug("stage %s was held for %.1f ms", self._stage, self.times_ms[self._stage.lower()])
            self._stage = None

    def _release(self) -> None:
        """Release without a word: an error is on its way already."""
        if self._stage is None:
            return
        _log.info("BACKUP STAGE END, after an error in stage %s", self._stage)
        try:
            self._connection.execute("BACKUP STAGE END")
        except XtrabackupError:
            self._connection.close()
        self._note_held()

    def _timeout(self, stage: str, deadline: float, waited: float, guard: DeadlineGuard) -> LockTimeout:
        blockers = guard.found()
        names = "; ".join(describe(blocker) for blocker in blockers[:5]) or "no session could be found"
        return LockTimeout(
            f"BACKUP STAGE {stage} was not granted within {deadline:g} s and was given up; in the way: {names}",
            stage=stage,
            deadline=deadline,
            waited=round(waited, 3),
            blockers=[blocker.as_dict() for blocker in blockers],
        )
