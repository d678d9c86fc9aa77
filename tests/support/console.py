# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line for tests: built as users get it, and run by the system's Python, as on a managed host."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .plays import PROJECT

PYTHON = "/usr/bin/python3"
NAMES = ("xtrabackup", "mariadb-backup", "mariabackup", "xbstream", "mbstream")
_BUILDER = PROJECT / "roles" / "install" / "files" / "build_console.py"
# a program where a command begins: not the value of an option, not part of a file's name
_PROGRAM = re.compile(r"(?<![\w=./-])(xtrabackup|mariadb-backup|mariabackup|xbstream|mbstream)(?= -)")


@dataclass(frozen=True)
class Finished:
    """How a command ended, with what it said."""

    status: int
    out: bytes
    said: str

    @property
    def completed(self) -> bool:
        """Whether all is well, by what scripts look at: the status and the last line."""
        lines = self.said.strip().splitlines()
        return self.status == 0 and bool(lines) and lines[-1].endswith("completed OK!")


def build(place: Path) -> Path:
    """Build the program and its names in ``place``; returns it."""
    subprocess.run([PYTHON, str(_BUILDER), str(place / "xtrabackup.pyz"), PYTHON], check=True)
    for name in NAMES:
        (place / name).symlink_to("xtrabackup.pyz")
    return place


def with_paths(script: str, place: Path) -> str:
    """``script`` with the paths of our programs, and nothing else changed."""
    return _PROGRAM.sub(lambda found: f"{place}/{found[1]}", script)


def run(*words: str | Path, cwd: Path | None = None, stdin: bytes | None = None, timeout: float = 300) -> Finished:
    """Run a program to its end."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def shell(script: str, cwd: Path, *, enter: tuple[str, ...] = (), path: str = "", timeout: float = 300) -> Finished:
    """Run a script of a user; a member of a pipeline that fails fails it."""
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}:/usr/sbin" if path else os.environ["PATH"]}
    done = subprocess.run(
        [*enter, "bash", "-e", "-o", "pipefail", "-c", f"cd {cwd}\n{script}"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def require(done: Finished) -> Finished:
    """``done`` when the command has succeeded; raises AssertionError with what it said."""
    assert done.status == 0, done.said[-6000:]
    return done
