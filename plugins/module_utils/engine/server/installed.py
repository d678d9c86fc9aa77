# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database server of a host, found without a login: which one is installed, its option files, whether it runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InvalidOption, MissingProgram, XtrabackupError
from ..format.family import Family, flavor_of
from ..format.file_kinds import PERSISTED_NAME
from ..host import running
from ..host.programs import answer_of
from ..host.small_files import read_small
from .mysql.persisted_file import LARGEST, variables_in
from .printed_options import PROGRAM, ask, parse_options, server_groups, service_environment

DEFAULT_DATADIR, DEFAULT_SOCKET = "/var/lib/mysql", "/run/mysqld/mysqld.sock"
#: what is told of the option files, which may hold secrets
TOLD_OPTIONS = ("datadir", "gtid_mode", "read_only", "server_id", "socket")
# never taken from a file that the server's account can write
_PLACES = ("datadir", "socket")
_SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_GREETING_SECONDS = 5.0


@dataclass(frozen=True)
class ServerRequest:
    """Facts about the server that are given beforehand; each that is empty is read from the host."""

    flavor: str = ""
    program: str = ""
    defaults_file: str = ""
    datadir: str = ""
    socket: str = ""


@dataclass(frozen=True)
class InstalledServer:
    """The server of a host. ``version`` is empty where none is installed. ``options``: those of TOLD_OPTIONS that its
    option files have. ``pid`` is that of the server that runs on ``datadir``, ``answers`` whether it greets."""

    installed: bool
    flavor: str
    version: str
    datadir: str
    socket: str
    options: Mapping[str, str] = field(default_factory=dict)
    running: bool = False
    answers: bool = False
    pid: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The server in JSON types."""
        return {**asdict(self), "options": dict(self.options)}


def find_installed(requested: ServerRequest) -> InstalledServer:
    """The server of this host.

    Raises MissingProgram when my_print_defaults is missing, InvalidOption when it cannot read the option files.
    """
    search = _search_path(requested.program)
    flavor, answer = _installed(requested.program, requested.flavor, search)
    found = re.search(r"Ver ([0-9.]+)", answer)
    version = found[1] if found else ""
    options = _read_options(flavor, version, requested.defaults_file, search) if version else {}
    datadir = (requested.datadir or options.get("datadir") or DEFAULT_DATADIR).rstrip("/")
    if flavor == Family.MYSQL.value:
        options.update(_read_persisted(datadir))
    path = requested.socket or options.get("socket") or DEFAULT_SOCKET
    pid = next((server.pid for server in running.servers() if server.works_in(Path(datadir))), None)
    return InstalledServer(
        installed=bool(answer),
        flavor=flavor,
        version=version,
        datadir=datadir,
        socket=path,
        options=options,
        running=pid is not None,
        answers=pid is not None and greets(path),
        pid=pid,
    )


def _search_path(program: str) -> str:
    """Directories to find programs in: that of ``program`` first, where the others of its server are."""
    beside = [os.path.dirname(program), os.path.join(os.path.dirname(program), "..", "bin")] if program else []
    return os.pathsep.join([*beside, os.environ.get("PATH", os.defpath), *_SYSTEM_DIRECTORIES])


def _installed(program: str, flavor: str, search: str) -> tuple[str, str]:
    """The family of the server that is installed, and its answer to ``--version``, empty where there is none.

    MariaDB's packages have a mysqld, too. MySQL's programs name themselves nowhere, MariaDB's do.
    """
    found = {family.value: "" for family in Family}
    names = {"mariadb": ["mariadbd"], "mysql": ["mysqld"]}.get(flavor, list(Family.MARIADB.facts.server_programs))
    for name in [program] if program else names:
        path = shutil.which(name, path=search)
        answer = answer_of([path, "--version"], search) if path else None
        if answer is None or answer.returncode:
            continue
        family = flavor_of(answer.stdout, "").family.value
        found[family] = found[family] or answer.stdout
    kind = flavor or ("mysql" if found["mysql"] and not found["mariadb"] else "mariadb")
    return kind, found[kind]


def _read_options(flavor: str, version: str, defaults_file: str, search: str) -> dict[str, str]:
    """The options of TOLD_OPTIONS in the server's option files."""
    argv = [
        PROGRAM,
        *([f"--defaults-file={defaults_file}"] if defaults_file else []),
        *server_groups(Family(flavor), version),
    ]
    path = shutil.which(PROGRAM, path=search)
    try:
        printed = ask([path, *argv[1:]], service_environment(search)) if path else None
    except (OSError, subprocess.TimeoutExpired):
        printed = None
    if printed is None:
        raise MissingProgram(f"{PROGRAM}, which reads the server's option files, cannot be run", program=PROGRAM)
    if printed.status:
        raise InvalidOption(
            f"{' '.join(argv)} ended with status {printed.status}: {printed.said}", option="defaults_file"
        )
    options = parse_options(printed.lines)
    return {name: value for name, value in options.items() if name in TOLD_OPTIONS}


def _read_persisted(datadir: str) -> dict[str, str]:
    """The options of TOLD_OPTIONS that SET PERSIST has noted in the data directory, places excepted: MySQL reads them
    after its option files."""
    try:
        # every process of the server's account can write there
        noted = json.loads(read_small(Path(datadir) / PERSISTED_NAME, LARGEST).data)
        wanted = [name for name in TOLD_OPTIONS if name not in _PLACES]
        return {variable.name: variable.value for variable in variables_in(noted) if variable.name in wanted}
    except (OSError, ValueError, RecursionError, XtrabackupError):
        return {}


def greets(path: str) -> bool:
    """Returns whether a server answers at the Unix socket ``path``; an error packet is an answer, too."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_GREETING_SECONDS)
        try:
            connection.connect(path)
            return len(connection.recv(5)) == 5
        except OSError:
            return False
