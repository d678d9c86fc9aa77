# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's plugins for page compression: does the server of this host have those that a backup needs?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import MissingProgram
from ...format.family import Family
from ...innodb.mariadb.page_compression import PROVIDERS, Providers, parse_plugin_load
from ..program import ServerProgram, places


def available(program: ServerProgram, plugin_dir: str | None = None) -> set[str]:
    """The providers that are installed with ``program``, in its own directory of plugins or ``plugin_dir``."""
    directory = Path(plugin_dir or places(program).get("plugin-dir", ""))
    return {name for name in PROVIDERS if (directory / f"{name}.so").is_file()}


def to_load(program: ServerProgram, providers: Providers) -> tuple[str, ...]:
    """The providers that ``program`` must load to recover a backup: what its files need, and what else its server had
    loaded, if that is here: a table that was made during the backup may need it.

    Raises MissingProgram, naming those that are needed and not here.
    """
    wanted = {*providers.needed, *providers.loaded}
    if not wanted or program.family is not Family.MARIADB:
        return ()
    here = available(program)
    require(program, providers, here)
    return tuple(name for name in PROVIDERS if name in wanted & here)


def require(program: ServerProgram, providers: Providers, here: set[str]) -> None:
    """Raises MissingProgram unless the providers that are needed are among those ``here``."""
    missing = [name for name in providers.needed if name not in here]
    if not missing:
        return
    packages = [f"mariadb-plugin-{name.replace('_', '-')}" for name in missing]
    raise MissingProgram(
        f"{program.path} has no {' and no '.join(missing)}: the backup holds tables whose pages are compressed with "
        f"{', '.join(PROVIDERS[name] for name in missing)}",
        remedy=f"Install it on this host (Debian, Ubuntu: {' '.join(packages)}; RPM: "
        f"{' '.join(f'MariaDB-{name.replace(chr(95), chr(45))}' for name in missing)}), in the release of the server.",
        program=missing[0],
        plugins=missing,
    )


def require_for_restore(program: ServerProgram, providers: Providers, options: Mapping[str, str] | None) -> None:
    """Raises MissingProgram unless the server of this host has the providers that are needed, and loads them.

    ``options`` are those of its option files, None when they are not known.
    """
    if not providers.needed or program.family is not Family.MARIADB:
        return
    require(program, providers, available(program, (options or {}).get("plugin_dir")))
    if options is None:
        return
    loaded = parse_plugin_load(";".join(options.get(name, "") for name in ("plugin_load", "plugin_load_add")))
    idle = [name for name in providers.needed if name not in {*loaded, *providers.installed}]
    if idle:
        raise MissingProgram(
            f"the option files of this host's server do not load {', '.join(idle)}: the backup holds tables whose "
            f"pages are compressed with {', '.join(PROVIDERS[name] for name in idle)}",
            remedy=f"Write plugin_load_add = {idle[0]} into the section [mariadb] of an option file of the server"
            f"{' (one line for each)' if len(idle) > 1 else ''}; Debian's packages do that.",
            program=idle[0],
            plugins=idle,
        )
