# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks of a backup taken on a MySQL server with a database ``shop``, and whether others wait for them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pymysql

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.locks import MysqlLocks

from .mysql import MySQLServer
from .sessions import opener

# what an account needs where there are such tables; it may not look at locks
PRIVILEGES = "BACKUP_ADMIN, PROCESS, RELOAD, REPLICATION CLIENT, LOCK TABLES, SELECT"


@contextlib.contextmanager
def one_server() -> Iterator[MySQLServer]:
    """A server for all tests of a file, which ends with the block."""
    directory = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    made = MySQLServer(directory / "server")
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(directory, ignore_errors=True)


def new_tables(server: MySQLServer) -> MySQLServer:
    """``server``, running, with new tables of two kinds, and nothing that another test has left."""
    if not server.running:
        server.start()
    server.execute(
        "SET GLOBAL read_only = OFF",
        "DROP DATABASE IF EXISTS `odd-name`",
        "DROP DATABASE IF EXISTS shop",
        "CREATE DATABASE shop",
        "CREATE TABLE shop.trx (a INT PRIMARY KEY) ENGINE=InnoDB",
        "CREATE TABLE shop.isam (a INT, KEY (a)) ENGINE=MyISAM",
        "INSERT INTO shop.trx VALUES (1)",
        "INSERT INTO shop.isam VALUES (1), (2)",
    )
    return server


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


def refused(server: MySQLServer, statement: str) -> bool:
    """Whether ``statement`` is still waiting for a lock after a second."""
    with server.session() as client, client.cursor() as cursor:
        cursor.execute("SET lock_wait_timeout = 1")
        try:
            cursor.execute(statement)
        except pymysql.MySQLError as error:
            if error.args[0] != 1205:  # ER_LOCK_WAIT_TIMEOUT
                raise
            return True
    return False


def assert_nobody_is_blocked(server: MySQLServer, number: int = 100) -> None:
    """DDL, a commit, and reads and writes of MyISAM succeed at once."""
    for statement in (
        f"CREATE TABLE shop.later{number} (a INT)",
        f"INSERT INTO shop.trx VALUES ({number})",
        "INSERT INTO shop.isam VALUES (2)",
        "SELECT COUNT(a) FROM shop.isam",
        "SELECT COUNT(*) FROM shop.trx",
    ):
        assert not refused(server, statement), statement


def open_count(server: MySQLServer) -> int:
    """How often shop.isam says it is open: bytes 24 and 25 of a .MYI file; what is not closed is not whole."""
    return int.from_bytes((server.datadir / "shop" / "isam.MYI").read_bytes()[24:26], "big")
