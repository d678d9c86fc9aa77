# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of files, by whichever way is cheapest here: clone, copy in the kernel, read and write.

Holes stay holes (page-compressed tables consist of them to a good part).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import logging
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Protocol

from ..errors import BackupIncomplete, Cancelled, StorageError
from ..format.content_digest import algorithm_of, new_digest
from ..format.file_kinds import PART_SUFFIX
from ..format.holes import digest_zeros
from . import below, durable, trees

_log = logging.getLogger(__name__)

FILE_PERMISSIONS = 0o777
"""What a copy of a file has of the original's mode: with setuid or setgid it would run as the copy's owner."""

_FICLONE = 0x40049409  # ioctl of linux/fs.h
_CHUNK = 1 << 20  # bytes a system call; more would not stay in the processor's cache from reading to writing
_KERNEL_CHUNK = 8 << 20
_SYNC_THREADS = 8  # files that wait for the device at the same time
_CANNOT_CLONE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}


@dataclass(frozen=True)
class Ownership:
    """Owner, group and permissions of files. None: as they come."""

    uid: int | None = None
    gid: int | None = None
    file_mode: int = 0o660
    directory_mode: int = 0o700

    def apply_to_file(self, descriptor: int) -> None:
        """Give the open file its owner and permissions; the owner first, for it clears bits."""
        self._own(descriptor)
        os.fchmod(descriptor, self.file_mode)

    def make_directory(self, path: Path) -> None:
        """Create ``path`` (or take it is) with owner and permissions."""
        with durable.storage_errors("creating", path):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
            descriptor = below.open_directory(path)
            try:
                self._own(descriptor)
                os.fchmod(descriptor, self.directory_mode)
            finally:
                os.close(descriptor)

    def _own(self, descriptor: int) -> None:
        if self.uid is not None or self.gid is not None:
            os.fchown(descriptor, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid)


def carried_mode(mode: int, *, directory: bool, same_owner: bool) -> int:
    """The permissions of a copy of what has ``mode``. Bits by which somebody else would act as the owner or the group
    (setuid, setgid) stay at a directory that has the owner and the group of the original, and nowhere else."""
    if not directory:
        return mode & FILE_PERMISSIONS
    return stat.S_IMODE(mode) & (0o7777 if same_owner else 0o1777)


@dataclass(frozen=True)
class CopyTask:
    """One file to copy: ``size`` in bytes (None: not known), ``digest`` to verify on the way (None: do not); ``root``:
    the directory below which no link is followed to ``source`` (None: that of the file)."""

    source: Path
    target: Path
    size: int | None = None
    digest: str | None = None
    root: Path | None = None

    def open_source(self) -> int:
        """A descriptor of the source; raises UnsafeFile, OSError."""
        root = self.root or self.source.parent
        return below.open_in(root, self.source.relative_to(root))


class Counter(Protocol):
    """Counts the bytes that are copied."""

    def advance(self, count: int, /) -> None: ...


class Copier:
    """Copies files under a temporary name, renamed once the file is whole and verified."""

    def __init__(self, ownership: Ownership | None, progress: Counter, *, sync: bool) -> None:
        self._ownership = ownership
        self._progress = progress
        self._sync = sync
        self._cancelled = threading.Event()
        self._can_clone = True
        self._transfers = threading.Semaphore(1)

    def copy_all(self, tasks: Sequence[CopyTask], parallel: int) -> None:
        """Copy every task, largest first, ``parallel`` at a time; the first error ends them all and is raised.

        More files than that wait for the device: the next ones are copied meanwhile.
        """
        ordered = sorted(tasks, key=lambda task: task.size or 0, reverse=True)
        self._transfers = threading.Semaphore(parallel)
        workers = parallel + _SYNC_THREADS if self._sync and parallel > 1 else parallel
        run_all([lambda task=task: self.copy(task) for task in ordered], workers, self._cancelled)  # type: ignore[misc]

    def copy(self, task: CopyTask) -> None:
        """Copy one file. Raises StorageError, DiskFull, BackupIncomplete when it is not what it must be."""
        part = durable.beside(task.target, PART_SUFFIX)
        with durable.storage_errors("copying", task.source), contextlib.ExitStack() as opened:
            source = task.open_source()
            opened.callback(os.close, source)
            size = os.fstat(source).st_size
            if task.size is not None and size != task.size:
                raise BackupIncomplete(
                    f"{task.source} has {size} bytes instead of {task.size}", path=str(task.source), size=size
                )
            with durable.storage_errors("writing", task.target):
                target = _create(part)
                opened.callback(os.close, target)
                try:
                    with self._transfers:
                        self._check()
                        self._transfer(task, source, target, size)
                    self._finish(source, target)
                    os.rename(part, task.target)
                    _log.debug("copied %s to %s, %d bytes", task.source, task.target, size)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(part)
                    raise

    def _finish(self, source: int, target: int) -> None:
        if self._ownership:
            self._ownership.apply_to_file(target)
        else:
            os.fchmod(target, os.fstat(source).st_mode & FILE_PERMISSIONS)
        if self._sync:
            os.fsync(target)

    def _transfer(self, task: CopyTask, source: int, target: int, size: int) -> None:
        if task.digest is not None:
            self._read_and_write(task, source, target, size)
        elif not self._clone(source, target):
            self._copy_extents(source, target, size)
            os.ftruncate(target, size)
        else:
            self._progress.advance(size)
        if os.fstat(target).st_size != size:
            raise StorageError(f"{task.target}: {os.fstat(target).st_size} bytes written instead of {size}")

    def _clone(self, source: int, target: int) -> bool:
        if not self._can_clone:
            return False
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno not in _CANNOT_CLONE:
                raise
            # the same answer would come for every file of this file system
            self._can_clone = False
            return False
        return True

    def _copy_extents(self, source: int, target: int, size: int) -> None:
        behind = durable.WriteBehind(target)
        position = 0
        for start, end in itertools.chain(data_extents(source, size), [(size, size)]):
            self._progress.advance(start - position)
            position = start
            while position < end:
                self._check()
                count = copy_range(source, target, position, min(end - position, _KERNEL_CHUNK))
                if not count:
                    raise _shortened(position)
                position += count
                behind.wrote(position)
                self._progress.advance(count)

    def _read_and_write(self, task: CopyTask, source: int, target: int, size: int) -> None:
        digest = new_digest(algorithm_of(task.digest or ""))
        behind = durable.WriteBehind(target)
        buffer = memoryview(bytearray(_CHUNK))
        position = 0
        for start, end in itertools.chain(data_extents(source, size), [(size, size)]):
            digest_zeros(digest, start - position)
            self._progress.advance(start - position)
            position = start
            while position < end:
                self._check()
                count = os.preadv(source, [buffer[: end - position]], position)
                if not count:
                    raise _shortened(position)
                data = buffer[:count]
                digest.update(data)
                position += write_at(target, data, position)
                behind.wrote(position)
                self._progress.advance(count)
        os.ftruncate(target, size)
        if digest.hexdigest() != task.digest:
            raise BackupIncomplete(
                f"{task.source}: other content than when the backup was taken", path=str(task.source)
            )

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled("another file failed first")


def _create(part: Path) -> int:
    """A descriptor of the new file ``part``, in the place of what a killed run has left."""
    with contextlib.suppress(FileNotFoundError):
        # a link would have been made by somebody else
        below.require_kind(os.lstat(part), part)
        os.unlink(part)
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _shortened(offset: int) -> StorageError:
    return StorageError(f"the file became shorter while it was copied, at offset {offset}")


def copy_range(source: int, target: int, offset: int, count: int) -> int:
    """Copy up to ``count`` bytes at ``offset`` between two descriptors; returns how many were (0 at the end)."""
    try:
        return os.copy_file_range(source, target, count, offset, offset)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
    data = os.pread(source, min(count, _CHUNK), offset)
    return write_at(target, memoryview(data), offset)


def write_at(descriptor: int, data: memoryview, offset: int) -> int:
    """Write all of ``data`` at ``offset``; returns its size."""
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)
    return written


def data_extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the parts of a file that are not holes; the whole file where the system cannot tell."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # only a hole is left
            yield position, size
            return
        yield start, min(end, size)
        position = end


def run_all(jobs: Sequence[Callable[[], None]], parallel: int, cancelled: threading.Event) -> None:
    """Run ``jobs`` in ``parallel`` threads, in order; at the first error set ``cancelled`` and raise that error."""
    if parallel <= 1 or len(jobs) <= 1:
        for job in jobs:
            job()
        return
    with ThreadPoolExecutor(parallel) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # also when we are stopped by a signal while waiting
            unfinished = [future for future in futures if not future.done()]
            if unfinished:
                cancelled.set()
            for future in unfinished:
                future.cancel()
    errors = [future.exception() for future in futures if future.done() and not future.cancelled()]
    first = next((error for error in errors if error is not None and not isinstance(error, Cancelled)), None)
    if first is not None:
        raise first


def sync_files(root: Path, parallel: int) -> None:
    """Make every file and directory below and including ``root`` durable."""
    files = [Path(directory) / name for directory, _names, names in trees.walk(root) for name in names]

    def sync(path: Path) -> None:
        with durable.storage_errors("syncing", path):
            descriptor = below.open_in(root, path.relative_to(root))
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    run_all([lambda path=path: sync(path) for path in files], parallel, threading.Event())  # type: ignore[misc]
    with durable.storage_errors("syncing", root):
        durable.fsync_tree(root)
