# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file ``xtrabackup_tablespaces`` of a backup of MySQL.

In a backup all files are below one directory; this file says where those from outside of the data directory, and the
undo tablespaces, have been. Format: docs/internals/formats-backup-files.md#tablespaces-file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FormatError, UnknownFormat
from . import strict_json
from .names import LONGEST_PATH, safe_path

_VERSION = 2
_MAX_BYTES = 16 << 20
_TABLE, _UNDO = "TABLESPACE", "UNDO_LOG"


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


def render(entries: Iterable[RecordedTablespace]) -> str:
    """The file with these entries, which are undo tablespaces and those outside of the data directory."""
    listed = [
        {
            "file_name": str(entry.file_name),
            "tablespace_name": entry.tablespace_name,
            "tablespace_type": _UNDO if entry.undo else _TABLE,
        }
        for entry in entries
    ]
    content = {"version": _VERSION, "external_tablespaces": listed}
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
