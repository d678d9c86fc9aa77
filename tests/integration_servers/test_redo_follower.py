# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The redo follower on real servers: what it copies is recovered by a server; what it cannot copy is an error."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.redo_files import LogFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.redo_follower import RedoFollower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    RedoOverwritten,
    RedoReplaced,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import (
    redo,
    redo_10_8,
    redo_format,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page import (
    PageVerifier,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    is_unwritten,
    unwritten_tablespace,
)
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.held_still import held_still
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer
from ansible_collections.innodb.xtrabackup.tests.support.tablespace_headers import verified_tablespace_header

NOT_DATA = ("ib_logfile", "ibtmp", "binlog", "relay", "ib_buffer_pool")


class Copy:
    """A follower of ``server``'s log that writes to ``path``; its question to the server has its own connection."""

    def __init__(self, server: MariaDBServer, path: Path) -> None:
        self.server = server
        self.output = path.open("wb")
        self.failures: list[XtrabackupError] = []
        self.failed = threading.Event()
        self.connection = server.connect()
        self.follower = RedoFollower(
            str(server.datadir / "ib_logfile0"),
            server.variable("version"),
            self.current_lsn,
            self.output,
            self._failed,
        )

    def current_lsn(self) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'")
            row = cursor.fetchone()
        assert row is not None
        return int(row[1])

    def _failed(self, error: XtrabackupError) -> None:
        self.failures.append(error)
        self.failed.set()

    def has_copied(self, size: int) -> bool:
        """Whether ``size`` bytes of redo are copied; raises what the follower failed with."""
        if self.failures:
            raise self.failures[0]
        return self.follower.copied_bytes > size

    def close(self) -> None:
        self.follower.stop()
        self.output.close()
        self.connection.close()


@contextlib.contextmanager
def following(server: MariaDBServer, path: Path) -> Iterator[Copy]:
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
    for source in sorted(server.datadir.rglob("*")):
        if source.is_file() and not source.name.startswith(NOT_DATA):
            copy_file(source, target / source.relative_to(server.datadir))


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


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


@pytest.mark.parametrize(
    ("flush", "log_size", "laps"), [(0, "4M", 5), (1, "4M", 2), (2, "8M", 5), (2, "256M", 0)], ids=str
)
def test_a_hot_copy_with_the_copied_log_is_recovered_to_that_very_instant(
    make_server: ServerFactory, flush: int, log_size: str, laps: int
) -> None:
    options = {
        "innodb_flush_log_at_trx_commit": flush,
        "innodb_log_file_size": log_size,
        "innodb_max_dirty_pages_pct": 10,  # checkpoints advance, and with them the log goes round
    }
    source = make_server("source", options)
    restored = make_server("restored", start=False)
    restored.datadir.mkdir()
    with (
        WriteLoad(source, payload=3000, threads=8, per_second=AS_FAST_AS_IT_CAN) as load,
        following(source, restored.datadir / "ib_logfile0") as copy,
    ):
        capacity = (source.datadir / "ib_logfile0").stat().st_size - redo_format.START_OFFSET
        with source.session() as session, session.cursor() as cursor:
            cursor.execute("BACKUP STAGE START")
            copy_data(source, restored.datadir)
            wait_for(lambda: copy.has_copied(max(laps * capacity, 10 << 20)), 120)
            for stage in ("FLUSH", "BLOCK_DDL", "BLOCK_COMMIT"):
                cursor.execute(f"BACKUP STAGE {stage}")
            entries = load.ledger_entries()
            target = copy.current_lsn()
            cursor.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
            last_lsn = copy.follower.follow_until(target, 30)
            cursor.execute("BACKUP STAGE END")
        load.wait_for(10)
    assert copy.failures == []
    assert last_lsn >= target
    size = (restored.datadir / "ib_logfile0").stat().st_size
    assert size == redo_format.START_OFFSET + last_lsn - copy.follower.checkpoint_lsn

    restored.start()
    assert end_of_log(restored) == last_lsn
    assert restored.value("SELECT COALESCE(MAX(id), 0) FROM load_test.ledger") == entries
    check_invariants(restored)
    for table in ("accounts", "ledger"):
        assert restored.rows(f"CHECK TABLE load_test.{table} EXTENDED")[-1]["Msg_text"] == "OK"


def test_a_follower_that_was_held_up_for_a_lap_fails_and_copies_nothing_wrong(
    make_server: ServerFactory, workdir: Path
) -> None:
    source = make_server(options={"innodb_log_file_size": "4M", "innodb_max_dirty_pages_pct": 5})
    with (
        WriteLoad(source, payload=3000, threads=8, per_second=AS_FAST_AS_IT_CAN) as load,
        following(source, workdir / "copied") as copy,
    ):
        wait_for(lambda: copy.has_copied(1 << 20))
        with held_still(copy.follower):
            held_at = copy.current_lsn()
            wait_for(lambda: copy.current_lsn() > held_at + (12 << 20), 120)
            copied = copy.follower.copied_bytes
        assert copy.failed.wait(10)
        load.wait_for(1)
    (error,) = copy.failures
    assert isinstance(error, RedoOverwritten)
    assert error.details["behind"] > error.details["capacity"] - 4096
    assert copy.follower.copied_bytes == copied
    # what was copied before is intact to its last byte
    copied_log = (workdir / "copied").read_bytes()
    header = redo.parse_header(copied_log, len(copied_log), "copied")
    walked = redo_10_8.walk(bytearray(copied_log[redo_format.START_OFFSET :]), header.first_lsn, header)
    assert walked.size == copied == len(copied_log) - redo_format.START_OFFSET


def test_a_resize_of_the_log_is_noticed(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server(options={"innodb_log_file_size": "8M"})
    with WriteLoad(source, threads=2), following(source, workdir / "copied") as copy:
        source.execute("SET GLOBAL innodb_log_file_size = 16777216")
        assert copy.failed.wait(30)
    (error,) = copy.failures
    assert isinstance(error, RedoReplaced)


def test_an_idle_server_is_followed_to_its_current_lsn(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server(options={"innodb_log_file_size": "8M"})
    with following(source, workdir / "copied") as copy:
        target = copy.current_lsn()
        source.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
        begun = time.monotonic()
        assert copy.follower.follow_until(target, 10) >= target
        assert time.monotonic() - begun < 1


@pytest.mark.parametrize("log_size", ["4M", "64M"])
def test_the_walk_ends_where_the_servers_own_recovery_does(make_server: ServerFactory, log_size: str) -> None:
    server = make_server(options={"innodb_log_file_size": log_size, "innodb_flush_log_at_trx_commit": 1})
    path = server.datadir / "ib_logfile0"
    load = WriteLoad(server, payload=3000, threads=8, may_lose_server=True, per_second=AS_FAST_AS_IT_CAN)
    with load:
        load.wait_for(1500)
        server.kill()
    checkpoint_lsn, end_lsn = walk_to_the_end(path)
    assert end_lsn > checkpoint_lsn
    server.start()
    assert f"recovery from checkpoint LSN={checkpoint_lsn}" in server.log_text()
    assert end_of_log(server) == end_lsn
    server.stop()
    checkpoint_lsn, end_lsn = walk_to_the_end(path)
    assert end_lsn == checkpoint_lsn + redo_10_8.FILE_CHECKPOINT_MTR_SIZE
    assert f"log sequence number {end_lsn}" in server.log_text()
