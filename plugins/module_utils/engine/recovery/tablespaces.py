# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tablespaces that a recovered dictionary names, compared with the files that are there.

A server starts without complaint on a directory that lacks a file, as long as nothing asks for that table: so what it
says is not enough.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ..errors import BackupIncomplete, FormatError
from ..format.family import Family
from ..format.file_kinds import DATA_SUFFIX, MYSQL_UNDO_SUFFIX
from ..format.file_names import tablespace_name
from ..host import below, durable
from ..innodb.tablespace import FIRST_BYTES, TablespaceStart, tablespace_start
from .backup_directory import walk_files
from .server_messages import NOT_THERE, OTHER_COPY

_SHOWN = 5
_IN_DETAILS = 100


def require_tablespaces(
    directory: Path, named: Mapping[int, str], family: Family, left_out: Collection[str] = ()
) -> None:
    """Raises BackupIncomplete unless each tablespace in ``named`` (its path in ``directory`` by its id) has its file,
    as long as its first page says; but for the tables ``left_out``, whose files the source lacked, too. The server must
    have ended.

    A file is found by its id wherever it is: the paths in MySQL's dictionary may be those of the source.
    """
    named = {space: path for space, path in named.items() if tablespace_name(path) not in left_out}
    if not named:
        return
    there = dict(_tablespaces_below(directory, family))
    by_id = {start.space_id: path for path, (start, _size) in there.items() if start is not None}
    missing = {space: path for space, path in named.items() if space not in by_id}
    if missing:
        described = [_missing(space, path, there) for space, path in sorted(missing.items(), key=lambda item: item[1])]
        raise BackupIncomplete(
            f"{directory}: the data dictionary names tablespaces that are not there: {_listed(described)}",
            remedy=NOT_THERE,
            path=str(directory),
            files=sorted(missing.values())[:_IN_DETAILS],
            lost=described[:_IN_DETAILS],
        )
    short = [
        f"{path} has {there[path][1]} bytes, and {start.least_size} by its first page"
        for path in (by_id[space] for space in named)
        if (start := there[path][0]) is not None and there[path][1] < start.least_size
    ]
    if short:
        raise BackupIncomplete(
            f"{directory}: data files are shorter than they must be: {_listed(short)}",
            remedy=OTHER_COPY,
            path=str(directory),
            lost=short[:_IN_DETAILS],
        )


def _missing(space: int, path: str, there: Mapping[str, tuple[TablespaceStart | None, int]]) -> str:
    if path not in there:
        return f"{path} (tablespace {space})"
    start = there[path][0]
    found = "damaged at its beginning" if start is None else f"tablespace {start.space_id}"
    return f"{path} (tablespace {space}; the file of that name is {found})"


def _listed(described: list[str]) -> str:
    return ", ".join(described[:_SHOWN]) + (f" and {len(described) - _SHOWN} more" if len(described) > _SHOWN else "")


def _tablespaces_below(directory: Path, family: Family) -> Iterator[tuple[str, tuple[TablespaceStart | None, int]]]:
    """Yields each file of a tablespace: its path in ``directory``, what its first bytes say (None when they are not
    those of a tablespace), and its size in bytes."""
    for name, status in walk_files(directory):
        if not name.endswith((DATA_SUFFIX, MYSQL_UNDO_SUFFIX)) and not os.path.basename(name).startswith("undo"):
            continue
        path = directory / name
        with durable.storage_errors("reading", path), below.reading(directory, name) as file:
            first = file.read(FIRST_BYTES)
        try:
            start = tablespace_start(first, str(path), family)
        except FormatError:
            start = None
        yield name, (start, status.st_size)
