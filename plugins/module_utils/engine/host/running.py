# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a server using this data directory? Asked of the kernel, not of the server's word.

A running MariaDB holds write locks (fcntl) on ``ibdata1`` and ``aria_log_control``, and its working directory is its
data directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import ServerRunning, UnsafeFile, XtrabackupError
from ..format.file_kinds import ARIA_CONTROL_NAME, SYSTEM_PREFIX
from . import below
from .small_files import read_small

# struct flock of Linux with 64-bit offsets: type, whence, start, length, process id
_FLOCK = struct.Struct("hhqqi4x")
_SERVER_NAMES = ("mariadbd", "mysqld")
_CONNECT_SECONDS = 2.0
_POLL_SECONDS = 0.1
_MAX_PID_FILE = 64  # bytes


@dataclass(frozen=True)
class User:
    """Process that uses a data directory: the process id (0: in another container) and how we know."""

    pid: int
    evidence: str


def user_of(datadir: Path, *, pid_file: Path | None = None, server_socket: Path | None = None) -> User | None:
    """The server that runs on ``datadir``, None when there is none. The files' locks, the working directories of
    processes, then the pid file and the socket that belong to this directory are asked."""
    if not datadir.is_dir():
        return None
    return (
        _lock_holder(datadir)
        or _working_there(datadir)
        or (pid_file and _named_in(pid_file))
        or (server_socket and _answering(server_socket))
        or None
    )


def require_unused(datadir: Path, *, pid_file: Path | None = None, server_socket: Path | None = None) -> None:
    """Raises ServerRunning when ``user_of`` finds one."""
    user = user_of(datadir, pid_file=pid_file, server_socket=server_socket)
    if user:
        raise ServerRunning(
            f"a server is running on {datadir}: {user.evidence}",
            path=str(datadir),
            pid=user.pid,
            evidence=user.evidence,
        )


def wait_until_unused(datadir: Path, seconds: float) -> None:
    """Wait for a server that is just ending; raises ServerRunning when one is there after ``seconds``."""
    deadline = time.monotonic() + seconds
    while user_of(datadir) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    require_unused(datadir)


def _lock_holder(datadir: Path) -> User | None:
    for path in [datadir / ARIA_CONTROL_NAME, *sorted(datadir.glob(f"{SYSTEM_PREFIX}*"))]:
        with contextlib.suppress(OSError, UnsafeFile):
            descriptor = below.open_file(path)
            try:
                question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                kind, _whence, _start, _length, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
            finally:
                os.close(descriptor)
            if kind != fcntl.F_UNLCK:
                return User(max(pid, 0), f"process {pid} holds a lock on {path.name}")
    return None


def _working_there(datadir: Path) -> User | None:
    for server in servers():
        if server.works_in(datadir):
            return User(server.pid, f"it is the working directory of process {server.pid}")
    return None


@dataclass(frozen=True)
class ServerProcess:
    """A database server that runs on this host, as far as the kernel tells."""

    pid: int

    @property
    def directory(self) -> str:
        """Its working directory, which is its data directory; "" when that cannot be seen."""
        try:
            return os.readlink(f"/proc/{self.pid}/cwd")
        except OSError:
            return ""

    def works_in(self, datadir: Path) -> bool:
        """Returns whether its data directory is ``datadir``, by whatever name."""
        try:
            return os.path.samefile(f"/proc/{self.pid}/cwd", datadir)
        except OSError:
            return False

    def open_files(self, name: re.Pattern[str]) -> list[Path]:
        """Returns the files that it has open under such a name, to be read through the process itself, whatever it can
        see that we do not."""
        found = []
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{self.pid}/fd"):
                with contextlib.suppress(OSError):
                    if name.fullmatch(os.path.basename(os.readlink(entry.path))):
                        found.append(Path(entry.path))
        return found


def open_again(file: Path) -> int:
    """A descriptor of one of a server's ``open_files``: a link of the kernel's, which leads to that very file."""
    return os.open(file, os.O_RDONLY | os.O_NONBLOCK)


def servers() -> list[ServerProcess]:
    """All of them."""
    return [ServerProcess(int(one.name)) for one in Path("/proc").iterdir() if one.name.isdigit() and _is_server(one)]


def _named_in(pid_file: Path) -> User | None:
    try:
        pid = int(read_small(pid_file, _MAX_PID_FILE, follow=True).data)
    except (OSError, ValueError, XtrabackupError):
        return None
    if pid > 0 and _is_server(Path("/proc") / str(pid)):
        return User(pid, f"{pid_file} names process {pid}, which is running")
    return None


def _is_server(process: Path) -> bool:
    try:
        return (process / "comm").read_text().strip() in _SERVER_NAMES
    except OSError:
        return False


def _answering(path: Path) -> User | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_CONNECT_SECONDS)
        try:
            client.connect(os.fspath(path))
        except OSError:
            return None
    return User(0, f"a server answers at {path}")
