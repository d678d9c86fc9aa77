# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""provision_replica.yml again and again, on a primary that is written to all the time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.support import checksums, datasets
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.plays import succeeded


@pytest.mark.parametrize("number", range(10))
def test_two_empty_hosts_become_replicas_equal_to_their_primary(
    workdir: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if number == 1:
        monkeypatch.setenv("ANSIBLE_STRATEGY", "free")
        monkeypatch.setenv("ANSIBLE_HASH_BEHAVIOUR", "merge")
    options = {
        "innodb_flush_log_at_trx_commit": number % 3,
        "innodb_log_file_size": ("8M", "48M")[number % 2],
        "sync_binlog": number % 2,
    }
    estate = Estate(workdir, options)
    try:
        _provision_and_compare(estate, number)
    finally:
        estate.close()


def _provision_and_compare(estate: Estate, number: int) -> None:
    """Each of the two, in one batch, gets a backup of its own, of another moment."""
    replicas = [estate.host("one"), estate.host("two")]
    datasets.create_zoo(estate.primary)
    if number % 4 == 0:
        datasets.create_big(estate.primary, 64)
    schema_changes = number % 5 == 4
    with WriteLoad(
        estate.primary, step_engines=("MyISAM", "Aria"), schema_changes=schema_changes, per_second=100
    ) as load:
        load.wait_for(50)
        report = str(estate.directory / "{{ inventory_hostname }}.json")
        compress = {} if number % 2 else {"algorithm": "lz4"}
        succeeded(estate.play(xtrabackup_serial=2, xtrabackup_replica_report=report, xtrabackup_compress=compress))
        load.wait_for(20)
        load.stop()
        for replica in replicas:
            checksums.wait_until_caught_up(estate.primary, replica)
            checksums.assert_tables_equal(estate.primary, replica, at_least=25)
            check_invariants(replica, load.database)
    backups = [json.loads((estate.directory / f"{name}.json").read_text())["backup"] for name in ("one", "two")]
    assert len({backup["id"] for backup in backups}) == 2
    for replica, backup in zip(replicas, backups):
        checksums.assert_definitions_equal(estate.primary, replica)
        assert backup["redo"]["bytes"] > 0
    assert estate.leftovers() == []
