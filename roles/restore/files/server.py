# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State of a host's database server, for the roles: without a login, without a client.

``state DATADIR SOCKET WANTED SECONDS``: whether a server runs on a data directory, and whether it answers. WANTED is
``any`` (just look), ``answering``, ``stoppable`` (answering, or not running at all: it may be stopped now) or
``stopped``; the last three are waited for. Prints ``{"running", "answers", "pid"}`` and ends with status 1 when that
was not reached in time, or cannot be reached any more.

A server is recognised by its working directory, which is its data directory, and by its program's name.
Standard library only.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

_PROGRAMS = ("mariadbd", "mysqld")
_PAUSE = 0.2  # seconds between two looks
_STARTING = 10.0  # seconds that a start may take until the process is there


def server_pid(datadir: str) -> int | None:
    """The process id of the server whose data directory is ``datadir``."""
    place = os.path.realpath(datadir)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().strip()
            if name in _PROGRAMS and os.readlink(process / "cwd") == place:
                return int(process.name)
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return None


def answers(path: str) -> bool:
    """Returns whether a server answers at the Unix socket ``path``; an error packet is an answer, too."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            return len(connection.recv(5)) == 5
        except OSError:
            return False


def state(datadir: str, path: str) -> dict[str, bool | int | None]:
    """Returns the state of the server now."""
    pid = server_pid(datadir)
    return {"running": pid is not None, "answers": pid is not None and answers(path), "pid": pid}


def wait(datadir: str, path: str, wanted: str, seconds: float) -> tuple[bool, dict[str, bool | int | None]]:
    """Look until the state is ``wanted`` or ``seconds`` are over; whether it was reached, and the last state."""
    began = time.monotonic()
    seen_running = False
    while True:
        now = state(datadir, path)
        reached = {
            "any": True,
            "answering": bool(now["answers"]),
            "stoppable": bool(now["answers"]) or not now["running"],
            "stopped": not now["running"],
        }[wanted]
        elapsed = time.monotonic() - began
        seen_running = seen_running or bool(now["running"])
        gone = wanted == "answering" and not now["running"] and (seen_running or elapsed > _STARTING)
        if reached or gone or elapsed > seconds:
            return reached, now
        time.sleep(_PAUSE)


def main(_command: str, *arguments: str) -> int:
    """Run ``state``, the only command; returns the exit status."""
    done, last = wait(*arguments[:3], float(arguments[3]))
    json.dump(last, sys.stdout)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
