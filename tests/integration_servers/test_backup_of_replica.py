# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a MariaDB replica that finds its place by file and position: a copy goes on exactly there.

REPLICA_ROUNDS (2) says how many backups of one busy replica are tried.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_backup import our_prepare, start_copy
from ansible_collections.innodb.xtrabackup.tests.support import checksums
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

ROUNDS = int(os.environ.get("REPLICA_ROUNDS", "2"))


def follow(replica: DatabaseServer, source: DatabaseServer, file: str, position: int) -> None:
    replica.execute(
        f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={source.port}, MASTER_USER='repl', "
        f"MASTER_PASSWORD='repl-secret', MASTER_LOG_FILE='{file}', MASTER_LOG_POS={position}, MASTER_USE_GTID=no",
        "START SLAVE",
    )


@pytest.mark.slow
def test_the_place_of_a_busy_replica_without_gtids_is_exact(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source", {"gtid_strict_mode": "OFF"})
    workers = {"slave_parallel_threads": 8, "slave_parallel_mode": "optimistic", "gtid_strict_mode": "OFF"}
    replica = make_server("replica", {**workers, "log_slave_updates": "OFF", "sync_binlog": 0})
    source.create_account("repl", "repl-secret", "REPLICATION SLAVE")
    start = source.rows("SHOW MASTER STATUS")[0]
    follow(replica, source, start["File"], start["Position"])
    with WriteLoad(source, threads=8, per_second=300) as load:
        load.wait_for(50)
        for number in range(ROUNDS):
            load.wait_for(100)
            record = take(replica, workdir / "backup")
            (channel,) = record["replication"]
            our_prepare(workdir / "backup")
            copy = start_copy(make_server, f"copy{number}", workdir / "backup", replica)
            # every transaction writes new keys: one too many stops it, one too few differs
            copy.execute("RESET SLAVE ALL", "SET GLOBAL gtid_slave_pos = ''")
            follow(copy, source, channel["file"], channel["position"])
            load.wait_for(30)
            if number + 1 == ROUNDS:
                load.stop()
            checksums.wait_until_caught_up(source, copy)
            if number + 1 == ROUNDS:
                checksums.assert_tables_equal(source, copy, at_least=3)
            copy.stop()
            shutil.rmtree(copy.datadir)
