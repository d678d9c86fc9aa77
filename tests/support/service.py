# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service manager of private servers, for playbooks that start and stop them.

``service.py start DIRECTORY [PROGRAM]``, ``service.py stop DIRECTORY``: DIRECTORY is laid out as that of
``servers.DatabaseServer``, PROGRAM is its server's (mariadbd). A process is only touched if its command line names this
directory's option file. Standard library only; it runs as a program of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_PAUSE = 0.1  # seconds between two looks


def _option_file_argument(directory: Path) -> bytes:
    return os.fsencode(f"--defaults-file={directory / 'server.cnf'}")


def own_pid(directory: Path) -> int | None:
    """The process id of the server of ``directory``, None when it does not run."""
    try:
        pid = int((directory / "server.pid").read_text(encoding="ascii"))
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if _option_file_argument(directory) in arguments else None


def start(directory: Path, program: str = "mariadbd") -> None:
    """Start the server of ``directory`` on the data that are there; it may take a while until it answers."""
    if not (directory / "data").is_dir():
        raise SystemExit(f"{directory} has no data: nothing was started")
    if own_pid(directory) is not None:
        return
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/usr/local/sbin:/sbin"
    subprocess.Popen(
        [shutil.which(program, path=path) or program, f"--defaults-file={directory / 'server.cnf'}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def stop(directory: Path, timeout: float = 120) -> None:
    """Shut the server of ``directory`` down and wait for its end; nothing to do for one that does not run."""
    pid = own_pid(directory)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while own_pid(directory) == pid:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server in {directory} (process {pid}) did not stop in {timeout} s")
        time.sleep(_PAUSE)


if __name__ == "__main__":
    if sys.argv[1] == "start":
        start(Path(sys.argv[2]), *sys.argv[3:])
    else:
        stop(Path(sys.argv[2]))
