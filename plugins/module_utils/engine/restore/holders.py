# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does another process hold a file that is to be replaced? Asked of the kernel: open files and locks.

A server closes tables that nobody uses, so for those of another MySQL server its own dictionary is asked, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ..errors import FileInUse, UnsafeFile
from ..format.file_kinds import DICTIONARY_NAME, REDO_DIRECTORY, REDO_FILE, REDO_FILE_PREFIX
from ..host import below, running, trees

# struct flock of Linux with 64-bit offsets: type, whence, start, length, process id
_FLOCK = struct.Struct("hhqqi4x")
_DICTIONARY = re.compile(f"{re.escape(DICTIONARY_NAME)}|{REDO_FILE.expression}")
_CHUNK = 1 << 20  # bytes that are searched at once
_NAME_IN_DIRECTORY = rb"/([^/\x00-\x1f]{1,251}?\.ib[du])"


@dataclass(frozen=True)
class Holder:
    """A process that holds a file, 0 for one of another container, and how that is known."""

    pid: int
    path: Path
    evidence: str


def require_unheld(paths: Iterable[Path], datadir: Path) -> None:
    """Raises FileInUse when a process holds one of ``paths``, or a file below it; links are not followed.

    The server of ``datadir`` itself does not count: whether it may run is asked elsewhere. Nor do we.
    """
    files = {(status.st_dev, status.st_ino): path for path, status in _regular_files(paths)}
    own = frozenset((os.getpid(), *(server.pid for server in running.servers() if server.works_in(datadir))))
    holder = _opened(files, own) or _locked(files.values(), own)
    if holder is not None:
        raise _in_use(holder)


def require_unclaimed(paths: Iterable[Path], datadir: Path) -> None:
    """Raises FileInUse when the dictionary of another MySQL server that runs on this host names one of ``paths``."""
    wanted = list(paths)
    for server in running.servers():
        if not wanted or server.works_in(datadir):
            continue
        named = named_in(server.open_files(_DICTIONARY), wanted, running.open_again)
        if named:
            evidence = f"it is a table of the server that runs as process {server.pid} on {server.directory}"
            raise _in_use(Holder(server.pid, min(named), evidence))


def dictionary_of(datadir: Path, log_directory: Path) -> list[Path]:
    """Files that name the tablespaces of the MySQL server that is not running on ``datadir``: its dictionary, and the
    redo log, from which a server that was killed would complete it."""
    found = [datadir / DICTIONARY_NAME, *sorted((log_directory / REDO_DIRECTORY).glob(f"{REDO_FILE_PREFIX}*"))]
    return [path for path in found if path.is_file()]


def named_in(
    dictionary: Iterable[Path], paths: Iterable[Path], open_source: Callable[[Path], int] = below.open_file
) -> set[Path]:
    """Those of ``paths`` whose absolute name is in one of the files ``dictionary``; what is encrypted names none.

    The files are read and not mapped: their owner can shorten them meanwhile, which would end us with SIGBUS.
    """
    forms = {os.fsencode(form): path for path in paths for form in (path, os.path.realpath(path))}
    directories = {os.path.dirname(form) for form in forms}
    patterns = [re.compile(re.escape(directory) + _NAME_IN_DIRECTORY) for directory in directories]
    longest = max(map(len, forms), default=0)
    found: set[Path] = set()
    for file in dictionary:
        with contextlib.suppress(OSError, ValueError, UnsafeFile), contextlib.ExitStack() as opened:
            source = open_source(file)
            opened.callback(os.close, source)
            content = b""
            while chunk := os.read(source, _CHUNK):
                content = content[-longest:] + chunk  # a name may lie across two chunks
                matches = (match.group() for pattern in patterns for match in pattern.finditer(content))
                found.update(forms[name] for name in matches if name in forms)
    return found


def _in_use(holder: Holder) -> FileInUse:
    return FileInUse(
        f"{holder.path} is in the way, and {holder.evidence}",
        path=str(holder.path),
        pid=holder.pid,
        evidence=holder.evidence,
    )


def _regular_files(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield path, status
            elif stat.S_ISDIR(status.st_mode):
                yield from _regular_files(path / name for name in trees.files_below(path))


def _opened(files: dict[tuple[int, int], Path], own: frozenset[int]) -> Holder | None:
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) in own:
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to somebody else
            for descriptor in os.listdir(process / "fd"):
                with contextlib.suppress(OSError):
                    status = os.stat(process / "fd" / descriptor)
                    path = files.get((status.st_dev, status.st_ino))
                    if path is not None and stat.S_ISREG(status.st_mode):
                        name = (process / "comm").read_text().strip()
                        return Holder(int(process.name), path, f"process {process.name} ({name}) has it open")
    return None


def _locked(paths: Iterable[Path], own: frozenset[int]) -> Holder | None:
    """A lock is seen across containers, where the processes of others are not."""
    question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    for path in paths:
        with contextlib.suppress(OSError, UnsafeFile):
            descriptor = below.open_file(path)
            try:
                kind, _whence, _start, _length, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
            finally:
                os.close(descriptor)
            if kind != fcntl.F_UNLCK and pid not in own:
                return Holder(max(pid, 0), path, f"process {max(pid, 0) or 'of another container'} holds a lock on it")
    return None
