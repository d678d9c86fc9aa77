# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's redo log on real servers: what MariaDB's has not (test_redo_follower.py has what is so for both)."""

from __future__ import annotations

import contextlib
import shutil
import signal
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DecryptionFailed,
    RedoOverwritten,
    RedoReplaced,
    ServerError,
    UnsupportedServer,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import redo_format
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import Keyring
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_logfile import inspect_logfile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_consumer import RedoConsumer
from ansible_collections.innodb.xtrabackup.tests.support.held_still import held_still
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_keyring import KeyringMySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_redo import (
    MIB,
    copy_data,
    following,
    parameters,
    read_lsn,
    recover,
    recovered_to,
    redo_directory,
    wait_for,
    write_redo,
)
from ansible_collections.innodb.xtrabackup.tests.support.redo_follower_process import FollowerProcess
from ansible_collections.innodb.xtrabackup.tests.support.servers import OptionValue

ServerFactory = Callable[..., MySQLServer]


@pytest.fixture
def make_mysql(workdir: Path) -> Iterator[ServerFactory]:
    """A function that starts MySQL servers with a small redo log; all end with the test."""
    servers: list[MySQLServer] = []

    def make(
        name: str = "server",
        options: Mapping[str, OptionValue | bool] | None = None,
        *,
        start: bool = True,
        kind: type[MySQLServer] = MySQLServer,
    ) -> MySQLServer:
        small = {"innodb_redo_log_capacity": "8M", **(options or {})}
        server = kind(workdir / name, small, server_id=len(servers) + 1)
        servers.append(server)
        if start:
            server.start()
        return server

    try:
        yield make
    finally:
        for server in servers:
            with contextlib.suppress(Exception):
                server.kill()


def test_the_capacity_may_change_while_the_log_is_followed(make_mysql: ServerFactory, workdir: Path) -> None:
    source = make_mysql()
    with (
        WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN),
        following(source, workdir / "log") as copy,
    ):
        for capacity in (64, 8, 32):
            copied = copy.follower.copied_bytes
            source.execute(f"SET GLOBAL innodb_redo_log_capacity = {capacity * MIB}")
            wait_for(lambda copied=copied: copy.has_copied(copied + 10 * MIB))  # type: ignore[misc]
            wait_for(lambda: source.status("Innodb_redo_log_resize_status") == "OK")
        target, _gtids = copy.finish()
    assert inspect_logfile(workdir / "log").end_lsn == target


@pytest.mark.parametrize("offset", [12, 300])
def test_a_log_that_is_cut_anywhere_is_recovered_to_its_cut(
    make_mysql: ServerFactory, workdir: Path, offset: int
) -> None:
    source = make_mysql("source")
    write_redo(source, 0)
    restored = make_mysql("restored", start=False)
    with following(source, workdir / "log") as copy:
        copy_data(source, restored.datadir)
        copy.follower.hold()
        time.sleep(0.1)
        write_redo(source, 1)
        source.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
        # far behind everything that the data files hold
        target = redo_format.block_start(copy.status().current_lsn) - 100 * redo_format.BLOCK_SIZE + offset
        assert copy.follower.follow_until(target, 10) == target
    assert inspect_logfile(workdir / "log").end_lsn == target
    recover(restored, workdir / "log")
    assert recovered_to(restored) == target


def test_a_target_behind_the_copy_is_refused(make_mysql: ServerFactory, workdir: Path) -> None:
    source = make_mysql()
    with following(source, workdir / "log") as copy:
        target = copy.status().current_lsn
        write_redo(source, 2)
        wait_for(lambda: copy.follower.lsn > target)
        with pytest.raises(ServerError, match="already, after the target"):
            copy.follower.follow_until(target, 10)


# --- the hold


def test_a_consumer_lets_no_redo_be_lost_while_the_follower_stands_still(
    make_mysql: ServerFactory, workdir: Path
) -> None:
    source = make_mysql()
    with (
        WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN) as load,
        following(source, workdir / "log", consumer=True) as copy,
    ):
        wait_for(lambda: copy.has_copied(MIB))
        with held_still(copy.follower):
            time.sleep(2.5)  # the server is full after one: it waits
            held_at = copy.status().current_lsn
            assert held_at - copy.follower.lsn < 8 * MIB
        wait_for(lambda: copy.follower.lsn > held_at)
        load.wait_for(100)
        target, _gtids = copy.finish()
    assert inspect_logfile(workdir / "log").end_lsn == target
    assert "RedoOverwritten" not in str(copy.failures)


def test_a_killed_backup_holds_up_nobody(make_mysql: ServerFactory) -> None:
    source = make_mysql()
    with (
        WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN) as load,
        FollowerProcess(source.socket, redo_directory(source), lease=600) as process,
    ):
        wait_for(lambda: process.state["held"] and process.state["copied"] > MIB)
        with Connection(parameters(source)) as connection, RedoConsumer(connection) as second:
            assert (second.held, second.reason) == (False, "another consumer of the redo log is registered")
        process.signal(signal.SIGKILL)
        before = read_lsn(source)
        wait_for(lambda: read_lsn(source) > before + 16 * MIB, 30)  # two logs full: nobody holds it
        load.wait_for(10)
        with Connection(parameters(source)) as connection, RedoConsumer(connection) as second:
            assert second.held


def test_a_stopped_backup_holds_up_the_server_for_a_lease_only_and_fails(make_mysql: ServerFactory) -> None:
    source = make_mysql()
    with (
        WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN),
        FollowerProcess(source.socket, redo_directory(source), lease=3) as process,
    ):
        wait_for(lambda: process.state["held"] and process.state["copied"] > MIB)
        process.signal(signal.SIGSTOP)
        before = read_lsn(source)
        wait_for(lambda: read_lsn(source) > before + 24 * MIB, 30)
        process.signal(signal.SIGCONT)
        wait_for(lambda: process.state["error"] is not None, 30)
        assert process.state["error"] == RedoOverwritten.code
        # a follower that fails at its first step does not learn by itself that it holds nothing; the server knows
        with Connection(parameters(source)) as connection, RedoConsumer(connection) as second:
            assert second.held


def test_without_the_privilege_there_is_no_hold_and_the_reason_is_said(make_mysql: ServerFactory) -> None:
    source = make_mysql()
    source.create_account("reader", "secret", "PROCESS")
    with Connection(parameters(source, "reader", "secret")) as connection, RedoConsumer(connection) as consumer:
        assert not consumer.held
        assert "BACKUP_ADMIN" in consumer.reason
        consumer.advance(1 << 40)


# --- what is refused


def test_a_server_that_does_not_log_is_refused_before_and_while_it_is_followed(
    make_mysql: ServerFactory, workdir: Path
) -> None:
    source = make_mysql()
    with following(source, workdir / "log") as copy:
        source.execute("ALTER INSTANCE DISABLE INNODB REDO_LOG")
        wait_for(lambda: bool(copy.failures), 10)
        assert isinstance(copy.failures[0], UnsupportedServer)
        with pytest.raises(UnsupportedServer, match="redo logging is disabled"):
            copy.status()
    with pytest.raises(UnsupportedServer, match="redo logging is disabled"), following(source, workdir / "log2"):
        pass


def test_an_encrypted_log_is_followed_with_its_keyring_and_recovered(make_mysql: ServerFactory, workdir: Path) -> None:
    kind = KeyringMySQLServer.at(workdir / "home")
    source = make_mysql("source", {"innodb_redo_log_encrypt": "ON"}, kind=kind)
    restored = make_mysql("restored", start=False, kind=kind)
    log = workdir / "log"
    with following(source, log) as copy:
        write_redo(source, 1)
        with pytest.raises(UnsupportedServer, match="keyring_file|no key"):
            wait_for(lambda: copy.has_copied(MIB))
    keyring = Keyring.read(workdir / "home" / "keyring")
    with (
        WriteLoad(source, payload=3000, threads=2, per_second=AS_FAST_AS_IT_CAN),
        following(source, log, keyring=keyring) as copy,
    ):
        copy_data(source, restored.datadir)
        wait_for(lambda: copy.has_copied(5 * MIB), 120)
        source.execute("ALTER INSTANCE ROTATE INNODB MASTER KEY")
        wait_for(lambda: copy.has_copied(10 * MIB), 120)
        target, gtids = copy.finish()
    assert b"xxxxxxxxxxxxxxxx" not in log.read_bytes()
    with pytest.raises(DecryptionFailed):
        inspect_logfile(log)
    summary = inspect_logfile(log, keyring)
    assert (summary.end_lsn, summary.encrypted) == (target, True)
    recover(restored, log)
    assert recovered_to(restored) == target
    assert restored.value("SELECT @@gtid_executed").replace("\n", "") == gtids
    check_invariants(restored)


def test_encryption_that_is_switched_on_meanwhile_is_noticed(make_mysql: ServerFactory, workdir: Path) -> None:
    source = make_mysql(kind=KeyringMySQLServer.at(workdir / "home"))
    write_redo(source, 1)
    keyring = Keyring(workdir / "none", {})
    with following(source, workdir / "log", keyring=keyring) as copy:
        source.execute("SET GLOBAL innodb_redo_log_encrypt = ON")
        write_redo(source, 1)
        wait_for(lambda: bool(copy.failures), 10)
        assert isinstance(copy.failures[0], RedoReplaced)


def test_block_numbers_start_again_after_512_gib_of_redo(make_mysql: ServerFactory, workdir: Path) -> None:
    wrap = 1 << 39
    source = make_mysql("source")
    source.stop()
    # an empty redo directory: the server makes a log at the LSN that the system tablespace was closed with
    shutil.rmtree(redo_directory(source))
    redo_directory(source).mkdir()
    with (source.datadir / "ibdata1").open("r+b") as file:
        file.seek(26)
        file.write(struct.pack(">Q", wrap - 3 * MIB + redo_format.BLOCK_HEADER_SIZE))
    source.start()
    write_redo(source, 0)
    restored = make_mysql("restored", start=False)
    with following(source, workdir / "log") as copy:
        assert copy.follower.checkpoint_lsn < wrap
        copy_data(source, restored.datadir)
        write_redo(source, 6)
        target, _gtids = copy.finish()
        assert target > wrap
    assert inspect_logfile(workdir / "log").end_lsn == target
    recover(restored, workdir / "log")
    assert recovered_to(restored) == target
    assert restored.value("SELECT COUNT(*) FROM filler.t") == 6
