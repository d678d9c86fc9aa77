# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locks of a backup, taken on a server of either family with a database ``shop``, and who waits for them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ClassVar, TypeVar, Union

import pymysql

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import Connection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.locks import BackupStages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.locks import MysqlLocks

from .mysql import MySQLServer
from .servers import DatabaseServer, MariaDBServer
from .sessions import opener

Locks = Union[BackupStages, MysqlLocks]
_Server = TypeVar("_Server", bound=DatabaseServer)


@dataclass(frozen=True)
class Lockable:
    """A server with new tables, and the locks that a backup takes on it in two steps: first those that block schema
    changes, then those that block writes. Families are subclasses."""

    server: DatabaseServer

    kind: ClassVar[type[DatabaseServer]]
    names: ClassVar[tuple[str, ...]]  # of all locks, as their times have them
    schema_lock: ClassVar[str]  # the last of the first step
    other_lock: ClassVar[str]  # one that is not held for the whole time between the two steps
    in_the_way: ClassVar[dict[str, tuple[str, str]]]  # a statement for each reason, and the lock that waits for it
    table_lock: ClassVar[str]  # taken by somebody else
    asking: ClassVar[str]  # the pattern of statements that ask for a lock
    processlist: ClassVar[str]

    def opener(self, user: str = "root") -> Callable[[], Connection]:
        """What opens another connection of the engine."""
        return opener(self.server, user)

    def create_backup_account(self) -> None:
        """Make the account ``backup`` with what a backup needs, and nothing else."""
        self.server.create_account("backup", "")

    def locks(self, connection: Connection, open_one: Callable[[], Connection], deadline: float) -> Locks:
        """A context manager that holds no lock yet."""
        raise NotImplementedError

    def block_schema_changes(self, locks: Any) -> None:
        """The first step."""
        raise NotImplementedError

    def block_writes(self, locks: Any) -> None:
        """The second step."""
        raise NotImplementedError

    def held(self, locks: Any) -> list[str]:
        """The locks that are held now; of MariaDB's stages it is the last one."""
        raise NotImplementedError

    def take(self, locks: Locks) -> None:
        """Both steps, as a backup does them."""
        self.block_schema_changes(locks)
        self.block_writes(locks)

    def release(self, locks: Any) -> None:
        """What a backup releases before its end."""

    @contextlib.contextmanager
    def naming_holders(self) -> Iterator[None]:
        """The server can tell who holds a lock during the block."""
        yield

    def go_through(self, deadline: float = 5, connection: Connection | None = None) -> Locks:
        """Take and release everything, on ``connection`` or on a session of their own."""
        open_one = self.opener()
        own = contextlib.nullcontext(connection) if connection else open_one()
        with own as session, self.locks(session, open_one, deadline) as locks:
            self.take(locks)
            self.release(locks)
        assert not self.held(locks)
        return locks

    def assert_nobody_is_blocked(self) -> None:
        """As the function of this name."""
        assert_nobody_is_blocked(self.server)


class LockableMariaDB(Lockable):
    kind = MariaDBServer
    names = ("start", "flush", "block_ddl", "block_commit")
    schema_lock = "block_ddl"
    other_lock = "start"
    in_the_way: ClassVar[dict[str, tuple[str, str]]] = {
        "schema_change": ("CREATE TABLE shop.copy AS SELECT SLEEP(60)", "START"),
        "write": ("INSERT INTO shop.isam SELECT SLEEP(60)", "BLOCK_DDL"),
        "own": ("INSERT INTO shop.aria SELECT SLEEP(60)", "BLOCK_DDL"),
    }
    table_lock = "LOCK TABLES shop.trx WRITE"
    asking = "BACKUP STAGE%"
    processlist = "information_schema.PROCESSLIST"

    def locks(self, connection: Connection, open_one: Callable[[], Connection], deadline: float) -> BackupStages:
        return BackupStages(connection, open_one, deadline)

    def block_schema_changes(self, locks: Any) -> None:
        for stage in self.names[:-1]:
            getattr(locks, stage)()

    def block_writes(self, locks: Any) -> None:
        locks.block_commit()
        assert locks.stage == "BLOCK_COMMIT"

    def held(self, locks: Any) -> list[str]:
        return [locks.stage] if locks.stage else []

    @contextlib.contextmanager
    def naming_holders(self) -> Iterator[None]:
        self.server.execute("INSTALL SONAME 'metadata_lock_info'")
        try:
            yield
        finally:
            self.server.execute("UNINSTALL SONAME 'metadata_lock_info'")


class LockableMySQL(Lockable):
    kind = MySQLServer
    names = ("instance", "tables")
    schema_lock = "instance"
    other_lock = "tables"
    in_the_way: ClassVar[dict[str, tuple[str, str]]] = {
        "schema_change": ("CREATE TABLE shop.copy AS SELECT SLEEP(60)", "instance"),
        "write": ("INSERT INTO shop.isam SELECT SLEEP(60)", "tables"),
        "own": ("SELECT SLEEP(60) FROM shop.isam", "tables"),
    }
    table_lock = "LOCK TABLES shop.isam READ"
    asking = "LOCK %"
    processlist = "performance_schema.processlist"

    def create_backup_account(self) -> None:
        """It may not look at locks."""
        self.server.create_account("backup", "", f"{self.server.backup_privileges}, LOCK TABLES")
        self.server.execute("GRANT SELECT ON shop.* TO backup@localhost")

    def locks(self, connection: Connection, open_one: Callable[[], Connection], deadline: float) -> MysqlLocks:
        return MysqlLocks(connection, open_one, deadline)

    def block_schema_changes(self, locks: Any) -> None:
        locks.lock_instance()

    def block_writes(self, locks: Any) -> None:
        locks.lock_tables()
        assert self.held(locks) == ["instance", "tables"]

    def held(self, locks: Any) -> list[str]:
        return list(locks.held)

    def release(self, locks: Any) -> None:
        locks.unlock_tables()
        assert self.held(locks) == ["instance"]


LOCKABLE: dict[Family, type[Lockable]] = {Family.MARIADB: LockableMariaDB, Family.MYSQL: LockableMySQL}


@contextlib.contextmanager
def one_server(kind: type[_Server]) -> Iterator[_Server]:
    """A server for all tests of a file, which ends with the block."""
    directory = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    made = kind(directory / "server")
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(directory, ignore_errors=True)


def new_tables(server: _Server) -> _Server:
    """``server``, running, with one new table of each kind, and nothing that another test has left."""
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
    if server.flavor == "mariadb":
        server.execute("CREATE TABLE shop.aria (a INT) ENGINE=Aria TRANSACTIONAL=0")
    return server


def refused(server: DatabaseServer, statement: str) -> bool:
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


def assert_nobody_is_blocked(server: DatabaseServer, number: int = 100) -> None:
    """DDL, a commit, and reads and writes of MyISAM succeed at once."""
    for statement in (
        f"CREATE TABLE shop.later{number} (a INT)",
        f"INSERT INTO shop.trx VALUES ({number})",
        "INSERT INTO shop.isam VALUES (2)",
        "SELECT COUNT(a) FROM shop.isam",
        "SELECT COUNT(*) FROM shop.trx",
    ):
        assert not refused(server, statement), statement
