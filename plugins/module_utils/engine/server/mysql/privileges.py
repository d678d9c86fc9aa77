# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Privileges that an account needs on a MySQL server, each with its purpose.

Tested on MySQL 9.7 with accounts that have only some of them. A privilege ON a table is looked for by reading nothing
of it.
"""

from __future__ import annotations

BACKUP_PRIVILEGES = {
    "BACKUP_ADMIN": "LOCK INSTANCE FOR BACKUP, performance_schema.log_status",
    "PROCESS": "InnoDB's tables in information_schema, the sessions in the way of a lock",
    "RELOAD": "FLUSH BINARY LOGS, FLUSH ENGINE LOGS, FLUSH TABLES",
    "REPLICATION CLIENT": "SHOW REPLICA STATUS",
    "SELECT ON performance_schema.log_status": "LSN and coordinates of one instant",
}
REPLICATION_PRIVILEGES = {
    "REPLICATION_SLAVE_ADMIN": "CHANGE REPLICATION SOURCE, START REPLICA, STOP REPLICA",
    "REPLICATION CLIENT": "SHOW REPLICA STATUS",
}
RESET_PRIVILEGES = {"RELOAD": "RESET REPLICA"}
_PURGE = {"SYSTEM_VARIABLES_ADMIN": "gtid_purged"}

#: other names of a privilege, and the one that MySQL prints
ALIASES: dict[str, str] = {}
_SUPER_MEANS = frozenset({"REPLICATION CLIENT", "REPLICATION_SLAVE_ADMIN", "SYSTEM_VARIABLES_ADMIN"})


def implied_by_super(_version: tuple[int, ...]) -> frozenset[str]:
    """Returns those of these privileges that SUPER replaces on MySQL, in any version."""
    return _SUPER_MEANS


def position_privileges(*, read_only: bool) -> dict[str, str]:
    """The privileges to set the position of a server that has no channel yet, each with its purpose.

    A server with super_read_only allows that, too.
    """
    del read_only
    return _PURGE
