# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the one place for a consumer of the redo log is taken, the server's archive holds what it recycles."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql import redo_follower, timeline
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_follower import (
    MysqlRedoFollower,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import RedoOverwritten
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import Keyring
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_logfile import inspect_logfile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import Connection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_archive import RedoArchive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_consumer import RedoConsumer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.tests.support.held_still import held_still
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_keyring import KeyringMySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_redo import (
    MIB,
    Copy,
    copy_data,
    following,
    parameters,
    read_lsn,
    recover,
    recovered_to,
    wait_for,
)

PREPARE = PrepareOptions(server_program=str(SERVER_PROGRAM))
STALL = 24 * MIB  # of redo while a follower stands still: the log is full three times


@pytest.fixture
def archive_directory(workdir: Path) -> Path:
    directory = workdir / "archive"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def source(make_mysql: Any, workdir: Path, archive_directory: Path) -> Iterator[MySQLServer]:
    """A server with a small log, that may archive it, and whose consumer somebody else is."""
    server: MySQLServer = make_mysql("source", options(archive_directory))
    with consumer_elsewhere(server):
        yield server


def options(archive_directory: Path) -> dict[str, str]:
    return {
        "innodb_redo_log_capacity": "8M",
        "innodb_redo_log_archive_dirs": f"none:{archive_directory}/none;backups:{archive_directory}",
    }


@contextlib.contextmanager
def consumer_elsewhere(server: MySQLServer) -> Iterator[None]:
    """Another session is the consumer of the log; it lets go of everything at once."""
    with Connection(parameters(server)) as connection, RedoConsumer(connection) as consumer:
        assert consumer.held
        ended = threading.Event()

        def advance() -> None:
            with contextlib.suppress(pymysql.err.Error):  # the server was killed
                while not ended.wait(0.05):
                    consumer.advance(read_lsn(server))

        thread = threading.Thread(target=advance)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def wait_until_idle(copy: Copy) -> None:
    """Hold the follower still until the log was full several times.

    The load begins after the follower: what was logged before the archive began is in the server's own files only.
    """
    reached = read_lsn(copy.server)
    wait_for(lambda: copy.has_copied(0) and copy.follower.lsn > reached)
    with held_still(copy.follower):
        time.sleep(0.1)
        stood_at = copy.follower.lsn
        wait_for(lambda: read_lsn(copy.server) > stood_at + STALL, 120)
        # the server replaces files while we look: where the log begins cannot be told at every moment
        wait_for(lambda: _oldest(copy, stood_at) > stood_at + MIB)


def _oldest(copy: Copy, lsn: int) -> int:
    file, oldest = copy.follower._directory.find(lsn)
    if file is not None:
        file.close()
    return oldest


def test_what_was_recycled_is_read_from_the_archive_and_recovered_to_that_very_instant(
    make_mysql: Any, source: MySQLServer, workdir: Path, archive_directory: Path
) -> None:
    restored = make_mysql("restored", {"innodb_redo_log_capacity": "8M"}, start=False)
    log = workdir / "log"
    with (
        following(source, log, archived=True) as copy,
        WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN),
    ):
        copy_data(source, restored.datadir)
        wait_until_idle(copy)
        wait_until_idle(copy)
        target, gtids = copy.finish()
        (archive,) = archive_directory.iterdir()
        assert archive.stat().st_size > 2 * STALL
        assert copy.archive.held
    assert copy.failures == []
    summary = inspect_logfile(log)
    assert (summary.checkpoint_lsn, summary.end_lsn) == (copy.follower.checkpoint_lsn, target)
    # the server has removed it
    wait_for(lambda: not list(archive_directory.iterdir()), 10)

    recover(restored, log)
    assert recovered_to(restored) == target
    assert restored.value("SELECT @@gtid_executed").replace("\n", "") == gtids
    check_invariants(restored)


def test_an_encrypted_log_is_encrypted_in_its_archive_too(workdir: Path, archive_directory: Path) -> None:
    kind = KeyringMySQLServer.at(workdir / "home")
    encrypted = {**options(archive_directory), "innodb_redo_log_encrypt": "ON"}
    log = workdir / "log"
    restored = kind(workdir / "restored", {"innodb_redo_log_capacity": "8M"}, server_id=2)
    with kind(workdir / "source", encrypted, server_id=1) as source:
        keyring = Keyring.read(workdir / "home" / "keyring")
        with (
            following(source, log, archived=True, keyring=keyring) as copy,
            WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN),
        ):
            copy_data(source, restored.datadir)
            wait_until_idle(copy)
            target, gtids = copy.finish()
    summary = inspect_logfile(log, keyring)
    assert (summary.end_lsn, summary.encrypted) == (target, True)
    try:
        recover(restored, log)
        assert recovered_to(restored) == target
        assert restored.value("SELECT @@gtid_executed").replace("\n", "") == gtids
        check_invariants(restored)
    finally:
        restored.kill()


def test_an_archive_whose_session_was_killed_ends_and_the_follower_says_so(
    source: MySQLServer, workdir: Path, archive_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redo_follower, "_ARCHIVE_WAIT", 1.0)
    with (
        following(source, workdir / "log", archived=True) as copy,
        WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN),
    ):
        reached = read_lsn(source)
        wait_for(lambda: copy.follower.lsn > reached)
        source.execute(f"KILL {copy.archive._connection.thread_id}")
        wait_for(lambda: not copy.archive.held, 10)
        assert "lost" in copy.archive.reason
        wait_for(lambda: not list(archive_directory.iterdir()), 10)
        with pytest.raises(RedoOverwritten, match="its archive .* ends there, too"):
            wait_until_idle(copy)
            wait_for(lambda: copy.has_copied(1 << 40))
    assert inspect_logfile(workdir / "log").end_lsn == copy.follower.lsn


# --- what there is no archive for


def reason(server: MySQLServer, user: str = "root", password: str = "") -> str:
    """Why there is no archive."""
    with Connection(parameters(server, user, password)) as connection, RedoArchive(connection) as archive:
        assert not archive.held
        return archive.reason


def test_why_there_is_no_archive_is_said(source: MySQLServer, archive_directory: Path) -> None:
    source.create_account("plain", "secret", "BACKUP_ADMIN")
    assert "GRANT INNODB_REDO_LOG_ARCHIVE ON *.* TO 'plain'" in reason(source, "plain", "secret")
    source.create_account("able", "secret", "INNODB_REDO_LOG_ARCHIVE")
    with (
        Connection(parameters(source, "able", "secret")) as connection,
        RedoArchive(connection) as archive,
    ):
        assert archive.held
        assert "Redo log archiving has been started on" in reason(source)
    wait_for(lambda: not list(archive_directory.iterdir()), 10)
    archive_directory.chmod(0o755)
    assert "accessible to all OS users" in reason(source)
    source.execute("SET GLOBAL innodb_redo_log_archive_dirs = NULL")
    assert reason(source) == "innodb_redo_log_archive_dirs is not set"


def test_an_archive_that_a_killed_server_left_is_named_and_not_touched(
    source: MySQLServer, archive_directory: Path
) -> None:
    with Connection(parameters(source)) as connection, RedoArchive(connection) as archive:
        assert archive.held
        source.kill()
        archive.advance(0)
        assert not archive.held
    (left,) = archive_directory.iterdir()
    source.start()
    assert f"{left}' (OS errno: 17 - File exists)" in reason(source)
    assert left.exists()


# --- whole backups


class Stalling(MysqlRedoFollower):
    """Stands still in the beginning until the server's log was full several times."""

    def start(self) -> None:
        super().start()
        reached = self._status().current_lsn
        wait_for(lambda: self.lsn > reached)
        with held_still(self):
            wait_for(lambda: self._status().current_lsn > reached + STALL, 120)


def take(server: MySQLServer, dest: Path) -> dict[str, Any]:
    options = job.BackupOptions(connection=parameters(server), tool_version="0.1.0")
    return job.take_backup(options, DirectorySink(dest), Progress("backup"))


def test_a_backup_that_falls_behind_is_whole_where_the_server_archives_its_log(
    make_mysql: Any, source: MySQLServer, workdir: Path, archive_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MysqlRedoFollower", Stalling)
    with WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN) as load:
        load.wait_for(50)
        record = take(source, workdir / "backup")
        load.wait_for(10)
    assert record["redo"]["bytes"] > STALL
    assert record["warnings"] == []
    wait_for(lambda: not list(archive_directory.iterdir()), 10)
    recovered = prepare(workdir / "backup", None, PREPARE, Progress("prepare")).record
    copy = make_mysql("copy", start=False)
    (workdir / "backup").rename(copy.datadir)
    copy.start()
    assert copy.value("SELECT @@gtid_executed").replace("\n", "") == recovered["binlog"]["gtid"]
    check_invariants(copy)


def test_without_an_archive_it_fails_and_one_that_keeps_up_says_what_would_help(
    source: MySQLServer, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.execute("SET GLOBAL innodb_redo_log_archive_dirs = NULL")
    (warning,) = take(source, workdir / "backup")["warnings"]
    assert "another consumer of the redo log is registered" in warning
    assert warning.endswith("nor did it archive the log for us: innodb_redo_log_archive_dirs is not set")
    monkeypatch.setattr(timeline, "MysqlRedoFollower", Stalling)
    with (
        WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN),
        pytest.raises(RedoOverwritten) as failed,
    ):
        take(source, workdir / "second")
    assert "innodb_redo_log_archive_dirs" in failed.value.remedy
