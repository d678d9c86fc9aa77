# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detection of data in a data directory that is not its server's own.

Two witnesses are asked: the files, every entry of them, and the running server, since there are objects without a file
(routines and events, tables in the system tablespace). ``classify`` decides from what both have said. What nobody knows
to be the server's own is a user's, and what could not be asked is unknown: only ``NONE`` may be replaced without
consent. Accounts are no data.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..format.family import Flavor, flavor_of
from ..format.file_kinds import (
    ARIA,
    BINARY_LOG,
    BINARY_LOG_INDEX,
    CSV,
    DATABASE_OPTIONS_NAME,
    FRM,
    FRM_SUFFIX,
    KINDS,
    LARGE_TRANSACTION,
    LARGE_TRANSACTIONS_DIRECTORY,
    LOG_LIST,
    MYISAM,
    NOT_CONTENT,
    REDO_DIRECTORY,
    REDO_FILE,
    SDI,
    SDI_SUFFIX,
    SESSION_TEMPORARY,
    SPARE_REDO_FILE,
    TABLESPACE,
    TEMPORARY_DIRECTORY,
    TRIGGER,
    TRIGGERS,
    extensions_of,
    pattern_of,
    suffixes_of,
)
from ..host import below, durable
from .connection import Connection
from .privileges import ALL, global_grants

NONE, FOUND, UNKNOWN = "none", "found", "unknown"

FILE, DIRECTORY, SOCKET, OTHER = "file", "directory", "socket", "other"

# needed to see every object of a server
_SEES_ALL = frozenset({"SELECT", "SHOW DATABASES", "SHOW VIEW", "EVENT", "TRIGGER", "PROCESS"})
_SYSTEM_SCHEMAS = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
_EMPTY_SCHEMA = "test"  # mariadb-install-db makes it; nobody needs to have used it
_OWN_DEFINERS = frozenset({"mariadb.sys@localhost", "mysql.sys@localhost"})
# of both families, of MariaDB, of MySQL and Percona Server
_OWN_TABLE_NAMES = """
    columns_priv db event func general_log help_category help_keyword help_relation help_topic innodb_index_stats
    innodb_table_stats plugin proc procs_priv proxies_priv servers slow_log tables_priv time_zone time_zone_leap_second
    time_zone_name time_zone_transition time_zone_transition_type user

    column_stats global_priv gtid_slave_pos index_stats roles_mapping table_stats transaction_registry

    component default_roles engine_cost global_grants gtid_executed ndb_binlog_index password_history
    replication_asynchronous_connection_failover replication_asynchronous_connection_failover_managed
    replication_group_configuration_version replication_group_member_actions role_edges server_cost slave_master_info
    slave_relay_log_info slave_worker_info
"""
_OWN_TABLES = frozenset(_OWN_TABLE_NAMES.split())
_OWN_TABLES_OF_SYS = frozenset({"sys_config"})


_OWN_FILES = pattern_of(kind for kind in KINDS if kind.own)
_LOG_NAME = pattern_of((BINARY_LOG, LOG_LIST))  # binary and relay logs, whatever they are called
_LOG_MAGICS = (b"\xfebin", b"\xfdbin")  # plain, encrypted
_POSITIONS_MAGIC = b"\xfe\xfe\x0c"  # nothing is in it until the binary log is full
_VIEW = b"TYPE=VIEW"
_HEAD = 16  # bytes of a file that are looked at
_TABLE_FILE = re.compile(
    rf"(?P<table>[^.]+)\.(?:{extensions_of(FRM, TABLESPACE, ARIA, MYISAM, CSV)})"
    rf"|(?P<defined>[^.]+)_\d+\.(?:{extensions_of(SDI)})"
)
_OWN_DIRECTORIES = {
    LARGE_TRANSACTIONS_DIRECTORY: pattern_of((LARGE_TRANSACTION,)),
    REDO_DIRECTORY: pattern_of((REDO_FILE, SPARE_REDO_FILE)),
    TEMPORARY_DIRECTORY: pattern_of((SESSION_TEMPORARY,)),
}
_LOOKED_INTO = frozenset({"mysql", "sys", "performance_schema", _EMPTY_SCHEMA, *NOT_CONTENT, *_OWN_DIRECTORIES})


@dataclass(frozen=True)
class Entry:
    """One name in a data directory: ``path`` in it, its ``kind`` (a symbolic link is ``OTHER``, whatever it leads to)
    and the first bytes of a file. Directories of the server's own are listed with what is in them."""

    path: str
    kind: str
    head: bytes = b""


@dataclass(frozen=True)
class ServerObjects:
    """Objects that the running server lists: the databases and all else that is not its own. ``complete``: whether the
    account may see everything."""

    databases: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    complete: bool = False


@dataclass(frozen=True)
class UserData:
    """The judgement. ``state``: ``NONE``, ``FOUND`` (see ``databases``, ``objects``) or ``UNKNOWN`` (see ``unknown``,
    sentences for a person)."""

    state: str
    running: bool
    databases: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As a module returns it."""
        return {
            "state": self.state,
            "running": self.running,
            "databases": list(self.databases),
            "objects": list(self.objects),
            "unknown": list(self.unknown),
        }


def classify(entries: Collection[Entry] | None, *, running: bool, server: ServerObjects | None) -> UserData:
    """Classifies a data directory by its ``entries`` (None: they could not be read) and by its ``server`` (None: not
    asked).

    Nothing but two witnesses that know everything and have seen nothing makes it ``NONE``.
    """
    unknown = []
    found = _foreign(entries) if entries is not None else ((), ())
    if entries is None:
        unknown.append("its files cannot be read")
    if server is None:
        unknown.append(
            "its server does not accept the logins that there are, so it cannot be asked"
            if running
            else "its server does not run, so it cannot be asked"
        )
    elif not server.complete:
        unknown.append("the account that its server was asked with does not see everything")
    databases = sorted({*found[0], *(server.databases if server else ())})
    objects = sorted({*found[1], *(server.objects if server else ())})
    state = FOUND if databases or objects else UNKNOWN if unknown else NONE
    return UserData(state, running, tuple(databases), tuple(objects), tuple(unknown))


# --- the files -----------------------------------------------------------------------------------


def entries_of(datadir: Path) -> list[Entry]:
    """Every entry of ``datadir``, and of the directories in it that are the server's own; raises StorageError."""
    with durable.storage_errors("looking into", datadir):
        return list(_scan(datadir, ""))


def _scan(directory: Path, prefix: str) -> Iterable[Entry]:
    for found in sorted(os.scandir(directory), key=lambda entry: entry.name):
        path = prefix + found.name
        try:
            status = found.stat(follow_symlinks=False)
            kind = _kind(status.st_mode)
            # of the server's own tables nothing but the name counts
            head = _head(found.path) if kind == FILE and prefix in ("", "sys/") and status.st_size else b""
        except FileNotFoundError:
            continue  # a running server has removed it
        yield Entry(path, kind, head)
        if kind == DIRECTORY and not prefix and found.name in _LOOKED_INTO:
            yield from _scan(Path(found.path), path + "/")


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISDIR(mode):
        return DIRECTORY
    return SOCKET if stat.S_ISSOCK(mode) else OTHER


def _head(path: str) -> bytes:
    with below.reading_file(path) as file:
        return file.read(_HEAD)


def _foreign(entries: Collection[Entry]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The databases among ``entries``, and what else is not the server's own."""
    databases, objects = [], []
    for entry in entries:
        parent, _slash, name = entry.path.rpartition("/")
        if _is_own(parent, name, entry):
            continue
        if not parent and entry.kind != FILE:
            databases.append(name)
        elif parent == _EMPTY_SCHEMA:
            databases.append(parent)
        else:
            objects.append(entry.path)
    return tuple(databases), tuple(objects)


def _is_own(parent: str, name: str, entry: Entry) -> bool:
    if not parent:
        return _is_own_at_top(name, entry)
    if entry.kind != FILE:
        return False
    if parent in _OWN_DIRECTORIES:
        return _OWN_DIRECTORIES[parent].fullmatch(name) is not None
    if parent in NOT_CONTENT:
        return False
    if name == DATABASE_OPTIONS_NAME:
        return True
    if parent == "performance_schema":
        return name.endswith((SDI_SUFFIX, FRM_SUFFIX))
    if parent == "mysql":
        return _table_of(name) in _OWN_TABLES
    if parent == "sys":
        trigger = name.endswith(suffixes_of(TRIGGER, TRIGGERS)) and name.startswith("sys_config")
        return trigger or _table_of(name) in _OWN_TABLES_OF_SYS or entry.head.startswith(_VIEW)
    return False


def _is_own_at_top(name: str, entry: Entry) -> bool:
    if entry.kind == DIRECTORY:
        return name in _LOOKED_INTO
    if entry.kind == SOCKET:
        return True
    if entry.kind != FILE:
        return False
    if _OWN_FILES.fullmatch(name):
        return True
    if BINARY_LOG_INDEX.matches(name):
        return entry.head.startswith(_POSITIONS_MAGIC) or not entry.head
    return _LOG_NAME.fullmatch(name) is not None and (LOG_LIST.matches(name) or entry.head[:4] in _LOG_MAGICS)


def _table_of(name: str) -> str:
    """The table that a file belongs to, "" for a file of no table; MySQL's definitions end with a number."""
    match = _TABLE_FILE.fullmatch(name)
    return (match["table"] or match["defined"]) if match else ""


# --- the server ----------------------------------------------------------------------------------


def read_objects(connection: Connection) -> ServerObjects:
    """Ask the server for all that is not its own; needs no privilege, but with some it does not see everything."""
    schemas = _column(connection, "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA")
    databases = {name for name in schemas if name.lower() not in _SYSTEM_SCHEMAS and name.lower() != _EMPTY_SCHEMA}
    objects: set[str] = set()
    for kind, schema, name, definer in _objects(connection):
        if schema.lower() == _EMPTY_SCHEMA:
            databases.add(schema)
        elif schema.lower() in _SYSTEM_SCHEMAS and not _is_own_object(kind, schema.lower(), name.lower(), definer):
            objects.add(f"{kind} {schema}.{name}")
    objects.update(f"tablespace {name}" for name in _general_tablespaces(connection))
    return ServerObjects(tuple(sorted(databases)), tuple(sorted(objects)), sees_all(global_grants(connection)))


def sees_all(grants: Collection[str]) -> bool:
    """Returns whether an account with these global privileges (``privileges.global_grants``) sees every object."""
    return "REVOKE" not in grants and (ALL in grants or set(grants) >= _SEES_ALL)


def _is_own_object(kind: str, schema: str, name: str, definer: str) -> bool:
    if kind == "table":
        own = {"mysql": _OWN_TABLES, "sys": _OWN_TABLES_OF_SYS}
        return schema in ("information_schema", "performance_schema") or name in own[schema]
    return kind != "event" and (definer in _OWN_DEFINERS or schema == "information_schema")


def _objects(connection: Connection) -> Iterable[tuple[str, str, str, str]]:
    """Kind, schema, name and definer of all that a user can have made in a schema of the server's own, or in test."""
    questions = {
        "table": "TABLE_SCHEMA, TABLE_NAME, '' FROM information_schema.TABLES WHERE TABLE_TYPE NOT LIKE '%%VIEW%%'",
        "view": "TABLE_SCHEMA, TABLE_NAME, DEFINER FROM information_schema.VIEWS WHERE 1",
        "routine": "ROUTINE_SCHEMA, ROUTINE_NAME, DEFINER FROM information_schema.ROUTINES WHERE 1",
        "event": "EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS WHERE 1",
        "trigger": "TRIGGER_SCHEMA, TRIGGER_NAME, DEFINER FROM information_schema.TRIGGERS WHERE 1",
    }
    for kind, question in questions.items():
        schema = question.partition(",")[0]
        rows = connection.query(
            f"SELECT {question} AND {schema} IN %s",
            [(*sorted(_SYSTEM_SCHEMAS - {"information_schema"}), _EMPTY_SCHEMA)],
        )
        for row in rows:
            place, name, definer = (str(value or "") for value in row.values())
            yield kind, place, name, definer


def _general_tablespaces(connection: Connection) -> list[str]:
    """Tablespaces of MySQL that users have made; MariaDB has none."""
    if flavor_of(connection.version_text, "") is Flavor.MARIADB:
        return []
    names = _column(
        connection, "SELECT NAME AS name FROM information_schema.INNODB_TABLESPACES WHERE SPACE_TYPE = 'General'"
    )
    return [name for name in names if name != "mysql"]


def _column(connection: Connection, question: str) -> list[str]:
    return [str(row["name"]) for row in connection.query(question)]
