# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that are not InnoDB's, each at the time at which it no longer changes.

Non-transactional tables that nobody is writing can be copied early. Once writes to them and DDL are blocked, whatever
differs from its copy is copied again. Log and statistics tables are written until commits are blocked, too: the data of
log tables only grows, so its head is copied before and only the tail under that lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable

from ..format.file_kinds import CSV_DATA_SUFFIX, DATABASE_OPTIONS_NAME
from ..manifest import FileEntry
from ..stream.sink import Sink, SinkFile
from .copier import CopierContext, UnstableFile, append_growth, copy_plain
from .inventory import Kind, PlainFile, PlainFiles
from .workers import CopyPool

#: A file written within one clock tick of the kernel before its copy could be written again within that tick.
_STABLE_SECONDS = 1.0

_GROWING = (CSV_DATA_SUFFIX,)


@dataclass(frozen=True)
class _Signature:
    """Signature of a file, which shows whether it was written since: inode, bytes, time of last write and of last
    change (ns)."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    stable: bool

    @classmethod
    def of(cls, file: PlainFile) -> _Signature | None:
        """The signature now; None when the file is gone."""
        try:
            status = os.stat(file.source)
        except FileNotFoundError:
            return None
        age = time.time() - status.st_mtime_ns / 1e9
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, age > _STABLE_SECONDS)


@dataclass
class _Growing:
    file: PlainFile
    target: SinkFile
    offset: int


class PlainCopies:
    """All copies of files that are not InnoDB's in one backup; the job calls it stage by stage.

    ``find`` lists those files as they are at the moment.
    """

    def __init__(self, find: Callable[[], PlainFiles], sink: Sink, pool: CopyPool, context: CopierContext) -> None:
        self._find = find
        self._sink = sink
        self._pool = pool
        self._context = context
        self._early: dict[str, tuple[_Signature, FileEntry]] = {}
        self._entries: dict[str, FileEntry] = {}
        self._growing: list[_Growing] = []
        self._last: list[PlainFile] = []
        #: what was found when DDL was blocked
        self.files: tuple[PlainFile, ...] = ()
        self.unknown: tuple[str, ...] = ()

    @property
    def entries(self) -> list[FileEntry]:
        """Manifest entries of everything copied so far."""
        return list(self._entries.values())

    def copy_idle_tables(self) -> None:
        """Before they are locked: copy the non-transactional tables. Only for a sink that can rewrite what turns out to
        be old."""
        tables = [file for file in self._find().files if file.kind is Kind.TABLE and self._can_be_copied_early(file)]
        signatures = {file.path: _Signature.of(file) for file in tables}
        for file, entry in zip(tables, self._pool.run(tables, self._copy_if_there)):
            signature = signatures[file.path]
            if entry is None:
                continue
            # a file that was gone for a moment has an unknown signature: it will be copied again
            self._early[file.path] = (signature or _Signature(0, 0, 0, 0, False), entry)

    def copy_all(self) -> None:
        """DDL and writes to these tables are blocked: definitions, and every table that is not here yet or differs from
        its early copy."""
        found = self._find()
        self.files, self.unknown = found.files, found.unknown
        for path in sorted(set(self._early) - {file.path for file in found.files}):
            self._sink.discard(path)
        now = [file for file in found.files if file.kind in (Kind.TABLE, Kind.DEFINITION)]
        due = []
        for file in now:
            if self._is_written_until_the_end(file):
                self._drop_early(file)
                self._last.append(file)
                continue
            early = self._early.get(file.path)
            if early is None:
                due.append(file)
                continue
            signature, entry = early
            if signature.stable and _Signature.of(file) == signature:
                self._entries[file.path] = entry
            else:
                self._sink.discard(file.path)
                due.append(file)
        for file, copied in zip(due, self._pool.run(due, self._copy)):
            self._entries[file.path] = copied
        self._keep_empty_databases(found)
        self._begin_late_tables(found.files)

    def copy_late_tables(self, buffer: memoryview) -> None:
        """Commits are blocked, too: tails of log tables, and tables that were written until now."""
        open_source = self._context.open_source
        for growing in self._growing:
            append_growth(growing.file.source, growing.offset, growing.target, buffer, open_source)
            self._entries[growing.file.path] = growing.target.close()
        for file in self._last:
            self._entries[file.path] = self._copy(file, buffer)

    def _begin_late_tables(self, files: Iterable[PlainFile]) -> None:
        for file in files:
            if file.kind is Kind.LOG_TABLE and file.path.endswith(_GROWING):
                target = self._sink.open(file.path)
                buffer = memoryview(bytearray(1 << 20))
                offset = append_growth(file.source, 0, target, buffer, self._context.open_source)
                self._growing.append(_Growing(file, target, offset))
            elif file.kind in (Kind.LOG_TABLE, Kind.STATISTICS):
                self._last.append(file)

    def _keep_empty_databases(self, found: PlainFiles) -> None:
        for database in found.empty_databases:
            path = f"{database}/{DATABASE_OPTIONS_NAME}"
            with self._sink.open(path, compress=False) as target:
                self._entries[path] = target.close()

    def _can_be_copied_early(self, _file: PlainFile) -> bool:
        """Returns whether what the copy of a table must hold is known before the locks."""
        return True

    def _is_written_until_the_end(self, _file: PlainFile) -> bool:
        """Returns whether the server itself goes on writing to a table while all others are locked."""
        return False

    def _drop_early(self, file: PlainFile) -> None:
        if self._early.pop(file.path, None) is not None:
            self._sink.discard(file.path)

    def _copy(self, file: PlainFile, buffer: memoryview) -> FileEntry:
        return copy_plain(file.path, file.source, self._context, buffer)

    def _copy_if_there(self, file: PlainFile, buffer: memoryview) -> FileEntry | None:
        try:
            return self._copy(file, buffer)
        except UnstableFile:
            return None
