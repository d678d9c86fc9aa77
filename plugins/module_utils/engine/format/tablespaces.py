# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where MySQL's dictionary says that tablespaces are, and the file ``xtrabackup_tablespaces`` of a backup.

The dictionary names files relative to the data directory (``./db/t.ibd``) or, outside of it, absolutely. In a backup
all of them are below one directory; the file says where those from outside, and the undo tablespaces, have been.
Format: docs/internals/formats-backup-files.md#tablespaces-file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import durable
from ..errors import FormatError, UnknownFormat
from ..server.connection import Connection
from ..server.layout import Layout
from . import strict_json
from .names import LONGEST_PATH, safe_path

_VERSION = 2
_MAX_BYTES = 16 << 20
_TABLE, _UNDO = "TABLESPACE", "UNDO_LOG"
_UNDO_SPACE = "Undo"  # the same, as the dictionary says it


@dataclass(frozen=True)
class Tablespace:
    """A tablespace of the dictionary: ``name`` as ``db/t`` for that of a table, any other for a general one;
    ``file_name`` as the dictionary has it; ``undo``: an undo tablespace."""

    space_id: int
    name: str
    file_name: str
    undo: bool = False

    def path(self, layout: Layout) -> Path:
        """Where its file is (absolute) on a server with this ``layout``."""
        path = Path(os.path.normpath(layout.datadir / self.file_name))
        if self.undo and not path.exists():
            # CREATE UNDO TABLESPACE takes a relative name from here; the dictionary has it as if from the datadir
            return Path(os.path.normpath(layout.innodb_undo_directory / self.file_name))
        return path


@dataclass(frozen=True)
class RecordedTablespace:
    """One entry of ``xtrabackup_tablespaces``."""

    file_name: Path
    tablespace_name: str
    undo: bool

    @property
    def backup_path(self) -> str:
        """The name of the file in the backup."""
        if self.undo or "/" not in self.tablespace_name:
            return self.file_name.name
        return f"{self.file_name.parent.name}/{self.file_name.name}"


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


def missing(layout: Layout, tablespaces: Iterable[Tablespace]) -> list[Tablespace]:
    """Those of ``tablespaces`` whose file is not there."""
    with durable.storage_errors("looking at", layout.datadir):
        return [tablespace for tablespace in tablespaces if not tablespace.path(layout).exists()]


def backup_path(tablespace: Tablespace, layout: Layout) -> str:
    """The name in the backup of the tablespace's file."""
    path = tablespace.path(layout)
    if tablespace.undo:
        return path.name
    if layout.datadir in path.parents:
        return path.relative_to(layout.datadir).as_posix()
    return RecordedTablespace(path, tablespace.name, undo=False).backup_path


def render(layout: Layout, tablespaces: Iterable[Tablespace]) -> str:
    """The file ``xtrabackup_tablespaces``: undo tablespaces, and those outside of the data directory."""
    entries = []
    for tablespace in sorted(tablespaces, key=lambda tablespace: tablespace.name):
        path = tablespace.path(layout)
        if tablespace.undo or layout.datadir not in path.parents:
            kind = _UNDO if tablespace.undo else _TABLE
            entries.append({"file_name": str(path), "tablespace_name": tablespace.name, "tablespace_type": kind})
    content = {"version": _VERSION, "external_tablespaces": entries}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def parse(data: bytes, where: str) -> list[RecordedTablespace]:
    """The entries of the file ``where`` (for errors), whose bytes are ``data``.

    Raises UnknownFormat for another version, FormatError for what is no such file.
    """
    content = strict_json.parse_object(data, where, max_bytes=_MAX_BYTES)
    try:
        version = content["version"]
        if version != _VERSION:
            raise UnknownFormat(f"{where}: the unknown version {version!r}", path=where)
        return [_parse_entry(entry, where) for entry in content["external_tablespaces"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{where}: not a list of tablespaces: {error!r}", path=where) from error


def _parse_entry(entry: Mapping[str, Any], where: str) -> RecordedTablespace:
    file_name = strict_json.text(entry["file_name"], where, "file_name", LONGEST_PATH)
    name, kind = entry["tablespace_name"], entry["tablespace_type"]
    path = Path(file_name)
    if not (isinstance(name, str) and path.is_absolute() and "\0" not in file_name and ".." not in path.parts):
        raise ValueError(f"file_name {file_name!r} of tablespace {name!r}")
    if kind not in (_TABLE, _UNDO):
        raise ValueError(f"tablespace_type {kind!r}")
    recorded = RecordedTablespace(path, name, kind == _UNDO)
    safe_path(recorded.backup_path, where)  # of a file at the top of the file system it would be an absolute one
    return recorded
