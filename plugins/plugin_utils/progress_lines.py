# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that shows the progress of a job: a bar on a terminal, else a line now and then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LINE_SECONDS = 30
LINE_PERCENT = 10

_BAR_CELLS = 24
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def size(count: float) -> str:
    """``count`` bytes with a unit that leaves at most four digits."""
    unit = 0
    while count >= 1024 and unit + 1 < len(_UNITS):
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """``seconds`` as ``45 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def share(status: Mapping[str, Any]) -> float | None:
    """Return the part of the phase that is done, from 0 to 1; None where its size is not known."""
    done, total = status.get("bytes"), status.get("bytes_total")
    if not isinstance(done, (int, float)) or not isinstance(total, (int, float)) or total <= 0:
        return None
    return min(done / total, 1.0)


def described(status: Mapping[str, Any]) -> str:
    """The status (see ``engine/progress.py``) as text: phase, share, bytes, rate and time left, and how far
    the copy of the redo log is behind the server."""
    parts = [str(status.get("phase", "starting"))]
    done, portion = status.get("bytes") or 0, share(status)
    if portion is not None:
        parts.append(f"{portion:.0%}, {size(done)} of {size(status['bytes_total'])}")
    elif done:
        parts.append(size(done))
    rate = status.get("mib_per_second")
    if done and rate:
        parts.append(f"{rate:.0f} MiB/s")
    if portion is not None and status.get("eta_seconds") is not None:
        parts.append(f"{duration(status['eta_seconds'])} left")
    behind = status.get("redo_behind_bytes")
    if isinstance(behind, (int, float)) and behind > 0:
        parts.append(f"redo {size(behind)} behind")
    return ", ".join(parts)


def progress_bar(host: str, status: Mapping[str, Any], columns: int) -> str:
    """One line of at most ``columns`` characters that replaces the last one."""
    portion = share(status)
    filled = 0 if portion is None else round(portion * _BAR_CELLS)
    drawn = f"[{'=' * filled}{' ' * (_BAR_CELLS - filled)}] " if portion is not None else ""
    return f"{host}: {drawn}{described(status)}"[: max(columns - 1, 20)]


@dataclass
class Lines:
    """Decides when a line is due: at each new phase, every 10 % of one, and every 30 s."""

    _phase: str = ""
    _tenth: int = 0
    _at: float = field(default=float("-inf"))

    def due(self, status: Mapping[str, Any], now: float) -> bool:
        """Return True if this status is worth a line at ``now`` (seconds of a clock that does not go back)."""
        phase = str(status.get("phase", ""))
        portion = share(status)
        tenth = 0 if portion is None else int(portion * 100) // LINE_PERCENT
        if not phase or (phase == self._phase and tenth <= self._tenth and now - self._at < LINE_SECONDS):
            return False
        self._phase, self._tenth, self._at = phase, tenth, now
        return True
