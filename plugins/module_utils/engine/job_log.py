# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of one job: a file beside its progress file, which stays when the job fails or is killed.

Whoever looks for the reason why a job hangs sees in it the last lock that was asked for, the last file that was opened,
how far the redo log was followed. It is bounded in size, only its owner can read it, and no secret is in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from .errors import StorageError, TargetUnsafe
from .errors.base import clean
from .host import durable
from .host.anchor import Anchor

SUFFIX = ".log"
MOST_BYTES = 2 << 20  # of a log; what is older than the last MOST_LINES goes then
MOST_LINES = 1000
LONGEST_LINE = 1000  # characters; a list of thousands of files is cut there

_MODE = 0o600
_ENGINE = logging.getLogger(__package__)
_log = logging.getLogger(__name__)


def render(record: logging.LogRecord) -> str:
    """``record`` without its time, on one line: module of the engine, thread, message."""
    module = record.name.rpartition(f"{_ENGINE.name}.")[2]
    return clean(f"{module} [{record.threadName}] {record.getMessage()}")[:LONGEST_LINE]


class LineFormatter(logging.Formatter):
    """A record as one line: time (UTC, ms), level, and what ``render`` has."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{moment}.{int(record.msecs):03d}Z {record.levelname} {render(record)}"


class JobLog(logging.Handler):
    """Writes records to a new file at ``path``. A full disk ends the log, and never the job.

    Raises OSError when the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._pid = os.getpid()
        self._lines: deque[bytes] = deque(maxlen=MOST_LINES)
        self._size = 0
        self._descriptor, temporary = durable.new_beside(path, _MODE)
        try:
            os.fchmod(self._descriptor, _MODE)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            self.close()
            raise
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``; called with the handler's lock held."""
        # a process that was forked may have closed the descriptor, and have another file under its number
        if self._descriptor < 0 or os.getpid() != self._pid:
            return
        line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        try:
            if self._size + len(line) > MOST_BYTES:
                os.ftruncate(self._descriptor, 0)
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                self._size = self._write(b"(what was before was left out)\n" + b"".join(self._lines))
            self._size += self._write(line)
        except OSError:
            self.close()
        self._lines.append(line)

    def _write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        return len(data)

    def remove(self) -> None:
        """Remove the file, unless its name leads to another one by now. Raises OSError."""
        with self.lock or contextlib.nullcontext():
            if self._descriptor >= 0 and os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path)):
                self._path.unlink()

    def close(self) -> None:
        """Close the file; again is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        super().close()


@contextlib.contextmanager
def attached(handler: logging.Handler) -> Iterator[None]:
    """Have ``handler`` hear all that the engine logs in the block."""
    level = _ENGINE.level
    _ENGINE.addHandler(handler)
    _ENGINE.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        _ENGINE.setLevel(level)
        _ENGINE.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def kept_beside(progress_file: str | os.PathLike[str] | None) -> Iterator[None]:
    """Log the block into the file beside ``progress_file``, if there is one. After an error the log stays.

    A log that cannot be written is no reason to fail. Raises TargetUnsafe for a symbolic link on the way there that
    somebody else could change.
    """
    with contextlib.ExitStack() as opened:
        log = _opened(Path(progress_file), opened) if progress_file else None
        if log is None:
            yield
            return
        opened.enter_context(attached(log))
        try:
            yield
        except BaseException as error:
            _log.error("the job failed: %s: %s", type(error).__name__, error)
            raise
        with contextlib.suppress(OSError):
            log.remove()


def _opened(progress_file: Path, opened: contextlib.ExitStack) -> JobLog | None:
    try:
        directory = opened.enter_context(Anchor(progress_file.parent))
        return JobLog(durable.beside(directory.path / progress_file.name, SUFFIX))
    except TargetUnsafe:
        raise
    except (StorageError, OSError):
        return None
