# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tablespaces in MariaDB's dictionary, read before the files are copied and when DDL is blocked.

``ALTER TABLE ... IMPORT TABLESPACE`` writes every page of a file anew, in place and without redo; path, inode and
tablespace id stay. What MariaDB 10.11 shows of it: ``DISCARD`` removes the tablespace from INNODB_SYS_TABLESPACES,
clears the roots of its indexes in INNODB_SYS_INDEXES, and gives the table a new id; ``IMPORT`` brings the tablespace
and the roots back when all pages are on disk. The log of DDL during backups (ddl.log) names neither of the two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from ...errors import DdlConflict
from ...format.file_kinds import DATA_SUFFIX, FULLTEXT, SCHEMA_CHANGE_PREFIX
from ...server.connection import Connection
from ..copier import CopiedTablespace
from ..ddl_watch import UNWRITTEN_SPACE_ID
from ..inventory import InnodbFile, split_known

_NAMED = 5

#: of the tables of a fulltext index, named after the ids of table and index; no user's table may be called so


@dataclass(frozen=True)
class Table:
    """A table, or a partition, that has a file of its own; ``path`` is the file's name in a backup."""

    table_id: int
    path: str


@dataclass(frozen=True)
class MariadbDictionary:
    """By tablespace id: the names in a backup of the files that the server has open, and the tables that are to have a
    file, without those that are discarded."""

    files: Mapping[int, str]
    tables: Mapping[int, Table]

    @property
    def paths(self) -> dict[str, int]:
        """Name in a backup and tablespace id of every file that is a table's, open or not."""
        return {
            **{table.path: space_id for space_id, table in self.tables.items()},
            **{path: space_id for space_id, path in self.files.items()},
        }

    def altered_since(self, before: MariadbDictionary) -> frozenset[int]:
        """The ids of the tablespaces that are of other tables than ``before``, or were not there then: made, or
        imported, meanwhile."""
        return frozenset(
            space_id
            for space_id in {*self.files, *self.tables}
            if self.tables.get(space_id) != before.tables.get(space_id)
            or (space_id not in before.files and space_id not in before.tables)
        )

    def missing(self, files: Iterable[InnodbFile]) -> dict[str, int]:
        """Name in a backup and tablespace id of the files that are to be there and are not among ``files``."""
        there = {file.path for file in files}
        return {
            path: space_id for path, space_id in self.paths.items() if path not in there and not is_intermediate(path)
        }


def read_dictionary(connection: Connection) -> MariadbDictionary:
    """The dictionary now; needs PROCESS, and waits for no table's lock.

    The tables are read before those that are discarded: a DISCARD between the two looks is then seen by the old id of
    its table, and an IMPORT by none, but that is over before anything is copied.
    """
    files = {}
    for row in connection.listing("SELECT SPACE, FILENAME FROM information_schema.INNODB_SYS_TABLESPACES"):
        file_name = str(row["FILENAME"] or "")
        if file_name.endswith(DATA_SUFFIX):  # neither the system's, nor the temporary, nor undo tablespaces
            files[int(row["SPACE"])] = "/".join(PurePosixPath(file_name).parts[-2:])
    tables = {
        int(row["SPACE"]): Table(int(row["TABLE_ID"]), f"{row['NAME']}{DATA_SUFFIX}")
        for row in connection.listing(
            "SELECT SPACE, TABLE_ID, NAME FROM information_schema.INNODB_SYS_TABLES WHERE SPACE <> 0"
        )
    }
    discarded = {
        int(row["TABLE_ID"])
        for row in connection.listing(
            "SELECT DISTINCT TABLE_ID FROM information_schema.INNODB_SYS_INDEXES WHERE SPACE IS NULL OR PAGE_NO IS NULL"
        )
    }
    return MariadbDictionary(files, {id_: table for id_, table in tables.items() if table.table_id not in discarded})


def known_files(files: Iterable[InnodbFile], dictionary: MariadbDictionary) -> tuple[list[InnodbFile], list[str]]:
    """See ``split_known``. The dictionary must have been read after the files were listed."""
    paths = dictionary.paths
    return split_known(
        files,
        lambda file: not file.path.endswith(DATA_SUFFIX) or file.path in paths,
        lambda file: is_intermediate(file.path),
    )


def require_all_copied(
    connection: Connection, copied: Mapping[str, CopiedTablespace], left_out: Collection[str] = ()
) -> None:
    """Every tablespace that the server's dictionary names must have been copied, under its id; but for ``left_out``,
    names in a backup.

    The last word on DDL: raises DdlConflict naming the tablespaces for which that is not so.
    """
    wrong = []
    by_path = {path: copy.space_id for path, copy in copied.items()}
    for path, space_id in read_dictionary(connection).paths.items():
        if path not in by_path and (is_intermediate(path) or path in left_out):
            continue
        if by_path.get(path) not in (space_id, UNWRITTEN_SPACE_ID):
            wrong.append(f"{path} (tablespace {space_id}, copied {by_path.get(path)})")
    if wrong:
        raise DdlConflict(
            f"the dictionary names tablespaces that were not copied as such: {', '.join(wrong[:_NAMED])}"
            + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""),
            tablespaces=wrong[:100],
        )


def is_intermediate(path: str) -> bool:
    """Returns whether ``path`` is a file that a running ALTER TABLE fills, which BLOCK_DDL does not hold up: a copy of
    its table, or the tables of a fulltext index.

    One that was made after the files were listed is in the redo log from its first byte, so recovery can make it
    without a copy; then it rolls the ALTER back.
    """
    name = path.rpartition("/")[2]
    return name.startswith(SCHEMA_CHANGE_PREFIX) or FULLTEXT.matches(name)
