# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that copy files at the same time, and the one place where a job learns that it failed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Callable, TypeVar

from ..errors import Cancelled
from .copier import READ_SIZE

_log = logging.getLogger(__name__)

Task = TypeVar("Task")
Result = TypeVar("Result")


class Failure:
    """The first error of a job, from whichever thread; ``cancelled`` tells all the others to stop."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def set(self, error: BaseException) -> None:
        """Remember ``error`` if it is the first one (a Cancelled is a consequence, never a cause)."""
        with self._lock:
            if self._error is None or isinstance(self._error, Cancelled):
                _log.info("failed: %s: %s", type(error).__name__, error)
                self._error = error
        self.cancelled.set()

    def check(self) -> None:
        """Raises the first error, if there is one."""
        with self._lock:
            if self._error is not None:
                raise self._error


class CopyPool:
    """``parallel`` workers with a buffer of READ_SIZE bytes each."""

    def __init__(self, parallel: int, failure: Failure) -> None:
        self._failure = failure
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="copy")

    def run(self, tasks: Iterable[Task], work: Callable[[Task, memoryview], Result]) -> list[Result]:
        """``work(task, buffer)`` for each task, begun in the given order; raises the job's first error."""

        def guarded(task: Task) -> Result:
            if self._failure.cancelled.is_set():
                raise Cancelled("another part of the job failed first")
            try:
                return work(task, self._buffer())
            except BaseException as error:
                self._failure.set(error)
                raise

        futures: list[Future[Result]] = [self._pool.submit(guarded, task) for task in tasks]
        pending = set(futures)
        while pending and not self._failure.cancelled.is_set():
            # a wait without an end would also keep the main thread from its signals
            _done, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
        self._failure.check()
        return [future.result() for future in futures]

    def close(self) -> None:
        """Wait for the workers; after a failure those that have not begun do not begin."""
        self._pool.shutdown(wait=True, cancel_futures=self._failure.cancelled.is_set())

    def _buffer(self) -> memoryview:
        if not hasattr(self._local, "buffer"):
            self._local.buffer = memoryview(bytearray(READ_SIZE))
        return self._local.buffer  # type: ignore[no-any-return]
