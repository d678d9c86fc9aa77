# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a live MariaDB redo log from its newest checkpoint and copy it, proving that nothing was overwritten.

The log is a ring that the server overwrites as soon as it has checkpointed past it, without waiting for readers.
What was read from LSN x on is handed on only when both are so:

* it parses as mini-transactions of x's lap: the end markers of the next lap have another sequence bit, and a mixture
  of two laps has a wrong checksum. Only bytes of two laps later could look the same;
* a look at the server after the read rules that out: the newest checkpoint on disk is not after x (the server keeps
  everything since its checkpoint), or the server's current LSN is less than two laps ahead of x.

Mini-transactions in the block that the log ends in are only believed when it has gone on into the next one, or when the
server's own word for where one ends (a checkpoint, the target) confirms them; see MariadbWalk.

What does not parse is overwritten if the server's current LSN is a lap ahead (less one padded write); it is the tail
if the log has no checkpoint behind it; otherwise it is read again, as it may be torn.

The server's ``Innodb_lsn_flushed`` says nothing about which bytes are in the file (with
innodb_flush_log_at_trx_commit other than 1 they come later or earlier): the bytes themselves are followed.
"""

from __future__ import annotations

import time
from typing import Callable

from ...errors import Cancelled, RedoCorrupt, RedoOverwritten, XtrabackupError
from ...innodb.mariadb.redo_format import MariadbCheckpoint, MariadbWalk, MariadbWalkEnd
from ...units import format_size
from ..log_follower import LogFollower, LogOutput, suggested_size
from .redo_files import LogFile

_SMALL_READ = 64 << 10  # bytes, at the tail of the log
_LARGE_READ = 4 << 20  # bytes, when far behind
_LARGEST_MTR = 64 << 20  # bytes: anything beyond is not a mini-transaction (servers hold it in their log buffer)
_TAIL_WAIT = 0.01  # seconds before looking again after reaching the tail
_IDLE_WAIT = 0.02  # seconds between looks at a log that does not grow
_PADDED_WRITE = 4096  # bytes by which the server's last write may reach past its LSN
_LAPS_IF_PARSED = 2  # ahead of verified bytes, the server could have written others that look as good
_TORN_WAIT = 0.005  # seconds between re-reads of bytes that must be there
_TORN_RETRIES = 400


class RedoFollower(LogFollower):
    """Copies a server's redo log in a thread of its own, from the newest checkpoint at ``start`` on.

    ``current_lsn`` asks the server for Innodb_lsn_current; only the follower's thread calls it.
    ``output`` receives a log header (in ``start``) and then, from one thread, mini-transactions as in a log that never
    wrapped. It is complete when ``follow_until`` returns; the caller closes it. ``on_failure`` is called once, from the
    follower's thread, when following fails; ``follow_until`` raises that error too.

    An output that is slower than the server writes redo loses the log: put a Spool between them.
    """

    def __init__(
        self,
        log_path: str,
        server_version: str,
        current_lsn: Callable[[], int],
        output: LogOutput,
        on_failure: Callable[[XtrabackupError], None],
    ) -> None:
        super().__init__(log_path, output, on_failure)
        self._server_version = server_version
        self._current_lsn = current_lsn
        self._log: LogFile | None = None
        self._read_size = _LARGE_READ
        self._overshoots = 0
        self._torn_reads = 0
        self._checkpoint: MariadbCheckpoint | None = None
        self._started = time.monotonic()
        self._started_lsn = 0

    # --- what the job sees

    @property
    def checkpoint_lsn(self) -> int:
        """The LSN that the copy starts at, and recovery will start at."""
        return self._starting_checkpoint().lsn

    @property
    def end_lsn(self) -> int:
        """The LSN of the records that recovery reads first: names of changed files, FILE_CHECKPOINT."""
        return self._starting_checkpoint().end_lsn

    def start(self) -> None:
        """Find the newest checkpoint, write the header of the copied log and start to follow.

        Raises UnsupportedServer or UnknownFormat for a log that cannot be followed, RedoCorrupt, StorageError.
        """
        self._log = LogFile(self._path)
        try:
            self._checkpoint = self._log.newest_checkpoint()
            self._lsn = self._checkpoint.lsn
            self._started_lsn = self._checkpoint.end_lsn
            self._started = time.monotonic()
            self._output.write(self._log.format.render_backup_header(self._checkpoint, self._server_version))
        except BaseException:
            self._close()
            raise
        self._start_thread()

    def newest_checkpoint(self) -> MariadbCheckpoint:
        """The newest checkpoint in the server's log now (for the backup's to_lsn)."""
        log = LogFile(self._path)
        try:
            return log.newest_checkpoint()
        finally:
            log.close()

    # --- the thread

    def _server_lsn(self) -> int:
        return self._current_lsn()

    def _close(self) -> None:
        if self._log:
            self._log.close()

    def _follow(self) -> None:
        self._follow_to(self.end_lsn)
        # recovery looks for that record, so the copy holds it even if the target is before it
        self._follow_to(self._find_file_checkpoint())
        while not self._stopped.is_set():
            limit = self._limit
            if limit is not None and self._lsn >= limit:
                return
            self._step(limit)

    def _follow_to(self, limit: int) -> None:
        """Copy to the boundary at or after ``limit``."""
        while self._lsn < limit and not self._stopped.is_set():
            self._step(limit)

    def _find_file_checkpoint(self) -> int:
        """The LSN behind the record that recovery of the copy will look for at end_lsn."""
        checkpoint, log = self._starting_checkpoint(), self._open_log()
        size = _SMALL_READ
        # it was on disk before the checkpoint was: no waiting, only a larger window where there are many files
        while self._lsn == checkpoint.end_lsn:
            window = log.read(checkpoint.end_lsn, size)
            found = log.format.file_checkpoint_size(window, log.header, checkpoint)
            self._require_not_overwritten(checkpoint.end_lsn, _LAPS_IF_PARSED if found else 1)
            if found:
                return checkpoint.end_lsn + found
            if self._stopped.is_set():
                raise Cancelled(f"following the redo log {self._path} was stopped")
            if len(window) < size or size >= _LARGEST_MTR:
                break
            size *= 2
        raise RedoCorrupt(
            f"{self._path}: no FILE_CHECKPOINT record of checkpoint LSN {checkpoint.lsn} at LSN {checkpoint.end_lsn}",
            path=self._path,
            lsn=checkpoint.end_lsn,
            offset=log.header.offset(checkpoint.end_lsn),
        )

    def _step(self, limit: int | None) -> None:
        """Read once, copy what is verified, wait if that was the tail."""
        log = self._open_log()
        window = log.read(self._lsn, self._read_size)
        walked = log.format.walk(window, self._lsn, log.header, limit)
        size = walked.size if self._reaches(limit, walked) else walked.stable
        if size:
            self._require_not_overwritten(self._lsn, _LAPS_IF_PARSED)
            with memoryview(window) as view:
                self._copy(view[:size], self._lsn + size)
            self._torn_reads = 0
        self._after_walk(walked, size, len(window))

    def _reaches(self, limit: int | None, walked: MariadbWalk) -> bool:
        """Returns whether the walk leads to ``limit``, an LSN at which a mini-transaction ends: then all of it is true.
        One that leads past it is not believed at once: what was to be there may not be written yet."""
        if limit is None or walked.end is not MariadbWalkEnd.LIMIT:
            return False
        if self._lsn + walked.size == limit or self._overshoots >= _TORN_RETRIES:
            return True
        self._overshoots += 1
        self._pause(_TORN_WAIT)
        return False

    def _after_walk(self, walked: MariadbWalk, size: int, window_size: int) -> None:
        """Choose the size of the next read, ``size`` bytes having been taken; at the tail, wait."""
        self._at_tail = False
        if walked.end is MariadbWalkEnd.LIMIT:
            return
        if walked.end is MariadbWalkEnd.WINDOW:
            if size:
                self._read_size = _LARGE_READ
                return
            if self._grow_window(window_size):
                return
        self._read_size = _SMALL_READ
        self._at_tail = True
        if size:
            self._pause(_TAIL_WAIT)
        else:
            self._wait_at_tail(walked)

    def _grow_window(self, window_size: int) -> bool:
        """Doubles the window for a mini-transaction that did not fit in it; returns whether that was possible."""
        if window_size >= min(self._open_log().header.capacity, _LARGEST_MTR):
            return False
        # old bytes behind the tail may look like the start of something huge, and so may overwritten ones: read more
        # only of what the server says is there
        self._require_not_overwritten(self._lsn, 1)
        if self._current_lsn() < self._lsn + window_size:
            return False
        self._read_size = 2 * window_size
        return True

    def _wait_at_tail(self, walked: MariadbWalk) -> None:
        """Nothing could be taken: normal where nothing was written yet; bytes before a checkpoint must be there."""
        log = self._open_log()
        checkpoint = log.newest_checkpoint()
        if checkpoint.end_lsn <= self._lsn:
            self._torn_reads = 0
            self._pause(_IDLE_WAIT if self._limit is None else _TAIL_WAIT)
            return
        self._require_not_overwritten(self._lsn, 1)
        if walked.size:
            self._follow_to(checkpoint.end_lsn)  # held back so far: the checkpoint proves it
            return
        self._torn_reads += 1
        if self._torn_reads > _TORN_RETRIES:
            raise RedoCorrupt(
                f"{self._path}: the redo log cannot be parsed at LSN {self._lsn} (file offset "
                f"{log.header.offset(self._lsn)}: {walked.end.value}), "
                f"though the server has a checkpoint at LSN {checkpoint.lsn}",
                remedy="Look into the server's error log and its storage; then run the backup again.",
                path=self._path,
                lsn=self._lsn,
                offset=log.header.offset(self._lsn),
            )
        log.drop_cached()
        self._pause(_TORN_WAIT)

    def _require_not_overwritten(self, lsn: int, laps: int) -> None:
        """Raises RedoOverwritten unless the server is less than ``laps`` ahead of what was read from ``lsn`` on."""
        log = self._open_log()
        if log.newest_checkpoint().lsn <= lsn:
            return
        current = self._current_lsn()
        behind, capacity = current - lsn, log.header.capacity
        if behind < laps * capacity - _PADDED_WRITE:
            return
        rate = (current - self._started_lsn) / max(time.monotonic() - self._started, 1e-3)
        raise RedoOverwritten(
            f"{self._path}: the server overwrote its redo log before it was read: at LSN {lsn} the copy was "
            f"{format_size(behind)} behind the server (LSN {current}), and the log holds {format_size(capacity)}; "
            f"the server wrote {format_size(rate)} of redo a second",
            remedy="Set innodb_log_file_size to several times what the server writes while the backup waits "
            f"(SET GLOBAL innodb_log_file_size = {suggested_size(behind, capacity)}), back up at a quieter time, or "
            "give the backup a faster target.",
            path=self._path,
            lsn=lsn,
            current_lsn=current,
            behind=behind,
            capacity=capacity,
            bytes_per_second=int(rate),
        )

    def _starting_checkpoint(self) -> MariadbCheckpoint:
        if self._checkpoint is None:
            raise RuntimeError("the redo follower was not started")
        return self._checkpoint

    def _open_log(self) -> LogFile:
        if self._log is None:
            raise RuntimeError("the redo follower was not started")
        return self._log
