# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of the Aria engine, copied so that its tables are those of the instant at which commits were blocked.

The server writes to transactional Aria tables until then, so their copies are of different instants; its recovery
makes them one by the log. It begins at the checkpoint that the control file names. That checkpoint must be older than
the first copy of a table, so the control file is read before it, and kept; and the log must reach the instant of the
backup, so the control file that is kept names its last file as it is then. From stage START on the server purges no
log file.

Commits are blocked only for the end of the log: its head is copied before, and the rest is read into memory or a spool
and goes into the backup after the locks are released.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...errors import FormatError, LockTimeout, StorageError
from ...format.aria import TRANSLOG_PAGE_SIZE, ControlFile, Lsn, bounded_header, checkpoint_horizon, first_foreign_page
from ...format.file_kinds import ARIA_CONTROL_NAME, ARIA_LOG, ARIA_LOG_PREFIX
from ...host import durable
from ...manifest import FileEntry
from ...server.layout import ServerLayout
from ...stream.sink import Sink, SinkFile
from ..copier import READ_SIZE, CopierContext

_LOG_NAME = re.compile(ARIA_LOG.expression)

#: The server has 8 buffers of 1 MiB that it may be writing at the same time, in any order: what is further from the end
#: of the log than that does not change any more.
_IN_MOTION = 10 << 20

#: how far (bytes) the copy may be behind that when commits are blocked
_CLOSE_BEHIND = 2 << 20

#: A server that finds the end of its log damaged at its start leaves it so and begins the next file. Only a page that
#: stays as it is for so long (s) is taken for that.
_LEFT_DAMAGED = 0.5

_TAIL_IN_MEMORY = 32 << 20
_CONTROL_ATTEMPTS = 100
_MAX_CONTROL = 1 << 16  # bytes
_PAUSE = 0.01


@dataclass
class _LogFile:
    """One file of the log: how much of it (bytes) is in ``target``, what is still to go there, its entry when it is
    complete."""

    number: int
    source: Path
    offset: int = 0
    target: SinkFile | None = None
    tail: IO[bytes] | None = None
    entry: FileEntry | None = None

    @property
    def name(self) -> str:
        return self.source.name


class AriaLog:
    """The copy of the Aria log of one backup; the job calls it stage by stage. ``context`` throttles the head;
    ``timeout`` is seconds for the end of the log to stand still under the lock."""

    def __init__(
        self, layout: ServerLayout, sink: Sink, context: CopierContext, spool_directory: str, timeout: float
    ) -> None:
        self._directory = layout.aria_log_dir_path
        self._sink = sink
        self._context = context
        self._spool_directory = spool_directory
        self._timeout = timeout
        self._files: dict[int, _LogFile] = {}
        self._control: ControlFile | None = None
        self._last = 0

    def copy_head(self, buffer: memoryview) -> int:
        """Copy what there is and does not change any more; returns how many bytes of that there are now.

        From stage START on: before it the server may purge files.
        """
        behind = None
        while True:
            due = self._stable_parts()
            left = sum(limit - file.offset for file, limit, _whole in due)
            # a log that grows faster than it can be copied: its rest is spooled
            if not due or (behind is not None and (left < _CLOSE_BEHIND or left >= behind)):
                return left
            behind = left
            for file, limit, whole in due:
                self._append(file, limit, buffer)
                if whole and file.target is not None:
                    file.entry = file.target.close()

    def read_control(self) -> None:
        """Fix where recovery begins. Before the first table is copied, when there is no DDL any more."""
        path = self._directory / ARIA_CONTROL_NAME
        for attempt in range(_CONTROL_ATTEMPTS):
            try:
                with durable.storage_errors("reading", path):
                    self._control = ControlFile.parse(self._read(path), str(path))
                return
            except FormatError:
                # the server may just be writing it
                if attempt + 1 == _CONTROL_ATTEMPTS:
                    raise
                time.sleep(_PAUSE)

    def find_checkpoint(self) -> tuple[Lsn, Lsn] | None:
        """``read_control``; where the log ended when that checkpoint began, and where it ended itself. None when that
        cannot be told."""
        self.read_control()
        if self._control is None or not self._control.checkpoint[0]:
            return None
        number, offset = self._control.checkpoint
        path = self._file(number).source
        with durable.storage_errors("reading", path), self._opened(path) as source:
            began = checkpoint_horizon(os.pread(source, 32, offset))
        if began is None or began > self._control.checkpoint:
            return None
        return began, self._control.checkpoint

    def take_tail(self) -> None:
        """Stage BLOCK_COMMIT: everything up to now. Raises LockTimeout when the end does not stand still."""
        deadline = time.monotonic() + self._timeout
        sizes = self._sizes()
        # what was committed has been written out; a page that is not whole yet belongs to what was not
        ends = {number: size - size % TRANSLOG_PAGE_SIZE for number, size in sizes.items()}
        numbers = [number for number, end in ends.items() if end]
        if not numbers:
            raise StorageError(f"{self._directory} holds no log of the Aria engine", path=str(self._directory))
        # a file that was just begun, with a header and no page yet: a log that ends so cannot be opened
        if len(numbers) > 1 and ends[numbers[-1]] == TRANSLOG_PAGE_SIZE:
            begun = numbers.pop()
            del ends[begun]
            self._files.pop(begun, None)
        self._last = numbers[-1]
        self._wait_until_still(ends, deadline)
        for number in numbers:
            file = self._file(number)
            if file.entry is None and file.offset < ends[number]:
                file.tail = self._read_tail(file, ends[number])

    def finish(self) -> list[FileEntry]:
        """After the locks: what was read under them goes into the backup; the entries of log and control file."""
        entries = []
        for _number, file in sorted(self._files.items()):
            if file.entry is None:
                file.entry = self._complete(file)
            entries.append(file.entry)
        if self._control is None:
            raise RuntimeError("the control file was not read")
        with self._sink.open(ARIA_CONTROL_NAME) as target:
            target.write(self._control.with_last_log(self._last))
            return [target.close(), *entries]

    # --- inside ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(self, path: Path) -> Iterator[int]:
        descriptor = self._context.open_source(path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _read(self, path: Path) -> bytes:
        with self._opened(path) as source:
            return os.pread(source, _MAX_CONTROL, 0)

    def _sizes(self) -> dict[int, int]:
        """Bytes of each file of the log by its number, in their order."""
        sizes = {}
        with durable.storage_errors("listing", self._directory):
            for entry in os.scandir(self._directory):
                match = _LOG_NAME.fullmatch(entry.name)
                if match:
                    sizes[int(match[1])] = entry.stat(follow_symlinks=False).st_size
        return dict(sorted(sizes.items()))

    def _file(self, number: int) -> _LogFile:
        return self._files.setdefault(number, _LogFile(number, self._directory / f"{ARIA_LOG_PREFIX}{number:08d}"))

    def _stable_parts(self) -> list[tuple[_LogFile, int, bool]]:
        """The files of which something can be copied, each with how far (bytes), and whether that is all of it."""
        found = []
        after = 0
        for number, size in sorted(self._sizes().items(), reverse=True):
            limit = min(size, max(size + after - _IN_MOTION, 0))
            limit -= limit % TRANSLOG_PAGE_SIZE
            file = self._file(number)
            if file.entry is None and file.offset < limit:
                found.append((file, limit, after >= _IN_MOTION))
            after += size
        return found[::-1]

    def _append(self, file: _LogFile, limit: int, buffer: memoryview) -> None:
        """Copy ``file`` up to ``limit``."""
        file.target = file.target or self._sink.open(file.name)
        with durable.storage_errors("reading", file.source), self._opened(file.source) as source:
            while file.offset < limit:
                wanted = min(len(buffer), limit - file.offset)
                self._context.before_read(wanted)
                count = os.preadv(source, [buffer[:wanted]], file.offset)
                if not count:
                    raise StorageError(f"{file.source} has become shorter while it was copied", path=str(file.source))
                if file.offset < TRANSLOG_PAGE_SIZE <= count:
                    buffer[:TRANSLOG_PAGE_SIZE] = bounded_header(bytes(buffer[:TRANSLOG_PAGE_SIZE]), file.number)
                file.target.write(buffer[:count])
                self._context.progress.advance(count)
                file.offset += count

    def _wait_until_still(self, ends: dict[int, int], deadline: float) -> None:
        """Wait until every page near the end of the log is written, and two readings of them are the same."""
        before: list[bytes] | None = None
        since = time.monotonic()
        while True:
            now = self._in_motion(ends)
            foreign = {
                file.number: f"{file.source} at offset {place}"
                for file, offset, data in now
                if (place := first_foreign_page(data, file.number, offset)) is not None
            }
            if before != [data for _file, _offset, data in now]:
                before, since = [data for _file, _offset, data in now], time.monotonic()
            elif not foreign or (self._last not in foreign and time.monotonic() - since > _LEFT_DAMAGED):
                return
            if time.monotonic() > deadline:
                raise LockTimeout(
                    f"the end of the Aria log did not stand still within {self._timeout:g} s"
                    + (f"; not written yet: {', '.join(foreign.values())}" if foreign else ""),
                    path=str(self._directory),
                )
            time.sleep(_PAUSE)

    def _in_motion(self, ends: dict[int, int]) -> list[tuple[_LogFile, int, bytes]]:
        """Returns what the server may still be writing: file, offset in it and the bytes from there to its end."""
        found = []
        left = _IN_MOTION
        for number, end in sorted(ends.items(), reverse=True):
            file = self._file(number)
            offset = max(end - left, file.offset if file.entry is None else end)
            left -= end
            if offset < end:
                with durable.storage_errors("reading", file.source), self._opened(file.source) as source:
                    found.append((file, offset, os.pread(source, end - offset, offset)))
            if left <= 0:
                break
        return found

    def _read_tail(self, file: _LogFile, end: int) -> IO[bytes]:
        with durable.storage_errors("creating a spool file in", self._spool_directory):
            spool = tempfile.SpooledTemporaryFile(_TAIL_IN_MEMORY, dir=self._spool_directory)  # noqa: SIM115
        with durable.storage_errors("spooling", file.source), self._opened(file.source) as source:
            offset = file.offset
            while offset < end:
                piece = os.pread(source, min(READ_SIZE, end - offset), offset)
                if not piece:
                    raise StorageError(f"{file.source} has become shorter while it was copied", path=str(file.source))
                spool.write(piece)
                offset += len(piece)
        spool.seek(0)
        return spool

    def _complete(self, file: _LogFile) -> FileEntry:
        target = file.target or self._sink.open(file.name)
        if file.tail is not None:
            while piece := file.tail.read(READ_SIZE):
                target.write(piece)
            file.tail.close()
        return target.close()
