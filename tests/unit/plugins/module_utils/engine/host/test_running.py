# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a server using a directory? Processes that lock, sit and answer as one does."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ServerRunning
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.running import (
    require_unused,
    user_of,
    wait_until_unused,
)


@pytest.fixture(name="datadir")
def _datadir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    (path / "aria_log_control").write_bytes(b"a" * 52)
    (path / "ibdata1").write_bytes(b"s" * 100)
    return path


@pytest.fixture(name="lock_holder")
def _lock_holder(datadir: Path) -> Iterator[int]:
    """A process that holds the lock that InnoDB holds."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        descriptor = os.open(datadir / "ibdata1", os.O_RDWR)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        os.write(writable, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(readable, 1)
    yield child
    os.kill(child, 9)
    os.waitpid(child, 0)


def test_an_unused_directory_has_no_user(datadir: Path, tmp_path: Path) -> None:
    assert user_of(datadir) is None
    assert user_of(tmp_path / "absent") is None
    require_unused(datadir, pid_file=tmp_path / "no.pid", server_socket=tmp_path / "no.sock")


def test_the_holder_of_innodbs_lock_is_found(datadir: Path, lock_holder: int) -> None:
    with pytest.raises(ServerRunning, match="ibdata1") as caught:
        require_unused(datadir)
    assert caught.value.details["pid"] == lock_holder


def test_a_server_that_ends_in_time_is_waited_for(datadir: Path) -> None:
    child = os.fork()
    if child == 0:
        descriptor = os.open(datadir / "ibdata1", os.O_RDWR)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        time.sleep(1)
        os._exit(0)
    deadline = time.monotonic() + 10
    while user_of(datadir) is None:
        assert time.monotonic() < deadline
    wait_until_unused(datadir, 20)
    os.waitpid(child, 0)


def test_a_server_that_does_not_end_is_an_error_at_the_deadline(datadir: Path, lock_holder: int) -> None:
    with pytest.raises(ServerRunning, match=str(lock_holder)):
        wait_until_unused(datadir, 0.3)


@pytest.fixture(name="sleeping_server")
def _sleeping_server(datadir: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the name and the working directory of a server, and no lock."""
    program = tmp_path / "mariadbd"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([str(program), "60"], cwd=datadir) as process:
        deadline = time.monotonic() + 10
        while Path(f"/proc/{process.pid}/comm").read_text().strip() != "mariadbd":
            assert time.monotonic() < deadline
        yield process
        process.kill()


def test_a_server_that_starts_is_known_by_its_working_directory(
    datadir: Path, sleeping_server: subprocess.Popen[bytes]
) -> None:
    user = user_of(datadir)
    assert user is not None
    assert user.pid == sleeping_server.pid


def test_the_pid_file_counts_while_its_process_is_a_server(
    tmp_path: Path, sleeping_server: subprocess.Popen[bytes]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "s.pid").write_text(f"{sleeping_server.pid}\n")
    user = user_of(other, pid_file=tmp_path / "s.pid")
    assert user is not None
    assert user.pid == sleeping_server.pid
    # a number that another program has by now
    (tmp_path / "s.pid").write_text(f"{os.getpid()}\n")
    assert user_of(other, pid_file=tmp_path / "s.pid") is None


def test_a_socket_that_answers_is_a_server_and_one_that_does_not_is_not(datadir: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        user = user_of(datadir, server_socket=path)
        assert user is not None
        assert str(path) in user.evidence
    assert user_of(datadir, server_socket=path) is None
