# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop and start a host's server, by its service or by commands, and wait until it is gone or answers.

No login is needed: a server is recognised by its program's name and by its working directory, which is its data
directory. An error packet (too many connections, host blocked) is an answer, too.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ..errors import MissingProgram, ServiceFailed
from ..host import running
from .installed import greets

_log = logging.getLogger(__name__)

_PAUSE = 0.1  # seconds between two looks
_STARTING = 10.0  # seconds that a start may take until the process is there
_LAST_BYTES = 2000  # of what a command has printed, in an error
_SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)


@dataclass(frozen=True)
class State:
    """A server's state: ``pid`` is None when none runs on the data directory."""

    pid: int | None
    answers: bool

    @property
    def running(self) -> bool:
        """Return True if there is a process."""
        return self.pid is not None

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules do: running, answers, pid."""
        return {"running": self.running, "answers": self.answers, "pid": self.pid}


@dataclass(frozen=True)
class Service:
    """A server on a host: its ``datadir``, its Unix ``socket``, the name of its service, and commands in its place.

    ``timeout``: seconds in which it must answer, or be gone.
    """

    datadir: Path
    socket: Path
    name: str = ""
    stop_command: tuple[str, ...] = ()
    start_command: tuple[str, ...] = ()
    timeout: float = 600

    def state(self) -> State:
        """Return its state now."""
        pid = _pid_on(self.datadir)
        return State(pid, pid is not None and greets(str(self.socket)))

    def stop(self) -> bool:
        """Stop it, and wait until it is gone; False when it did not run. Raises ServiceFailed, MissingProgram.

        A MariaDB server that is told to stop while it is still starting hangs, so that it has to answer first.
        """
        if not self.state().running:
            return False
        found = self._wait(lambda state: state.answers or not state.running)
        if found.running and not found.answers:
            raise self._failed(
                f"does not answer at {self.socket} after {self.timeout:g} s, and a server that is still starting must "
                "not be stopped"
            )
        if found.running:
            _run(self.stop_command or _manager(self.name, "stop"))
        if self._wait(lambda state: not state.running).running:
            raise self._failed(f"still runs {self.timeout:g} s after it was told to stop")
        return True

    def start(self) -> bool:
        """Start it unless it runs, wait until it answers; False when it ran. Raises ServiceFailed, MissingProgram."""
        started = not self.state().running
        if started:
            _run(self.start_command or _manager(self.name, "start"))
        begun = time.monotonic()
        seen = False

        def decided(state: State) -> bool:
            nonlocal seen
            seen = seen or state.running
            gone = not state.running and (seen or time.monotonic() - begun > _STARTING)
            return state.answers or gone

        found = self._wait(decided)
        if not found.answers:
            why = f" although it runs, after {self.timeout:g} s" if found.running else "; its process has ended"
            raise self._failed(f"does not answer at {self.socket}{why}")
        return started

    def _wait(self, decided: Callable[[State], bool]) -> State:
        deadline = time.monotonic() + self.timeout
        while True:
            found = self.state()
            if decided(found) or time.monotonic() > deadline:
                return found
            time.sleep(_PAUSE)

    def _failed(self, what: str) -> ServiceFailed:
        return ServiceFailed(f"the server on {self.datadir} {what}", datadir=self.datadir, socket=self.socket)


def _pid_on(datadir: Path) -> int | None:
    return next((server.pid for server in running.servers() if server.works_in(datadir)), None)


def _manager(name: str, verb: str) -> tuple[str, ...]:
    """Return the command that has the service manager do ``verb``. Raises MissingProgram."""
    if _SYSTEMD.is_dir():
        return ("systemctl", verb, "--", name)
    for program, command in (("rc-service", ("rc-service", name, verb)), ("service", ("service", name, verb))):
        if shutil.which(program):
            return command
    raise MissingProgram(
        f"no service manager was found that could {verb} {name}",
        remedy="Give the commands that stop and start the server.",
    )


def _run(command: tuple[str, ...]) -> None:
    """Run ``command``; a server that it starts may keep what it was given as output. Raises ServiceFailed."""
    _log.info("running %s", " ".join(command))
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
            )
        except OSError as error:
            raise ServiceFailed(f"{command[0]} cannot be run: {error.strerror}") from error
        if done.returncode == 0:
            return
        output.seek(max(output.seek(0, os.SEEK_END) - _LAST_BYTES, 0))
        said = " ".join(output.read().decode("utf-8", "replace").split())
    raise ServiceFailed(f"'{' '.join(command)}' has failed with status {done.returncode}: {said or 'it said nothing'}")
