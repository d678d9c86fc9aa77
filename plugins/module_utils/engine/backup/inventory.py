# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make up a server's data: their kinds, and how they are found in the directories of databases.

Which names they have is in ``mariadb/inventory.py`` and ``mysql/inventory.py``.
"""

from __future__ import annotations

import enum
import errno
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ..errors import UnsafeFile, UnsupportedTable
from ..format.file_kinds import MYSQL_UNDO, MYSQL_UNDO_OF_SQL, SCHEMA_CHANGE_PREFIX, TABLESPACE, pattern_of
from ..host import durable
from ..host.server_files import ServerFiles
from ..server.layout import ServerLayout
from ..server.named_places import holds_tables

_REPLACEABLE = pattern_of((TABLESPACE, MYSQL_UNDO, MYSQL_UNDO_OF_SQL))

#: what opens a file of a server's data to read it; ``below.open_file`` follows no link
OpenSource = Callable[[Path], int]

#: tables that the server goes on writing under every stage but BLOCK_COMMIT
LOG_TABLES = frozenset({"general_log", "slow_log"})


class Kind(enum.Enum):
    """Kind of a file that is not InnoDB's; it decides when the file may be copied."""

    TABLE = "non-transactional table"
    DEFINITION = "definition"
    LOG_TABLE = "log table"
    STATISTICS = "statistics table"


@dataclass(frozen=True)
class InnodbFile:
    """One file of an InnoDB tablespace.

    ``path`` is its name in the backup, ``source`` where it is, ``size`` in bytes when it was listed.
    ``system_index`` counts the files of the system tablespace (None for all others).
    """

    path: str
    source: Path
    size: int
    system_index: int | None = None

    @property
    def replaceable(self) -> bool:
        """True for a file that can be created, renamed and dropped while the server runs: by DDL, and in MySQL, where
        truncation makes an undo tablespace anew, under another tablespace id, by the server itself."""
        return _REPLACEABLE.fullmatch(self.path) is not None


@dataclass(frozen=True)
class PlainFile:
    """One file of another engine or of the server itself; ``path`` and ``source`` as in InnodbFile."""

    path: str
    source: Path
    kind: Kind
    size: int


@dataclass(frozen=True)
class PlainFiles:
    """All files that are not InnoDB's, and the database directories that hold no file at all."""

    files: tuple[PlainFile, ...]
    empty_databases: tuple[str, ...]
    unknown: tuple[str, ...]


def find_plain_files(
    databases: Iterable[os.DirEntry[str] | Path], kind_of: Callable[[str, str], Kind | None], opener: ServerFiles
) -> PlainFiles:
    """Every file that is not InnoDB's in these directories, in the order of their names.

    ``kind_of`` tells the kind by the names of database and file, None when it knows none. Raises UnsafeFile for a file
    of a known kind that ``opener`` would not open.
    """
    files: list[PlainFile] = []
    empty: list[str] = []
    unknown: list[str] = []
    for database in sorted(databases, key=lambda entry: entry.name):
        count = 0
        for entry in sorted(entries_of(database), key=lambda entry: entry.name):
            count += 1
            path = f"{database.name}/{entry.name}"
            # a running ALTER TABLE's own files; its copy is rolled back by recovery
            if entry.name.startswith(SCHEMA_CHANGE_PREFIX) or TABLESPACE.matches(entry.name):
                continue
            kind = kind_of(database.name, entry.name)
            if kind is None:
                unknown.append(path)
                continue
            size = size_of(entry, opener)
            if size is not None:
                files.append(PlainFile(path, Path(entry.path), kind, size))
            elif os.path.lexists(entry.path):  # a directory, or a link to what is not there
                unknown.append(path)
        if not count:
            empty.append(database.name)
    return PlainFiles(tuple(files), tuple(empty), tuple(unknown))


def system_files(layout: ServerLayout) -> Iterator[InnodbFile]:
    """The files of the system tablespace, in their order."""
    files = ServerFiles(layout.datadir)
    for index, source in enumerate(layout.system_tablespace_files):
        with durable.storage_errors("looking at", source):
            size = files.status(source).st_size
        yield InnodbFile(source.name, source, size, index)


def split_known(
    files: Iterable[InnodbFile], is_known: Callable[[InnodbFile], bool], is_intermediate: Callable[[InnodbFile], bool]
) -> tuple[list[InnodbFile], list[str]]:
    """Those of ``files`` that belong to the server's data, and the names in a backup of the others: of a table that is
    discarded, of none, or a second file of one tablespace; but for those of running schema changes."""
    known, unknown = [], []
    for file in files:
        if is_known(file):
            known.append(file)
        elif not is_intermediate(file):
            unknown.append(file.path)
    return known, sorted(unknown)


def require_database_names(names: Iterable[str], taken: Collection[str]) -> None:
    """Raises UnsupportedTable for a database whose directory (``names``) would be called as one of the files ``taken``
    that a backup has beside the data."""
    for name in names:
        if name in taken:
            raise UnsupportedTable(
                f"the database {name} cannot be in a backup, which has a file of that name",
                remedy="Move its tables into a database of another name (RENAME TABLE), and drop it.",
                database=name,
            )


def is_directory(entry: os.DirEntry[str]) -> bool:
    """Returns whether ``entry`` is a directory (links followed); a link that leads nowhere, or in a circle, is none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        with durable.storage_errors("looking at", entry):
            raise


def is_database(entry: os.DirEntry[str], layout: ServerLayout) -> bool:
    """Returns whether ``entry`` of the data directory is the directory of a database, or a link to one.

    Raises UnsafeFile for a link to tables that do not belong to the owner of the data directory; one to other things of
    somebody else is no database.
    """
    if not is_directory(entry) or is_server_file(entry, layout):
        return False
    if entry.is_symlink():
        try:
            with durable.storage_errors("looking at", entry):
                ServerFiles(layout.datadir).require_own_directory(entry)
        except UnsafeFile:
            if holds_tables(Path(entry.path)):
                raise
            return False
    return True


def is_server_file(entry: os.DirEntry[str], layout: ServerLayout) -> bool:
    """Returns whether a directory in the data directory is that of logs, temporary files or keys, and no database."""
    return entry.name in layout.not_databases and not holds_tables(Path(entry.path))


def entries_of(directory: os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Returns the entries of ``directory``; [] when it is gone."""
    try:
        return list(os.scandir(directory))
    except FileNotFoundError:  # the database was dropped just now
        return []
    except OSError:
        with durable.storage_errors("listing", directory):
            raise


def size_of(entry: os.DirEntry[str] | Path, files: ServerFiles) -> int | None:
    """Bytes of the regular file ``entry``, None when it has vanished or is a directory; a link that leads nowhere, or
    in a circle, is none. Raises UnsafeFile when ``files`` would not open it, StorageError."""
    with durable.storage_errors("looking at", entry):
        return files.size(entry)
