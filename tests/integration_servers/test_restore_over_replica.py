# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore in place of a MariaDB replica whose logs and state of replication are outside its data directory."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_backup import our_prepare
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.checksums import wait_until_caught_up
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module


def test_a_restored_server_does_not_go_on_where_the_replaced_one_was(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source", {"binlog_format": "STATEMENT"})
    source.create_account("repl", "repl-secret", "REPLICATION SLAVE")
    source.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (n INT) ENGINE=InnoDB", "INSERT INTO shop.t VALUES (0)")
    state = workdir / "repl"
    state.mkdir()
    places = {"relay_log": "relay", "master_info_file": "master.info", "relay_log_info_file": "relay-log.info"}
    replica = make_server("replica", {name: str(state / place) for name, place in places.items()})
    first = source.rows("SHOW BINARY LOGS")[0]["Log_name"]
    replica.execute(
        f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={source.port}, MASTER_USER='repl', "
        f"MASTER_PASSWORD='repl-secret', MASTER_LOG_FILE='{first}', MASTER_LOG_POS=4, MASTER_USE_GTID=no",
        "CHANGE MASTER 'Another-one' TO MASTER_HOST='127.0.0.1', MASTER_PORT=1",
        "START SLAVE",
    )
    wait_until_caught_up(source, replica)
    replica.stop()
    source.execute("UPDATE shop.t SET n = n + 50")
    take(source, workdir / "backup")
    our_prepare(workdir / "backup")
    # another server's, by its name
    (state / "master-3307.info").touch()
    before = {path.name for path in state.iterdir()}
    assert {"master.info", "multi-master.info", "relay-log.info", "master-another@002done.info"} < before

    wanted = {"src": str(workdir / "backup"), "defaults_file": str(replica.option_file)}
    refused = run_module("xtrabackup_restore", wanted, fails=True)
    assert refused["error"]["code"] == "target_not_empty"
    assert str(state / "master.info") in refused["error"]["details"]["entries"]
    assert {path.name for path in state.iterdir()} == before

    run_module("xtrabackup_restore", {**wanted, "force": True})
    assert [path.name for path in state.iterdir()] == ["master-3307.info"]
    replica.start()
    assert replica.rows("SHOW ALL SLAVES STATUS") == []
    channel = {
        "source_host": "127.0.0.1",
        "source_port": source.port,
        "source_user": "repl",
        "source_password": "repl-secret",
        "coordinates": {"backup": str(replica.datadir)},
        "caught_up_within": "60s",
    }
    run_module("xtrabackup_replica", {**replica.login(), **channel})
    assert replica.value("SELECT n FROM shop.t") == 50
