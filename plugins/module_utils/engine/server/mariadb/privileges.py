# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Privileges that an account needs on a MariaDB server, each with its purpose.

Tested on MariaDB 10.11 with accounts that have only some of them.
"""

from __future__ import annotations

CHANNELS = "SLAVE MONITOR"  # of MariaDB alone: MySQL's REPLICATION CLIENT reads the binary log's position, too

BACKUP_PRIVILEGES = {
    "RELOAD": "BACKUP STAGE, BACKUP LOCK, FLUSH ENGINE LOGS",
    "PROCESS": "InnoDB's tables in information_schema, the sessions in the way of a lock",
    "BINLOG MONITOR": "SHOW MASTER STATUS",
    CHANNELS: "SHOW ALL SLAVES STATUS",
}
REPLICATION_PRIVILEGES = {
    "REPLICATION SLAVE ADMIN": "CHANGE MASTER, START SLAVE, STOP SLAVE, gtid_slave_pos",
    CHANNELS: "SHOW ALL SLAVES STATUS",
}
RESET_PRIVILEGES = {"RELOAD": "RESET SLAVE"}

_READ_ONLY = {"READ_ONLY ADMIN": "gtid_slave_pos, which is kept in a table, of a server with read_only=ON"}

#: other names of a privilege, and the one that MariaDB prints today
ALIASES = {
    "READ ONLY ADMIN": "READ_ONLY ADMIN",
    "REPLICATION CLIENT": "BINLOG MONITOR",
    "REPLICA MONITOR": "SLAVE MONITOR",
    "REPLICATION REPLICA ADMIN": "REPLICATION SLAVE ADMIN",
}
# until MariaDB 11.0 SUPER stood for these too
_SUPER_MEANT = frozenset({"BINLOG MONITOR", "SLAVE MONITOR", "REPLICATION SLAVE ADMIN"})
_SUPER_WAS_SPLIT = (11, 0)


def implied_by_super(version: tuple[int, ...]) -> frozenset[str]:
    """The privileges that SUPER stands for on a server of ``version``."""
    return _SUPER_MEANT if version < _SUPER_WAS_SPLIT else frozenset()


def position_privileges(*, read_only: bool) -> dict[str, str]:
    """The privileges to set the position of a server that has no channel yet, each with its purpose."""
    return _READ_ONLY if read_only else {}
