# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Common parts of the followers of all servers' redo logs: the thread, its target, its rate."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Callable, Protocol, Union

from ..errors import Cancelled, ServerError, XtrabackupError

_log = logging.getLogger(__name__)

_STOP_WAIT = 10.0  # seconds that stop() gives the thread to leave its output
_TELL_INTERVAL = 10.0  # seconds between two lines of the log about how far the follower is
_RATE_INTERVAL = 1.0  # seconds over which a rate is measured
_LAG_INTERVAL = 1.0  # seconds between two questions to the server about its LSN


class LogOutput(Protocol):
    """Output of the log: a SinkFile, or anything that consumes the data before ``write`` returns."""

    def write(self, data: Union[bytes, bytearray, memoryview]) -> object: ...


class RedoCheckpoint(Protocol):
    """A checkpoint of a redo log, as far as a backup wants to know."""

    @property
    def lsn(self) -> int: ...


class Follower(Protocol):
    """A redo follower of any server family: a LogFollower that knows checkpoints."""

    @property
    def checkpoint_lsn(self) -> int: ...

    @property
    def lsn(self) -> int: ...

    @property
    def copied_bytes(self) -> int: ...

    @property
    def behind(self) -> int: ...

    @property
    def peak_mib_per_second(self) -> float: ...

    def start(self) -> None: ...

    def follow_until(self, target_lsn: int, timeout: float) -> int: ...

    def stop(self) -> None: ...

    def newest_checkpoint(self) -> RedoCheckpoint: ...


class LogFollower:
    """A thread that copies a log to ``output`` until a target or an order to stop. What the log is, subclasses know.

    ``path`` names the log in messages. ``on_failure`` is called once, from the follower's thread, when following
    fails; ``follow_until`` raises that error too.
    """

    def __init__(self, path: str, output: LogOutput, on_failure: Callable[[XtrabackupError], None]) -> None:
        self._path = path
        self._output = output
        self._on_failure = on_failure
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._error: XtrabackupError | None = None
        self._limit: int | None = None
        self._at_tail = False
        self._rate = _PeakRate()
        self._lsn = 0
        self._copied = 0
        self._told = self._asked = time.monotonic()
        self._behind = 0

    # --- what the job sees

    @property
    def lsn(self) -> int:
        """The LSN up to which the log is verified and copied."""
        return self._lsn

    @property
    def copied_bytes(self) -> int:
        """Bytes of redo copied so far, without the header."""
        return self._copied

    @property
    def behind(self) -> int:
        """Bytes of redo that the server had written and that were not copied, when the copy last went on."""
        return 0 if self._at_tail else self._behind

    @property
    def peak_mib_per_second(self) -> float:
        """The highest rate of redo seen over a second, in MiB/s."""
        return self._rate.peak / (1 << 20)

    @property
    def error(self) -> XtrabackupError | None:
        """Error with which following failed; None if it did not."""
        return self._error

    def follow_until(self, target_lsn: int, timeout: float) -> int:
        """Follow until ``target_lsn`` is copied, and end; returns the LSN of the copy's end.

        ``target_lsn`` must be in the log or be on its way there (FLUSH ENGINE LOGS). Raises what the follower failed
        with, or ServerError after ``timeout`` seconds.
        """
        _log.info("following the redo log to LSN %d, from LSN %d, for %g s at most", target_lsn, self._lsn, timeout)
        self._limit = target_lsn
        self._wake.set()
        thread = self._started_thread()
        thread.join(timeout)
        if thread.is_alive():
            self.stop()
            raise self._error or self._not_reached(target_lsn, timeout)
        if self._error:
            raise self._error
        if self._lsn < target_lsn:
            raise Cancelled(f"following the redo log was stopped at LSN {self._lsn}, before LSN {target_lsn}")
        return self._lsn

    def stop(self) -> None:
        """Abort: the thread ends as soon as its output lets it; the copy is not usable. Harmless when ended."""
        _log.debug("stopping to follow the redo log at LSN %d", self._lsn)
        self._stopped.set()
        self._wake.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(_STOP_WAIT)
        elif self._thread is None:
            self._close()

    # --- what a subclass says

    def _follow(self) -> None:
        """Copy until ``_limit`` is reached or ``_stopped`` is set; runs in the thread."""
        raise NotImplementedError

    def _close(self) -> None:
        """Give back what is open; again is harmless."""
        raise NotImplementedError

    def _server_lsn(self) -> int:
        """The LSN up to which the server has written redo; asked in the thread."""
        raise NotImplementedError

    # --- the thread

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._run, name="redo-follower", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        _log.info("following the redo log %s from LSN %d", self._path, self._lsn)
        try:
            self._follow()
            self._tell()
        except XtrabackupError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 -- a thread has no caller: whatever it is goes to the job
            self._fail(ServerError(f"following the redo log {self._path} at LSN {self._lsn}: {error!r}"))
        finally:
            self._close()

    def _fail(self, error: XtrabackupError) -> None:
        _log.info("following the redo log failed at LSN %d: %s", self._lsn, error)
        self._error = error
        if not self._stopped.is_set():
            self._on_failure(error)

    def _copy(self, data: Union[bytes, bytearray, memoryview], lsn: int) -> None:
        """Write ``data``, which leads to ``lsn``."""
        self._at_tail = False
        self._output.write(data)
        self._lsn = lsn
        self._copied += len(data)
        self._rate.count(len(data))
        self._measure_lag()
        if time.monotonic() - self._told >= _TELL_INTERVAL:
            self._tell()

    def _measure_lag(self) -> None:
        """Ask the server how far it is, now and then. It is only shown: a server that does not answer is no failure."""
        now = time.monotonic()
        if now - self._asked >= _LAG_INTERVAL:
            self._asked = now
            with contextlib.suppress(XtrabackupError):
                self._behind = max(self._server_lsn() - self._lsn, 0)

    def _tell(self) -> None:
        self._told = time.monotonic()
        _log.info("the redo log is copied to LSN %d, %d bytes", self._lsn, self._copied)

    def _pause(self, seconds: float) -> None:
        """Wait, but not when there is a new target or an order to stop."""
        if self._wake.wait(seconds):
            self._wake.clear()

    def _not_reached(self, target: int, timeout: float) -> XtrabackupError:
        why = "nothing more could be read from the log" if self._at_tail else "it is still behind"
        return ServerError(
            f"{self._path}: the copy of the redo log did not reach LSN {target} within {timeout:g} s; it is at "
            f"LSN {self._lsn}, and {why}",
            remedy="Check that the backup target keeps up and that the server can write its redo log.",
            path=self._path,
            lsn=self._lsn,
            target_lsn=target,
        )

    def _started_thread(self) -> threading.Thread:
        if self._thread is None:
            raise RuntimeError("the redo follower was not started")
        return self._thread


def suggested_size(behind: int, capacity: int) -> int:
    """A log size in bytes, a power of two, that would have held twice what was missed."""
    return 1 << max(2 * behind, 2 * capacity).bit_length()


class _PeakRate:
    """The highest rate in bytes per second, over intervals of a second or more."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._bytes = 0
        self._best = 0.0

    def count(self, size: int) -> None:
        self._bytes += size
        elapsed = time.monotonic() - self._since
        if elapsed >= _RATE_INTERVAL:
            self._best = max(self._best, self._bytes / elapsed)
            self._since += elapsed
            self._bytes = 0

    @property
    def peak(self) -> float:
        """Bytes per second; of the time so far when that is less than one interval."""
        if self._best:
            return self._best
        return self._bytes / max(time.monotonic() - self._since, 1e-3)
