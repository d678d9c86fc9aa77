# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throttled backups: the rate that was asked for, over the whole job, and a redo log that is followed all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.throttle import Throttle
from ansible_collections.innodb.xtrabackup.tests.integration_servers import test_backup, test_mysql_backup
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import (
    AnyServerFactory,
    MySQLFactory,
    ServerFactory,
)
from ansible_collections.innodb.xtrabackup.tests.support import datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module

PAGE = 16384


@pytest.fixture(params=list(Family), ids=[family.value for family in Family])
def family(request: pytest.FixtureRequest) -> Family:
    wanted: Family = request.param
    return wanted


ARCHIVE = {"format": "xbstream", "compress": {"algorithm": "zstd", "level": 1, "threads": 2}}


@pytest.mark.parametrize(
    ("family", "options"),
    [
        pytest.param(Family.MARIADB, {"parallel": 1}, id="mariadb-one file at a time"),
        pytest.param(Family.MARIADB, {"parallel": 4}, id="mariadb-four files"),
        pytest.param(Family.MARIADB, {"parallel": 2, **ARCHIVE}, id="mariadb-compressed archive"),
        pytest.param(Family.MYSQL, {"parallel": 4}, id="mysql-four files"),
    ],
)
def test_a_throttled_backup_keeps_to_its_rate_within_five_percent(
    make_any: AnyServerFactory, workdir: Path, options: dict[str, Any]
) -> None:
    source = make_any("source")
    datasets.create_big(source, 100, tables=6)
    limit = 12 << 20
    without, throttled = (
        run_module("xtrabackup_backup", dict(source.login(), dest=str(workdir / name), **more, **options))["backup"]
        for name, more in {"without": {}, "throttled": {"throttle": "12MiB"}}.items()
    )
    copied = throttled["pages"]["checked"] * PAGE
    assert copied > 100 << 20
    # connecting, locks and the last sync take no longer than a whole backup without a limit
    assert copied / limit * 0.95 < throttled["seconds"] < copied / limit * 1.05 + without["seconds"]


SMALL_LOG: dict[Family, dict[str, Any]] = {
    Family.MARIADB: {"innodb_log_file_size": "8M"},
    Family.MYSQL: {"innodb_redo_log_capacity": "8M"},
}


def test_a_throttle_never_lets_the_redo_be_overwritten(
    make_server: ServerFactory, make_mysql: MySQLFactory, workdir: Path, family: Family
) -> None:
    options = {**SMALL_LOG[family], "innodb_flush_log_at_trx_commit": 2}
    source = (make_server if family is Family.MARIADB else make_mysql)("source", options)
    datasets.create_big(source, 120)
    backup = workdir / "backup"
    with WriteLoad(source, threads=4, payload=4000, per_second=400) as load:
        load.wait_for(200)
        record = take(source, backup, throttle=Throttle(12 << 20))
        assert record["redo"]["bytes"] > 2 * (8 << 20), "the log did not wrap often enough to prove anything"
        if isinstance(source, MySQLServer):
            test_mysql_backup.prove(make_mysql, source, backup, load, test_mysql_backup.prepared(backup))
        else:
            test_backup.our_prepare(backup)
            test_backup.prove(make_server, source, backup, record, load)
