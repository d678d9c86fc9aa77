# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options in option files as ``my_print_defaults``, a program of the servers' packages, prints them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..format.family import Family
from .connection import version_numbers
from .option_file import require_heeded

PROGRAM = "my_print_defaults"

_ANSWER_SECONDS = 30.0


class Printed(NamedTuple):
    """The end of the program: its exit status, what it said on standard error, and the lines of options."""

    status: int
    said: str
    lines: list[str]


def ask(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Printed:
    """Run the program ``argv``, in the environment ``env`` (None: our own).

    Raises OSError and subprocess.TimeoutExpired when it cannot be run, InvalidOption when it has ignored a file.
    """
    answer = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_ANSWER_SECONDS,
        check=False,
        env=env,
    )
    if answer.returncode == 0:
        require_heeded(answer.stderr)
    lines = answer.stdout.decode("utf-8", "surrogateescape").splitlines()
    said = answer.stderr.decode("utf-8", "replace").strip()
    return Printed(answer.returncode, said, [line for line in lines if line.startswith("--")])


def service_environment(path: str) -> dict[str, str]:
    """The environment of the program with the search path ``path``, in which it reads what a server's service would.

    An option file in our home is not one of those.
    """
    return {"PATH": path, "HOME": "/nonexistent"}


def server_groups(family: Family, version: str) -> list[str]:
    """The arguments that name the groups which a server of ``family`` and ``version`` ("": not known) reads.

    MariaDB's program knows them itself. A MySQL server also reads the group of its series: mysqld-9.7.
    """
    if family is Family.MARIADB:
        return ["--mysqld"]
    series = ".".join(map(str, version_numbers(version)[:2]))
    return ["mysqld", "server", *([f"mysqld-{series}"] if series else [])]


def parse_options(lines: Iterable[str]) -> dict[str, str]:
    """Name and value of the options in ``lines``, one ``--name[=value]`` each; the last one wins.

    Names have underscores; ``loose_`` is dropped.
    """
    options: dict[str, str] = {}
    for line in lines:
        if line.startswith("--"):
            name, _equals, value = line[2:].partition("=")
            name = name.strip().replace("-", "_")
            name = name[len("loose_") :] if name.startswith("loose_") else name
            # the one option that adds to what other lines of it say
            before = options.get(name) if name == "plugin_load_add" else None
            options[name] = f"{before};{value}" if before else value
    return options
