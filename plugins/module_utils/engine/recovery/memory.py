# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that recovery may and should use, from the free memory of the host and of this process's control groups."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InvalidOption, Option
from ..units import format_size, parse_size

MINIMUM = 32 << 20  # bytes; below, recovery crawls through tiny batches
_COMFORTABLE = 128 << 20  # the server's own default
_SHARE = 0.5  # of what is free: the rest is page cache, which recovery's reads and writes live on
_BASE = 64 << 20  # bytes beside what the redo needs
_NO_LIMIT = 1 << 60  # version 1 says "no limit" as a number near 2**63
_CHUNK = 1 << 20  # the server rounds to this


def choose_buffer_pool(redo_bytes: int, use_memory: str, available: int) -> int:
    """Bytes of buffer pool for the recovery of ``redo_bytes``, when ``available`` are free.

    ``use_memory`` is ``auto``, a size, or a share of what is free (``40%``). InnoDB keeps parsed redo in at most a
    third of the pool and works in batches when that is not enough, reading the same pages again. As much as the redo
    means three batches or so, whose pages are in the page cache; more costs more than it saves, since memory that was
    never used must be made first. Raises InvalidOption.
    """
    if use_memory.strip().lower() != "auto":
        return _explicit(use_memory, available)
    wanted = max(_COMFORTABLE, redo_bytes + _BASE)
    chosen = min(wanted, int(available * _SHARE))
    if chosen < MINIMUM:
        raise InvalidOption(
            f"recovery needs at least {format_size(MINIMUM)} of memory and may use half of what is free: "
            f"{format_size(available)} are",
            remedy=f"Free memory (or raise the control group's limit), or name a size with {Option('use_memory')}.",
            available=available,
            needed=MINIMUM,
        )
    return chosen // _CHUNK * _CHUNK


def _explicit(use_memory: str, available: int) -> int:
    share = re.fullmatch(r"\s*(\d{1,2})\s*%\s*", use_memory)
    chosen = available * int(share.group(1)) // 100 if share else parse_size(use_memory, "use_memory")
    if chosen < MINIMUM:
        raise InvalidOption(
            f"{Option('use_memory')}: {use_memory} is {format_size(chosen)}, and recovery needs "
            f"{format_size(MINIMUM)} or more",
            option="use_memory",
        )
    if chosen > available:
        raise InvalidOption(
            f"{Option('use_memory')}: {use_memory} was asked for, and {format_size(available)} of memory are free",
            remedy="Give less, or auto.",
            option="use_memory",
            available=available,
        )
    return chosen // _CHUNK * _CHUNK


def available_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that a new process here can take: MemAvailable, or less where a control group limits us (version 2 or 1).

    The page cache that a group has used counts as free, as it does in MemAvailable.
    """
    available = _meminfo(proc / "meminfo")
    for directory, limit_name, usage_name in _groups(proc, cgroup):
        limit = _number(directory / limit_name)
        usage = _number(directory / usage_name)
        if limit is not None and usage is not None and limit < _NO_LIMIT:
            available = min(available, max(0, limit - usage + _page_cache(directory / "memory.stat")))
    return available


def _meminfo(path: Path) -> int:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return int(match.group(1)) << 10 if match else _COMFORTABLE


def _groups(proc: Path, cgroup: Path) -> list[tuple[Path, str, str]]:
    """(directory, name of the limit, name of the usage) of our memory group and each one above it."""
    found = []
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        number, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if number == "0" and not controllers:
            # with both versions mounted, version 2 is in "unified"
            for root in (cgroup, cgroup / "unified"):
                found += _upwards(root, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            found += _upwards(cgroup / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")
    return found


def _upwards(root: Path, path: str, limit: str, usage: str) -> list[tuple[Path, str, str]]:
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    # inside a container the group's path may be the host's, while the mount shows only our own part: the root is it
    return [(root.joinpath(*parts[:count]), limit, usage) for count in range(len(parts), -1, -1)]


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _page_cache(path: Path) -> int:
    """Bytes of page cache in a memory.stat that the kernel can drop at once."""
    try:
        text = path.read_text()
    except OSError:
        return 0
    for name in ("total_inactive_file", "inactive_file"):
        match = re.search(rf"^{name} (\d+)$", text, re.MULTILINE)
        if match:
            return int(match.group(1))
    return 0
