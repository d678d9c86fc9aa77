# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups in a storm of DDL: every one is right, whatever was created, rebuilt, renamed or dropped meanwhile.

STORMS (1) says how many, each another one; `make test-all` tries more. STORM_SEED (0) repeats those that begin there.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers import test_backup, test_mysql_backup
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums, datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import Slow, take
from ansible_collections.innodb.xtrabackup.tests.support.ddl_storm import DdlStorm, damaged_tables
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

STORMS = int(os.environ.get("STORMS", "1"))
FIRST_SEED = int(os.environ.get("STORM_SEED", "0"))
SEEDS = range(FIRST_SEED, FIRST_SEED + STORMS)


def options(random: Random, redo: str) -> dict[str, Any]:
    return {
        "innodb_flush_log_at_trx_commit": random.choice([0, 1, 2]),
        "sync_binlog": random.choice([0, 1]),
        redo: "200M",
    }


def changes(random: Random) -> dict[str, Any]:
    """A backup that takes long enough to have the storm in all its phases."""
    return {"throttle": Slow(random.choice([15, 30, 60]) << 20), "parallel": random.choice([1, 2, 4])}


def endure(
    source: DatabaseServer,
    random: Random,
    seed: int,
    step_engines: tuple[str, ...],
    follow: Callable[[dict[str, Any], Path], DatabaseServer],
    backup: Path,
) -> None:
    """Back ``source`` up in a storm; what ``follow`` starts on the backup is sound, catches up and is equal."""
    datasets.create_big(source, 60)
    with WriteLoad(source, threads=2, step_engines=step_engines, per_second=150) as load:
        load.wait_for(100)
        with DdlStorm(source, seed) as storm:
            load.wait_for(100)
            copy = follow(take(source, backup, **changes(random)), backup)
            storm.stop()
    assert storm.statements > 50
    checksums.wait_until_caught_up(source, copy, timeout=240)
    checksums.assert_tables_equal(source, copy, at_least=3)
    checksums.assert_definitions_equal(source, copy)


def require_sound(copy: DatabaseServer) -> None:
    check_invariants(copy)
    assert damaged_tables(copy) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_backup_of_mariadb_in_a_storm_of_ddl_is_right(make_server: ServerFactory, workdir: Path, seed: int) -> None:
    random = Random(seed)
    source = make_server("source", options(random, "innodb_log_file_size"))

    def follow(record: dict[str, Any], backup: Path) -> DatabaseServer:
        test_backup.our_prepare(backup)
        copy = test_backup.start_copy(make_server, "copy", backup, source)
        require_sound(copy)
        test_backup.replicate(copy, source, record["binlog"]["gtid"])
        return copy

    endure(source, random, seed, test_backup.EVERY_ENGINE, follow, workdir / "backup")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_backup_of_mysql_in_a_storm_of_ddl_is_right(make_mysql: MySQLFactory, workdir: Path, seed: int) -> None:
    random = Random(seed)
    source = make_mysql("source", options(random, "innodb_redo_log_capacity"))

    def follow(_record: dict[str, Any], backup: Path) -> DatabaseServer:
        record = test_mysql_backup.prepared(backup)
        copy = test_mysql_backup.start_copy(make_mysql, "copy", backup, source)
        require_sound(copy)
        assert copy.value("SELECT @@gtid_executed").replace("\n", "") == record["binlog"]["gtid"]
        test_mysql_backup.replicate(copy, source)
        return copy

    endure(source, random, seed, ("MyISAM",), follow, workdir / "backup")
