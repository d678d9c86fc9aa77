# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tablespaces and their paths in MySQL's dictionary.

The dictionary names files relative to the data directory (``./db/t.ibd``) or, outside of it, absolutely.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...format.tablespaces import RecordedTablespace
from ...host import durable
from ..connection import Connection
from ..layout import ServerLayout

_UNDO_SPACE = "Undo"  # an undo tablespace, as the dictionary says it


@dataclass(frozen=True)
class Tablespace:
    """A tablespace of the dictionary: ``name`` as ``db/t`` for that of a table, any other for a general one;
    ``file_name`` as the dictionary has it; ``undo``: an undo tablespace."""

    space_id: int
    name: str
    file_name: str
    undo: bool = False

    def path(self, layout: ServerLayout) -> Path:
        """Returns the absolute path of its file on a server with this ``layout``."""
        path = Path(os.path.normpath(layout.datadir / self.file_name))
        if self.undo and not path.exists():
            # CREATE UNDO TABLESPACE takes a relative name from here; the dictionary has it as if from the datadir
            return Path(os.path.normpath(layout.innodb_undo_directory / self.file_name))
        return path


def read_tablespaces(connection: Connection) -> list[Tablespace]:
    """All tablespaces but the system's and the temporary ones; needs PROCESS.

    information_schema.FILES tells all of it at once, but waits for the metadata lock of each table, as long as a lock
    may be waited for. These two wait for nobody.
    """
    kinds = {
        int(row["SPACE"]): str(row["SPACE_TYPE"])
        for row in connection.listing(
            "SELECT SPACE, SPACE_TYPE FROM information_schema.INNODB_TABLESPACES "
            "WHERE SPACE_TYPE <> 'System' AND COALESCE(STATE, '') <> 'discarded'"
        )
    }
    rows = connection.listing("SELECT SPACE, NAME, PATH FROM information_schema.INNODB_TABLESPACES_BRIEF")
    return [
        Tablespace(space_id, str(row["NAME"]), str(row["PATH"]), kinds[space_id] == _UNDO_SPACE)
        for row in rows
        if (space_id := int(row["SPACE"])) in kinds
    ]


def missing_tablespaces(layout: ServerLayout, tablespaces: Iterable[Tablespace]) -> list[Tablespace]:
    """Those of ``tablespaces`` whose file is not there."""
    with durable.storage_errors("looking at", layout.datadir):
        return [tablespace for tablespace in tablespaces if not tablespace.path(layout).exists()]


def backup_path(tablespace: Tablespace, layout: ServerLayout) -> str:
    """The name in the backup of the tablespace's file."""
    path = tablespace.path(layout)
    if tablespace.undo:
        return path.name
    if layout.datadir in path.parents:
        return path.relative_to(layout.datadir).as_posix()
    return RecordedTablespace(path, tablespace.name, undo=False).backup_path


def recorded(layout: ServerLayout, tablespaces: Iterable[Tablespace]) -> list[RecordedTablespace]:
    """Returns the record of ``tablespaces`` for a backup: undo tablespaces, and those outside of the data directory."""
    entries = []
    for tablespace in sorted(tablespaces, key=lambda tablespace: tablespace.name):
        path = tablespace.path(layout)
        if tablespace.undo or layout.datadir not in path.parents:
            entries.append(RecordedTablespace(path, tablespace.name, tablespace.undo))
    return entries
