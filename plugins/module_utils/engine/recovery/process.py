# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of a recovering server: what it does while it is silent, its log drained, its life bound to ours."""

from __future__ import annotations

import os
import queue
import signal
import time
from pathlib import Path
from typing import IO, Callable

from ..host import kernel

POLL_SECONDS = 1.0
"""Between two looks at a process whose log is silent."""

_BUSY_SHARE = 0.05  # of one processor: less is what idle background threads need
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class ActivityWatch:
    """Times at which a process last wrote output, moved bytes, or computed."""

    def __init__(self, pid: int) -> None:
        self._proc = Path("/proc") / str(pid)
        self._active_at = self._heard_at = self._looked_at = time.monotonic()
        self._bytes, self._ticks = self._look()

    def note_output(self) -> None:
        """The process wrote a line."""
        self._active_at = self._heard_at = time.monotonic()

    def quiet_seconds(self) -> float:
        """Seconds since the process last said something or moved bytes, when ``idle_seconds`` last looked."""
        return self._looked_at - self._heard_at

    def idle_seconds(self) -> float:
        """Seconds since the process last did anything."""
        now = time.monotonic()
        if now - self._looked_at < POLL_SECONDS:
            return now - self._active_at
        moved, ticks = self._look()
        computed = (ticks - self._ticks) / _CLOCK_TICKS / max(now - self._looked_at, 0.001)
        if moved != self._bytes:
            self._active_at = self._heard_at = now
        elif computed > _BUSY_SHARE:
            self._active_at = now
        self._bytes, self._ticks, self._looked_at = moved, ticks, now
        return now - self._active_at

    def _look(self) -> tuple[int, int]:
        """Bytes read and written by the process, processor ticks it used; zeros once it is gone."""
        try:
            moved = sum(int(line.split()[1]) for line in (self._proc / "io").read_text().splitlines())
        except (OSError, ValueError, IndexError):
            moved = 0
        try:
            # the name may hold blanks and brackets: fields are counted from the last bracket
            fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
            return moved, int(fields[11]) + int(fields[12])
        except (OSError, ValueError, IndexError):
            return moved, 0


def drain(stream: IO[bytes], lines: queue.SimpleQueue[str | None]) -> None:
    """Pass the log on line by line, then None: whatever we do, the server never waits for us to read."""
    try:
        for line in stream:
            lines.put(line.decode("utf-8", "replace").rstrip())
    except (OSError, ValueError):
        pass
    finally:
        lines.put(None)


class HeldSignals:
    """While a process is being started, what would end our job waits.

    Python drops an exception that a signal's handler raises in the midst of a fork, and one behind it would leave a
    process that nobody knows.
    """

    def __init__(self) -> None:
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})

    def release(self) -> None:
        """Let them come; a second time does nothing."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)


def die_with_parent(parent: int, held: HeldSignals) -> Callable[[], None]:
    """Returns what the child does before it becomes the server: it asks to be killed when its parent dies, and takes
    all signals.

    A server that outlived a killed job would go on changing files that the next job makes anew.
    """
    kernel.libc()

    def prepare() -> None:
        kernel.signal_when_parent_dies(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        held.release()

    return prepare
