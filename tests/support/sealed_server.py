# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of the server that recovers a directory, while it runs."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NAMESPACES = ("net", "mnt", "ipc")


@dataclass(frozen=True)
class Rights:
    """Of one process: its uids and gids, capabilities (effective, permitted, and what it could get), and in which
    namespaces of its own it is."""

    uids: frozenset[int]
    gids: frozenset[int]
    groups: str
    capabilities: frozenset[str]
    no_new_privileges: bool
    own_namespaces: tuple[str, ...]


@contextlib.contextmanager
def watched(directory: Path, name: str) -> Iterator[set[Rights]]:
    """The rights of each process called ``name`` with ``directory`` in its arguments, collected during the block."""
    seen: set[Rights] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            for entry in Path("/proc").iterdir():
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                    if os.fsencode(directory) in command and (entry / "comm").read_text().strip() == name:
                        seen.add(rights_of(entry))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def rights_of(process: Path) -> Rights:
    """The rights of the process whose directory in /proc is ``process``."""
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    own = Path("/proc/self/ns")
    return Rights(
        frozenset(map(int, status["Uid"].split())),
        frozenset(map(int, status["Gid"].split())),
        status["Groups"].strip(),
        frozenset(status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")),
        status["NoNewPrivs"].strip() == "1",
        tuple(name for name in _NAMESPACES if os.readlink(process / "ns" / name) != os.readlink(own / name)),
    )
