# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hot copies of a MySQL server with the engine's copy of its redo log, and their recovery by another server."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import crc32c

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_follower import (
    MysqlRedoFollower,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import Keyring
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_logfile import (
    move_into_redo_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_archive import RedoArchive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_consumer import RedoConsumer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_status import (
    RedoStatus,
    read_redo_status,
)

from .mysql import MySQLServer
from .servers import DatabaseServer

PAGE = 16384
MIB = 1 << 20
NOT_DATA = ("#innodb_redo", "#innodb_temp", "#ib_", "ibtmp", "binlog", "relay", "auto.cnf", "ib_buffer_pool")


def parameters(server: MySQLServer, user: str = "root", password: str = "") -> ConnectionParameters:
    """How to log in to ``server``."""
    return ConnectionParameters(user=user, password=password, unix_socket=str(server.socket), config_file="")


def redo_directory(server: MySQLServer) -> Path:
    """Where the log of ``server`` is."""
    return server.datadir / "#innodb_redo"


class Copy:
    """A follower of ``server``'s log that writes to ``path``, as a backup job has it."""

    def __init__(
        self, server: MySQLServer, path: Path, keyring: Keyring | None, archived: bool, stack: contextlib.ExitStack
    ) -> None:
        self.server = server
        self.path = path
        self.output = stack.enter_context(path.open("wb"))
        self.failures: list[XtrabackupError] = []
        self.connection = stack.enter_context(Connection(parameters(server)))
        self.consumer = RedoConsumer(stack.enter_context(Connection(parameters(server))))
        self.archive = RedoArchive(stack.enter_context(Connection(parameters(server))))
        if archived:
            stack.enter_context(self.archive)
            assert self.archive.held, self.archive.reason
        self.follower = MysqlRedoFollower(
            str(redo_directory(server)),
            server.variable("version"),
            self.status,
            self.output,
            self.failures.append,
            keyring,
            on_progress=self.archive.advance if archived else self.consumer.advance,
            archive=self.archive.path,
        )
        stack.callback(self.follower.stop)

    def status(self) -> RedoStatus:
        """What the server says about its log."""
        return read_redo_status(self.connection)

    def has_copied(self, size: int) -> bool:
        """Whether ``size`` bytes of redo are copied; raises what the follower failed with."""
        if self.failures:
            raise self.failures[0]
        return self.follower.copied_bytes >= size

    def finish(self) -> tuple[int, str]:
        """End the copy at an instant of the server: its LSN and its gtid_executed."""
        self.connection.execute("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")
        self.follower.hold()
        (row,) = self.connection.query("SELECT LOCAL, STORAGE_ENGINES FROM performance_schema.log_status")
        self.connection.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
        target = int(json.loads(row["STORAGE_ENGINES"])["InnoDB"]["LSN"])
        assert self.follower.follow_until(target, 30) == self.follower.lsn == target
        self.output.flush()
        return target, json.loads(row["LOCAL"])["gtid_executed"].replace("\n", "")


@contextlib.contextmanager
def following(
    server: MySQLServer,
    path: Path,
    *,
    consumer: bool = False,
    keyring: Keyring | None = None,
    archived: bool = False,
) -> Iterator[Copy]:
    """A copy that has begun, with a hold on the log (``consumer``) or its archive, or without either."""
    with contextlib.ExitStack() as stack:
        copy = Copy(server, path, keyring, archived, stack)
        if consumer:
            stack.enter_context(copy.consumer)
            assert copy.consumer.held
        copy.follower.start()
        yield copy


def is_torn(page: bytes) -> bool:
    """Whether a page of 16 KiB was read while the server wrote it (no page here is compressed or encrypted)."""
    checksum = crc32c.crc32c(page[4:26]) ^ crc32c.crc32c(page[38:-8])
    return any(page) and (page[:4] != struct.pack(">I", checksum) or page[20:24] != page[-4:])


def copy_data(server: MySQLServer, target: Path) -> None:
    """A hot copy of the data files."""
    for source in sorted(server.datadir.rglob("*")):
        name = source.relative_to(server.datadir)
        if not source.is_file() or name.parts[0].startswith(NOT_DATA):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        data = bytearray(source.read_bytes())
        if source.suffix == ".ibd" or source.name.startswith(("ibdata", "undo_")):
            with source.open("rb", buffering=0) as file:
                for offset in range(0, len(data) - PAGE + 1, PAGE):
                    while is_torn(bytes(data[offset : offset + PAGE])):
                        data[offset : offset + PAGE] = os.pread(file.fileno(), PAGE, offset)
        (target / name).write_bytes(data)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until ``condition``; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def recovered_to(server: MySQLServer) -> int:
    """The LSN that the server's recovery ended at, by its own words."""
    return int(re.findall(r"Doing recovery: scanned up to log sequence number (\d+)", server.log_text())[-1])


def recover(server: MySQLServer, log: Path) -> None:
    """Start ``server``, which has data files, on the log of a backup."""
    in_datadir = server.datadir / "xtrabackup_logfile"
    shutil.copyfile(log, in_datadir)
    move_into_redo_directory(in_datadir, server.datadir, PAGE)
    server.set_options({"log_error_verbosity": 3, "log_bin": False, "skip_log_bin": None, "relay_log": False})
    server.start()


def write_redo(server: DatabaseServer, mebibytes: int) -> None:
    """Write about so much redo."""
    with server.session() as session, session.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS filler")
        cursor.execute("CREATE TABLE IF NOT EXISTS filler.t (id INT PRIMARY KEY AUTO_INCREMENT, b LONGTEXT)")
        for _number in range(mebibytes):
            cursor.execute("INSERT INTO filler.t (b) VALUES (REPEAT('x', 1000000))")


def read_lsn(server: MySQLServer) -> int:
    """The newest LSN of ``server``."""
    return int(server.status("Innodb_redo_log_current_lsn"))
