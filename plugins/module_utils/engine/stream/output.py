# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outputs for unpacked bytes: files that become durable, memory, or nowhere."""

from __future__ import annotations

import abc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import StreamCorrupt
from ..host import durable
from .sink import Buffer

_SYNC_THREADS = 8
_MAX_CLOSING = 128  # files


class EntryOutput(abc.ABC):
    """Output for the unpacked bytes of an entry."""

    #: True when a hole takes less room than zeros do; if not, nobody need look for them
    keeps_holes: bool = False

    @abc.abstractmethod
    def write(self, data: Buffer) -> None:
        """Append ``data``."""

    @abc.abstractmethod
    def hole(self, size: int) -> None:
        """Append ``size`` zeros that need no room."""

    @abc.abstractmethod
    def close(self) -> None:
        """All is written."""

    def abandon(self) -> None:  # noqa: B027 - most hold nothing
        """Release what is held; the content does not matter any more."""


class NoOutput(EntryOutput):
    """For checking only."""

    def write(self, data: Buffer) -> None:
        return

    def hole(self, size: int) -> None:
        return

    def close(self) -> None:
        return


class MemoryOutput(EntryOutput):
    """An entry that is kept in memory, up to ``limit`` bytes."""

    def __init__(self, stored: str, limit: int) -> None:
        self.data = bytearray()
        self._stored = stored
        self._limit = limit

    def write(self, data: Buffer) -> None:
        if len(self.data) + len(data) > self._limit:
            raise StreamCorrupt(f"{self._stored}: larger than the {self._limit} bytes that are accepted")
        self.data += data

    def hole(self, size: int) -> None:
        raise StreamCorrupt(f"{self._stored}: a hole in an entry that has none")

    def close(self) -> None:
        return


class FileSyncer:
    """Makes files durable behind the workers' backs: several at once, which lets the file system join their commits.

    Bounded: at most ``_MAX_CLOSING`` files wait. Errors are raised by the next call and by ``finish``.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="sync")
        self._closing = threading.BoundedSemaphore(_MAX_CLOSING)
        self._failure: BaseException | None = None

    def close(self, descriptor: int, path: Path) -> None:
        """Make the file durable and close it, soon."""
        self.raise_failure()
        self._closing.acquire()
        self._pool.submit(self._close, descriptor, path)

    def _close(self, descriptor: int, path: Path) -> None:
        try:
            with durable.storage_errors("writing", path):
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except BaseException as error:  # noqa: BLE001 - raised again where somebody listens
            self._failure = error
        finally:
            self._closing.release()

    def raise_failure(self) -> None:
        """Raise the error of a file that could not be stored."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Wait until all is durable and closed; raises StorageError."""
        self._pool.shutdown(wait=True)
        self.raise_failure()


class FileOutput(EntryOutput):
    """A new file, of which ``descriptor`` is one unless it is to be made here; nothing that exists is written to."""

    keeps_holes = True

    def __init__(self, path: Path, syncer: FileSyncer, descriptor: int | None = None) -> None:
        self._path = path
        self._syncer = syncer
        self._size = 0
        self._holes = False
        with durable.storage_errors("creating", path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o640) if descriptor is None else descriptor
        self._behind = durable.WriteBehind(self._descriptor)

    def write(self, data: Buffer) -> None:
        with durable.storage_errors("writing", self._path):
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        self._size += len(data)
        self._behind.wrote(self._size)

    def hole(self, size: int) -> None:
        with durable.storage_errors("writing", self._path):
            os.lseek(self._descriptor, size, os.SEEK_CUR)
        self._size += size
        self._holes = True

    def close(self) -> None:
        if self._holes:
            with durable.storage_errors("writing", self._path):
                os.ftruncate(self._descriptor, self._size)
        descriptor, self._descriptor = self._descriptor, -1
        self._syncer.close(descriptor, self._path)

    def abandon(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
