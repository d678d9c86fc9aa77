# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of what takes the time of a play: commands on hosts and tasks. They do not depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.support import plays
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.plays import succeeded


def test_a_provisioning_needs_few_remote_executions(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = workdir / "counted"
    monkeypatch.setenv("ANSIBLE_CONNECTION_PLUGINS", str(plays.PROJECT / "tests/support/connection_plugins"))
    monkeypatch.setenv("XTRABACKUP_TEST_COUNT", str(counted))
    estate = Estate(workdir)
    try:
        replica = estate.host("replica")
        found: dict[str, dict[str, int]] = {}
        for run, arguments in {"predicted": ("--check",), "new": (), "unchanged": ()}.items():
            counted.write_text("")
            output = succeeded(estate.play(*arguments, ansible_connection="counted")).output
            # a job is looked at as often as it takes, by a shell
            lines = [line for line in counted.read_text().splitlines() if "run_dir=" not in line]
            found[run] = {"executions": len(lines), "banners": output.count("\nTASK [")}
            print(run, found[run], *lines, sep="\n")
        estate.assert_replica(replica)
    finally:
        estate.close()
    most = {
        "predicted": {"executions": 8, "banners": 18},
        # one more for its backup, if that takes longer than a task waits at once
        "new": {"executions": 11 + 1, "banners": 31},
        "unchanged": {"executions": 5, "banners": 20},
    }
    assert [run for run in most if any(found[run][what] > most[run][what] for what in most[run])] == [], found
