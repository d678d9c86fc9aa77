# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throttled backups: the rate that was asked for, over the whole job, and a redo log that is followed all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.throttle import Throttle
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_backup import our_prepare, prove
from ansible_collections.innodb.xtrabackup.tests.support import datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module

PAGE = 16384


@pytest.mark.parametrize(
    "options",
    [
        {"parallel": 1},
        {"parallel": 4},
        {"parallel": 2, "format": "xbstream", "compress": {"algorithm": "zstd", "level": 1, "threads": 2}},
    ],
    ids=["one file at a time", "four files", "compressed archive"],
)
def test_a_throttled_backup_keeps_to_its_rate_within_five_percent(
    make_server: ServerFactory, workdir: Path, options: dict[str, Any]
) -> None:
    source = make_server("source")
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


def test_a_throttle_never_lets_the_redo_be_overwritten(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source", {"innodb_log_file_size": "8M", "innodb_flush_log_at_trx_commit": 2})
    datasets.create_big(source, 120)
    with WriteLoad(source, threads=4, payload=4000, per_second=400) as load:
        load.wait_for(200)
        record = take(source, workdir / "backup", throttle=Throttle(12 << 20))
        assert record["redo"]["bytes"] > 2 * (8 << 20), "the log did not wrap often enough to prove anything"
        our_prepare(workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)
