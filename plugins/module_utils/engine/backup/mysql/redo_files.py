# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory ``#innodb_redo`` of a running MySQL server, read while the server adds, removes and recycles files.

A file that is no longer needed is renamed to a spare (``#ib_redo<N>_tmp``) or removed, and a spare becomes the next
file under another number: a descriptor that is open may suddenly show another part of the log. Names and headers are
therefore looked at again whenever a block is not the expected one.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass

from ...errors import RedoCorrupt, StorageError
from ...format.file_kinds import REDO_FILE
from ...host import below
from ...host.durable import storage_errors
from ...innodb.mysql import redo
from ...innodb.mysql.redo_format import HEADER_SIZE, LogFileHeader, MysqlCheckpoint, RedoFormat, block_start

_NAME = re.compile(REDO_FILE.expression)  # not the spare ones
_RETRY_WAIT = 0.005  # seconds between looks at a directory that is changing
_RETRIES = 400

#: of one file: its format, its header, the 2048 bytes that hold it, and the first LSN that it has no room for
_Head = tuple[RedoFormat, LogFileHeader, bytes, int]


@dataclass(frozen=True)
class RedoStart:
    """Start of following: the log's format, the newest checkpoint, the log's uuid, the flags of all its files together
    and, if it is encrypted, its wrapped key."""

    format: RedoFormat
    checkpoint: MysqlCheckpoint
    log_uuid: int
    flags: int
    encryption_info: bytes | None


def read_blocks(descriptor: int, offset: int, size: int, path: str) -> bytearray:
    """At most ``size`` bytes at ``offset`` of the file ``path``, whole blocks; none at its end. Raises StorageError."""
    window = bytearray(size)
    done = 0
    with storage_errors("reading", path), memoryview(window) as view:
        while done < size:
            count = os.preadv(descriptor, [view[done:]], offset + done)
            if not count:
                break
            done += count
    del window[block_start(done) :]
    return window


class RedoFile:
    """One open file of the log. Raises FileNotFoundError when it is gone, RedoCorrupt while its header is written."""

    def __init__(self, path: str, number: int) -> None:
        self.path = path
        self.number = number
        try:
            self._descriptor = below.open_file(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"opening {path}: {error.strerror}", path=path, errno=error.errno) from error
        try:
            status = os.fstat(self._descriptor)
            self._identity = (status.st_dev, status.st_ino)
            head = self.read_head()
            self.format = redo.format_of(head, path)
            self.header = self.format.parse_header(head, path)
        except BaseException:
            self.close()
            raise

    @property
    def end_lsn(self) -> int:
        """The first LSN that the file, as large as it is now, has no room for."""
        size = os.fstat(self._descriptor).st_size
        return block_start(self.header.start_lsn + max(size - HEADER_SIZE, 0))

    def read_head(self) -> bytes:
        """The header as it is now, 2048 bytes."""
        with storage_errors("reading", self.path):
            return os.pread(self._descriptor, HEADER_SIZE, 0)

    def read_header(self) -> LogFileHeader:
        """Reads the header as it is now. Raises RedoCorrupt while it is written."""
        return redo.parse_header(self.read_head(), self.path)

    def read(self, lsn: int, size: int) -> bytearray:
        """At most ``size`` bytes from ``lsn`` on, whole blocks; none at the end of the file."""
        return read_blocks(self._descriptor, self.header.offset(lsn), size, self.path)

    def is_current(self) -> bool:
        """Returns whether the name still leads to this file."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"reading {self.path}: {error.strerror}", path=self.path) from error
        return (status.st_dev, status.st_ino) == self._identity

    def close(self) -> None:
        """Close the file; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class RedoDirectory:
    """The files of a server's log, found by LSN."""

    def __init__(self, path: str) -> None:
        self.path = path

    def names(self) -> list[tuple[int, str]]:
        """Numbers and paths of the files in use now, oldest first. Raises StorageError."""
        with storage_errors("listing", self.path):
            entries = os.listdir(self.path)
        found = ((_NAME.fullmatch(name), name) for name in entries)
        return sorted((int(match.group(1)), os.path.join(self.path, name)) for match, name in found if match)

    def find(self, lsn: int) -> tuple[RedoFile | None, int]:
        """The open file that holds ``lsn`` (the caller closes it), or None; and the LSN that the log starts at, 0 when
        it cannot be told at this moment."""
        oldest = 0
        # from the newest on: that is where the tail is
        for number, path in reversed(self.names()):
            try:
                file = RedoFile(path, number)
            except (FileNotFoundError, RedoCorrupt):
                # removed, or just being made: there is another look
                return None, 0
            start = oldest = file.header.start_lsn
            if start <= lsn:
                if lsn < file.end_lsn:
                    return file, start
                file.close()
                return None, start
            file.close()
        return None, oldest

    def heads(self) -> list[_Head]:
        """The beginning of each file, oldest first. Raises FileNotFoundError or RedoCorrupt when the directory changes
        meanwhile."""
        result = []
        for number, path in self.names():
            with contextlib.closing(RedoFile(path, number)) as file:
                result.append((file.format, file.header, file.read_head(), file.end_lsn))
        return result

    def capacity(self) -> int:
        """Bytes of redo that the files in use hold; 0 when it cannot be told at this moment."""
        try:
            heads = self.heads()
        except (FileNotFoundError, RedoCorrupt):
            return 0
        return heads[-1][3] - heads[0][1].start_lsn if heads else 0

    def start(self) -> RedoStart:
        """The newest checkpoint and what belongs to it.

        Raises UnsupportedServer or UnknownFormat for a log that cannot be followed, RedoCorrupt when there is no
        checkpoint, StorageError.
        """
        problem: Exception | None = None
        for _attempt in range(_RETRIES):
            try:
                found = _start_in(self.heads())
            except (FileNotFoundError, RedoCorrupt) as error:
                problem = error
            else:
                if found:
                    return found
            time.sleep(_RETRY_WAIT)
        if isinstance(problem, RedoCorrupt):
            raise problem
        raise RedoCorrupt(f"{self.path}: no valid checkpoint in the redo log files", path=self.path)


def _start_in(heads: list[_Head]) -> RedoStart | None:
    """The newest checkpoint of a log whose files begin like ``heads``; None if none is valid."""
    newest: tuple[RedoFormat, MysqlCheckpoint, int] | None = None
    info: bytes | None = None
    flags = 0
    for redo_format, header, head, end_lsn in heads:
        # not every file holds the key; the newest one that does has it wrapped by the newest master key
        info = redo_format.encryption_info(head) or info
        flags |= header.flags
        checkpoint = redo_format.newest_checkpoint(head)
        if checkpoint is None or not header.start_lsn <= checkpoint.lsn < end_lsn:
            continue
        if newest is None or newest[1].lsn < checkpoint.lsn:
            newest = redo_format, checkpoint, header.log_uuid
    return RedoStart(*newest, flags, info) if newest else None
