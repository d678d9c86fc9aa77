# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a live MySQL redo log from its newest checkpoint and copy it to an exact LSN.

Every block says by number, epoch and checksum which part of the log it is, and a full block is never written again:
what verifies is true, whatever the server does to its files. A block that is not the expected one is

* the tail, as long as its file is still there under its name and nothing newer is;
* recycled, when the file is not: the LSN is looked for again. When the log starts after it, it is read from the
  server's archive until the log's own files have what follows; without an archive that has it, it was overwritten.

The last block is copied once, at the end, cut to the target: mini-transactions after it would make the data newer than
the coordinates that are recorded for it. The server does not stand still for the target, so from ``hold`` on what is
read is kept in memory until the target is known; the server may meanwhile recycle its files.
"""

from __future__ import annotations

import contextlib
import time
from typing import Callable

from ...errors import (
    Option,
    RedoCorrupt,
    RedoOverwritten,
    RedoReplaced,
    ServerError,
    StorageError,
    UnsupportedServer,
    XtrabackupError,
)
from ...innodb.mysql.keyring import Keyring
from ...innodb.mysql.redo_cipher import RedoCipher
from ...innodb.mysql.redo_format import (
    BLOCK_HEADER_SIZE,
    BLOCK_SIZE,
    CRASH_UNSAFE,
    NO_LOGGING,
    NOT_INITIALIZED,
    BlockCipher,
    MysqlCheckpoint,
    MysqlWalk,
    MysqlWalkEnd,
    block_start,
)
from ...innodb.mysql.redo_index_load import IndexLoad, IndexLoads
from ...server.mysql.redo_status import RedoStatus
from ...units import format_size
from ..log_follower import LogFollower, LogOutput, suggested_size
from .redo_archive import ArchivedRedo
from .redo_files import RedoDirectory, RedoFile

_SMALL_READ = 64 << 10  # bytes, at the tail of the log
_LARGE_READ = 4 << 20  # bytes, when far behind
_TAIL_WAIT = 0.01  # seconds before looking again after reaching the tail
_IDLE_WAIT = 0.02  # seconds between looks at a log that does not grow
_TORN_WAIT = 0.005  # seconds between re-reads of bytes that must be there
_TORN_RETRIES = 400
_ARCHIVE_WAIT = 30.0  # seconds that an archive may stand still while the log goes on
_PROGRESS_INTERVAL = 0.5  # seconds between calls of on_progress
_FLAGS_INTERVAL = 0.05  # seconds between looks at the flags of the log
_LARGEST_AHEAD = 64 << 20  # bytes that are read ahead while the target is not known
_UNSAFE_FLAGS = NO_LOGGING | CRASH_UNSAFE | NOT_INITIALIZED


class MysqlRedoFollower(LogFollower):
    """Copies a server's redo log in a thread of its own, from the newest checkpoint at ``start`` on.

    ``status`` asks the server where its log is; only the follower's thread calls it.
    ``output`` receives a log header (in ``start``) and then, from one thread, blocks. It is complete when
    ``follow_until`` returns; the caller closes it. ``on_failure`` is called once, from the follower's thread, when
    following fails; ``follow_until`` raises that error too. ``on_progress`` is called from that thread with the LSN up
    to which is copied, at least every second as long as the output takes what it is given (RedoConsumer.advance).
    ``archive`` is the file that the server archives this log in meanwhile (RedoArchive.path), "" when it does not.

    Call ``hold`` before the target is read from the server, and ``follow_until`` after it.
    """

    def __init__(
        self,
        redo_directory: str,
        server_version: str,
        status: Callable[[], RedoStatus],
        output: LogOutput,
        on_failure: Callable[[XtrabackupError], None],
        keyring: Keyring | None = None,
        server_uuid: str = "",
        on_progress: Callable[[int], None] | None = None,
        archive: str = "",
    ) -> None:
        super().__init__(redo_directory, output, on_failure)
        self._server = {"server_version": server_version, "server_uuid": server_uuid}
        self._status = status
        self._keyring = keyring
        self._on_progress = on_progress
        self._directory = RedoDirectory(redo_directory)
        self._file: RedoFile | None = None
        self._archive_path = archive
        self._archive: ArchivedRedo | None = None
        self._in_archive = False
        self._archive_moved_at = 0.0
        self._cipher: BlockCipher | None = None
        self._checkpoint: MysqlCheckpoint | None = None
        self._held = False
        self._ahead = bytearray()  # verified blocks that follow what is copied
        self._loads = IndexLoads()
        self._searched_lsn = 0  # up to which records of index loads are known
        self._read_size = _LARGE_READ
        self._torn_reads = 0
        self._progress_at = 0.0
        self._flags_at = 0.0
        self._started = time.monotonic()
        self._started_lsn = 0

    # --- what the job sees

    @property
    def checkpoint_lsn(self) -> int:
        """The LSN that recovery of the copy will start at."""
        if self._checkpoint is None:
            raise RuntimeError("the redo follower was not started")
        return self._checkpoint.lsn

    def start(self) -> None:
        """Find the newest checkpoint, write the header of the copied log and start to follow.

        Raises UnsupportedServer or UnknownFormat for a log that cannot be followed or is another server's, RedoCorrupt,
        StorageError.
        """
        try:
            start = self._directory.start()
            self._require_log_of_server(start.log_uuid)
            self._require_safe_flags(start.flags, self._path)
            self._checkpoint = start.checkpoint
            self._lsn = block_start(start.checkpoint.lsn)
            self._started_lsn = self._lsn
            self._file = self._find_file()
            if self._archive_path:
                # gone with its session: then it is as if there were none
                with contextlib.suppress(StorageError):
                    self._archive = ArchivedRedo(self._archive_path, start.format)
            if start.encryption_info and self._keyring:
                self._cipher = RedoCipher.unwrap(start.encryption_info, self._keyring, self._path)
            self._walk(self._file.read(self._lsn, BLOCK_SIZE))
            self._output.write(start.format.render_header(start.checkpoint, start.log_uuid, start.encryption_info))
        except BaseException:
            self._close()
            raise
        self._started = time.monotonic()
        self._start_thread()

    def index_loads(self, lsn: int, timeout: float) -> list[IndexLoad]:
        """Returns the index loads, which are written without redo, that the log names up to ``lsn``, which must be in
        the log or on its way there; some of them may be none. Raises the follower's error, or ServerError after
        ``timeout`` seconds."""
        # a block that holds nothing yet may not be there
        wanted = block_start(lsn) if lsn % BLOCK_SIZE <= BLOCK_HEADER_SIZE else lsn
        deadline = time.monotonic() + timeout
        while self._searched_lsn < wanted:
            if self._error:
                raise self._error
            if time.monotonic() > deadline or self._stopped.is_set():
                raise self._not_reached(lsn, timeout)
            time.sleep(_TORN_WAIT)
        return list(self._loads.found)

    def hold(self) -> None:
        """Copy nothing that is read from now on, until ``follow_until`` says how far to go: what the server writes
        between the reading of the target and the end of the backup is not part of it."""
        self._held = True

    def follow_until(self, target_lsn: int, timeout: float) -> int:
        """Follow to exactly ``target_lsn``, an LSN that the server was at after ``hold``, and end; returns it.

        Raises what the follower failed with, or ServerError after ``timeout`` seconds or when more was copied already.
        """
        reached = super().follow_until(target_lsn, timeout)
        if reached > target_lsn:
            raise ServerError(
                f"{self._path}: the copy of the redo log is at LSN {reached} already, after the target {target_lsn}",
                path=self._path,
                lsn=reached,
                target_lsn=target_lsn,
            )
        return reached

    def newest_checkpoint(self) -> MysqlCheckpoint:
        """The newest checkpoint in the server's log now (for the backup's to_lsn)."""
        return self._directory.start().checkpoint

    # --- the thread

    def _server_lsn(self) -> int:
        return self._status().current_lsn

    def _close(self) -> None:
        for file in (self._file, self._archive):
            if file:
                file.close()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            limit = self._limit
            if limit is not None and self._lsn >= limit:
                break
            self._step()
            self._report()
        if self._in_archive:
            self._require_safe_flags(self._directory.start().flags, self._path)
        else:
            self._require_redo_logging(self._open_file())

    @property
    def _next_lsn(self) -> int:
        """The LSN that is read next."""
        return self._lsn + len(self._ahead)

    def _step(self) -> None:
        """Read once, take what is verified, wait if that was the tail."""
        if self._held and self._limit is None and len(self._ahead) >= _LARGEST_AHEAD:
            self._pause(_TAIL_WAIT)
            return
        file = self._archive if self._in_archive and self._archive else self._open_file()
        window = file.read(self._next_lsn, self._read_size)
        # in this order: what was read before hold() was in the log before the target was asked for
        held, limit = self._held, self._limit
        walked = self._walk(window)
        self._search(window, walked)
        if held or limit is not None:
            self._ahead += window[: walked.size]
            if limit is not None:
                last = window[walked.size : walked.size + BLOCK_SIZE]
                self._copy_until(limit, last, walked.used)
                if self._lsn >= limit:
                    return
        elif walked.size:
            with memoryview(window) as view:
                self._copy(view[: walked.size], self._lsn + walked.size)
        self._after_walk(walked)

    def _search(self, window: bytearray, walked: MysqlWalk) -> None:
        """Look for index loads in what was walked over, and in the block behind it as far as it is used."""
        end = walked.size + BLOCK_SIZE * bool(walked.used)
        plain = self._cipher.decrypt(bytes(window[:end])) if self._cipher else bytes(window[:end])
        lsn = self._next_lsn + walked.size
        self._loads.feed(plain[: walked.size], lsn)
        if walked.used:
            self._loads.peek(plain[walked.size :][: walked.used], lsn + walked.used)
        self._searched_lsn = lsn + walked.used

    def _copy_until(self, limit: int, last: bytearray, used: int) -> None:
        """Copy what was read ahead, at most to ``limit``; ``last`` is the block behind it, of which so many bytes are
        used (none: it is not there yet)."""
        if self._lsn >= limit:
            return
        full = min(len(self._ahead), block_start(limit - self._lsn))
        with memoryview(self._ahead) as view:
            self._copy(view[:full], self._lsn + full)
        rest = limit - self._lsn
        if len(self._ahead) > full:
            last, used = self._ahead[full : full + BLOCK_SIZE], BLOCK_SIZE
        self._ahead.clear()
        if 0 < rest <= BLOCK_HEADER_SIZE:
            # nothing of the next block, which may not be written yet
            self._copy(self._open_file().format.render_block(self._lsn), limit)
        elif 0 < rest < BLOCK_SIZE and rest <= used:
            self._copy(self._open_file().format.cut_block(last, rest, self._cipher), limit)

    def _after_walk(self, walked: MysqlWalk) -> None:
        """Choose the size of the next read; at the tail, wait."""
        self._at_tail = False
        if walked.size:
            self._torn_reads = 0
            self._archive_moved_at = time.monotonic()
            if walked.end is MysqlWalkEnd.WINDOW:
                self._read_size = _LARGE_READ
                return
        self._read_size = _SMALL_READ
        self._at_tail = True
        if walked.size:
            self._pause(_TAIL_WAIT)
        elif self._in_archive:
            self._wait_for_archive()
        else:
            self._wait_at_tail(self._open_file(), walked)

    def _walk(self, window: bytearray) -> MysqlWalk:
        walked = self._open_file().format.walk(window, self._next_lsn, self._cipher)
        if walked.end is MysqlWalkEnd.NO_CHECKSUM:
            lsn = self._next_lsn + walked.size
            raise UnsupportedServer(
                f"{self._path}: the redo log has blocks without a checksum (at LSN {lsn}), as innodb_log_checksums=OFF "
                "writes them: whether they were read whole cannot be told",
                remedy="SET GLOBAL innodb_log_checksums = ON, and back up when the server has made a checkpoint beyond "
                "that LSN (Innodb_redo_log_checkpoint_lsn).",
                path=self._path,
                lsn=lsn,
            )
        if walked.end is MysqlWalkEnd.ENCRYPTED:
            lsn = self._next_lsn + walked.size
            if self._keyring:
                raise RedoReplaced(
                    f"{self._path}: encryption of the redo log was switched on during the backup (at LSN {lsn})",
                    remedy="Do not change innodb_redo_log_encrypt during a backup; run the backup again.",
                    path=self._path,
                    lsn=lsn,
                )
            raise UnsupportedServer(
                f"{self._path}: the redo log is encrypted (at LSN {lsn}), and there is no key to verify it with",
                remedy=f"Give {Option('keyring_file')}, or set innodb_redo_log_encrypt=OFF, then back up.",
                path=self._path,
                lsn=lsn,
            )
        return walked

    def _wait_at_tail(self, file: RedoFile, walked: MysqlWalk) -> None:
        """Nothing could be taken: go on to the next file, wait for more, or find out that it is gone."""
        if walked.end is MysqlWalkEnd.INCOMPLETE:
            self._torn_reads = 0
            self._poll_flags(file)
            self._pause(_IDLE_WAIT if self._limit is None else _TAIL_WAIT)
            return
        if walked.end is MysqlWalkEnd.WINDOW or not file.is_current():
            found, oldest = self._directory.find(self._next_lsn)
            if found:
                self._require_redo_logging(file)
                self._go_on_in(found)
                return
            if oldest > self._next_lsn:
                if self._walk(file.read(self._next_lsn, _SMALL_READ)).size:
                    # filled and let go since it was read; it is still open, so the next step takes what it holds
                    return
                if not self._archive or not self._archive.reaches_back_to(self._next_lsn):
                    raise self._overwritten()
                self._in_archive = True
                self._archive_moved_at = time.monotonic()
                self._read_size = _LARGE_READ
                return
        self._poll_flags(file)
        self._torn_reads += 1
        if self._torn_reads % _TORN_RETRIES == 0:
            self._require_tail(file, walked)
        self._pause(_TORN_WAIT)

    def _wait_for_archive(self) -> None:
        """Nothing more is in the archive: go back to the log's own files, or wait until they or it have what follows.

        Raises RedoOverwritten when the archive has ended before the log's files begin.
        """
        found, oldest = self._directory.find(self._next_lsn)
        if found:
            self._go_on_in(found)
            return
        if oldest > self._next_lsn and time.monotonic() - self._archive_moved_at > _ARCHIVE_WAIT:
            raise self._overwritten()
        self._pause(_TAIL_WAIT)

    def _go_on_in(self, file: RedoFile) -> None:
        self._open_file().close()
        self._file = file
        self._in_archive = False
        self._read_size = _LARGE_READ

    def _require_tail(self, file: RedoFile, walked: MysqlWalk) -> None:
        """Nothing was readable for long: raises RedoCorrupt if the server has made a checkpoint after it."""
        checkpoint_lsn = self._status().checkpoint_lsn
        if checkpoint_lsn < self._next_lsn + BLOCK_SIZE:
            return
        raise RedoCorrupt(
            f"{file.path}: the redo log cannot be read at LSN {self._next_lsn} (file offset "
            f"{file.header.offset(self._next_lsn)}: {walked.end.value}), though the server has a checkpoint at LSN "
            f"{checkpoint_lsn}",
            remedy="Look into the server's error log and its storage; then run the backup again.",
            path=file.path,
            lsn=self._next_lsn,
            offset=file.header.offset(self._next_lsn),
        )

    def _poll_flags(self, file: RedoFile) -> None:
        """Check the flags now and then."""
        if time.monotonic() - self._flags_at >= _FLAGS_INTERVAL:
            self._require_redo_logging(file)

    def _require_redo_logging(self, file: RedoFile) -> None:
        """Raises UnsupportedServer when the server does not log everything any more."""
        self._flags_at = time.monotonic()
        with contextlib.suppress(RedoCorrupt):  # it is being written
            self._require_safe_flags(file.read_header().flags, file.path)

    @staticmethod
    def _require_safe_flags(flags: int, path: str) -> None:
        if flags & _UNSAFE_FLAGS:
            raise UnsupportedServer(
                f"{path}: redo logging is disabled on this server (flags {flags:#x}): what is written now cannot be "
                "recovered",
                remedy="Run ALTER INSTANCE ENABLE INNODB REDO_LOG, then run the backup again.",
                path=path,
                flags=flags,
            )

    def _overwritten(self) -> RedoOverwritten:
        current = self._status().current_lsn
        capacity = self._directory.capacity()
        behind = current - self._next_lsn
        rate = (current - self._started_lsn) / max(time.monotonic() - self._started, 1e-3)
        return RedoOverwritten(
            f"{self._path}: the server removed redo log files before they were read: at LSN {self._next_lsn} the copy "
            f"was {format_size(behind)} behind the server (LSN {current}), whose files hold {format_size(capacity)}; "
            f"the server wrote {format_size(int(rate))} of redo a second{self._archive_ended()}",
            remedy="Set innodb_redo_log_capacity to several times what the server writes while the backup waits "
            f"(SET GLOBAL innodb_redo_log_capacity = {suggested_size(behind, capacity)}), back up at a quieter time, "
            "give the backup a faster target, or let the server archive its redo log for backups "
            "(innodb_redo_log_archive_dirs).",
            path=self._path,
            lsn=self._next_lsn,
            current_lsn=current,
            behind=behind,
            capacity=capacity,
            bytes_per_second=int(rate),
            **self._server,
        )

    def _archive_ended(self) -> str:
        """Returns what an error adds about the archive; an empty text when there is no archive."""
        if not self._archive:
            return ""
        if not self._in_archive:
            return f"; its archive {self._archive.path} starts later (LSN {self._archive.start_lsn})"
        return f"; its archive {self._archive.path} ends there, too"

    def _require_log_of_server(self, log_uuid: int) -> None:
        status = self._status()
        if status.log_uuid not in (0, log_uuid):
            raise UnsupportedServer(
                f"{self._path} is not the redo log of the server that was connected to (its log has the uuid "
                f"{status.log_uuid}, this one {log_uuid})",
                remedy="Take the backup on the host that the server runs on, with a login to that very server.",
                path=self._path,
                log_uuid=log_uuid,
                **self._server,
            )

    def _find_file(self) -> RedoFile:
        """The file that the copy starts in."""
        for _attempt in range(_TORN_RETRIES):
            found, oldest = self._directory.find(self._next_lsn)
            if found:
                return found
            if oldest > self._next_lsn:
                raise self._overwritten()
            time.sleep(_TORN_WAIT)
        raise RedoCorrupt(
            f"{self._path}: no redo log file holds LSN {self._next_lsn}", path=self._path, lsn=self._next_lsn
        )

    def _report(self) -> None:
        """Tell how far the log was read, now and then, also when it did not go on (but not once memory is full)."""
        now = time.monotonic()
        if self._on_progress and len(self._ahead) < _LARGEST_AHEAD and now - self._progress_at >= _PROGRESS_INTERVAL:
            self._progress_at = now
            self._on_progress(self._next_lsn)

    def _open_file(self) -> RedoFile:
        if self._file is None:
            raise RuntimeError("the redo follower was not started")
        return self._file
