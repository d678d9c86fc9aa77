# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a job on a host (see ``module_utils/remote_jobs.py``) with plain shell commands, and shows its progress.

No module runs while a job is followed. The host waits inside each command, so the end is seen at once, and a connection
that is lost is made again: the job knows nothing of it.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure
from ansible.utils.display import Display

from .progress_lines import Lines, described, progress_bar

WATCH_SECONDS = 1
"""How long one command waits for the end of the job, where a bar is shown."""

_LONGEST_PAUSE = 12.0  # seconds between two attempts to reach a host
_OVER, _RUNNING = "xtrabackup-over", "xtrabackup-running"

# $1: the job's name; $2: how many times to look; $3: the directory that has the jobs, if it is not the usual one. The
# process is there as long as the job is; whether it succeeded, died, or another process has its number by now is what
# the job's lock says, which the module asks.
_SCRIPT = f"""\
user=$(id -u)
run_dir=/run/xtrabackup
[ "$user" = 0 ] || run_dir=/run/user/$user/xtrabackup
job=${{3:-$run_dir}}/jobs/$1
n=0
while [ "$n" -lt "$2" ]; do
    if [ -e "$job/result" ] || ! read -r pid < "$job/run" || ! kill -0 "$pid"; then echo {_OVER}; exit 0; fi
    sleep 0.25
    n=$((n + 1))
done 2>/dev/null
echo {_RUNNING}
cat "$job/status" 2>/dev/null || :
"""

_display = Display()
# a worker has no terminal: this is asked when the strategy loads the plugin
_TERMINAL = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")

_Answer = TypeVar("_Answer")


class HostLost(Exception):
    """The host could not be reached for the time that was allowed; ``str`` of it is the last error."""


@dataclass
class Shown:
    """Shows the progress of one job on ``host``; nothing at all when ``silent``."""

    host: str
    silent: bool
    alone: bool  # no other host of this play writes at the same time
    _lines: Lines = field(default_factory=Lines)
    _drawn: bool = False

    @property
    def as_bar(self) -> bool:
        """Return True where a bar is shown."""
        return self.alone and _TERMINAL and not self.silent and _display.verbosity == 0

    def status(self, status: dict[str, Any]) -> None:
        """Show ``status`` if it is worth it."""
        if self.silent or not status:
            return
        if self.as_bar:
            self._put("\r" + progress_bar(self.host, status, _display.columns) + "\x1b[K", newline=False)
            self._drawn = True
        elif self._lines.due(status, time.monotonic()):
            self._put(f"{self.host}: {described(status)}")

    def text(self, text: str) -> None:
        """Show a line."""
        if not self.silent:
            self.clear()
            self._put(f"{self.host}: {text}")

    def clear(self) -> None:
        """Remove the bar."""
        if self._drawn:
            self._put("\r\x1b[K", newline=False)
            self._drawn = False

    @staticmethod
    def _put(text: str, newline: bool = True) -> None:
        # standard output is a file of results for many callbacks, and kept back on a pipe
        _display.display(text, stderr=True, newline=newline, screen_only=not newline)


@dataclass
class Follower:
    """Follows jobs by the connection of an action; ``execute`` is its method that runs a command on the host."""

    connection: Any
    execute: Callable[[str], dict[str, Any]]
    shown: Shown
    poll_seconds: int
    reconnect_seconds: float

    def until_over(self, job: str, run_dir: str = "", limit: float = math.inf) -> None:
        """Return when the job ``job`` is over, or after ``limit`` seconds or little more. Raises HostLost."""
        seconds = WATCH_SECONDS if self.shown.as_bar else self.poll_seconds
        first = 2  # seconds: what is short is over then, and what is long shows that it runs
        deadline = time.monotonic() + limit
        try:
            while time.monotonic() < deadline:
                looks = str((first or seconds) * 4)
                command = " ".join(map(shlex.quote, ["sh", "-c", _SCRIPT, "sh", job, looks, run_dir]))
                first = 0
                word, _newline, text = self.lasting(self.execute, command)["stdout"].strip().partition("\n")
                if word.strip() != _RUNNING:
                    return
                self.shown.status(_parsed(text))
        finally:
            self.shown.clear()

    def lasting(self, call: Callable[..., _Answer], *arguments: Any) -> _Answer:
        """Call ``call`` with ``arguments``, again as long as the host cannot be reached. Raises HostLost."""
        pause, deadline = 1.0, 0.0
        while True:
            try:
                return call(*arguments)
            except AnsibleAuthenticationFailure:
                raise  # again and again would lock the account
            except AnsibleConnectionFailure as error:
                now = time.monotonic()
                deadline = deadline or now + self.reconnect_seconds
                if now >= deadline:
                    raise HostLost(str(error)) from error
                self.shown.text(f"connection lost ({error}); the job goes on, trying again")
                time.sleep(min(pause, deadline - now))
                pause = min(pause * 2, _LONGEST_PAUSE)
                self.connection.reset()


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
