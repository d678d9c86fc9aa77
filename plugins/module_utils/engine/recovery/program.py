# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed server, found and asked for its version; may it recover a backup of that other version?"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidOption, MissingProgram, Option, UnsupportedServer
from ..format.family import Family, Flavor, flavor_of
from ..server.connection import version_numbers

_PLACES = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/libexec", "/opt/mariadb/bin")
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class ServerProgram:
    """A server's executable, the version that it says it has (``10.11.19-MariaDB-0+deb12u1``) and its flavor."""

    path: Path
    version: str
    flavor: Flavor = Flavor.MARIADB

    @property
    def family(self) -> Family:
        """The family of the server."""
        return self.flavor.family

    @property
    def series(self) -> tuple[int, ...]:
        """The release series: (10, 11)."""
        return version_numbers(self.version)[:2]


def find_server(explicit: str | None, family: Family) -> ServerProgram:
    """The server to recover a backup of ``family`` with: ``explicit``, or the first one in PATH and the usual places.

    MySQL and Percona Server stand in for each other. Raises MissingProgram, UnsupportedServer when it is of the other
    family, InvalidOption when ``explicit`` does not run.
    """
    if explicit:
        if not os.access(explicit, os.X_OK):
            raise InvalidOption(f"{Option('server_program')}: {explicit} cannot be executed", option="server_program")
        return _require_family(_known(Path(explicit)), family)
    search = os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])
    others = []
    for name in family.facts.server_programs:
        for directory in search.split(os.pathsep):
            found = shutil.which(name, path=directory) if directory else None
            if found:
                program = _known(Path(found))
                if program.family is family:
                    return program
                others.append(program)
    if others:
        # MariaDB's packages have a mysqld, too
        _require_family(others[0], family)
    name = family.facts.server_programs[0]
    raise MissingProgram(
        f"no {name} is installed here: recovery is done by the server itself",
        remedy=f"Install the package {family.facts.server_package} of the series that the backup was taken "
        f"from, or name the program with {Option('server_program')}.",
        program=name,
    )


def _require_family(program: ServerProgram, family: Family) -> ServerProgram:
    """``program``, when it is of ``family``."""
    if program.family is not family:
        name = family.display_name
        raise UnsupportedServer(
            f"{program.path} is not {name} ({program.version}), and a backup of {name} is recovered by {name}",
            remedy=f"Install {name} of the series that the backup was taken from, or name it with "
            f"{Option('server_program')}.",
            program=str(program.path),
        )
    return program


def _known(path: Path) -> ServerProgram:
    """The program at ``path``, asked once: it needs a good while to say its version."""
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidOption(f"{path}: {error.strerror}", option="server_program") from error
    return _ask(path, (status.st_ino, status.st_mtime_ns))


@functools.lru_cache(maxsize=8)
def _ask(path: Path, _identity: tuple[int, int]) -> ServerProgram:
    try:
        answer = subprocess.run(
            [str(path), "--no-defaults", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidOption(f"{path} --version does not work: {error}", option="server_program") from error
    match = re.search(r"\bVer (\d+\.\d+\.\d+\S*)", answer.stdout)
    if answer.returncode or not match:
        raise InvalidOption(
            f"{path} --version: exit status {answer.returncode}, {answer.stdout.strip()!r} {answer.stderr.strip()!r}",
            option="server_program",
        )
    return ServerProgram(path, match.group(1), flavor_of(answer.stdout, ""))


def places(program: ServerProgram) -> dict[str, str]:
    """Returns the directories where ``program`` looks by default for what belongs to it: ``basedir``, ``plugin-dir``,
    ``lc-messages-dir``, ``character-sets-dir``."""
    try:
        answer = subprocess.run(
            [str(program.path), "--no-defaults", "--verbose", "--help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidOption(f"{program.path} --help does not work: {error}", option="server_program") from error
    return dict(re.findall(r"^(basedir|plugin-dir|lc-messages-dir|character-sets-dir) +(\S.*)$", answer.stdout, re.M))


def require_version(program: ServerProgram, source_version: str, flavor: Flavor) -> list[str]:
    """Requires that ``program`` may recover a backup of a server of ``flavor`` and ``source_version``; returns
    warnings, [] when all is well.

    Raises UnsupportedServer when it may not: MariaDB of an older series; MySQL of any other series, or older.
    """
    source = version_numbers(source_version)
    if not source:
        return ["the backup does not tell which server it was taken from; its version could not be compared"]
    if flavor.family is Family.MYSQL:
        return _require_mysql_version(program, source, source_version, flavor)
    if flavor_of(source_version, "") is not Flavor.MARIADB:
        raise UnsupportedServer(
            f"the backup was taken from a server of version {source_version}, and only backups of MariaDB can be "
            "recovered yet"
        )
    here = version_numbers(program.version)
    if here[:2] < source[:2]:
        raise UnsupportedServer(
            f"{program.path} is MariaDB {program.version}, and the backup was taken from the newer {source_version}",
            remedy=f"Install MariaDB {source[0]}.{source[1]}, or name its mariadbd with {Option('server_program')}.",
            program=str(program.path),
            version=program.version,
            source_version=source_version,
        )
    if here[:2] > source[:2]:
        return [
            f"recovered by MariaDB {program.version}; the source's series ({source_version}) can not open the result"
        ]
    if here < source:
        return [f"recovered by MariaDB {program.version}, which is older than the source's {source_version}"]
    return []


def _require_mysql_version(
    program: ServerProgram, source: tuple[int, ...], source_version: str, flavor: Flavor
) -> list[str]:
    """MySQL upgrades only what was shut down cleanly, so recovery takes the same series: redo records and the data
    dictionary change between series, and within one they only grow."""
    here = version_numbers(program.version)
    named = f"{flavor.display_name} {source[0]}.{source[1]}"
    if here[:2] != source[:2] or here < source:
        age = "older" if here < source else "newer"
        raise UnsupportedServer(
            f"{program.path} is {program.flavor.display_name} {program.version}, {age} than the "
            f"{source_version} that the backup was taken from, and only a server of that series which is not older "
            "can recover it",
            remedy=f"Install {named} ({'.'.join(map(str, source))} or a later release of it), or name its mysqld with "
            f"{Option('server_program')}. A newer series can be installed once the data is restored and was shut "
            "down cleanly.",
            program=str(program.path),
            version=program.version,
            source_version=source_version,
        )
    if program.flavor is not flavor:
        return [
            (
                f"the backup was taken from {flavor.display_name} {source_version} and is recovered by "
                f"{program.flavor.display_name} {program.version}"
            )
        ]
    return []
