# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sinks for a backup's bytes: the interface of every sink, and the directory sink."""

from __future__ import annotations

import abc
import contextlib
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Union

from ..errors import StreamError
from ..format.content_digest import XXH128, new_digest
from ..format.family import Family
from ..format.file_kinds import MANIFEST_NAME
from ..format.holes import HolePages, digest_zeros, split_pages, zeros
from ..host import durable
from ..host.staging import open_staging
from ..manifest import FileEntry, Manifest, digest_of

Buffer = Union[bytes, bytearray, memoryview]

#: Small files are made durable together at the end: thousands of them are written while locks are held.
_SYNC_AT_ONCE = 8 << 20
_SYNC_THREADS = 4


class SinkFile(abc.ABC):
    """One file on its way into a sink. One thread writes it; several files are written at once.

    ``write`` has consumed ``data`` when it returns, so the caller may reuse its buffer. Leaving the ``with``
    block by an exception abandons the file (the job is going to abort).
    """

    #: True when a hole takes less room than zeros do; if not, nobody need look for them
    keeps_holes: bool = False

    def __init__(self, path: str, digest_algorithm: str) -> None:
        self.path = path
        self.size = 0
        self._digest = new_digest(digest_algorithm)

    def write(self, data: Buffer) -> None:
        """Append ``data``."""
        self._digest.update(data)
        self.size += len(data)
        self._write(data)

    def hole(self, size: int) -> None:
        """Append ``size`` zero bytes, which are left out where the sink can do that."""
        digest_zeros(self._digest, size)
        self.size += size
        self._hole(size)

    def write_pages(self, pages: memoryview, kind: int | HolePages) -> None:
        """Append whole pages of a tablespace: the zeros that end those which ``kind`` says (as for split_pages) become
        holes."""
        if not self.keeps_holes:
            self.write(pages)
            return
        for hole, data in split_pages(pages, kind):
            if hole:
                self.hole(hole)
            if data:
                self.write(data)

    def close(self) -> FileEntry:
        """The file is complete: returns its manifest entry."""
        self._close()
        return FileEntry(self.path, self.size, self._digest.hexdigest(), self._stored_name())

    def __enter__(self) -> SinkFile:
        return self

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if kind is not None:
            self.abandon()

    @abc.abstractmethod
    def _write(self, data: Buffer) -> None: ...

    def _hole(self, size: int) -> None:
        for piece in zeros(size):
            self._write(piece)

    @abc.abstractmethod
    def _close(self) -> None: ...

    def _stored_name(self) -> str | None:
        """The entry's name in the stream when it is not ``path``."""
        return None

    @abc.abstractmethod
    def abandon(self) -> None:
        """Release what the unfinished file holds."""


class Sink(abc.ABC):
    """A place for one backup. Thread-safe: workers open, write and close files at the same time."""

    #: True when ``replace`` and ``discard`` act on what was written (a directory); False for a stream, where
    #: they add entries that override earlier ones (``db/t.new``, ``db/t.del``)
    can_rewrite: bool = False

    #: whose stock tool's names such entries get: MariaDB's only for tablespaces ``.ibd``
    family: Family = Family.MARIADB

    #: of the digests of files, see format/content_digest.py
    digest_algorithm: str = XXH128

    #: where the backup will be on this host, as its record tells it; None elsewhere
    location: Path | None = None

    def require_space(self, size: Callable[[], int]) -> None:
        """Raises DiskFull when it is known that files of so many bytes do not fit. ``size`` is only called when that
        can be known."""
        return

    @abc.abstractmethod
    def open(self, path: str, *, compress: bool = True) -> SinkFile:
        """A new file ``path`` (relative, ``/`` between parts); ``compress=False`` keeps it readable in the stream."""

    @abc.abstractmethod
    def replace(self, path: str) -> SinkFile:
        """A newer version of ``path``, which was written before."""

    @abc.abstractmethod
    def discard(self, path: str) -> None:
        """``path``, which was written before, is not part of the backup after all."""

    @abc.abstractmethod
    def publish(self, manifest: Manifest) -> dict[str, Any]:
        """Everything is written: add the manifest, make all durable, give it its final name (or wait for the other
        end to have done so). Returns ``{"path": ..., "sha256": ...}`` of the manifest and, for streams, ``digests``."""

    @abc.abstractmethod
    def abort(self, reason: BaseException) -> None:
        """The job failed: remove what was written, tell the other end; never raises."""


class DirectorySink(Sink):
    """A plain directory, written in the staging directory of its place, which it leaves when it is complete.

    With ``replace``, what is at ``dest`` is removed then. Raises what ``open_staging`` does.
    """

    can_rewrite = True

    def __init__(self, dest: str | os.PathLike[str], *, replace: bool = False) -> None:
        self.dest = self.location = Path(dest)
        self._place = open_staging(dest, replace=replace)
        self.staging = self._place.staging
        self._made: set[Path] = set()
        self._unsynced: list[Path] = []
        self._files: list[_DirectoryFile] = []
        self._syncing: list[Future[None]] = []
        self._sync_pool = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="sync")
        self._lock = threading.Lock()

    def require_space(self, size: Callable[[], int]) -> None:
        durable.require_space(self.staging, size(), "the backup")

    def open(self, path: str, *, compress: bool = True) -> SinkFile:
        file = _DirectoryFile(path, self.digest_algorithm, self._target(path), self._sync_later)
        with self._lock:
            self._files = [other for other in self._files if not other.closed]
            self._files.append(file)
        return file

    def replace(self, path: str) -> SinkFile:
        self.discard(path)
        return self.open(path)

    def discard(self, path: str) -> None:
        target = self.staging / path
        with durable.storage_errors("removing", target):
            target.unlink()
        with self._lock:
            self._unsynced[:] = [kept for kept in self._unsynced if kept != target]

    def publish(self, manifest: Manifest) -> dict[str, Any]:
        data = manifest.plain().render()
        list(self._sync_pool.map(durable.fsync_file, self._unsynced))
        for syncing in self._syncing:
            syncing.result()
        self._sync_pool.shutdown()
        durable.fsync_tree(self.staging)
        durable.write_file(self.staging / MANIFEST_NAME, data)
        self._place.publish()
        return {"path": str(self.dest / MANIFEST_NAME), "sha256": digest_of(data)}

    def abort(self, reason: BaseException) -> None:
        # the reason is what the caller must see
        with contextlib.suppress(Exception):
            for file in self._files:
                file.abandon()
            self._sync_pool.shutdown(cancel_futures=True)
            self._place.abandon()

    def _sync_later(self, file: _DirectoryFile) -> None:
        """Make a closed file durable while its worker goes on with the next one."""
        with self._lock:
            if file.size < _SYNC_AT_ONCE:
                self._unsynced.append(file.target)
            else:
                self._syncing.append(self._sync_pool.submit(_fsync_written, file.target))

    def _target(self, path: str) -> Path:
        target = self.staging / path
        with self._lock:
            if target.parent not in self._made:
                with durable.storage_errors("creating", target.parent):
                    durable.make_directories(target.parent, 0o750)
                self._made.add(target.parent)
        return target


def _fsync_written(target: Path) -> None:
    # a file that DDL made void may be gone by now
    if target.exists():
        durable.fsync_file(target)


class _DirectoryFile(SinkFile):
    keeps_holes = True

    def __init__(
        self, path: str, digest_algorithm: str, target: Path, closed: Callable[[_DirectoryFile], None]
    ) -> None:
        super().__init__(path, digest_algorithm)
        self.closed = False
        self.target = target
        self._holes = False
        self._when_closed = closed
        with durable.storage_errors("creating", target):
            self._descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        self._behind = durable.WriteBehind(self._descriptor)

    def _write(self, data: Buffer) -> None:
        with durable.storage_errors("writing", self.target):
            view = memoryview(data)
            while view:
                written = os.write(self._descriptor, view)
                if not written:
                    raise StreamError(f"writing {self.target}: the kernel took no bytes")
                view = view[written:]
        self._behind.wrote(self.size)

    def _hole(self, size: int) -> None:
        with durable.storage_errors("writing", self.target):
            os.lseek(self._descriptor, size, os.SEEK_CUR)
        self._holes = True

    def _close(self) -> None:
        with durable.storage_errors("closing", self.target):
            if self._holes:
                os.ftruncate(self._descriptor, self.size)
            self.closed = True
            os.close(self._descriptor)
        self._when_closed(self)

    def abandon(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._descriptor)
