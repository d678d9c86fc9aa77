# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of a job: phases, bytes, rates and ETA, in an atomically replaced JSON status file.

``xtrabackup_info`` reads the file of a running job. The file is not durable, on purpose: it is about a
process that is alive.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Callable

from .errors import StorageError, TargetUnsafe
from .host import durable
from .host.anchor import Anchor

_log = logging.getLogger(__name__)

_WRITE_INTERVAL = 1.0  # seconds between two writes of the status file
_MODE = 0o644  # of the status file, less the umask


class Progress:
    """Thread-safe counters of one job; written to ``path`` (if given) at most once a second.

    Raises TargetUnsafe for a symbolic link on the way there that somebody else could change.
    """

    def __init__(self, job: str, path: str | os.PathLike[str] | None = None) -> None:
        self._lock = threading.Lock()
        self._path = self._anchored(Path(path)) if path else None
        self._written_at = 0.0
        self._job = job
        self._started = time.time()
        self._phase = "starting"
        self._phase_started = self._started
        self._done = 0
        self._total: int | None = None
        self._phases: dict[str, float] = {}
        self._announced: dict[str, str] = {}
        self._measured: dict[str, Callable[[], int]] = {}

    def _anchored(self, path: Path) -> Path | None:
        """``path``, reached by the descriptor of its directory; None where there is none."""
        try:
            self._directory = Anchor(path.parent)
        except TargetUnsafe:
            raise
        except StorageError:
            return None
        return self._directory.path / path.name

    def phase(self, name: str, total: int | None = None) -> None:
        """Enter phase ``name``, of ``total`` bytes if that is known."""
        with self._lock:
            now = time.time()
            self._phases[self._phase] = self._phases.get(self._phase, 0.0) + now - self._phase_started
            _log.info(
                "%s: %s, %s bytes, after %.1f s of %s", self._job, name, total, now - self._phase_started, self._phase
            )
            self._phase, self._phase_started = name, now
            self._done, self._total = 0, total
            self._write(now)

    def advance(self, count: int) -> None:
        """Count ``count`` more bytes of this phase."""
        with self._lock:
            self._done += count
            now = time.time()
            if now - self._written_at >= _WRITE_INTERVAL:
                self._write(now)

    def at(self, done: int) -> None:
        """Say that ``done`` bytes of this phase are behind us."""
        with self._lock:
            self._done = done
            now = time.time()
            if now - self._written_at >= _WRITE_INTERVAL:
                self._write(now)

    def announce(self, name: str, value: str) -> None:
        """Have ``value``, which is no secret, in the status from the next phase on, for those who wait for it."""
        with self._lock:
            self._announced[name] = value

    def measure(self, name: str, value: Callable[[], int] | None) -> None:
        """Have the number that ``value`` returns at once in the status as ``name``, from now on; no more with None."""
        with self._lock:
            if value is None:
                self._measured.pop(name, None)
            else:
                self._measured[name] = value

    def snapshot(self) -> dict[str, Any]:
        """The status as data: job, pid, phase, bytes, bytes_total, mib_per_second, eta_seconds, seconds, phases,
        announced, and what is measured."""
        with self._lock:
            return self._snapshot(time.time())

    def close(self) -> None:
        """The job is over: remove the status file."""
        with self._lock:
            _log.info("%s: over, in phase %s, %d bytes of it done", self._job, self._phase, self._done)
            if self._path:
                self._path.unlink(missing_ok=True)
                self._path = None
                self._directory.close()

    def _snapshot(self, now: float) -> dict[str, Any]:
        elapsed = max(now - self._phase_started, 1e-6)
        rate = self._done / elapsed
        remaining = None if self._total is None or rate <= 0 else max(self._total - self._done, 0) / rate
        return {
            "job": self._job,
            "pid": os.getpid(),
            "phase": self._phase,
            "bytes": self._done,
            "bytes_total": self._total,
            "mib_per_second": round(rate / (1 << 20), 2),
            "eta_seconds": None if remaining is None else round(remaining, 1),
            "seconds": round(now - self._started, 1),
            "phases": {name: round(seconds, 3) for name, seconds in self._phases.items()},
            "announced": dict(self._announced),
            **{name: value() for name, value in self._measured.items()},
        }

    def _write(self, now: float) -> None:
        if self._path is None:
            return
        self._written_at = now
        temporary = None
        try:
            descriptor, temporary = durable.new_beside(self._path, _MODE)
            with open(descriptor, "wb") as file:
                file.write(json.dumps(self._snapshot(now)).encode())
            os.replace(temporary, self._path)
        except OSError:
            # progress is a courtesy: a full disk is reported by the job's own writes
            self._path = None
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
