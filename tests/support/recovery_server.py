# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of the server that recovers a directory, while it runs."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.accounts import FIRST_UID, LAST_UID

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


def check_account(directory: Path, owner: str, name: str, prepare: Callable[[], list[str]]) -> None:
    """``prepare``, which returns warnings, recovers the backup in ``directory`` by a server called ``name``: it runs as
    an account that nobody has, with no right beyond it, and all is the account ``owner``'s again afterwards."""
    account = pwd.getpwnam(owner)
    subprocess.run(["chown", "-R", f"{account.pw_uid}:{account.pw_gid}", str(directory)], check=True)
    mode = directory.stat().st_mode
    with watched(directory, name) as seen:
        warnings = prepare()
    (rights,) = seen
    (uid,) = rights.uids
    assert FIRST_UID <= uid <= LAST_UID
    assert rights.gids == {uid}
    assert rights.groups == ""
    assert rights.capabilities == {"0" * 16}
    assert rights.no_new_privileges
    assert rights.own_namespaces == ("net", "mnt", "ipc")
    assert not any("namespaces" in warning for warning in warnings)
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in (directory, *directory.rglob("*"))}
    assert owners == {(account.pw_uid, account.pw_gid)}
    assert directory.stat().st_mode == mode
