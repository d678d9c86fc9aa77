# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that exists is filled where it is: it is never renamed, and its parents need not be writable.

What is new waits in a staging directory inside, then each entry of that is renamed into its place, the manifest last.
A marker file says meanwhile that the directory is unfinished. It is the first thing that is written and the last one
that goes; it is locked by who works there, and before anything is moved it names what will be, so that whoever comes
after a job that was killed removes what that job wrote, and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from ..errors import BackupIncomplete, FormatError, StorageError, TargetBusy, TargetNotEmpty, TargetUnsafe, UnsafeFile
from ..format import file_kinds, strict_json
from ..format.file_kinds import CHECKPOINTS_NAMES, MANIFEST_NAME, NOT_CONTENT
from ..format.names import LONGEST_PATH
from . import below, durable
from .anchor import Anchor, NewDirectory

MARKER_NAME = ".xtrabackup_unfinished"
STAGING_NAME = f".xtrabackup{file_kinds.PARTIAL_SUFFIX}"
#: a directory is taken for a backup by these, so they get their places after all that they speak of
_LAST = (*reversed(CHECKPOINTS_NAMES), MANIFEST_NAME)
_MAX_JOURNAL = 64 << 20  # bytes


def is_unfinished(directory: str | os.PathLike[str]) -> bool:
    """Returns whether a job is filling ``directory``, or was killed while it did."""
    return os.path.lexists(os.path.join(directory, MARKER_NAME))


def require_finished(directory: str | os.PathLike[str]) -> None:
    """Raises BackupIncomplete for a directory that a job is filling, or was when it was killed."""
    if is_unfinished(directory):
        raise BackupIncomplete(
            f"{os.fspath(directory)} is being written, or was when the job that did was killed",
            remedy="Wait for that job, or run it again: it removes what is half done and begins anew.",
            path=os.fspath(directory),
        )


def is_free(directory: Path) -> bool:
    """Returns whether there is nothing in ``directory`` but what a job that is filling it, or was killed, has
    written."""
    with durable.storage_errors("looking into", directory):
        return not foreign_names(directory)


def foreign_names(directory: Path) -> set[str]:
    """The names of what else there is; raises OSError."""
    names = {entry.name for entry in os.scandir(directory)} - NOT_CONTENT
    if MARKER_NAME in names:
        names -= {MARKER_NAME, STAGING_NAME}
        if names:
            # what cannot be read names nothing; whose it is, is checked before anything is removed
            with (
                contextlib.suppress(OSError, ValueError, TypeError, UnsafeFile),
                below.Root(directory) as root,
                os.fdopen(root.open(MARKER_NAME), "rb") as marker,
            ):
                journal = marker.read(_MAX_JOURNAL)
                names -= {str(path) for path in _moved(directory, journal)}
    return names


def _moved(directory: Path, journal: bytes) -> Iterator[Path]:
    """Returns those of the entries that the ``journal`` names that have been moved out of staging (paths relative to
    ``directory``)."""
    header, _end, text = journal.partition(b"\n")
    if not header or not text.endswith(b"\n"):
        return  # it was not whole when the job was killed, so nothing has been moved
    for name, device, inode in _entries(text, str(directory / MARKER_NAME)):
        path = Path(name)
        if (
            path.is_absolute()
            or ".." in path.parts
            or any((directory / part).is_symlink() for part in list(path.parents)[:-1])
        ):
            raise TargetUnsafe(
                f"{directory / MARKER_NAME} names {name}, which is not in the directory, or is behind a link",
                remedy=f"Look who else writes to {directory}, and remove what is in it yourself.",
                path=str(directory),
            )
        with contextlib.suppress(FileNotFoundError):
            # not what somebody else has put there since
            status = os.lstat(directory / path)
            if (status.st_dev, status.st_ino) == (device, inode):
                yield path


def _entries(text: bytes, where: str) -> Iterator[tuple[str, int, int]]:
    """Name, device and inode of each entry of a journal; raises ValueError."""
    try:
        found = strict_json.parse_value(text, where, max_bytes=_MAX_JOURNAL)
        for name, device, inode in found:
            path = strict_json.text(name, where, "a name", LONGEST_PATH)
            yield path, strict_json.whole(device, where, "a device"), strict_json.whole(inode, where, "an inode")
    except FormatError as error:
        raise ValueError(error.message) from error


class Filling:
    """Fills ``directory``: write into ``staging``, make that durable, then ``publish``; or ``abandon``.

    Unless ``shared``, which allows other things in the directory, it must be free. ``before`` is called with the
    staging directory before what a killed job has left there is removed. Raises TargetNotEmpty, TargetBusy,
    StorageError; nothing is changed then.
    """

    def __init__(self, directory: Path, *, shared: bool = False, before: Callable[[Path], None] | None = None) -> None:
        with contextlib.ExitStack() as opened:
            self._root = opened.enter_context(Anchor(directory))
            self._descriptor = self._lock()
            opened.callback(os.close, self._descriptor)
            self._require_own()
            if before is not None:
                before(Path(os.path.realpath(self.directory)) / STAGING_NAME)
            self._begin(shared)
            self._new = NewDirectory(self._root, STAGING_NAME)
            opened.callback(self._new.close)
            self._opened = opened.pop_all()

    @property
    def directory(self) -> Path:
        """The directory, by its descriptor."""
        return self._root.path

    @property
    def staging(self) -> Path:
        """Path of the directory to write into, by its descriptor."""
        return self._new.path

    def publish(self) -> None:
        """Give all that is in staging its place; none of what is there is replaced. Raises, with nothing moved,
        TargetNotEmpty when a name is taken, TargetUnsafe when a directory's name is that of something else."""
        units = sorted(self._units(Path()), key=lambda path: (_rank(path), str(path)))
        statuses = [os.lstat(self.staging / path) for path in units]
        journal = [[str(path), status.st_dev, status.st_ino] for path, status in zip(units, statuses)]
        with durable.storage_errors("writing", self.directory):
            _append(self._descriptor, json.dumps(journal).encode("utf-8", "surrogateescape") + b"\n")
            for last in (False, True):
                for path in units:
                    if bool(_rank(path)) == last:
                        self._root.move_in(self.staging / path, path)
                for folder in {path.parent for path in units} | {Path()}:
                    self._root.fsync(folder)
            self._new.remove()
            self._end()

    def abandon(self) -> None:
        """Leave the directory as it was found."""
        with durable.storage_errors("cleaning", self.directory):
            self._remove_written()
            self._new.remove()
            self._end()

    # --- inside ----------------------------------------------------------------------------------

    def _lock(self) -> int:
        """The descriptor of the marker, which is this process's own now."""
        with durable.storage_errors("writing into", self.directory):
            while True:
                descriptor = self._root.open(MARKER_NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # the holder before us may have removed the name between our open and our lock
                    with contextlib.suppress(FileNotFoundError):
                        if self._root.status(MARKER_NAME).st_ino == os.fstat(descriptor).st_ino:
                            return descriptor
                except BlockingIOError:
                    owner = durable.process_in(os.pread(descriptor, 64, 0))
                    os.close(descriptor)
                    raise TargetBusy(
                        f"{self.directory} is in use by another job (process {owner})",
                        path=str(self.directory),
                    ) from None
                os.close(descriptor)

    def _require_own(self) -> None:
        status, marker = os.fstat(self._descriptor), self.directory / MARKER_NAME
        # what it names is removed: nobody else may have written it
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise TargetNotEmpty(
                f"{marker} was not written by a job of this user (it belongs to uid {status.st_uid})",
                remedy=f"Run the job as the user who began it, or remove what is in {self.directory} yourself.",
                path=str(self.directory),
            )

    def _begin(self, shared: bool) -> None:
        with durable.storage_errors("writing into", self.directory):
            self._remove_written()
            durable.remove_below(self._root, Path(STAGING_NAME))
            found = [] if shared else sorted(foreign_names(self.directory))
            if found:
                self._root.unlink(MARKER_NAME)
                self._root.fsync()
                raise TargetNotEmpty(f"{self.directory} is not empty: {', '.join(found[:5])}", path=str(self.directory))
            os.ftruncate(self._descriptor, 0)
            _append(self._descriptor, f"{os.getpid()}\n".encode())
            self._root.fsync()

    def _remove_written(self) -> None:
        size = os.fstat(self._descriptor).st_size
        journal = os.pread(self._descriptor, min(size, _MAX_JOURNAL), 0)
        try:
            moved = list(_moved(self.directory, journal))
        except (ValueError, TypeError) as error:
            raise StorageError(
                f"{self.directory / MARKER_NAME} cannot be read: {error}",
                remedy=f"Remove what is in {self.directory} yourself.",
                path=str(self.directory / MARKER_NAME),
            ) from error
        for path in moved:
            durable.remove_below(self._root, path)
        for folder in {path.parent for path in moved}:
            self._root.fsync(folder)

    def _end(self) -> None:
        self._root.unlink(MARKER_NAME)
        self._root.fsync()
        self._opened.close()

    def _units(self, folder: Path) -> Iterator[Path]:
        """Returns the entries to move: whole directories where there are none of their names (paths relative to
        staging)."""
        with durable.storage_errors("looking at", self.directory / folder):
            names = sorted(entry.name for entry in os.scandir(self.staging / folder))
        taken = []
        for name in names:
            path = folder / name
            source, target = self.staging / path, self.directory / path
            if not os.path.lexists(target):
                yield path
            elif source.is_dir() and not source.is_symlink():
                self._require_inner(target)
                yield from self._units(path)
            else:
                taken.append(str(path))
        if taken:
            raise TargetNotEmpty(
                f"{self.directory} holds files of these names already: {', '.join(taken[:5])}"
                + (f" and {len(taken) - 5} more" if len(taken) > 5 else ""),
                remedy="Unpack into another directory, or remove what is there yourself.",
                path=str(self.directory),
            )

    def _require_inner(self, target: Path) -> None:
        """Files are renamed into ``target``, which must not lead anywhere else, nor fail when half of them are
        there."""
        with durable.storage_errors("looking at", target):
            inner = not target.is_symlink() and target.is_dir()
            if not inner or target.stat().st_dev != self.directory.stat().st_dev:
                raise TargetUnsafe(
                    f"{target} is there already, and is no directory of the file system of {self.directory}",
                    remedy="Unpack into another directory.",
                    path=str(target),
                )


def _rank(path: Path) -> int:
    return _LAST.index(str(path)) + 1 if str(path) in _LAST else 0


def _append(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)
