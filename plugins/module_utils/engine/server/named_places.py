# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places below a data directory that options or variables name: directories of logs and temporary files, keys.

A server does not make such a directory itself, and does not start without it. It is no database, although it looks
like one. Names of options and of variables are the same here, with underscores.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..format.file_kinds import KINDS, Backup, pattern_of

# what names a directory, a file that the server writes, and something that belongs to the host and not to the data
_DIRECTORY = re.compile(r".*(dir|_dirs|directory|directories|_dir_path|_capath|_crlpath|\.dir)|secure_file_priv")
_FILE = re.compile(
    r".*_(file|filename|file_path|index|basename)|log_bin|relay_log|log|log_error|log_tc|pid_file|socket|"
    r"innodb_(temp_)?data_file_path"
)
_HOSTS_OWN = re.compile(r".*(ssl|tls|key|cert|_ca|capath|crl|vault|kmip|okv|hashicorp).*|init_file|ft_stopword_file")
_NOT_BELOW = frozenset({"datadir", "basedir", "plugin_dir", "character_sets_dir", "lc_messages_dir"})
_PREFIX = re.compile(r"file:(//)?", re.IGNORECASE)  # file_key_management_filekey=FILE:/path, components' file:///path
_SWITCHES = frozenset({"", "0", "1", "ON", "OFF", "YES", "NO", "TRUE", "FALSE", "NULL"})
_DATA_FILES = ("innodb_data_file_path", "innodb_temp_data_file_path")

# what shows that a directory is a database, whatever names it
_TABLE_FILE = pattern_of(
    kind
    for kind in KINDS
    if kind.nested and kind.backup in (Backup.PAGES, Backup.TABLE, Backup.DEFINITION, Backup.REFUSED)
)


@dataclass(frozen=True)
class NamedPlaces:
    """Absolute paths below a data directory, each sorted.

    ``directories`` that have to be there, without those above them; ``hosts_own``: files and directories that are the
    host's and not the data's, such as keys, whether they exist or not.
    """

    directories: tuple[Path, ...] = ()
    hosts_own: tuple[Path, ...] = ()

    def entries(self, datadir: Path) -> frozenset[str]:
        """The names in ``datadir`` that lead to the directories."""
        return frozenset(path.relative_to(datadir).parts[0] for path in self.directories)


def named_places(datadir: Path, options: Mapping[str, str]) -> NamedPlaces:
    """Returns the directories that ``options`` (or global variables) name below ``datadir``; relative paths start
    there, as the server's do."""
    directories: set[Path] = set()
    hosts_own: set[Path] = set()
    for name, text in _paths(options):
        path = Path(os.path.normpath(datadir / text))
        if datadir not in path.parents:
            continue
        own = _HOSTS_OWN.fullmatch(name) is not None
        if own:
            hosts_own.add(path)
        if _DIRECTORY.fullmatch(name):
            directories.add(path)
        elif (own or _FILE.fullmatch(name)) and path.parent != datadir:
            directories.add(path.parent)
    leaves = {one for one in directories if not any(one in other.parents for other in directories)}
    return NamedPlaces(tuple(sorted(leaves)), tuple(sorted(hosts_own)))


def holds_tables(directory: Path) -> bool:
    """Returns whether files of tables, or of a database's definition, are in ``directory``: it is a database then."""
    try:
        with os.scandir(directory) as entries:
            return any(_TABLE_FILE.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def _paths(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name, path) of all that ``options`` name: some take lists, with labels, attributes or names of settings."""
    for name, value in options.items():
        if name in _NOT_BELOW or value.upper() in _SWITCHES:
            continue
        for part in value.split(";"):
            setting, text = name, part.strip().strip("\"'")
            if name == "wsrep_provider_options":
                setting, _equals, text = (word.strip() for word in part.partition("="))
            elif name == "innodb_redo_log_archive_dirs":
                text = text.partition(":")[2]
            elif name in _DATA_FILES:
                text = text.partition(":")[0]
            text = _PREFIX.sub("", text, count=1)
            # several directories for temporary files, used in turn
            for one in text.split(":") if name.endswith("tmpdir") else [text]:
                if one and "\0" not in one:
                    yield setting, one
