# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that make up a MySQL server's data, their kinds, and their names in a backup.

Names: as in Percona's backups. System and undo tablespaces and general tablespaces from outside the data directory are
at the root, a table's file is ``db/t.ibd`` wherever it was, and everything else is where it is below the data
directory: docs/internals/formats-backup-files.md#mysql-file-set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...errors import UnsupportedTable
from ...format.family import Family
from ...format.file_kinds import (
    DICTIONARY_NAME,
    MYSQL_UNDO,
    MYSQL_UNDO_OF_SQL,
    NOT_CONTENT,
    SCHEMA_CHANGE_PREFIX,
    TABLESPACE,
    Backup,
    kinds_of,
    pattern_of,
)
from ...host import durable
from ...host.server_files import ServerFiles
from ...server.layout import ServerLayout
from ...server.mysql.tablespaces import Tablespace, backup_path
from ..inventory import (
    LOG_TABLES,
    InnodbFile,
    Kind,
    PlainFiles,
    entries_of,
    find_plain_files,
    is_database,
    size_of,
    split_known,
    system_files,
)

_TABLES = pattern_of(kinds_of(Family.MYSQL, backup=Backup.TABLE))
_AT_TOP = pattern_of((TABLESPACE, MYSQL_UNDO_OF_SQL))
_DEFINITIONS = pattern_of(kinds_of(Family.MYSQL, backup=Backup.DEFINITION))


def innodb_files(layout: ServerLayout, tablespaces: Iterable[Tablespace]) -> list[InnodbFile]:
    """Every InnoDB data file, the largest first. Files that vanish meanwhile are left out.

    Inside the data directory they are found by listing it, so that those of running DDL are there, too; outside of it
    by the dictionary's ``tablespaces``, since a directory there may hold other things than this server's.

    Raises UnsupportedServer for raw devices, UnsupportedTable for two files that would get the same name, UnsafeFile
    for links and what else may not be read.
    """
    files = ServerFiles(layout.datadir)
    found = {file.path: file for file in system_files(layout)}
    for path, source in [*_listed(layout), *_named(layout, tablespaces)]:
        other = found.get(path)
        if other is not None:
            _require_same(path, other.source, source)
            continue
        size = size_of(source, files)
        if size is not None:
            found[path] = InnodbFile(path, source, size)
    return sorted(found.values(), key=lambda file: (-file.size, file.path))


def known_files(
    layout: ServerLayout, tablespaces: Iterable[Tablespace], files: Iterable[InnodbFile]
) -> tuple[list[InnodbFile], list[str]]:
    """See ``split_known``. What a running schema change makes is in the dictionary only when that is done."""
    # the dictionary does not name its own file
    named = {backup_path(tablespace, layout) for tablespace in tablespaces} | {DICTIONARY_NAME}
    return split_known(
        files,
        lambda file: not file.replaceable or file.path in named,
        lambda file: file.source.name.startswith(SCHEMA_CHANGE_PREFIX),
    )


def plain_files(layout: ServerLayout) -> PlainFiles:
    """Every file that is not InnoDB's, found in the database directories, in the order of their names."""
    return find_plain_files(databases(layout), _kind, ServerFiles(layout.datadir))


def _listed(layout: ServerLayout) -> Iterator[tuple[str, Path]]:
    """Name in the backup and place of the data files in the data directory and the directory of undo tablespaces."""
    for entry in entries_of(layout.innodb_undo_directory):
        if MYSQL_UNDO.matches(entry.name):
            yield entry.name, Path(entry.path)
    for entry in entries_of(layout.datadir):
        if _AT_TOP.fullmatch(entry.name):
            yield entry.name, Path(entry.path)
    for database in databases(layout):
        for entry in entries_of(database):
            if TABLESPACE.matches(entry.name):
                yield f"{database.name}/{entry.name}", Path(entry.path)


def _named(layout: ServerLayout, tablespaces: Iterable[Tablespace]) -> Iterator[tuple[str, Path]]:
    for tablespace in tablespaces:
        yield backup_path(tablespace, layout), tablespace.path(layout)


def _require_same(path: str, one: Path, other: Path) -> None:
    """Raises UnsupportedTable unless both are the same file; what is gone by now is nobody's."""
    try:
        same = one == other or os.path.samefile(one, other)
    except FileNotFoundError:
        return
    if not same:
        raise UnsupportedTable(
            f"{one} and {other} would both be {path} in the backup",
            remedy="Rename one of the tablespaces, or move it into the data directory.",
            path=path,
            files=[str(one), str(other)],
        )


def databases(layout: ServerLayout) -> list[Path]:
    """The directories of databases."""
    found = []
    with durable.storage_errors("listing", layout.datadir):
        for entry in os.scandir(layout.datadir):
            # other characters than letters, digits and _ are encoded in the names of databases
            if entry.name[0] not in "#." and entry.name not in NOT_CONTENT and is_database(entry, layout):
                found.append(Path(entry.path))
    return found


def _kind(database: str, name: str) -> Kind | None:
    if _DEFINITIONS.fullmatch(name):
        return Kind.DEFINITION
    if not _TABLES.fullmatch(name):
        return None
    stem = name.rpartition(".")[0]
    return Kind.LOG_TABLE if database == "mysql" and stem in LOG_TABLES else Kind.TABLE
