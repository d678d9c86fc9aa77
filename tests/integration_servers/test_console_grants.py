# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line with the grants that mariadb-backup documents, its stream and its data directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ReplicationError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.start_position import start_from_backup
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import console
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.streams import tree

STOCK_GRANTS = "RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR"


def test_a_backup_needs_no_privilege_that_mariadb_backup_does_not_need(
    workdir: Path, make_server: ServerFactory
) -> None:
    programs = console.build(workdir / "bin")
    source, target = make_server("source"), make_server("target", start=False)
    source.execute("CREATE DATABASE app", "CREATE TABLE app.t (id INT) ENGINE=MyISAM", "INSERT INTO app.t VALUES (1)")
    source.create_account("stock", "x", STOCK_GRANTS)
    words = (f"--defaults-file={source.option_file}", "--backup", "--user=stock", "--password=x")

    def backup(name: str, *more: str) -> console.Finished:
        return console.run(programs / "mariadb-backup", *words, f"--target-dir={workdir / name}", *more)

    done = console.require(backup("first"))
    assert "no replication position was recorded" in done.said
    assert "GRANT SLAVE MONITOR ON *.* TO 'stock'@" in done.said
    record = manifest.read(workdir / "first").backup
    assert record["replication"] is None
    assert record["binlog"]["file"]
    with pytest.raises(ReplicationError, match="does not tell whether its server was a replica"):
        start_from_backup(str(workdir / "first"), "127.0.0.1", source.port, Family.MARIADB)

    # a channel that is stopped
    source.execute("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='x'")
    done = console.require(backup("replica"))
    assert "this server is a replica, and its replication position was not recorded" in done.said
    assert manifest.read(workdir / "replica").backup["replication"] is None
    assert not (workdir / "replica" / "xtrabackup_slave_info").exists()
    # and one that runs
    source.execute("START SLAVE SQL_THREAD")
    assert "this server is a replica" in console.require(backup("running")).said
    for option in ("--slave-info", "--safe-slave-backup"):
        refused = backup("refused", option)
        assert refused.status == 1
        assert "GRANT SLAVE MONITOR ON *.* TO 'stock'@" in refused.said
        assert not (workdir / "refused").exists()
    # who may read them gets them without being asked
    source.execute("GRANT SLAVE MONITOR ON *.* TO stock@localhost")
    assert "replication position" not in console.require(backup("told")).said
    (channel,) = manifest.read(workdir / "told").backup["replication"]
    assert channel["source_port"] == 1

    # the backup is as good as any; and the option to fill directories that are not empty fills none
    first = f"--target-dir={workdir}/first"
    console.require(console.run(programs / "mariadb-backup", "--prepare", first))
    assert manifest.read(workdir / "first").backup["replication"] is None
    target.datadir.mkdir(mode=0o700)
    (target.datadir / "ibdata1").write_bytes(b"somebody's data")
    force = "--force-non-empty-directories"
    place = (programs / "mariadb-backup", f"--defaults-file={target.option_file}", "--copy-back", first, force)
    refused = console.run(*place)
    assert refused.status == 1
    assert f"{force} is taken for an empty data directory only" in refused.said
    assert "The files of two servers must not be mixed" in refused.said
    assert tree(target.datadir) == {"ibdata1": b"somebody's data"}
    (target.datadir / "ibdata1").unlink()
    console.require(console.run(*place))

    target.start()
    assert_tables_equal(source, target)
