# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hot copies of a MariaDB server with the engine's copy of its redo log; mysql_redo.py has MySQL's."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.redo_files import LogFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.redo_follower import RedoFollower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import redo_10_8, redo_format
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page import PageVerifier
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    is_unwritten,
    unwritten_tablespace,
)

from .servers import MariaDBServer
from .tablespace_headers import verified_tablespace_header

NOT_DATA = ("ib_logfile", "ibtmp", "binlog", "relay", "ib_buffer_pool")


class Copy:
    """A follower of ``server``'s log that writes to ``path``; its question to the server has its own connection."""

    def __init__(self, server: MariaDBServer, path: Path) -> None:
        self.server = server
        self.output = path.open("wb")
        self.failures: list[XtrabackupError] = []
        self.connection = server.connect()
        self.follower = RedoFollower(
            str(server.datadir / "ib_logfile0"),
            server.variable("version"),
            self.current_lsn,
            self.output,
            self.failures.append,
        )

    def current_lsn(self) -> int:
        """The newest LSN of the server."""
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'")
            row = cursor.fetchone()
        assert row is not None
        return int(row[1])

    def has_copied(self, size: int) -> bool:
        """Whether ``size`` bytes of redo are copied; raises what the follower failed with."""
        if self.failures:
            raise self.failures[0]
        return self.follower.copied_bytes > size

    def finish(self) -> tuple[int, int]:
        """End the copy at an instant of the server: its LSN, and that of the copy's end."""
        target = self.current_lsn()
        self.server.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
        last_lsn = self.follower.follow_until(target, 30)
        assert last_lsn >= target
        return target, last_lsn

    def close(self) -> None:
        """Stop the follower."""
        self.follower.stop()
        self.output.close()
        self.connection.close()


@contextlib.contextmanager
def following(server: MariaDBServer, path: Path) -> Iterator[Copy]:
    """A copy that has begun."""
    copy = Copy(server, path)
    try:
        copy.follower.start()
        yield copy
    finally:
        copy.close()


def copy_file(source: Path, target: Path) -> None:
    """A hot copy of one file; pages of data files that are being written are read again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix != ".ibd" and source.name != "ibdata1":
        shutil.copyfile(source, target)
        return
    with source.open("rb", buffering=0) as file:
        data = bytearray(file.read())
        # a new table's first page may still be in the buffer pool only
        header = (
            unwritten_tablespace(16384, Family.MARIADB)
            if is_unwritten(data)
            else verified_tablespace_header(data, str(source), Family.MARIADB)
        )
        verifier = PageVerifier(header, has_doublewrite=source.name == "ibdata1")
        for _attempt in range(100):
            faults = verifier.faults(data, 0)
            for fault in faults:
                data[fault.offset : fault.offset + verifier.page_size] = os.pread(
                    file.fileno(), verifier.page_size, fault.offset
                )
            if not faults:
                break
            time.sleep(0.01)
        assert not faults
    target.write_bytes(data)


def copy_data(server: MariaDBServer, target: Path) -> None:
    """A hot copy of the data files."""
    for source in sorted(server.datadir.rglob("*")):
        if source.is_file() and not source.name.startswith(NOT_DATA):
            copy_file(source, target / source.relative_to(server.datadir))


def end_of_log(server: MariaDBServer) -> int:
    """What the server's recovery said last."""
    return int(re.findall(r"End of log at LSN=(\d+)", server.log_text())[-1])


def walk_to_the_end(path: Path) -> tuple[int, int]:
    """LSN of the newest checkpoint and of the end of a log that nobody writes."""
    log = LogFile(str(path))
    try:
        checkpoint = log.newest_checkpoint()
        lsn = checkpoint.lsn
        while True:
            walked = redo_10_8.walk(log.read(lsn, 1 << 20), lsn, log.header)
            lsn += walked.size
            if walked.end is not redo_format.MariadbWalkEnd.WINDOW:
                return checkpoint.lsn, lsn
            assert walked.size
    finally:
        log.close()
