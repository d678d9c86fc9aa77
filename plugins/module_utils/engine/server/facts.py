# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about a server and its abilities, as plain data for playbooks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from typing import Any, Protocol

from ..errors import ServerError, UnsupportedServer, XtrabackupError
from ..format.family import Family
from ..host import running
from ..host.data_size import data_bytes
from .connection import Connection
from .data_files import parse_data_files
from .identity import identify
from .layout import read_layout
from .mariadb import coordinates as mariadb_coordinates
from .mysql import coordinates as mysql_coordinates
from .privileges import (
    ACCESS_DENIED,
    backup_privileges,
    missing_privileges,
    position_privileges,
    replication_privileges,
)
from .replication import channel_facts, read_state
from .support import require_supported
from .user_data import ServerObjects, read_objects

SYSTEM_DATABASES = ("information_schema", "mysql", "performance_schema", "sys")


class _Coordinates(Protocol):
    """Functions that the module ``coordinates`` of a family has."""

    def has_position(self, version: tuple[int, ...], /) -> bool:
        """Returns whether servers of this version know what is asked for privileges and position."""

    def position_facts(self, connection: Connection, missing: Collection[str], /) -> dict[str, Any]:
        """Returns where the server stands; ``missing`` are the privileges that the account lacks."""


_COORDINATES: dict[Family, _Coordinates] = {Family.MARIADB: mariadb_coordinates, Family.MYSQL: mysql_coordinates}


def server_facts(connection: Connection) -> dict[str, Any]:
    """Returns the server's identity, whether it can be backed up and why not, its directories and its position.

    What the account may not see is None, and ``privileges_missing`` says why.
    """
    identity = identify(connection)
    layout = read_layout(connection)
    variables = connection.variables("log_bin", "read_only", "gtid_strict_mode", "wsrep_on", "innodb_redo_log_capacity")
    facts: dict[str, Any] = {
        **identity.as_dict(),
        "version_tuple": list(identity.version_tuple),
        "port": identity.port,
        "datadir": str(identity.datadir),
        "read_only": variables.get("read_only", "OFF").upper() not in ("OFF", "0"),
        "log_bin": variables.get("log_bin") == "ON",
        "log_replica_updates": layout.logs_replica_updates,
        "gtid_strict_mode": variables.get("gtid_strict_mode") == "ON",
        "galera": variables.get("wsrep_on") == "ON",
        "innodb_page_size": layout.innodb_page_size,
        "lower_case_table_names": layout.lower_case_table_names,
        "data_file_sizes": [],
        "innodb_log_file_size": layout.innodb_log_file_size,
        "innodb_redo_log_capacity": int(variables.get("innodb_redo_log_capacity", "0")),
        "gtid_mode": layout.gtid_mode,
        "user_databases": user_databases(connection),
        "supported": True,
        "refusal": None,
        "privileges_missing": [],
        "privileges_missing_for_replication": [],
        "privileges_missing_on_read_only": [],
        "binlog": None,
        "gtid": None,
    }
    try:
        require_supported(identity, connection)
    except ServerError as error:
        facts.update(supported=False, refusal=error.message)
    with contextlib.suppress(XtrabackupError):  # raw devices, with which it is not supported
        files = parse_data_files(layout.innodb_data_file_path, "the server")
        facts["data_file_sizes"] = [file.size for file in files]
    coordinates = _COORDINATES[identity.family]
    if not coordinates.has_position(identity.version_tuple):
        return facts
    missing = missing_privileges(connection, backup_privileges(connection))
    facts["privileges_missing"] = missing
    facts["privileges_missing_for_replication"] = missing_privileges(connection, replication_privileges(connection))
    more = (
        position_privileges(connection, read_only=True).keys() - position_privileges(connection, read_only=False).keys()
    )
    facts["privileges_missing_on_read_only"] = missing_privileges(connection, more)
    facts.update(coordinates.position_facts(connection, missing))
    return facts


def data_bytes_of(connection: Connection) -> int | None:
    """Bytes of the server's data files, as far as this user sees them; None when it does not run on this host."""
    layout = read_layout(connection)
    if not any(server.works_in(layout.datadir) for server in running.servers()):
        return None
    return data_bytes(
        layout.datadir, {layout.innodb_undo_directory, *(path.parent for path in layout.system_tablespace_files)}
    )


def objects_of(connection: Connection, datadir: str | None) -> ServerObjects | None:
    """Returns the objects of users that the server holds, None when it is not the one that runs on ``datadir``."""
    if datadir is None:
        return None
    there = connection.variables("datadir")["datadir"]
    with contextlib.suppress(OSError):
        if os.path.samefile(there, datadir):
            try:
                return read_objects(connection)
            except ServerError:
                return ServerObjects(complete=False)  # the account may not ask
    return None


def user_databases(connection: Connection) -> list[str]:
    """The databases that are not the server's own, of those that the account may see."""
    rows = connection.listing("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")
    names = [str(row["SCHEMA_NAME"]) for row in rows]
    return sorted(name for name in names if name.lower() not in SYSTEM_DATABASES)


def replication_facts(connection: Connection) -> list[dict[str, Any]] | None:
    """Every channel, None when the account may not see them, or the server is of no kind that we know."""
    try:
        state = read_state(connection)
    except UnsupportedServer:
        return None
    except ServerError as error:
        if error.details.get("errno") == ACCESS_DENIED:
            return None
        raise
    return [channel_facts(state, channel.channel) for channel in state.channels]
