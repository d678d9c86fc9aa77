# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts that nobody has: a uid for one job, as systemd's DynamicUser, and the processes that run as one."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import random
import signal
import time
from collections.abc import Collection, Iterator

from ..errors import StorageError

#: systemd's range for accounts that come and go (https://systemd.io/UIDS-GIDS)
FIRST_UID, LAST_UID = 61184, 65519

_END_SECONDS = 30.0
_POLL_SECONDS = 0.02


def free_account(reserved: Collection[int]) -> int:
    """A number, none of ``reserved``, that is no account's uid and no group's gid, and that no process runs as."""
    used = {uid for _pid, uids in _processes() for uid in uids}
    numbers = [number for number in range(FIRST_UID, LAST_UID + 1) if number not in used and number not in reserved]
    random.shuffle(numbers)
    for number in numbers:
        if not _is_known(number):
            return number
    raise StorageError(
        f"every uid from {FIRST_UID} to {LAST_UID} is taken",
        remedy="Remove accounts in that range, which systemd uses for accounts that come and go.",
    )


def end_processes(uid: int) -> None:
    """Kill every process that runs as ``uid``, and wait until none is left. Raises StorageError."""
    deadline = time.monotonic() + _END_SECONDS
    while pids := [pid for pid, uids in _processes() if uid in uids]:
        if time.monotonic() > deadline:
            raise StorageError(
                f"process {pids[0]}, which runs as the uid {uid} of this job, does not end",
                remedy="It waits for a device: look at the storage, then run this again.",
                pids=pids,
            )
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _is_known(number: int) -> bool:
    for lookup in (pwd.getpwuid, grp.getgrgid):
        with contextlib.suppress(KeyError):
            lookup(number)
            return True
    return False


def _processes() -> Iterator[tuple[int, set[int]]]:
    """Each process, and its real, effective, saved and file system uid. One whose threads have all ended, and that only
    waits for its parent to ask, is none."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{name}/status", encoding="latin-1") as status:
            fields = dict(line.split(":", 1) for line in status)
            if fields["State"].split()[0] != "Z" or int(fields["Threads"]) > 1:
                yield int(name), set(map(int, fields["Uid"].split()))
