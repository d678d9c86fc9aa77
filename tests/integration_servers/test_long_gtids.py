# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GTID sets and positions of up to 64 KiB go whole from a server through a backup into a replica.

SHOW VARIABLES cuts values: MySQL's at 1,024 bytes, which 26 former primaries fill, MariaDB's at 4,096.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.coordinates import gtid_positions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.gtid_sets import GtidSet
from ansible_collections.innodb.xtrabackup.tests.integration_servers import test_backup, test_mysql_backup
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

LONG = 62 << 10  # bytes; what the server adds makes it 64 KiB
PASSWORD = "sesam-open-me"


def become_replica(server: DatabaseServer, source: DatabaseServer, **options: Any) -> dict[str, Any]:
    channel = {
        "source_host": "127.0.0.1",
        "source_port": source.port,
        "source_user": "repl",
        "source_password": PASSWORD,
        "coordinates": {"backup": str(server.datadir)},
        "caught_up_within": "120s",
    }
    return run_module("xtrabackup_replica", {**server.login(), **channel, **options})


def fill(source: DatabaseServer) -> None:
    source.create_account("repl", PASSWORD, "REPLICATION SLAVE")
    source.execute("CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")


def test_a_set_of_a_thousand_former_primaries_on_mysql(make_mysql: MySQLFactory, workdir: Path) -> None:
    source = make_mysql("source")
    former = ",".join(f"{uuid.UUID(int=number << 64)}:1-{number}" for number in range(1, LONG // 43))
    source.execute(f"SET GLOBAL gtid_purged = '+{former}'")
    fill(source)
    executed = GtidSet.parse(source.value("SELECT @@GLOBAL.gtid_executed"))
    assert len(str(executed)) > LONG - 1000
    assert GtidSet.parse(run_module("xtrabackup_info", source.login())["server"]["gtid"]) == executed
    record = take(source, workdir / "backup")
    assert GtidSet.parse(record["binlog"]["gtid"]) == executed
    assert GtidSet.parse((workdir / "backup" / "xtrabackup_binlog_info").read_text().split("\t")[2]) == executed
    assert GtidSet.parse(test_mysql_backup.prepared(workdir / "backup")["binlog"]["gtid"]) == executed
    copy = test_mysql_backup.start_copy(make_mysql, "copy", workdir / "backup", source)
    assert GtidSet.parse(copy.value("SELECT @@GLOBAL.gtid_executed")) == executed
    copy.execute("RESET BINARY LOGS AND GTIDS")  # the data stay, what is known of them goes
    source.execute("INSERT INTO d.t VALUES (2)")
    target = str(GtidSet.parse(source.value("SELECT @@GLOBAL.gtid_executed")))
    done = become_replica(copy, source, source_ssl=True, caught_up_to=target)
    assert done["statements"][0].startswith("SET GLOBAL gtid_purged")
    assert done["replication"]["gtid_executed"] == target
    assert become_replica(copy, source, source_ssl=True)["changed"] is False
    assert_tables_equal(source, copy)
    # a replica's own backup tells where it stands in its source
    again = take(copy, workdir / "again")
    assert GtidSet.parse(again["replication"][0]["gtid"]) == GtidSet.parse(target)


def test_a_position_in_thousands_of_domains_on_mariadb(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    domains = ",".join(f"{number}-7-{number}" for number in range(1, LONG // 12))
    source.execute(
        "RESET MASTER", f"SET GLOBAL gtid_binlog_state = '{domains}'", f"SET GLOBAL gtid_slave_pos = '{domains}'"
    )
    fill(source)
    position = gtid_positions(source.value("SELECT @@GLOBAL.gtid_current_pos"))
    assert len(domains) > LONG - 10000
    assert len(position) == LONG // 12
    assert gtid_positions(run_module("xtrabackup_info", source.login())["server"]["gtid"]) == position
    record = take(source, workdir / "backup")
    assert gtid_positions(record["binlog"]["gtid"]) == position
    assert gtid_positions((workdir / "backup" / "xtrabackup_binlog_info").read_text().split("\t")[2]) == position
    test_backup.our_prepare(workdir / "backup")
    copy = test_backup.start_copy(make_server, "copy", workdir / "backup", source)
    source.execute("INSERT INTO d.t VALUES (2)")
    target = str(source.value("SELECT @@GLOBAL.gtid_binlog_pos"))
    done = become_replica(copy, source, caught_up_to=target)
    assert done["statements"][0].startswith("SET GLOBAL gtid_slave_pos")
    assert become_replica(copy, source)["changed"] is False
    assert_tables_equal(source, copy)
    again = take(copy, workdir / "again")
    assert gtid_positions(again["replication"][0]["gtid"]) == gtid_positions(target)
