# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User tables of a MySQL server in other engines than InnoDB, read from the server's own files.

MySQL keeps the definition of each such table beside its data, as JSON in ``<database>/<table>_<id>.sdi`` (MySQL manual,
serialized dictionary information). That needs no privilege, whereas information_schema hides what an account may not
read; and a backup runs where these files are.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ...errors import FormatError, UnsupportedServer
from ...format import strict_json
from ...format.file_kinds import MERGE_SUFFIX, MYISAM_DATA_SUFFIX, MYISAM_INDEX_SUFFIX, SDI
from ...format.file_names import encode_name
from ...host import durable
from ...host.server_files import ServerFiles
from ..connection import Connection

# they keep no data in files, so there is nothing to copy and nothing to lock
_WITHOUT_FILES = frozenset({"memory", "blackhole", "federated", "performance_schema"})
# mysql has general_log and slow_log, which cannot be locked, and are nobody's data
_SYSTEM_SCHEMAS = ("mysql", "performance_schema")
_WRITING_SECONDS = 1.0  # in which a definition that is being written is whole; the server takes milliseconds
_PAUSE = 0.02
_LARGEST_DEFINITION = 64 << 20  # bytes
_MYISAM_MAGIC = b"\xfe\xfe\x07\x01"  # the first bytes of a .MYI file


@dataclass(frozen=True)
class UserTable:
    """One table, by the names that the server shows."""

    schema: str
    name: str
    engine: str

    @property
    def quoted(self) -> str:
        """The table as a statement names it."""
        return f"{_quote(self.schema)}.{_quote(self.name)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def non_transactional_tables(connection: Connection) -> list[UserTable]:
    """The user tables whose files change outside of the redo log: MyISAM, MERGE, CSV, ARCHIVE.

    Complete as long as schema changes are blocked; needs no privilege, but the server's data directory at hand. Raises
    UnsupportedServer when it is not, StorageError or FormatError when a definition cannot be read.
    """
    return tables_in(Path(connection.variables("datadir")["datadir"]))


def tables_in(datadir: Path) -> list[UserTable]:
    """As non_transactional_tables, of the server with the data directory ``datadir``."""
    return [table for table in _defined_in(datadir) if table.engine.lower() not in _WITHOUT_FILES]


def memory_tables(datadir: Path) -> list[UserTable]:
    """The user tables whose rows are in the memory of the server with the data directory ``datadir`` alone; raises as
    non_transactional_tables."""
    return [table for table in _defined_in(datadir) if table.engine.lower() == "memory"]


def broken_tables(connection: Connection) -> list[str]:
    """The MyISAM and MERGE tables of the server that it cannot open, as their files show, each with what is wrong:
    ``shop.orders (its .MYD file is missing)``. Not all damage shows there. Raises as non_transactional_tables."""
    return broken_in(Path(connection.variables("datadir")["datadir"]))


def broken_in(datadir: Path) -> list[str]:
    """As broken_tables, of the server with the data directory ``datadir``."""
    return [
        f"{table} ({wrong})"
        for path, table in _tables_by_definition(datadir)
        for wrong in [_what_is_wrong(path.with_name(encode_name(table.name)), table.engine.lower(), datadir)]
        if wrong
    ]


def _what_is_wrong(base: Path, engine: str, datadir: Path) -> str:
    """Returns the fault of the files of a table, "" when nothing is seen. ``base``: their path without a suffix."""
    if engine == "mrg_myisam":
        listed = _text_of(base.with_name(f"{base.name}{MERGE_SUFFIX}"), datadir)
        if listed is None:
            return "its .MRG file is missing"
        for line in filter(None, listed.splitlines()):
            # a table of the same database is listed by its name alone, options begin with #
            child = base.parent / line if "/" not in line else datadir / line
            if not line.startswith("#") and not child.with_name(f"{child.name}{MYISAM_INDEX_SUFFIX}").exists():
                return f"its table {line} is missing or no MyISAM table"
        return ""
    if engine != "myisam":
        return ""
    if not base.with_name(f"{base.name}{MYISAM_DATA_SUFFIX}").exists():
        return "its .MYD file is missing"
    try:
        with ServerFiles(datadir).reading(base.with_name(f"{base.name}{MYISAM_INDEX_SUFFIX}")) as index:
            return "" if index.read(len(_MYISAM_MAGIC)) == _MYISAM_MAGIC else "its .MYI file is damaged"
    except FileNotFoundError:
        return "its .MYI file is missing"


def _text_of(path: Path, datadir: Path) -> str | None:
    try:
        with ServerFiles(datadir).reading(path) as file:
            return file.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def _defined_in(datadir: Path) -> list[UserTable]:
    """The user tables that have a definition beside InnoDB's dictionary."""
    return [table for _path, table in _tables_by_definition(datadir)]


def _tables_by_definition(datadir: Path) -> list[tuple[Path, UserTable]]:
    """The user tables that have a definition beside InnoDB's dictionary, each with the path of that."""
    if not datadir.is_dir():
        raise UnsupportedServer(
            f"the server's data directory {datadir} is not on this host",
            remedy="Take the backup on the host that the server runs on, with a login to that very server.",
            datadir=str(datadir),
        )
    found = []
    with durable.storage_errors("reading", datadir):
        for database in sorted(entry.path for entry in os.scandir(datadir) if os.path.isdir(entry.path)):
            if os.path.basename(database) not in _SYSTEM_SCHEMAS:
                paths = [Path(database, name) for name in _definitions(database)]
                found += [(path, _read(path, datadir)) for path in paths]
    return [(path, table) for path, table in found if table is not None]


def _definitions(database: str) -> list[str]:
    """The names of the definitions in a database's directory, none when it has just been dropped."""
    try:
        return sorted(entry.name for entry in os.scandir(database) if SDI.matches(entry.name))
    except FileNotFoundError:
        return []


def _read(path: Path, datadir: Path) -> UserTable | None:
    """The table that is defined in ``path``, None when it has just been dropped; one that is being written is read
    again."""
    deadline = time.monotonic() + _WRITING_SECONDS
    while True:
        try:
            with ServerFiles(datadir).reading(path) as file:
                data = file.read(_LARGEST_DEFINITION + 1)
            definition = strict_json.parse_object(data, str(path), max_bytes=_LARGEST_DEFINITION)["dd_object"]
            return UserTable(str(definition["schema_ref"]), str(definition["name"]), str(definition["engine"]))
        except FileNotFoundError:
            return None
        except (FormatError, KeyError, TypeError) as error:
            if time.monotonic() > deadline:
                raise FormatError(f"{path} is no definition of a table: {error!r}", path=str(path)) from error
        time.sleep(_PAUSE)


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
