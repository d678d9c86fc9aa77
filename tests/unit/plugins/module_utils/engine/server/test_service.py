# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping and starting what looks like a server: its name, its working directory, its socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import MissingProgram, ServiceFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import service
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.service import Service

# goes on as a process with the name of a server; answers at the socket when that file is there
SERVER = """
import ctypes, os, socket, sys, time
os.chdir(sys.argv[1])
if os.fork():
    os._exit(0)
os.setsid()
ctypes.CDLL(None).prctl(15, b"mariadbd")
if "silent" not in sys.argv:
    time.sleep(0.3)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[2])
    listener.listen()
    listener.settimeout(60)
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"\\x04\\0\\0\\0\\xff")
        connection.close()
time.sleep(float(sys.argv[-1]) if sys.argv[-1][0].isdigit() else 60)
"""


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "data").mkdir()
    (tmp_path / "server.py").write_text(SERVER)
    yield tmp_path
    pid = one(tmp_path).state().pid
    if pid:
        os.kill(pid, signal.SIGKILL)


def one(place: Path, *arguments: str, **options: Any) -> Service:
    """A service whose start command is the program above with ``arguments``."""
    socket = place / "sock"
    start = (sys.executable, str(place / "server.py"), str(place / "data"), str(socket), *arguments)
    stop = ("pkill", "-x", "-f", " ".join(start))
    settings: dict[str, Any] = {"start_command": start, "stop_command": stop, "timeout": 15, **options}
    return Service(place / "data", socket, **settings)


def test_a_server_is_started_once_and_stopped_once(place: Path) -> None:
    server = one(place)
    assert server.start()
    assert server.state().answers
    assert not server.start()
    assert server.stop()
    assert server.state().as_dict() == {"running": False, "answers": False, "pid": None}
    assert not server.stop()


def test_a_server_that_is_starting_is_not_stopped_before_it_answers(place: Path) -> None:
    server = one(place)
    subprocess.run(server.start_command, check=True)
    while not server.state().running:
        time.sleep(0.01)
    assert not server.state().answers
    begun = time.monotonic()
    assert server.stop()
    assert time.monotonic() - begun > 0.1


def test_one_that_never_answers_is_not_stopped(place: Path) -> None:
    server = one(place, "silent", timeout=1)
    subprocess.run(server.start_command, check=True)
    while not server.state().running:
        time.sleep(0.01)
    with pytest.raises(ServiceFailed, match="a server that is still starting must not be stopped"):
        server.stop()
    with pytest.raises(ServiceFailed, match=r"does not answer at .*/sock although it runs, after 1 s"):
        server.start()


def test_one_that_ends_at_once_is_told_so(place: Path) -> None:
    with pytest.raises(ServiceFailed, match=r"does not answer at .*/sock; its process has ended"):
        one(place, "silent", "0.5").start()


def test_one_that_does_not_stop_is_told_so(place: Path) -> None:
    server = one(place, stop_command=("true",), timeout=2)
    server.start()
    with pytest.raises(ServiceFailed, match="still runs 2 s after it was told to stop"):
        server.stop()


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("sh", "-c", "echo no such unit; exit 5"), "has failed with status 5: no such unit"),
        (("false",), "has failed with status 1: it said nothing"),
        (("/no/such/program",), "/no/such/program cannot be run: No such file or directory"),
    ],
)
def test_what_a_command_says_is_in_the_error(place: Path, command: tuple[str, ...], text: str) -> None:
    with pytest.raises(ServiceFailed, match=text):
        one(place, start_command=command).start()


@pytest.mark.parametrize("found", ["systemctl", "rc-service", "service", ""])
def test_the_service_manager_of_the_host_is_used(place: Path, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_SYSTEMD", place if found == "systemctl" else place / "none")
    monkeypatch.setattr(shutil, "which", lambda name: name if name == found else None)
    used: list[tuple[str, ...]] = []
    monkeypatch.setattr(service, "_run", used.append)
    server = one(place, start_command=(), name="mariadb@two", timeout=0)
    with contextlib.suppress(ServiceFailed), pytest.raises(MissingProgram) if not found else contextlib.nullcontext():
        server.start()
    expected = {
        "systemctl": [("systemctl", "start", "--", "mariadb@two")],
        "rc-service": [("rc-service", "mariadb@two", "start")],
        "service": [("service", "mariadb@two", "start")],
    }
    assert used == expected.get(found, [])
