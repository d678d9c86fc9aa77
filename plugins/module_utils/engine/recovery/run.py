# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery by InnoDB itself: the installed server, run over a directory without network or option files.

What is common to all servers: the process and its log, progress, the proof that all redo was used, a run that stalls or
fails. What differs is in ``mariadb/server.py`` and ``mysql/server.py``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import IO, Callable

from ..errors import RecoveryFailed, RecoveryIncomplete
from ..format.family import Family
from ..host import confinement
from ..host.handover import Handover
from ..progress import Progress
from .error_log import ENDED_WELL, RecoveryState
from .mariadb.server import MariadbRecoveryServer
from .mysql.server import MysqlRecoveryServer
from .process import POLL_SECONDS, ActivityWatch, HeldSignals, die_with_parent, drain
from .program import ServerProgram
from .recovery_server import ANSWER_SECONDS, RecoveryServer, RecoverySettings, Scratch
from .tablespaces import require_tablespaces

_log = logging.getLogger(__name__)

__all__ = ["RecoveryReport", "RecoverySettings", "recover"]

_FAILED_SECONDS = 60.0  # how long a server that reported an error may compute without a word or a byte
_HOPELESS_SECONDS = 2.0  # how long one that cannot go on may be silent
_KILL_SECONDS = 30.0

_SERVERS = {Family.MARIADB: MariadbRecoveryServer, Family.MYSQL: MysqlRecoveryServer}


@dataclass(frozen=True)
class RecoveryReport:
    """Report of a recovery. ``recovered_lsn``: the end of the redo log that was applied (bytes of redo);
    ``gtid_executed``: the GTID set of the recovered data, None where the server has none to tell (MariaDB);
    ``events_disabled``: which events were disabled, None when none had to be."""

    recovered_lsn: int
    rolled_back: int
    prepared_transactions: int
    seconds: float
    server_version: str
    warnings: list[str] = field(default_factory=list)
    gtid_executed: str | None = None
    enabled_events: int | None = None
    events_disabled: list[str] | None = None

    def as_dict(self) -> dict[str, object]:
        """The report as modules return it."""
        unsaid = {name for name in ("gtid_executed", "events_disabled") if getattr(self, name) is None}
        left_out = unsaid | {"warnings", "enabled_events"}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def recover(
    held: Handover,
    settings: RecoverySettings,
    program: ServerProgram,
    *,
    last_lsn: int,
    scratch: Scratch,
    progress: Progress,
    stall_timeout: float,
    redo_proven: Callable[[int], None] = lambda _lsn: None,
) -> RecoveryReport:
    """Recover the database files in the directory that was handed over up to ``last_lsn``; temporary files go to
    ``scratch``, which is in it. The server runs as the account that has the directory, and is never root.

    ``redo_proven`` is called once, as soon as the server has found the end of the log at or after ``last_lsn``.
    ``stall_timeout`` in seconds: how long the server may neither say nor do anything.

    Raises RecoveryIncomplete when the log ends before ``last_lsn``, BackupIncomplete when the recovered dictionary
    names a tablespace that is not there, and for all else that can go wrong the error that the server's log tells of,
    at least RecoveryFailed; with ``details["lost"]`` where another run could not do better. The server is never left
    running.
    """
    started = time.monotonic()
    server: RecoveryServer = _SERVERS[program.family](held, settings, program, scratch)
    run = _Run(server, held, settings, last_lsn, progress, stall_timeout, redo_proven)
    state = run.run(program, scratch)
    require_tablespaces(held.own, state.tablespaces, program.family, settings.missing_tables)
    warnings = [f"server: {text}" for text in [*state.errors, *state.warnings] if text not in state.checked]
    if run.unconfined:
        warnings.append(
            f"the server that recovered the backup had no namespaces of its own ({run.unconfined}): the network, and "
            "what every account may read or write, was not hidden from it"
        )
    if state.prepared_transactions:
        warnings.append(
            f"{state.prepared_transactions} XA transactions are prepared and wait for XA COMMIT or XA ROLLBACK "
            "(XA RECOVER lists them)"
        )
    return RecoveryReport(
        recovered_lsn=state.end_of_log_lsn or 0,
        rolled_back=state.rolled_back,
        prepared_transactions=state.prepared_transactions,
        seconds=round(time.monotonic() - started, 3),
        server_version=state.server_version or program.version,
        warnings=warnings,
        gtid_executed=state.gtid_executed,
        enabled_events=state.enabled_events,
        events_disabled=state.events_disabled,
    )


class _Run:
    """One run of the server."""

    def __init__(
        self,
        server: RecoveryServer,
        held: Handover,
        settings: RecoverySettings,
        last_lsn: int,
        progress: Progress,
        stall_timeout: float,
        redo_proven: Callable[[int], None],
    ) -> None:
        self._server = server
        self._held = held
        self._directory = held.directory
        self._settings = settings
        self._last_lsn = last_lsn
        self._progress = progress
        self._stall_timeout = stall_timeout
        self._redo_proven = redo_proven
        self._proven = False
        self._phase = ""
        self._state = server.state
        self._rolled_back = False
        self.unconfined = ""  # why the server had no namespaces of its own

    def run(self, program: ServerProgram, scratch: Scratch) -> RecoveryState:
        arguments = self._server.arguments()
        self._held.hand_over()
        signals = HeldSignals()
        try:
            process, self.unconfined = confinement.start(
                arguments,
                program=program.path,
                directory=self._directory,
                account=self._held.account,
                last=die_with_parent(os.getpid(), signals),
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": str(scratch.path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            _log.info("server %s started as process %d for %s", program.path, process.pid, self._held.account)
            if self.unconfined:
                _log.info("it has no namespaces of its own: %s", self.unconfined)
            self._supervise(process, signals)
        finally:
            signals.release()
            self._held.end_processes()
        return self._state

    def _supervise(self, process: subprocess.Popen[bytes], held: HeldSignals) -> None:
        """Be with the server until its end; it does not outlive this, whatever happens."""
        stdin, stderr = _pipes(process)
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=drain, args=(stderr, lines), daemon=True)
        reader.start()
        try:
            held.release()
            self._server.attach(process)
            self._follow(process, lines)
            self._require_success(self._wait(process))
        finally:
            if process.poll() is None:
                _log.info("killing process %d", process.pid)
                process.kill()
                process.wait()
            self._server.close()
            with contextlib.suppress(BrokenPipeError):
                stdin.close()
            _log.info("process %d ended with status %s", process.pid, process.returncode)
            reader.join(_KILL_SECONDS)
            stderr.close()

    def _follow(self, process: subprocess.Popen[bytes], lines: queue.SimpleQueue[str | None]) -> None:
        """Read the log until the server closes it; tell the server to end when it has nothing left to do."""
        watch = ActivityWatch(process.pid)
        while True:
            asking = self._server.answers and not self._rolled_back
            try:
                line = lines.get(timeout=ANSWER_SECONDS if asking else POLL_SECONDS)
            except queue.Empty:
                self._require_activity(watch)
            else:
                if line is None:
                    return
                watch.note_output()
                self._state.feed(line)
                self._note_end_of_log()
                self._report()
            if asking and self._server.has_rolled_back():
                self._rolled_back = True
                self._enter("shutting down", None)
                _log.info("recovery is done; ending the server")
                self._server.end()

    def _note_end_of_log(self) -> None:
        state = self._state
        found = state.end_of_log_lsn
        if found is None and state.scan_is_proof and (state.scanned_lsn or 0) >= self._last_lsn:
            found = state.scanned_lsn
        if found is None or self._proven:
            return
        if found < self._last_lsn:
            raise RecoveryIncomplete(
                f"the redo log in {self._directory} ends at LSN {found}, and the backup reaches LSN {self._last_lsn}",
                path=str(self._directory),
                found_lsn=found,
                last_lsn=self._last_lsn,
            )
        self._proven = True
        _log.info("the redo log ends at LSN %d, wanted %d", found, self._last_lsn)
        self._redo_proven(found)

    def _require_activity(self, watch: ActivityWatch) -> None:
        idle = watch.idle_seconds()
        # a start that failed (a full disk) can leave its threads waiting for each other in a busy loop, for ever
        timeout = _HOPELESS_SECONDS if self._state.hopeless else min(self._stall_timeout, _FAILED_SECONDS)
        if self._state.errors and watch.quiet_seconds() > timeout:
            raise self._server.error("it did not end, and was ended")
        if idle > self._stall_timeout:
            raise RecoveryFailed(
                f"the server that recovers {self._directory} has neither said nor done anything for {idle:.0f} s, in "
                f"phase {self._state.phase}: {' | '.join(list(self._state.tail)[-3:])}",
                remedy="The details hold its log; run this again, with a longer timeout if the storage is that slow.",
                log=list(self._state.tail),
            )

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            # the log is closed, so the process is past all its work
            return process.wait(timeout=max(self._stall_timeout, _KILL_SECONDS))
        except subprocess.TimeoutExpired:
            raise RecoveryFailed(
                f"the server that recovered {self._directory} does not end", log=list(self._state.tail)
            ) from None

    def _require_success(self, status: int) -> None:
        """Raises unless the run was a whole and clean one."""
        if status:
            ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            if status == -signal.SIGKILL:
                self._state.errors.append("killed: out of memory, or by an administrator")
            raise self._server.error(ended)
        if not self._rolled_back or not self._proven:
            raise self._server.error("it ended before recovery was done")
        # a table whose file the source lacked, too, has not lost anything here
        lost = [loss for loss in self._state.losses if loss.table not in self._settings.missing_tables]
        if lost:
            error = self._server.error(ENDED_WELL)
            # its log is used up
            error.details.setdefault("lost", [loss.text for loss in lost])
            raise error

    def _report(self) -> None:
        """Turn the state into progress: bytes of redo read, bytes of pages applied."""
        state = self._state
        if self._rolled_back:
            return
        if state.phase == "reading redo" and state.checkpoint_lsn is not None and state.scanned_lsn is not None:
            self._enter(state.phase, max(self._last_lsn - state.checkpoint_lsn, 0))
            self._progress.at(state.scanned_lsn - state.checkpoint_lsn)
        elif state.phase == "applying redo":
            self._enter(state.phase, None)
            if state.pages_left is not None:
                self._progress.at((state.pages_most - state.pages_left) * self._settings.page_size)
        else:
            self._enter(state.phase, None)

    def _enter(self, phase: str, total: int | None) -> None:
        if phase != self._phase:
            self._phase = phase
            self._progress.phase(phase, total)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stderr is None:
        raise RecoveryFailed("the server was started without pipes")
    return process.stdin, process.stderr
