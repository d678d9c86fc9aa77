# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``mysqld-auto.cnf``: what SET PERSIST has set for a MySQL host, which its server reads after the option files.

The file is in the data directory, so whoever runs as the server's account can write it, and with it places for root to
write to and to remove from. SET PERSIST refuses nearly all of these variables (error 1238; not
``innodb_doublewrite_dir``), but a server honours each that it finds in the file, whoever has written it: those of the
static groups become options of its command line (``--loose_...``). What is not in the server's own form it ignores
without a word. So a place outside the data directory counts only where the option files name it, too, and anything else
is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import FormatError, InvalidOption, StorageError
from ...format import strict_json
from ...format.file_kinds import PERSISTED_NAME
from ...host.small_files import read_small
from ...server.mysql.persisted_file import LARGEST, variables_in
from ..log_files import cluster_directories

_OFF = ("0", "OFF", "FALSE")

# what names a place where a restore looks, writes or removes; other places (of other logs, of keys) it only keeps below
# the data directory
_PLACES = frozenset(
    {
        "aria_log_dir_path", "innodb_data_home_dir", "innodb_doublewrite_dir", "innodb_log_group_home_dir",
        "innodb_undo_directory", "log_bin", "log_bin_index", "log_tc", "master_info_file", "pid_file", "plugin_dir",
        "relay_log", "relay_log_index", "relay_log_info_file", "socket", "wsrep_data_home_dir",
    }
)  # fmt: skip
_LISTS = frozenset({"innodb_data_file_path", "innodb_directories", "wsrep_provider_options"})
# the server has found its data directory before it reads the file, and its account is that of the option files
_FIXED = frozenset({"datadir", "user"})
_SWITCHES = ("", "0", "1", "ON", "OFF", "TRUE", "FALSE")
_VERSIONS = (1, 2)


def persisted_variables(datadir: Path, options: Mapping[str, str]) -> dict[str, str]:
    """Name and value of each persisted variable of the host that its server honours; {} when there are none, or
    ``options``, those of the option files, say not to load them.

    Raises InvalidOption for a file that cannot be read, with which the server would not start or which it would ignore,
    and for a place outside the data directory that ``options`` do not name.
    """
    path = datadir / PERSISTED_NAME
    if options.get("persisted_globals_load", "ON").upper() in _OFF:
        return {}
    try:
        found = strict_json.parse_value(read_small(path, LARGEST).data, str(path), max_bytes=LARGEST)
        strict_json.require_plain(found, str(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (StorageError, FormatError) as error:
        raise _unreadable(path, f"cannot be read: {error.message}") from error
    if not isinstance(found, dict) or found.get("Version") not in _VERSIONS:
        raise _unreadable(path, "has no version that is known")
    entries = list(variables_in({key: child for key, child in found.items() if key != "Version"}))
    # a place counts only where it becomes an option of the command line
    known = _PLACES | _LISTS | _FIXED
    entries = [entry for entry in entries if entry.static or entry.name not in known]
    values = {entry.name: entry.value for entry in entries}
    _require_places(path, options, values)
    for entry in entries:
        if not entry.in_form:
            raise _unreadable(path, f"has {entry.name!r} in a form that no server writes, and that servers ignore")
    return {name: value for name, value in values.items() if name not in _FIXED}


def _unreadable(path: Path, fault: str) -> InvalidOption:
    return InvalidOption(
        f"{path}, which holds this host's persisted variables, {fault}",
        remedy="Mend it, or move it away: without it only the option files count.",
        path=str(path),
    )


def _require_places(path: Path, options: Mapping[str, str], values: Mapping[str, str]) -> None:
    """Raises InvalidOption for a place in ``values`` that is neither below the data directory nor in ``options``."""
    datadir = path.parent
    merged = {**options, **values}
    for name in sorted(values):
        named = set(_places(datadir, options, name))
        for place in _places(datadir, merged, name):
            own = place == datadir or (datadir in place.parents and name not in _FIXED)
            if not own and place not in named:
                raise InvalidOption(
                    f"{path} sets {name} to {values[name]!r}, which is not in the data directory; whoever runs as the "
                    "server's account can write that file, so it cannot name such a place",
                    remedy=f"If that place is right, write {name}={values[name]} into the server's option file. "
                    f"Otherwise take it out: RESET PERSIST {name} on the running server, or move {path} away.",
                    option=name,
                    path=str(path),
                )


def _places(datadir: Path, options: Mapping[str, str], name: str) -> Iterator[Path]:
    """Absolute paths of what the option ``name`` names."""
    text = options.get(name, "")
    base, parts = datadir, [text]
    if name == "innodb_data_file_path":
        base = datadir / options.get("innodb_data_home_dir", "")
        parts = [part.strip().partition(":")[0] for part in text.split(";")]
    elif name == "innodb_directories":
        parts = [part.strip().strip("\"'") for part in text.split(";")]
    elif name == "wsrep_provider_options":
        parts = list(cluster_directories({name: text}))
    elif name == "datadir":
        parts = [text or "."]
    elif name not in _PLACES or (name == "log_bin" and text.upper() in _SWITCHES):
        return
    yield from (Path(os.path.normpath(base / part)) for part in parts if part)
