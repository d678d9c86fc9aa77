# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of MySQL again and again while many small transactions commit: none is lost, none is executed twice.

At the instant of a backup some transactions are in the binary log and only prepared in InnoDB. Whether a replica starts
by GTID or by file and position, each of them must be in its data once. PROVISIONINGS (1) says how often it is tried
with each setting; `make test-all` tries 13 times, 52 in all.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_mysql_backup import (
    prepared,
    replicate,
    start_copy,
)
from ansible_collections.innodb.xtrabackup.tests.support import checksums
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer

PROVISIONINGS = int(os.environ.get("PROVISIONINGS", "1"))
BY_POSITION = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}


@pytest.mark.parametrize("sync_binlog", [0, 1])
@pytest.mark.parametrize("by", ["gtid", "position"])
def test_transactions_that_are_prepared_at_the_instant_come_out_right(
    make_mysql: MySQLFactory, workdir: Path, by: str, sync_binlog: int
) -> None:
    options = {"sync_binlog": sync_binlog, "innodb_flush_log_at_trx_commit": 1, **({} if by == "gtid" else BY_POSITION)}
    source = make_mysql("source", options)
    with WriteLoad(source, threads=12, payload=10, per_second=800) as load:
        load.wait_for(200)
        for number in range(PROVISIONINGS):
            copy = _copy_of(make_mysql, source, workdir / f"backup{number}", by)
            with source.session() as connection, connection.cursor() as cursor:
                cursor.execute("FLUSH TABLES WITH READ LOCK")
                _wait_until_caught_up(source, copy)
                checksums.assert_tables_equal(source, copy, at_least=3)
            copy.kill()
            shutil.rmtree(copy.directory)


def _copy_of(make_mysql: MySQLFactory, source: MySQLServer, backup: Path, by: str) -> MySQLServer:
    """A replica that has just begun to follow ``source``, which is not said to skip anything."""
    taken = take(source, backup)
    record = prepared(backup)
    copy = start_copy(make_mysql, backup.name.replace("backup", "copy"), backup, source)
    check_invariants(copy)
    if by == "gtid":
        assert copy.value("SELECT @@gtid_executed").replace("\n", "") == record["binlog"]["gtid"]
        replicate(copy, source)
    else:
        binlog = taken["binlog"]
        replicate(copy, source, f"SOURCE_LOG_FILE='{binlog['file']}', SOURCE_LOG_POS={binlog['position']}")
    return copy


def _wait_until_caught_up(source: MySQLServer, copy: MySQLServer) -> None:
    if source.options["gtid_mode"] == "ON":
        checksums.wait_until_caught_up(source, copy)
        return
    place = source.rows("SHOW BINARY LOG STATUS")[0]
    waited = copy.value("SELECT SOURCE_POS_WAIT(%s, %s, 60)", [place["File"], place["Position"]])
    status = copy.rows("SHOW REPLICA STATUS")[0]
    assert waited is not None, (status["Last_SQL_Error"], status["Last_IO_Error"])
    assert waited >= 0, "a minute was not enough"
