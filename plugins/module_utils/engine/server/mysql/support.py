# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements for a safe backup of MySQL and Percona servers.

MySQL 8.0.30 is where the redo log became a directory of numbered files; each file of a data dictionary of 8.0 and
newer carries its own encryption. What is refused: what has another log, and what the server itself cannot recover.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import UnsupportedTable
from ..connection import Connection
from ..identity import ServerIdentity

MINIMUM = (8, 0, 30)
FIRST_UNKNOWN = (10,)
# redo of tables with row versions (INSTANT ADD or DROP COLUMN) could not be applied by these and was written anew
ROW_VERSIONS_REPAIRED = (8, 0, 32)

_LOOKED_AT = ("Innodb_redo_log_enabled", "Innodb_redo_log_read_only")
_NAMED_TABLES = 20  # how many tables an error names


def refusal_of_version(version: tuple[int, ...]) -> str | None:
    """Why backups of this version of MySQL or Percona Server are refused, None when they are not."""
    if version < MINIMUM:
        return "its redo log has an older format; MySQL and Percona Server 8.0.30 and newer are supported"
    if version >= FIRST_UNKNOWN:
        return "its redo log may have a newer format that this release does not know; MySQL up to 9 is supported"
    return None


def refusals_of_configuration(connection: Connection) -> list[str]:
    """Why the server of ``connection`` is refused for what only MySQL has; see ``refusals_of_redo_log``."""
    return refusals_of_redo_log(connection.status(*_LOOKED_AT))


def refusals_of_redo_log(status: Mapping[str, str]) -> list[str]:
    """Why a server whose global status has these variables is refused: one sentence each, [] when it is not."""
    reasons = []
    if status.get("Innodb_redo_log_enabled", "ON") != "ON":
        reasons.append(
            "redo logging is disabled, so nothing could be recovered (ALTER INSTANCE ENABLE INNODB REDO_LOG ends that)"
        )
    if status.get("Innodb_redo_log_read_only", "OFF") == "ON":
        reasons.append("the redo log is read-only: the server cannot make its files current for a backup")
    return reasons


def require_safe_tables(identity: ServerIdentity, connection: Connection) -> None:
    """Raises UnsupportedTable on a version that writes redo of tables with row versions which cannot be applied.

    Needs PROCESS there, and asks nothing of newer servers.
    """
    if identity.version_tuple >= ROW_VERSIONS_REPAIRED:
        return
    rows = connection.query(
        "SELECT NAME FROM information_schema.INNODB_TABLES WHERE TOTAL_ROW_VERSIONS > 0 ORDER BY NAME LIMIT %s",
        [_NAMED_TABLES],
    )
    if rows:
        names = [str(row["NAME"]).replace("/", ".", 1) for row in rows]
        raise UnsupportedTable(
            f"{identity.name} has tables with columns added or dropped by ALGORITHM=INSTANT, whose redo this version "
            f"may not be able to recover: {', '.join(names)}",
            remedy="Run OPTIMIZE TABLE on each of them, or upgrade to 8.0.32 or newer.",
            tables=names,
        )
