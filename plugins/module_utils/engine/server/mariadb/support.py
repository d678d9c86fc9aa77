# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements for a safe backup of a MariaDB server.

MariaDB 10.8 introduced the redo log format that is read here. What is refused: another log, encryption, and a
dictionary that is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import ServerError, UnsupportedServer, UnsupportedTable
from ..connection import Connection
from ..identity import ServerIdentity

MINIMUM = (10, 11)
# MariaDB 13 can archive its redo log in another file format (MDEV-37949): unknown here, so never guessed at
FIRST_UNKNOWN = (13,)

_LOOKED_AT = (
    "innodb_encrypt_log",
    "innodb_encrypt_tables",
    "aria_encrypt_tables",
    "innodb_log_archive",
    "binlog_storage_engine",
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


def refusal_of_version(version: tuple[int, ...]) -> str | None:
    """Why backups of this version of MariaDB are refused, None when they are not."""
    if version < MINIMUM:
        return "its redo log has an older format; MariaDB 10.11 and newer are supported"
    if version >= FIRST_UNKNOWN:
        return "its redo log may have a newer format that this release does not know; MariaDB up to 12 is supported"
    return None


def refusals_of_configuration(connection: Connection) -> list[str]:
    """Why the server of ``connection`` is refused for settings that only MariaDB has; see ``refusals_of_variables``."""
    return refusals_of_variables(connection.variables(*_LOOKED_AT))


def refusals_of_variables(variables: Mapping[str, str]) -> list[str]:
    """Why a server with these global variables is refused: one sentence each, [] when it is not.

    MySQL has none of those about encryption: it encrypts each tablespace by a key in its own header.
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
    binary_log_in = variables.get("binlog_storage_engine", "")
    if binary_log_in.upper() not in ("", "NULL"):
        reasons.append(
            f"binlog_storage_engine is {binary_log_in}: a binary log inside of a storage engine is not supported yet"
        )
    return reasons


def require_safe_tables(identity: ServerIdentity, connection: Connection) -> None:
    """Raises UnsupportedServer when MariaDB does not show its dictionary, UnsupportedTable for encrypted tablespaces.

    Needs PROCESS.
    """
    _require_dictionary(identity, connection)
    _require_no_encrypted_tables(identity, connection)


def _require_dictionary(identity: ServerIdentity, connection: Connection) -> None:
    """Raises UnsupportedServer when the server does not show its dictionary, by which a backup proves that it has every
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


def _require_no_encrypted_tables(identity: ServerIdentity, connection: Connection) -> None:
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


def _on(variables: Mapping[str, str], name: str) -> bool:
    return variables.get(name, "OFF").upper() in ("ON", "1", "YES", "TRUE")
