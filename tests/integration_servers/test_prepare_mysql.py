# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing backups of MySQL servers: what MariaDB does not have (test_prepare.py has what both have)."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support.mysql_backups import backup_of_killed, coordinates
from ansible_collections.innodb.xtrabackup.tests.support.preparing import PREPARING, content


def test_tables_that_were_elsewhere_are_recovered_here_and_only_here(make_mysql: MySQLFactory, workdir: Path) -> None:
    """The source's own files are where the dictionary says that these tables are: they must not be touched."""
    preparing = PREPARING[Family.MYSQL]
    (workdir / "far").mkdir()
    (workdir / "undo").mkdir()
    layout = {"innodb_directories": str(workdir / "far"), "innodb_undo_directory": str(workdir / "undo")}
    source = make_mysql("source", layout)
    source.execute(
        "CREATE DATABASE shop",
        f"CREATE TABLE shop.t (id INT PRIMARY KEY) DATA DIRECTORY = '{workdir / 'far'}'",
        "CREATE UNDO TABLESPACE more ADD DATAFILE 'more.ibu'",
        f"INSERT INTO shop.t SELECT seq FROM {source.numbers(1000)}",
    )
    where = coordinates(source)
    source.kill()
    backup = backup_of_killed(source, workdir / "full", where)
    before = content(workdir / "far"), content(workdir / "undo")
    result = preparing.prepare(backup, workdir / "ready")
    assert (content(workdir / "far"), content(workdir / "undo")) == before
    assert not [warning for warning in result.warnings if warning.startswith("server:")]
    with preparing.started_on(make_mysql("replica", start=False), workdir / "ready") as replica:
        assert replica.value("SELECT COUNT(*) FROM shop.t") == 1000
