# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server can be backed up safely; one that cannot is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import MissingPrivilege, ServerError, UnsupportedServer, UnsupportedTable
from .connection import Connection
from .identity import Flavor, ServerIdentity, flavor_of, identify
from .layout import Layout, read_layout
from .mysql import support
from .privileges import missing_privileges, quoted_account

# identity and layout are looked for here too: which server this is, and where it keeps its files
__all__ = (
    "Flavor",
    "Layout",
    "ServerIdentity",
    "flavor_of",
    "identify",
    "read_layout",
    "refusal_of_version",
    "refusals_of_configuration",
    "require_supported",
)

MARIADB_MINIMUM = (10, 11)
# MariaDB 13 can archive its redo log in another file format (MDEV-37949): unknown here, so never guessed at
MARIADB_FIRST_UNKNOWN = (13,)

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
#: what a backup of MariaDB reads of the dictionary; each is a plugin that can be switched off
_DICTIONARY = (
    "INNODB_SYS_INDEXES",
    "INNODB_SYS_TABLES",
    "INNODB_SYS_TABLESPACES",
    "INNODB_TABLESPACES_ENCRYPTION",
)
_UNKNOWN_TABLE = 1109  # ER_UNKNOWN_TABLE
_NAMED_TABLES = 20  # how many tables an error names
_LOOKED_AT = (
    "innodb_encrypt_log",
    "innodb_encrypt_tables",
    "aria_encrypt_tables",
    "innodb_log_archive",
    "innodb_force_recovery",
    "innodb_read_only",
    "innodb_data_file_path",
    "innodb_log_checksums",
    "binlog_storage_engine",
)


def refusal_of_version(identity: ServerIdentity) -> str | None:
    """Why backups of this flavor and version are refused, None when they are not."""
    if identity.flavor is not Flavor.MARIADB:
        return support.refusal_of_version(identity.version_tuple)
    if identity.version_tuple < MARIADB_MINIMUM:
        return "its redo log has an older format; MariaDB 10.11 and newer are supported"
    if identity.version_tuple >= MARIADB_FIRST_UNKNOWN:
        return "its redo log may have a newer format that this release does not know; MariaDB up to 12 is supported"
    return None


def refusals_of_configuration(variables: Mapping[str, str]) -> list[str]:
    """Why a server with these global variables is refused: one sentence each, [] when it is not.

    MySQL has none of the variables about encryption: it encrypts each tablespace by a key in its own header.
    """
    reasons = []
    if _on(variables, "innodb_encrypt_log"):
        reasons.append("innodb_encrypt_log is ON: an encrypted redo log is not supported yet")
    if variables.get("innodb_encrypt_tables", "OFF").upper() in ("ON", "FORCE", "1", "2"):
        reasons.append("innodb_encrypt_tables is ON: encrypted tables are not supported yet")
    if _on(variables, "aria_encrypt_tables"):
        reasons.append("aria_encrypt_tables is ON: encrypted Aria tables are not supported yet")
    if _on(variables, "innodb_log_archive"):
        reasons.append("innodb_log_archive is ON: the archived redo log format is not supported yet")
    if variables.get("innodb_force_recovery", "0") not in ("0", ""):
        reasons.append(
            f"innodb_force_recovery is {variables['innodb_force_recovery']}: the server itself does not trust its data"
        )
    if _on(variables, "innodb_read_only"):
        reasons.append("innodb_read_only is ON: the server cannot make its files current for a backup")
    if variables.get("innodb_log_checksums", "ON").upper() in ("OFF", "0"):
        reasons.append(
            "innodb_log_checksums is OFF: whether a block of the redo log was read whole could not be told "
            "(SET GLOBAL innodb_log_checksums = ON ends that)"
        )
    binary_log_in = variables.get("binlog_storage_engine", "")
    if binary_log_in.upper() not in ("", "NULL"):
        reasons.append(
            f"binlog_storage_engine is {binary_log_in}: a binary log inside of a storage engine is not supported yet"
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
    mariadb = identity.flavor is Flavor.MARIADB
    reasons = refusals_of_configuration(connection.variables(*_LOOKED_AT))
    if not mariadb:
        reasons += support.refusals_of_redo_log(connection.status(*support.LOOKED_AT))
    if reasons:
        raise UnsupportedServer(
            f"{identity.name} as it is configured cannot be backed up: {'; '.join(reasons)}",
            flavor=identity.flavor.value,
            version=identity.version,
            reasons=reasons,
        )
    if mariadb:
        _require_dictionary(identity, connection)
        _refuse_encrypted_tables(identity, connection)
    else:
        support.refuse_row_versions(identity, connection)
    _refuse_foreign_engines(identity, connection)


def _require_dictionary(identity: ServerIdentity, connection: Connection) -> None:
    """Raises UnsupportedServer when MariaDB does not show its dictionary, by which a backup proves that it has every
    tablespace. (MySQL does not start without these tables.)"""
    missing = []
    for table in _DICTIONARY:
        try:
            connection.query(f"SELECT 1 FROM information_schema.{table} LIMIT 0")  # noqa: S608 - our own constants
        except ServerError as error:
            if error.details.get("errno") != _UNKNOWN_TABLE:
                raise
            missing.append(table)
    if missing:
        options = ", ".join(table.lower() for table in missing)
        raise UnsupportedServer(
            f"{identity.name} as it is configured cannot be backed up: {options} is switched off, by which a backup "
            "proves that it has every tablespace, and none that is encrypted",
            remedy=f"Take what switches {options} off out of the option file, and restart the server.",
            tables=missing,
        )


def _refuse_encrypted_tables(identity: ServerIdentity, connection: Connection) -> None:
    rows = connection.query(
        "SELECT NAME FROM information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE ENCRYPTION_SCHEME <> 0 LIMIT %s",
        [_NAMED_TABLES],
    )
    if rows:
        names = [str(row["NAME"] or "the system tablespace") for row in rows]
        raise UnsupportedTable(
            f"{identity.name} has encrypted tablespaces, which are not supported yet: {', '.join(names)}",
            tables=names,
        )


def _refuse_foreign_engines(identity: ServerIdentity, connection: Connection) -> None:
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


def _on(variables: Mapping[str, str], name: str) -> bool:
    return variables.get(name, "OFF").upper() in ("ON", "1", "YES", "TRUE")
