# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The redo log file of a running MariaDB server, opened to be read while the server writes it."""

from __future__ import annotations

import contextlib
import os
import time

from ...errors import RedoCorrupt, RedoReplaced
from ...host import below
from ...host.durable import storage_errors
from ...innodb.mariadb import redo
from ...innodb.mariadb.redo_format import HEADER_SIZE, LogHeader, MariadbCheckpoint, RedoFormat
from ...units import format_size

_TORN_WAIT = 0.005  # seconds between reads of a header that is being written
_TORN_RETRIES = 400


class LogFile:
    """The open log file of a server: its format, reads by LSN, checkpoints, and whether it still is that file."""

    def __init__(self, path: str) -> None:
        self.path = path
        with storage_errors("opening", path):
            self._descriptor = below.open_file(path)
            self._identity = _identity(os.fstat(self._descriptor))
        try:
            self._raw_header, self.format, self.header = self._stable_header()
        except BaseException:
            self.close()
            raise

    def _stable_header(self) -> tuple[bytes, RedoFormat, LogHeader]:
        """The header as it is stored, its format and what it says, read again while the server is writing it."""
        for attempt in range(_TORN_RETRIES):
            raw = self._pread(HEADER_SIZE, 0)
            try:
                found = redo.format_of(raw, self._identity[2], self.path)
                return raw, found, found.parse_header(raw, self._identity[2], self.path)
            except RedoCorrupt:
                if attempt == _TORN_RETRIES - 1:
                    raise
            time.sleep(_TORN_WAIT)
        raise AssertionError("unreachable")

    def read(self, lsn: int, size: int) -> bytearray:
        """``size`` bytes (at most one lap) from ``lsn`` on, the parts before and after the wrap put together."""
        window = bytearray(min(size, self.header.capacity))
        view = memoryview(window)
        offset = self.header.offset(lsn)
        first = min(len(window), self.header.file_size - offset)
        self._fill(view[:first], offset)
        self._fill(view[first:], self.format.START_OFFSET)
        view.release()
        return window

    def newest_checkpoint(self) -> MariadbCheckpoint:
        """The newest checkpoint in the file now. Raises RedoReplaced, or RedoCorrupt if none is valid."""
        for _attempt in range(_TORN_RETRIES):
            head = self._pread(self.format.START_OFFSET, 0)
            self.require_same_file(head)
            checkpoint = self.format.newest_checkpoint(head, self.header)
            if checkpoint is not None:
                return checkpoint
            time.sleep(_TORN_WAIT)
        raise RedoCorrupt(f"{self.path}: no valid checkpoint in the log header", path=self.path)

    def require_same_file(self, head: bytes) -> None:
        """Raises RedoReplaced if the path leads to another file now, or the file or its header changed."""
        try:
            now = _identity(os.stat(self.path))
        except FileNotFoundError:
            now = (0, 0, 0)
        if now != self._identity or head[:HEADER_SIZE] != self._raw_header:
            raise RedoReplaced(
                f"{self.path}: the redo log was replaced or resized during the backup "
                f"(it had {format_size(self._identity[2])}, now {format_size(now[2])})",
                path=self.path,
                size_before=self._identity[2],
                size_now=now[2],
            )

    def drop_cached(self) -> None:
        """Make the next reads come from the disk: the server may write past the page cache. Only whole pages are ever
        dropped, so the file is named, not the bytes that are wanted."""
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _pread(self, size: int, offset: int) -> bytes:
        data = bytearray(size)
        self._fill(memoryview(data), offset)
        return bytes(data)

    def _fill(self, view: memoryview, offset: int) -> None:
        with storage_errors("reading", self.path):
            while view:
                count = os.preadv(self._descriptor, [view], offset)
                if not count:
                    raise RedoReplaced(
                        f"{self.path}: the redo log ends at offset {offset}: it was cut short during the backup",
                        path=self.path,
                        offset=offset,
                    )
                view, offset = view[count:], offset + count


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    """Device, inode and size of a file."""
    return status.st_dev, status.st_ino, status.st_size
