# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option files of the command line and their content, read through the server's own program where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import InvalidOption
from ..engine.server.option_file import given_options
from ..engine.server.printed_options import PROGRAM, ask
from .dialects import ToolDialect

_ANSWER_SECONDS = 30.0
_USUAL = ("/etc/my.cnf", "/etc/mysql/my.cnf", "/usr/etc/my.cnf")
_FIRST = ("defaults-file", "defaults-extra-file", "defaults-group-suffix")


@dataclass(frozen=True)
class OptionFiles:
    """Option files that the first words of a command line choose. ``group``: another one for the server's
    options."""

    no_defaults: bool = False
    print_defaults: bool = False
    defaults_file: str | None = None
    extra_file: str | None = None
    suffix: str = ""
    group: str | None = None

    def own_words(self, dialect: ToolDialect) -> list[str]:
        """The options in the groups of the tool alone, as words of a command line."""
        return self._read(dialect.own_groups)

    def server_words(self, dialect: ToolDialect) -> list[str]:
        """The options in the server's groups."""
        groups = [*dialect.server_groups, *([self.group] if self.group else [])]
        knows_server = "--mysqld" in _usage()
        return self._read((*groups, "server"), "--mysqld" if knows_server else None)

    def client_words(self, dialect: ToolDialect) -> list[str]:
        """The options in the clients' groups, and in those of the tool alone, in the order of the files."""
        return self._read((*dialect.own_groups, *dialect.client_groups))

    def _read(self, groups: tuple[str, ...], known: str | None = None) -> list[str]:
        if self.no_defaults:
            return []
        for path in (self.defaults_file, self.extra_file):
            if path is not None and not os.path.isfile(path):
                raise InvalidOption(f"the option file {path} does not exist", option="defaults-file")
        usage = _usage()
        if not usage:
            return self._read_ourselves(groups)
        command = [PROGRAM]
        if self.defaults_file:
            command.append(f"--defaults-file={self.defaults_file}")
        if self.extra_file:
            command.append(f"--defaults-extra-file={self.extra_file}")
        if self.suffix:
            command.append(f"--defaults-group-suffix={self.suffix}")
        if "--show" in usage:
            command.append("--show")  # MySQL's program hides passwords otherwise; this goes through a pipe
        if known is not None:
            command.append(known)
        try:
            printed = ask([*command, *groups])
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InvalidOption(f"{PROGRAM}: {error}") from error
        if printed.status:
            raise InvalidOption(f"{PROGRAM} cannot read the option files: {printed.said}", option="defaults-file")
        return printed.lines

    def _read_ourselves(self, groups: tuple[str, ...]) -> list[str]:
        names = {name + suffix for name in groups for suffix in ("", self.suffix)}
        if self.defaults_file:
            paths = [Path(self.defaults_file)]
        else:
            home = Path(os.path.expanduser("~/.my.cnf"))
            usual = [Path(path) for path in _USUAL]
            paths = [path for path in usual if path.is_file()]
            paths += [Path(self.extra_file)] if self.extra_file else []
            paths += [home] if home.is_file() else []
        words = []
        for path in paths:
            words += [
                f"--{name}" if value is None else f"--{name}={value}" for name, value in given_options(path, names)
            ]
        return words


def _usage() -> str:
    """Returns the program's own usage text, "" when it is not installed."""
    if shutil.which(PROGRAM) is None:
        return ""
    try:
        answer = subprocess.run(
            [PROGRAM, "--help"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("utf-8", "replace")


def split(words: list[str]) -> tuple[OptionFiles, list[str]]:
    """Splits ``words`` into those about option files and the others. Raises InvalidOption when it comes too
    late."""
    found: dict[str, str] = {}
    rest = list(words)
    no_defaults = print_defaults = False
    while rest:
        name, equals, value = rest[0].partition("=")
        normal = name[2:].replace("_", "-") if name.startswith("--") else ""
        if normal in _FIRST and equals:
            found[normal] = value
        elif normal == "no-defaults":
            no_defaults = True
        elif normal == "print-defaults":
            print_defaults = True
        else:
            break
        rest.pop(0)
    group = None
    kept = []
    pending = iter(rest)
    for word in pending:
        name, equals, value = word.partition("=")
        normal = name[2:].replace("_", "-") if name.startswith("--") else ""
        if normal in (*_FIRST, "no-defaults", "print-defaults"):
            raise InvalidOption(
                f"--{normal} must be specified first on the command line"
                + ("" if equals or normal not in _FIRST else f", as --{normal}=value"),
                option=normal,
            )
        if normal == "defaults-group":
            group = value if equals else next(pending, "")
        else:
            kept.append(word)
    return (
        OptionFiles(
            no_defaults,
            print_defaults,
            found.get("defaults-file"),
            found.get("defaults-extra-file"),
            found.get("defaults-group-suffix", ""),
            group,
        ),
        kept,
    )
