# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spelling of what the engine's errors name, on the command line: options of the tool's table, or what else does it.

The engine names options by the modules' names (``engine/errors/wording.py``). Here they are spelled by the table of
options, in which each option has the ``parameter`` of the engine that it sets. What the table does not have is in
ELSEWHERE or NOT_HERE; a test fails for an option of an error that is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..engine.errors import Keyword, Program
from ..engine.errors.wording import Term
from .dialects import BACKUP, MARIADB, ToolDialect
from .option import FLAG, NEEDLESS, REFUSED, Option
from .tables import options_of

_DECRYPT = "--decrypt=ALGORITHM and --encrypt-key-file"

#: (name, value) of what is done in another way here; the value "" is for every value
ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("decrypt", ""): _DECRYPT,
    ("defaults_file", ""): "--defaults-file",
    ("encrypt.key_file", ""): "--encrypt-key-file",
    ("format", "directory"): "no --stream",
    ("format", "xbstream"): "--stream=xbstream",
    ("method", "copy"): "--copy-back",
    ("method", "move"): "--move-back",
}

#: options of xtrabackup alone, as an error of mariadb-backup spells them
_ELSEWHERE_MARIADB: Mapping[tuple[str, str], str] = {
    ("decrypt", ""): f"{_DECRYPT} (of xtrabackup, another name of this program)",
    ("encrypt.key_file", ""): "--encrypt-key-file (of xtrabackup, another name of this program)",
    ("compress.level", ""): "--compress-zstd-level (of xtrabackup, another name of this program)",
}

#: options of modules that have no equivalent here. An error names them in a clause that is left out then
WITHOUT: frozenset[str] = frozenset(
    {
        "databases",
        "files",
        "force",
        "group",
        "owner",
        "require_manifest",
        "tables",
        "target_dir",
    }
)  # fmt: skip

#: options that the command line never sets, so that no error here names them: those of replication, of transfers
#: between hosts, of restore requests and pinned backups, of archives in a file
NEVER_SHOWN: frozenset[str] = frozenset(
    {
        "allow_repoint",
        "caught_up_within",
        "checksum",
        "connections",
        "coordinates",
        "digests",
        "disable_events",
        "get_source_public_key",
        "manifest_sha256",
        "mode",
        "request.created",
        "source_host",
        "source_password",
        "source_port",
        "source_ssl",
        "source_user",
        "sparse",
        "src",
        "state",
        "stream_to",
        "stream_to.command",
        "timeout",
        "token",
    }
)

#: what the modules and roles are here; "" for what the command line does not do
PROGRAMS: Mapping[str, str] = {
    "innodb.xtrabackup.install": "",
    "xbstream": "xbstream",
    "xtrabackup_backup": "--backup",
    "xtrabackup_credentials": "",
    "xtrabackup_info": "",
    "xtrabackup_prepare": "--prepare",
}


class ConsoleSpelling:
    """Spells terms of errors for one tool; None for what it has nothing of the kind for."""

    def __init__(self, dialect: ToolDialect) -> None:
        self._options = options_of(dialect)
        self._elsewhere = dict(ELSEWHERE)
        if dialect.tool == BACKUP and dialect.vendor == MARIADB:
            self._elsewhere.update(_ELSEWHERE_MARIADB)

    def __call__(self, term: Term) -> str | None:
        if isinstance(term, Keyword):
            return None
        if isinstance(term, Program):
            return PROGRAMS.get(term.key) or None
        for value in (str(term.value), ""):
            if (term.key, value) in self._elsewhere:
                return self._elsewhere[term.key, value]
        if term.key in WITHOUT:
            return None
        option = self.option(term.key)
        return None if option is None else _with_value(option, term.value)

    def option(self, key: str) -> Option | None:
        """The option that sets the engine's parameter ``key``: that of its name, or that which speaks for it, or the
        first."""
        setting = [
            option
            for option in self._options.values()
            if option.verdict not in (REFUSED, NEEDLESS)
            and (option.parameter == key or option.name == key.replace("_", "-"))
        ]
        ranked = sorted(setting, key=lambda option: (option.name != key.replace("_", "-"), not option.speaks))
        return ranked[0] if ranked else None


def _with_value(option: Option, value: object) -> str:
    if value is None or value is True:
        return f"--{option.name}"
    if value is False:
        return f"--skip-{option.name}" if option.kind == FLAG else f"no --{option.name}"
    if isinstance(value, (list, tuple)):
        value = ",".join(map(str, value))
    return f"--{option.name}={value}"
