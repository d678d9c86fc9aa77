# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements for a safe backup of a server; one that cannot is refused by name.

What is looked at on the servers of one family only is in ``mariadb/support.py`` and ``mysql/support.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from ..errors import MissingPrivilege, UnsupportedServer, UnsupportedTable
from ..format.family import Family
from .connection import Connection
from .identity import ServerIdentity
from .mariadb import support as mariadb_support
from .mysql import support as mysql_support
from .privileges import missing_privileges, quoted_account

# Engines whose tables are complete when the data directory's files are copied, or that hold no data there.
SAFE_ENGINES = frozenset(
    {
        "innodb",
        "myisam",
        "mrg_myisam",
        "aria",
        "csv",
        "archive",
        "memory",
        "blackhole",
        "sequence",
        "performance_schema",
        "federated",
        "spider",
        "oqgraph",
        "sphinx",
    }
)
_NAMED_TABLES = 20  # how many tables an error names
_LOOKED_AT = (
    "innodb_force_recovery",
    "innodb_read_only",
    "innodb_data_file_path",
    "innodb_log_checksums",
)


class _Support(Protocol):
    """Functions that the module of a family has."""

    def refusal_of_version(self, version: tuple[int, ...], /) -> str | None: ...

    def refusals_of_configuration(self, connection: Connection, /) -> list[str]: ...

    def require_safe_tables(self, identity: ServerIdentity, connection: Connection, /) -> None: ...


_SUPPORT: dict[Family, _Support] = {Family.MARIADB: mariadb_support, Family.MYSQL: mysql_support}


def refusal_of_version(identity: ServerIdentity) -> str | None:
    """Why backups of this flavor and version are refused, None when they are not."""
    return _SUPPORT[identity.family].refusal_of_version(identity.version_tuple)


def refusals_of_configuration(variables: Mapping[str, str]) -> list[str]:
    """Why a server of either family with these global variables is refused: one sentence each, [] when it is not."""
    reasons = []
    if variables.get("innodb_force_recovery", "0") not in ("0", ""):
        reasons.append(
            f"innodb_force_recovery is {variables['innodb_force_recovery']}: the server itself does not trust its data"
        )
    if variables.get("innodb_read_only", "OFF").upper() in ("ON", "1", "YES", "TRUE"):
        reasons.append("innodb_read_only is ON: the server cannot make its files current for a backup")
    if variables.get("innodb_log_checksums", "ON").upper() in ("OFF", "0"):
        reasons.append(
            "innodb_log_checksums is OFF: whether a block of the redo log was read whole could not be told "
            "(SET GLOBAL innodb_log_checksums = ON ends that)"
        )
    if re.search(r":\d+[KMGT]?(new)?raw", variables.get("innodb_data_file_path", ""), re.IGNORECASE):
        reasons.append("innodb_data_file_path names a raw device: only files are supported")
    return reasons


def require_supported(identity: ServerIdentity, connection: Connection) -> None:
    """Raises UnsupportedServer or UnsupportedTable, by name and with the reason, when a backup would not be safe.

    Needs the privilege PROCESS. Raises MissingPrivilege when it cannot see what it must look at.
    """
    reason = refusal_of_version(identity)
    if reason:
        raise UnsupportedServer(
            f"{identity.name} cannot be backed up: {reason}", flavor=identity.flavor.value, version=identity.version
        )
    support = _SUPPORT[identity.family]
    reasons = [
        *support.refusals_of_configuration(connection),
        *refusals_of_configuration(connection.variables(*_LOOKED_AT)),
    ]
    if reasons:
        raise UnsupportedServer(
            f"{identity.name} as it is configured cannot be backed up: {'; '.join(reasons)}",
            flavor=identity.flavor.value,
            version=identity.version,
            reasons=reasons,
        )
    support.require_safe_tables(identity, connection)
    _require_supported_engines(identity, connection)


def _require_supported_engines(identity: ServerIdentity, connection: Connection) -> None:
    engines = connection.listing("SELECT ENGINE FROM information_schema.ENGINES WHERE SUPPORT IN ('YES', 'DEFAULT')")
    foreign = sorted(str(row["ENGINE"]) for row in engines if str(row["ENGINE"]).lower() not in SAFE_ENGINES)
    if not foreign:
        # the usual case: no need to open every table of the server
        return
    if missing_privileges(connection, ["SELECT"]):
        # information_schema.TABLES silently hides what the account has no privilege on
        raise MissingPrivilege(
            f"whether tables use the storage engines {', '.join(foreign)} cannot be seen before "
            f"GRANT SELECT ON *.* TO {quoted_account(connection)}; is run",
            engines=foreign,
            missing=["SELECT"],
        )
    rows = connection.query(
        "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE ENGINE IN %s LIMIT %s",
        [tuple(foreign), _NAMED_TABLES],
    )
    if rows:
        names = [f"{row['TABLE_SCHEMA']}.{row['TABLE_NAME']} ({row['ENGINE']})" for row in rows]
        raise UnsupportedTable(
            f"{identity.name} has tables of storage engines whose data cannot be copied safely: {', '.join(names)}",
            tables=names,
        )
