# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas whose option files say that clients cannot write there."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.plays import failed, succeeded


@pytest.mark.parametrize(("flavor", "option"), [("mariadb", "read_only"), ("mysql", "super_read_only")])
def test_a_server_that_is_read_only_becomes_a_replica(workdir: Path, flavor: str, option: str) -> None:
    with contextlib.closing(Estate(workdir, flavor=flavor)) as estate:
        replica = estate.host("replica", {option: "ON"})
        if flavor == "mariadb":
            failed(estate.play(), "say read_only, and backup lacks READ_ONLY ADMIN", "GRANT READ_ONLY ADMIN ON *.*")
            assert not replica.datadir.exists()
            estate.primary.execute("GRANT READ_ONLY ADMIN ON *.* TO backup@localhost")
        succeeded(estate.play())
        assert replica.value(f"SELECT @@GLOBAL.{option}") == 1
        assert succeeded(estate.play()).recap["replica"]["changed"] == 0
        estate.assert_replica(replica)
