# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that no server's backup has, but which somebody could put into one, for what they do in a data directory.

The data directory is the home of the server's account on many systems, so ``.ssh`` would let strangers log in. Option
files and a manifest of components (``mysqld.my``) would be read by the server and its scripts, and all of it would be
kept by later restores as the host's own. Backup tools copy table files from directories of databases, files of InnoDB
and Aria, and files that they write themselves. A directory without files counts for nothing: MariaDB's tool takes each
one for an empty database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import BackupError
from .backup_directory import BackupDirectory, walk_files
from .families import RecoveryFamily

_WRITTEN_BY_TOOLS = ("xtrabackup_", "mariadb_backup_", "backup-my.cnf")
_OURS = ".xtrabackup"
_HOSTS_OWN = re.compile(r".*\.(cnf|my|pem|key|crt|crl|csr)|[^.]*keyring[^.]*", re.IGNORECASE)
_TABLESPACES = (".ibd", ".ibu")


def require_none(backup: BackupDirectory, names: Iterable[str]) -> None:
    """Raises BackupError when one of ``names``, paths of files in ``backup``, is none of a backup's."""
    # files of the system tablespace are called as the server was told
    data_files = {file.name for file in backup.configuration.data_files}
    for name in names:
        if name not in data_files and _is_strange(name):
            raise BackupError(
                f"{backup.path} holds {name}, which no backup of a server has: in a data directory it would be taken "
                "for the host's own",
                remedy="Find out who has put it there, and use another copy of the backup; or remove it from this one, "
                "if the rest of it is to be trusted.",
                path=str(backup.path / name),
            )


def require_none_in(backup: BackupDirectory, family: RecoveryFamily) -> None:
    """As ``require_none`` of all files in the directory, but for what a server that recovered it has left."""
    require_none(backup, (name for name, _status in walk_files(backup.path) if not family.is_leftover(name)))


def _is_strange(name: str) -> bool:
    top, inner, _rest = name.partition("/")
    if not inner and (name.endswith(_TABLESPACES) or name.startswith(_WRITTEN_BY_TOOLS)):
        return False
    if top.startswith("."):
        return not top.startswith(_OURS)
    return not inner and _HOSTS_OWN.fullmatch(name) is not None
