# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XA transactions that are prepared while a backup is taken stay prepared, and their end comes with replication."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.tests.integration_servers import test_backup, test_mysql_backup
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

#: the second one as transaction managers make them: of any bytes. (MySQL 9.7.4 that is killed has forgotten 'plain' and
#: 'old' beside it when it is started again, and others not; that is the server's own.)
XIDS = ("'p0'", "X'00ff80', X'c3', 7")


def prepare_xa(server: DatabaseServer, number: int) -> None:
    """Leave a prepared transaction behind, whose session is gone."""
    with server.session() as session, session.cursor() as cursor:
        for statement in (
            f"XA START {XIDS[number]}",
            f"UPDATE d.t SET b = 'xa' WHERE a = {number}",
            f"INSERT INTO d.t VALUES ({1000 + number}, 'new')",
            f"XA END {XIDS[number]}",
            f"XA PREPARE {XIDS[number]}",
        ):
            cursor.execute(statement)


@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
@pytest.mark.parametrize("in_place", [True, False])
def test_xa_transactions_stay_prepared_and_all_others_are_rolled_back(
    make_server: ServerFactory, make_mysql: MySQLFactory, workdir: Path, flavor: str, in_place: bool
) -> None:
    source: DatabaseServer = make_mysql("source") if flavor == "mysql" else make_server("source")
    source.execute(
        "CREATE DATABASE d",
        "CREATE TABLE d.t (a INT PRIMARY KEY, b VARCHAR(20))",
        "INSERT INTO d.t VALUES (0, 'old'), (1, 'old'), (2, 'old')",
    )
    prepare_xa(source, 0)
    prepare_xa(source, 1)
    backup, ready = workdir / "backup", None if in_place else workdir / "ready"
    with source.session(autocommit=False) as session:
        session.cursor().execute("UPDATE d.t SET b = 'open' WHERE a = 2")
        taken = take(source, backup)
    program = str(SERVER_PROGRAM) if flavor == "mysql" else None
    result = prepare(backup, ready, PrepareOptions(server_program=program), Progress("prepare"))
    assert result.report is not None
    assert (result.report.prepared_transactions, result.report.rolled_back) == (2, 1)
    assert any("2 XA transactions" in warning for warning in result.warnings)
    directory = ready or backup
    copy: DatabaseServer
    if flavor == "mysql":
        copy = test_mysql_backup.start_copy(make_mysql, "copy", directory, source)
        test_mysql_backup.replicate(copy, source)
    else:
        copy = test_backup.start_copy(make_server, "copy", directory, source)
        test_backup.replicate(copy, source, taken["binlog"]["gtid"])
    assert copy.value("SELECT GROUP_CONCAT(b ORDER BY a) FROM d.t") == "old,old,old"
    source.execute(f"XA COMMIT {XIDS[0]}", f"XA ROLLBACK {XIDS[1]}")
    checksums.wait_until_caught_up(source, copy)
    checksums.assert_tables_equal(source, copy)
    assert copy.value("SELECT GROUP_CONCAT(b ORDER BY a) FROM d.t") == "xa,old,old,new"
