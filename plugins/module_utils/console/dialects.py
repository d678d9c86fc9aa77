# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialects of the commands: names, groups of option files, shapes of messages."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from ..engine.errors import InvalidOption

PERCONA = "percona"
MARIADB = "mariadb"
BACKUP = "backup"
STREAM = "stream"


@dataclass(frozen=True)
class ToolDialect:
    """One program that we answer to. ``vendor``: whose; ``tool``: BACKUP or STREAM; ``own_groups`` of option files are
    for this tool alone, the others hold options of servers and clients, too."""

    program: str
    vendor: str
    tool: str
    own_groups: tuple[str, ...] = ()
    server_groups: tuple[str, ...] = ()
    client_groups: tuple[str, ...] = ()

    def line(self, level: str, text: str) -> str:
        """A message as the stock tool shapes it; ``level`` is Note, Warning or ERROR."""
        if self.tool == STREAM:
            return f"{self.program}: {'' if level == 'Note' else level.lower() + ': '}{text}"
        now = datetime.now().astimezone()
        if self.vendor == PERCONA:
            return f"{now.isoformat(timespec='microseconds')} 0 [{level}] [MY-011825] [Xtrabackup] {text}"
        stamp = now.strftime("%Y-%m-%d %H:%M:%S")
        if level == "ERROR":
            return f"[00] FATAL ERROR: {stamp} {text}"
        return f"[00] {stamp} {'Warning: ' if level == 'Warning' else ''}{text}"


def _mariadb(program: str) -> ToolDialect:
    return ToolDialect(
        program,
        MARIADB,
        BACKUP,
        own_groups=("xtrabackup", "mariabackup", "mariadb-backup"),
        server_groups=("mysqld", "server", "mariadb", "mariadbd", "client-server", "galera"),
        client_groups=("client", "client-server", "client-mariadb"),
    )


DIALECTS = {
    dialect.program: dialect
    for dialect in (
        ToolDialect(
            "xtrabackup",
            PERCONA,
            BACKUP,
            own_groups=("xtrabackup",),
            server_groups=("mysqld",),
            client_groups=("client",),
        ),
        _mariadb("mariadb-backup"),
        _mariadb("mariabackup"),
        ToolDialect("xbstream", PERCONA, STREAM),
        ToolDialect("mbstream", MARIADB, STREAM),
    )
}


def choose(argv: list[str]) -> tuple[ToolDialect, list[str]]:
    """The dialect of a command line (program first) and its arguments: by the name that the program was called by, or,
    when that is none of ours, by the first argument. Raises InvalidOption."""
    name = os.path.basename(argv[0])
    if name in DIALECTS:
        return DIALECTS[name], argv[1:]
    if len(argv) > 1 and argv[1] in DIALECTS:
        return DIALECTS[argv[1]], argv[2:]
    raise InvalidOption(
        f"{name} is none of the programs that this answers to",
        remedy=f"Call it by a link of one of these names, or name one first: {', '.join(DIALECTS)}.",
    )
