# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that make up a MariaDB server's data, their kinds, and the order in which they are copied.

Files and extensions, as the server's storage engines write them:
docs/internals/formats-backup-files.md#mariadb-file-set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...errors import UnsupportedTable
from ...format.family import Family
from ...format.file_kinds import (
    FRM,
    FRM_SUFFIX,
    LARGE_TRANSACTIONS_DIRECTORY,
    LINK,
    MARIADB_UNDO,
    NOT_CONTENT,
    REDO_DIRECTORY,
    TABLESPACE,
    TEMPORARY_DIRECTORY,
    Backup,
    kinds_of,
    pattern_of,
)
from ...format.file_names import decode_name
from ...host import below, durable
from ...host.server_files import ServerFiles
from ...server.layout import ServerLayout
from ..inventory import (
    LOG_TABLES,
    InnodbFile,
    Kind,
    OpenSource,
    PlainFile,
    PlainFiles,
    entries_of,
    find_plain_files,
    is_database,
    size_of,
    system_files,
)

_TABLES = pattern_of(kinds_of(Family.MARIADB, backup=Backup.TABLE))
_FRM_MAGIC, _FRM_MEMORY = 0xFE, 6
_DEFINITIONS = pattern_of(kinds_of(Family.MARIADB, backup=Backup.DEFINITION))
_NOT_DATABASES = NOT_CONTENT | {TEMPORARY_DIRECTORY, REDO_DIRECTORY, LARGE_TRANSACTIONS_DIRECTORY}
_STATISTICS_TABLES = frozenset({"table_stats", "column_stats", "index_stats"})


def innodb_files(layout: ServerLayout) -> list[InnodbFile]:
    """Every InnoDB data file, the largest first. Files that vanish meanwhile are left out.

    Raises UnsupportedServer for raw devices, UnsupportedTable for tables outside the data directory, UnsafeFile for
    links and what else may not be read.
    """
    files = ServerFiles(layout.datadir)
    found = list(system_files(layout))
    with durable.storage_errors("listing", layout.innodb_undo_directory):
        for entry in os.scandir(layout.innodb_undo_directory):
            size = size_of(entry, files) if MARIADB_UNDO.matches(entry.name) else None
            if size is not None:  # a database may be called so, too
                found.append(InnodbFile(entry.name, Path(entry.path), size))
    for database in databases(layout):
        for entry in entries_of(database):
            if LINK.matches(entry.name):
                raise UnsupportedTable(
                    f"{entry.path}: the table {database.name}/{entry.name[:-4]} has a DATA DIRECTORY of its own, "
                    "which this release cannot back up",
                    remedy="Move the table into the data directory (ALTER TABLE ... without DATA DIRECTORY).",
                    path=entry.path,
                )
            if TABLESPACE.matches(entry.name):
                size = size_of(entry, files)
                if size is not None:
                    found.append(InnodbFile(f"{database.name}/{entry.name}", Path(entry.path), size))
    return sorted(found, key=lambda file: (-file.size, file.path))


def plain_files(layout: ServerLayout) -> PlainFiles:
    """Every file that is not InnoDB's, found in the database directories, in the order of their names."""
    return find_plain_files(databases(layout), _kind, ServerFiles(layout.datadir))


def memory_tables(files: Iterable[PlainFile], open_source: OpenSource = below.open_file) -> list[str]:
    """Returns the tables of ``files`` that have their rows in the server's memory alone: database.table, by the .frm
    file, whose header is FE 01, a version, and the number of the engine (MariaDB Knowledge Base, ".frm file
    format")."""
    found = []
    for file in files:
        if not FRM.matches(file.path):
            continue
        if read_head(file.source, 4, open_source)[::3] == bytes((_FRM_MAGIC, _FRM_MEMORY)):
            database, _slash, table = file.path[: -len(FRM_SUFFIX)].partition("/")
            found.append(f"{decode_name(database)}.{decode_name(table)}")
    return found


def databases(layout: ServerLayout) -> Iterator[os.DirEntry[str]]:
    """The directories of databases."""
    with durable.storage_errors("listing", layout.datadir):
        entries = list(os.scandir(layout.datadir))
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _NOT_DATABASES:
            continue
        if is_database(entry, layout):
            yield entry


def _kind(database: str, name: str) -> Kind | None:
    if _DEFINITIONS.fullmatch(name):
        return Kind.DEFINITION
    if not _TABLES.fullmatch(name):
        return None
    stem = name.rpartition(".")[0]
    if database == "mysql" and stem in LOG_TABLES:
        return Kind.LOG_TABLE
    if database == "mysql" and stem in _STATISTICS_TABLES:
        return Kind.STATISTICS
    return Kind.TABLE


def read_head(path: Path, count: int, open_source: OpenSource = below.open_file) -> bytes:
    """The first ``count`` bytes of a file; none when it has just been dropped. Raises UnsafeFile, StorageError."""
    try:
        with os.fdopen(open_source(path), "rb") as source:
            return source.read(count)
    except FileNotFoundError:
        return b""
    except OSError:
        with durable.storage_errors("reading", path):
            raise
