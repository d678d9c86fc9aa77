# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks of a backup taken on a MySQL server, with warnings, and what they do to its files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.locks import MysqlLocks

from .mysql import MySQLServer
from .sessions import opener

# what an account needs where there are such tables; it may not look at locks
PRIVILEGES = "BACKUP_ADMIN, PROCESS, RELOAD, REPLICATION CLIENT, LOCK TABLES, SELECT"


@contextlib.contextmanager
def all_locks(server: MySQLServer, deadline: float = 5, warnings: list[str] | None = None) -> Iterator[MysqlLocks]:
    """Both locks, as a backup takes them."""
    open_one = opener(server)
    with open_one() as connection, MysqlLocks(connection, open_one, deadline, warnings=warnings) as locks:
        locks.lock_instance()
        locks.lock_tables()
        yield locks


def go_through(server: MySQLServer, deadline: float = 5, warnings: list[str] | None = None) -> MysqlLocks:
    """Take and release everything."""
    with all_locks(server, deadline, warnings) as locks:
        assert list(locks.held) == ["instance", "tables"]
        locks.unlock_tables()
        assert list(locks.held) == ["instance"]
    assert not locks.held
    return locks


def open_count(server: MySQLServer) -> int:
    """How often shop.isam says it is open: bytes 24 and 25 of a .MYI file; what is not closed is not whole."""
    return int.from_bytes((server.datadir / "shop" / "isam.MYI").read_bytes()[24:26], "big")
