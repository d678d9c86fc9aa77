# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that stop a replica's SQL threads: of two sources without GTIDs, killed in the middle, in vain."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    LockTimeout,
    MissingPrivilege,
    ReplicationError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Flavor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.start_position import start_from_backup
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums, datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import options_for, take
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM
from ansible_collections.innodb.xtrabackup.tests.support.playbook import start_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer
from ansible_collections.innodb.xtrabackup.tests.support.sessions import wait_for

ROUNDS = int(os.environ.get("POSITIONS", "1"))
CHANNELS = ("one", "two")
Make = Callable[..., DatabaseServer]


@dataclass
class Family:
    """What differs between the servers of the two families."""

    name: str
    make: Make
    source: dict[str, Any]
    replica: dict[str, Any]

    @property
    def mysql(self) -> bool:
        return self.name == "mysql"

    def follow(self, replica: DatabaseServer, source: DatabaseServer, channel: str, file: str, position: int) -> None:
        if self.mysql:
            replica.execute(
                f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={source.port}, SOURCE_USER='repl', "
                f"SOURCE_PASSWORD='repl-secret', SOURCE_SSL=1, SOURCE_LOG_FILE='{file}', SOURCE_LOG_POS={position} "
                f"FOR CHANNEL '{channel}'",
                f"START REPLICA FOR CHANNEL '{channel}'",
            )
            return
        replica.execute(
            f"CHANGE MASTER '{channel}' TO MASTER_HOST='127.0.0.1', MASTER_PORT={source.port}, MASTER_USER='repl', "
            f"MASTER_PASSWORD='repl-secret', MASTER_LOG_FILE='{file}', MASTER_LOG_POS={position}, "
            "MASTER_USE_GTID=no",
            f"START SLAVE '{channel}'",
        )

    def place(self, source: DatabaseServer) -> tuple[str, int]:
        row = source.rows("SHOW BINARY LOG STATUS" if self.mysql else "SHOW MASTER STATUS")[0]
        return str(row["File"]), int(row["Position"])

    def running(self, replica: DatabaseServer) -> dict[str, bool]:
        """Whether the SQL thread of each channel runs."""
        if self.mysql:
            rows = replica.rows("SHOW REPLICA STATUS")
            return {row["Channel_Name"]: row["Replica_SQL_Running"] == "Yes" for row in rows}
        rows = replica.rows("SHOW ALL SLAVES STATUS")
        return {row["Connection_name"]: row["Slave_SQL_Running"] == "Yes" for row in rows}

    def wait_until(self, replica: DatabaseServer, running: bool, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while set(self.running(replica).values()) != {running}:
            assert time.monotonic() < deadline, self.running(replica)
            time.sleep(0.05)

    def catch_up(self, replica: DatabaseServer, source: DatabaseServer, channel: str) -> None:
        function = "SOURCE_POS_WAIT" if self.mysql else "MASTER_POS_WAIT"
        deadline = time.monotonic() + 60
        # NULL while the thread is stopped, as it is between a STOP that has ended late and the START that follows
        question, values = f"SELECT {function}(%s, %s, 60, %s)", [*self.place(source), channel]
        while (waited := replica.value(question, values)) is None:
            assert time.monotonic() < deadline, replica.log_tail()
            time.sleep(0.1)
        assert waited >= 0

    def prepared(self, directory: Path) -> dict[str, Any]:
        program = str(SERVER_PROGRAM) if self.mysql else None
        return prepare(directory, None, PrepareOptions(server_program=program), Progress("prepare")).record


@pytest.fixture(name="family", params=["mysql", "mariadb"])
def _family(request: pytest.FixtureRequest, make_mysql: MySQLFactory, make_server: ServerFactory) -> Family:
    if request.param == "mysql":
        off = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}
        # workers that may leave gaps: nothing in the data tells the position then
        return Family("mysql", make_mysql, off, {**off, "replica_preserve_commit_order": "OFF"})
    parallel = {"slave_parallel_threads": 4, "slave_parallel_mode": "optimistic"}
    return Family("mariadb", make_server, {}, {"gtid_strict_mode": "OFF", **parallel})


@pytest.fixture(name="sources")
def _sources(family: Family) -> list[DatabaseServer]:
    sources = []
    for number, name in enumerate(CHANNELS):
        source = family.make(name, {**family.source, **({} if family.mysql else {"gtid_domain_id": number + 1})})
        source.create_account("repl", "repl-secret", "REPLICATION SLAVE")
        sources.append(source)
    return sources


@pytest.fixture(name="replica")
def _replica(family: Family, sources: list[DatabaseServer]) -> DatabaseServer:
    replica = family.make("replica", family.replica)
    for channel, source in zip(CHANNELS, sources):
        family.follow(replica, source, channel, *family.place(source))
    family.wait_until(replica, True)
    return replica


@contextlib.contextmanager
def loads(sources: list[DatabaseServer]) -> Iterator[list[WriteLoad]]:
    """A load on each source, in a database of its own."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(WriteLoad(source, database=f"load_{name}", threads=4, per_second=AS_FAST_AS_IT_CAN))
            for name, source in zip(CHANNELS, sources)
        ]


def test_a_copy_of_a_busy_replica_of_two_sources_follows_both_and_a_killed_backup_leaves_nothing_stopped(
    family: Family, sources: list[DatabaseServer], replica: DatabaseServer, workdir: Path
) -> None:
    for number in range(ROUNDS):
        with loads(sources) as under_load:
            for load in under_load:
                load.wait_for(100)
            backup = workdir / f"backup{number}"
            record = take(replica, backup, safe_slave_backup=True)
            assert [channel["exact"] for channel in record["replication"]] == [True, True]
            family.wait_until(replica, True, 0)
            family.prepared(backup)
            kind = Flavor(family.name).family
            starts = [start_from_backup(str(backup), "127.0.0.1", source.port, kind) for source in sources]
            copy = family.make(f"copy{number}", family.replica, start=False)
            shutil.move(str(backup), copy.datadir)
            copy.start()
            for channel, source, start in zip(CHANNELS, sources, starts):
                check_invariants(copy, f"load_{channel}")
                family.follow(copy, source, channel, str(start.file), start.position or 0)
        for channel, source in zip(CHANNELS, sources):
            family.catch_up(copy, source, channel)
            family.catch_up(replica, source, channel)
        checksums.assert_tables_equal(replica, copy, at_least=6)
        copy.kill()
        shutil.rmtree(copy.directory)
    datasets.create_big(replica, 20, tables=1)
    kill_backup_while_stopped(family, replica, workdir)


def kill_backup_while_stopped(family: Family, replica: DatabaseServer, workdir: Path) -> None:
    options = {
        **replica.login(),
        "dest": str(workdir / "killed"),
        "safe_slave_backup": True,
        "lock_ddl": "on",
        "throttle": "1MiB",
    }
    process = start_module("xtrabackup_backup", options)
    try:
        family.wait_until(replica, False)
    finally:
        process.kill()
        process.communicate()
    family.wait_until(replica, True)
    # and it stays that way
    time.sleep(2)
    family.wait_until(replica, True, 0)


def test_what_would_keep_the_threads_from_going_on_is_refused_and_a_long_transaction_ends_the_wait(
    family: Family, sources: list[DatabaseServer], replica: DatabaseServer, workdir: Path
) -> None:
    source = sources[0]
    # a transaction that takes long here and not there
    source.execute("CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
    family.catch_up(replica, source, "one")
    with replica.session() as blocking, blocking.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT a FROM d.t WHERE a = 1 FOR UPDATE")
        source.execute("UPDATE d.t SET a = 2 WHERE a = 1")
        wait_for(replica, "SELECT COUNT(*) > 0 FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'", 60)
        began = time.monotonic()
        with pytest.raises(LockTimeout, match="'one' did not stop in time"):
            take(replica, workdir / "backup", safe_slave_backup=True, safe_slave_backup_timeout=2)
        assert time.monotonic() - began < 40
        # a channel that the backup never got to is nobody's to start
        stop, start = ("STOP REPLICA FOR CHANNEL 'two'", "START REPLICA FOR CHANNEL 'two'")
        if not family.mysql:
            stop, start = "STOP SLAVE 'two'", "START SLAVE 'two'"
        replica.execute(stop)
        blocking.rollback()
    deadline = time.monotonic() + 60
    while not family.running(replica)["one"]:
        assert time.monotonic() < deadline, family.running(replica)
        time.sleep(0.05)
    time.sleep(2)  # the guard looks once more
    assert not family.running(replica)["two"]
    replica.execute(start)
    family.wait_until(replica, True)
    family.catch_up(replica, source, "one")
    assert not list(workdir.glob("backup*"))

    replica.create_account("backup", "secret")
    login = options_for(replica).connection
    account = type(login)(unix_socket=login.unix_socket, user="backup", password="secret", config_file="")
    if family.mysql:
        replica.execute("GRANT SELECT ON performance_schema.log_status TO backup@localhost")
    with pytest.raises(MissingPrivilege, match=r"stop and start SQL threads \(safe_slave_backup\)"):
        job.preflight(options_for(replica, connection=account, safe_slave_backup=True))
    job.preflight(options_for(replica, connection=account))

    if family.mysql:
        replica.execute(
            "STOP REPLICA FOR CHANNEL 'two'",
            "START REPLICA UNTIL SOURCE_LOG_FILE='binlog.000099', SOURCE_LOG_POS=4 FOR CHANNEL 'two'",
        )
    else:
        replica.execute("STOP SLAVE 'two'", "START SLAVE 'two' UNTIL MASTER_LOG_FILE='binlog.000099', MASTER_LOG_POS=4")
    with pytest.raises(ReplicationError, match="was started with UNTIL"):
        job.preflight(options_for(replica, safe_slave_backup=True))
