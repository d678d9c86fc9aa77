# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles must know of a host's database server: without a login, without a client.

``facts JSON``: which server is installed, what its option files say, and whether it runs. The JSON object has the keys
``flavor``, ``program``, ``defaults_file``, ``datadir`` and ``socket``; each that is empty is found out. Prints
``{"installed", "flavor", "version", "options", "datadir", "socket", "running", "answers", "pid"}``.

``state DATADIR SOCKET WANTED SECONDS``: whether a server runs on a data directory, and whether it answers. WANTED is
``any`` (just look), ``answering``, ``settled`` (answering, or not running at all: it may be stopped now) or
``stopped``; the last three are waited for. Prints ``{"running", "answers", "pid"}`` and ends with status 1 when that
was not reached in time, or cannot be reached any more.

A server is recognised by its working directory, which is its data directory, and by its program's name.
Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_PROGRAMS = ("mariadbd", "mysqld")
_PAUSE = 0.2  # seconds between two looks
_STARTING = 10.0  # seconds that a start may take until the process is there
# What the roles go by. Option files may hold secrets, which are nobody's business here.
_LARGEST_NOTES = 16 << 20  # bytes
_OPTIONS = ("datadir", "gtid_mode", "server_id", "socket")
# never taken from a file that the server's account can write
_PLACES = ("datadir", "socket")


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
    """Whether a server greets who connects to the Unix socket ``path``; an error packet is an answer as well."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            return len(connection.recv(5)) == 5
        except OSError:
            return False


def state(datadir: str, path: str) -> dict[str, bool | int | None]:
    """What there is now."""
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
            "settled": bool(now["answers"]) or not now["running"],
            "stopped": not now["running"],
        }[wanted]
        elapsed = time.monotonic() - began
        seen_running = seen_running or bool(now["running"])
        gone = wanted == "answering" and not now["running"] and (seen_running or elapsed > _STARTING)
        if reached or gone or elapsed > seconds:
            return reached, now
        time.sleep(_PAUSE)


def installed(program: str, flavor: str) -> tuple[str, str]:
    """The flavor of the server that is installed, and what it answers to ``--version``: nothing where there is none.

    MariaDB's packages have a mysqld, too. MySQL's programs name themselves nowhere, MariaDB's do.
    """
    found = {"mariadb": "", "mysql": ""}
    names = {"mariadb": ["mariadbd"], "mysql": ["mysqld"]}.get(flavor, list(_PROGRAMS))
    for name in [program] if program else names:
        try:
            answer = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        kind = "mariadb" if "MariaDB" in answer.stdout else "mysql"
        if answer.returncode == 0 and not found[kind]:
            found[kind] = answer.stdout
    kind = flavor or ("mysql" if found["mysql"] and not found["mariadb"] else "mariadb")
    return kind, found[kind]


def read_options(flavor: str, version: str, defaults_file: str) -> dict[str, str]:
    """What the server's option files say, by names with underscores; the last line wins, as in the server."""
    series = ".".join(version.split(".")[:2])
    sections = ["--mysqld"] if flavor == "mariadb" else ["mysqld", "server", f"mysqld-{series}"]
    argv = ["my_print_defaults", *([f"--defaults-file={defaults_file}"] if defaults_file else []), *sections]
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        sys.exit(f"my_print_defaults, which reads the server's option files, cannot be run: {error.strerror}")
    if answer.returncode:
        sys.exit(f"{' '.join(argv)} ended with status {answer.returncode}: {answer.stderr.strip()}")
    ignored = re.search(r"World-writable config file '(.+)' is ignored", answer.stderr)
    if ignored:
        path = ignored.group(1)
        sys.exit(f"the option file {path} can be written to by everybody, so the server ignores it: chmod o-w {path}")
    options = {}
    for line in answer.stdout.splitlines():
        name, __, value = line.partition("=")
        name = name[2:].replace("-", "_")
        if line.startswith("--") and name in _OPTIONS:
            options[name] = value
    return options


def read_persisted(datadir: str) -> dict[str, str]:
    """What SET PERSIST has noted in the data directory, of the options that the roles go by, places excepted: MySQL
    reads it after its option files."""
    try:
        # whoever runs as the server's user can write there
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(Path(datadir) / "mysqld-auto.cnf", flags), "rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                return {}
            noted = json.loads(source.read(_LARGEST_NOTES))
        wanted = [name for name in _OPTIONS if name not in _PLACES]
        return {name: value for name, value in persisted_values(noted) if name in wanted}
    except (OSError, ValueError, RecursionError):
        return {}


def persisted_values(node: Any, name: str = "") -> list[tuple[str, str]]:
    """Name and value of each variable in the file, whose groups differ between versions."""
    if not isinstance(node, dict):
        return []
    if name and "Value" in node:
        return [(name, str(node["Value"]))]
    return [pair for key, child in node.items() for pair in persisted_values(child, key)]


def facts(wishes: dict[str, str]) -> dict[str, Any]:
    """What ``facts`` prints, for an object as it takes."""
    flavor, answer = installed(wishes["program"], wishes["flavor"])
    version = re.search(r"Ver ([0-9.]+)", answer)
    options = read_options(flavor, version.group(1), wishes["defaults_file"]) if version else {}
    datadir = (wishes["datadir"] or options.get("datadir") or "/var/lib/mysql").rstrip("/")
    if flavor == "mysql":
        options.update(read_persisted(datadir))
    path = wishes["socket"] or options.get("socket") or "/run/mysqld/mysqld.sock"
    return {
        "installed": bool(answer),
        "flavor": flavor,
        "version": version.group(1) if version else "",
        "options": options,
        "datadir": datadir,
        "socket": path,
        **state(datadir, path),
    }


def main(command: str, *arguments: str) -> int:
    """Run one of the two commands; returns the exit status."""
    if command == "facts":
        json.dump(facts(json.loads(arguments[0])), sys.stdout)
        return 0
    done, last = wait(*arguments[:3], float(arguments[3]))
    json.dump(last, sys.stdout)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
