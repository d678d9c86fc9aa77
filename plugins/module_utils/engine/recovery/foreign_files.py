# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that no server's backup has, but which somebody could put into one, for what they do in a data directory.

The data directory is the home of the server's account on many systems, so ``.ssh`` would let other people log in.
Option files and a manifest of components (``mysqld.my``) would be read by the server and its scripts, and all of it
would be kept by later restores as the host's own. Backup tools copy table files from directories of databases, files of
InnoDB and Aria, and files that they write themselves. What else lies beside a backup, which may have been unpacked in
somebody's home, is no part of it. A manifest that lists such a file is no honest one.
"""

from __future__ import annotations

from typing import Callable

from ..errors import BackupError
from ..format.file_kinds import KEYRING, KINDS, METADATA, MYSQL_UNDO_OF_SQL, TABLESPACE, Restore, pattern_of
from .backup_directory import BackupDirectory
from .families import recovery_family_of

_OURS = ".xtrabackup"
_HOSTS_OWN = pattern_of(kind for kind in KINDS if kind.restore is Restore.HOSTS_OWN and kind is not KEYRING)
_CONTENT = pattern_of((TABLESPACE, MYSQL_UNDO_OF_SQL, METADATA))


def _all(_name: str) -> bool:
    return True


def require_no_foreign_files(backup: BackupDirectory, carried: Callable[[str], bool] = _all) -> None:
    """Raises BackupError when the manifest of ``backup`` lists a file that is none of a backup's, and is ``carried``
    into a data directory."""
    for entry in backup.manifest.files if backup.manifest else ():
        if carried(entry.path) and is_foreign(backup, entry.path):
            raise BackupError(
                f"the manifest of {backup.path} lists {entry.path}, which no backup of a server has: in a data "
                "directory it would be taken for the host's own",
                remedy="Find out who has put it there, and use another copy of the backup.",
                path=str(backup.path / entry.path),
            )


def is_foreign(backup: BackupDirectory, name: str) -> bool:
    """Returns whether the file ``name``, a path in ``backup``, is neither one of a backup's nor of a server that
    recovered it."""
    # files of the system tablespace are called as the server was told
    if not _has_foreign_name(name) or name in {file.name for file in backup.configuration.data_files}:
        return False
    return not recovery_family_of(backup, None).is_leftover(name)


def _has_foreign_name(name: str) -> bool:
    top, inner, _rest = name.partition("/")
    if not inner and _CONTENT.fullmatch(name):
        return False
    if top.startswith("."):
        return not top.startswith(_OURS)
    keyring = "." not in name and KEYRING.matches(name.lower())
    return not inner and (keyring or _HOSTS_OWN.fullmatch(name.lower()) is not None)
