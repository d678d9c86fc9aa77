# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of MySQL replicas without auto-position that are hard at work.

A new replica of the same source starts exactly where the data are, or not at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ReplicationError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import (
    PrepareOptions,
    PrepareResult,
    prepare,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.start_position import start_from_backup
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM, MySQLServer

ROUNDS = int(os.environ.get("POSITIONS", "1"))
WITHOUT_GTIDS = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}


def follow(replica: MySQLServer, source: MySQLServer, file: str, position: int) -> None:
    replica.execute(
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={source.port}, SOURCE_USER='repl', "
        f"SOURCE_PASSWORD='repl-secret', SOURCE_SSL=1, SOURCE_LOG_FILE='{file}', SOURCE_LOG_POS={position}",
        "START REPLICA",
    )


@pytest.fixture(name="busy_pair")
def _busy_pair(make_mysql: MySQLFactory) -> Iterator[tuple[MySQLServer, MySQLServer, WriteLoad]]:
    """A source under load, and its replica, which never stands still."""
    top, middle = make_mysql("top", WITHOUT_GTIDS), make_mysql("middle", WITHOUT_GTIDS)
    top.create_account("repl", "repl-secret", "REPLICATION SLAVE")
    start = top.rows("SHOW BINARY LOG STATUS")[0]
    follow(middle, top, start["File"], start["Position"])
    with WriteLoad(top, threads=4, per_second=AS_FAST_AS_IT_CAN) as load:
        load.wait_for(200)
        yield top, middle, load


def prepared(directory: Path) -> PrepareResult:
    return prepare(directory, None, PrepareOptions(server_program=str(SERVER_PROGRAM)), Progress("prepare"))


def prove_start(make_mysql: MySQLFactory, directory: Path, name: str, top: MySQLServer, load: WriteLoad) -> None:
    """A server on the prepared ``directory`` follows ``top`` from where the backup says, without an error, and has what
    it has; the load is still going on when it starts."""
    start = start_from_backup(str(directory), "127.0.0.1", top.port, Family.MYSQL)
    assert start.file
    copy = make_mysql(name, WITHOUT_GTIDS, start=False)
    shutil.move(str(directory), copy.datadir)
    copy.start()
    check_invariants(copy)
    follow(copy, top, start.file, start.position or 0)
    load.wait_for(20)
    # a transaction that is missing or applied twice leaves a balance that no longer adds up, or stops the channel
    with top.session() as locker, locker.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        here = top.rows("SHOW BINARY LOG STATUS")[0]
        waited = copy.value("SELECT SOURCE_POS_WAIT(%s, %s, 60)", [here["File"], here["Position"]])
        assert waited is not None, copy.log_tail()
        assert waited >= 0
        checksums.assert_tables_equal(top, copy, at_least=3)
    copy.kill()
    shutil.rmtree(copy.directory)


def test_a_copy_of_a_busy_replica_follows_its_source_from_exactly_where_its_data_are(
    make_mysql: MySQLFactory, workdir: Path, busy_pair: tuple[MySQLServer, MySQLServer, WriteLoad]
) -> None:
    top, middle, load = busy_pair
    met_busy = 0
    for number in range(ROUNDS):
        backup = workdir / f"backup{number}"
        (channel,) = take(middle, backup)["replication"]
        if not channel["exact"]:
            met_busy += 1
            assert start_statements(backup) == ""
            with pytest.raises(ReplicationError, match="does not tell exactly"):
                start_from_backup(str(backup), "127.0.0.1", top.port, Family.MYSQL)
        record: dict[str, Any] = prepared(backup).record
        (entry,) = record["replication"]
        assert entry["exact"] is True
        assert f"SOURCE_LOG_FILE='{entry['file']}', SOURCE_LOG_POS={entry['position']};" in start_statements(backup)
        prove_start(make_mysql, backup, f"copy{number}", top, load)
    assert met_busy, "the replica was never at work when it was looked at"


def start_statements(directory: Path) -> str:
    """The statements in the stock tool's file, without comments."""
    lines = (directory / "xtrabackup_slave_info").read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))
