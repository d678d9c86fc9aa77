# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipelines of users, run by bash as they are written, between hosts of which each is this one.

``xtrabackup`` and ``xbstream`` are ours, ``mariadb-backup`` and ``mbstream`` the stock tools: a command says by its
name who does the work. The server's option file is the user's ``~/.my.cnf``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import console
from .guide import World
from .servers import DatabaseServer, program

HOSTS = ("otherhost", "desthost")
_OURS = ("xtrabackup", "xbstream")
_SECONDS = 240


@dataclass(frozen=True)
class Ended:
    """How a script ended: its ``status``, those of its last pipeline's ``members``, what it ``said``."""

    status: int
    members: list[int]
    said: str


class Pipelines:
    """A world (see guide.World) whose /srv is ``srv``; scripts run in /srv."""

    def __init__(self, root: Path, server: DatabaseServer, more_path: str = "") -> None:
        self.srv = root / "srv"
        self._world = World(root, server.socket, HOSTS)
        (self.srv / "bin").mkdir()
        console.build(self.srv / "programs")
        for name in _OURS:
            (self.srv / "bin" / name).symlink_to(f"../programs/{name}")
        # nc as Red Hat has it: it ends with its input, which the commands of the streaming page expect
        (self.srv / "bin" / "nc").symlink_to(program("ncat"))
        (self.srv / "home").mkdir()
        (self.srv / "home" / ".my.cnf").symlink_to(server.option_file)
        path = ["/srv/bin", *filter(None, [more_path]), os.environ["PATH"], "/usr/sbin"]
        self._environment = {**os.environ, "HOME": "/srv/home", "PATH": ":".join(path)}

    def close(self) -> None:
        """End all of it."""
        self._world.close()

    def run(self, script: str) -> Ended:
        """Run ``script``; a member of a pipeline that fails fails it."""
        words = self._bash(f'{script}\nstatus=$? members="${{PIPESTATUS[*]}}"\nwait\necho "$members" >&9; exit $status')
        with open(self.srv / "members", "w+b") as members:
            done = subprocess.run(
                ["bash", "-c", f'exec "$@" 9>&{members.fileno()}', "bash", *words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[members.fileno()],
                timeout=_SECONDS,
                check=False,
            )
            members.seek(0)
            statuses = [int(word) for word in members.read().split()]
        return Ended(done.returncode, statuses, done.stdout.decode("utf-8", "replace"))

    def do(self, script: str) -> Ended:
        """``run``; raises AssertionError unless every command of it succeeded."""
        done = self.run(f"set -e\n{script}")
        assert done.status == 0, f"{script}\n{done.members}\n{done.said[-5000:]}"
        return done

    @contextlib.contextmanager
    def listening(self, script: str) -> Iterator[None]:
        """Have ``script``, which listens on port 9999, run for the block; it must end well with it."""
        # its output is read to the end: that of process substitutions ends last
        receiver = subprocess.Popen(
            self._bash(script),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait = "until ss -Hltn 'sport = :9999' | grep -q .; do sleep 0.1; done"
            subprocess.run(self._world.enter("bash", "-c", wait), check=True, timeout=60)
            yield
            said, _nothing = receiver.communicate(timeout=60)
            assert receiver.returncode == 0, f"{script}\n{said[-5000:]}"
        finally:
            receiver.kill()
            receiver.wait()

    def _bash(self, script: str) -> list[str]:
        return self._world.enter("bash", "-o", "pipefail", "-c", f"cd /srv\n{script}")
