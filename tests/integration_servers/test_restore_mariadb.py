# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring what MariaDB's own tool has prepared (test_restore.py has what is so for both families)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.restoring import RESTORE, RESTORING, PreparedBackups

pytestmark = pytest.mark.xdist_group("restore")  # who shares backups stays on one worker


def test_a_directory_that_the_stock_tool_prepared_can_be_copied(
    prepared_backups: PreparedBackups, make_server: ServerFactory, workdir: Path
) -> None:
    restoring, prepared = RESTORING[Family.MARIADB], prepared_backups.of(Family.MARIADB)
    host = make_server("host", restoring.host_options(prepared), start=False)
    with prepared.source:
        login = [f"--socket={prepared.source.socket}", "--user=root"]
        subprocess.run(
            ["mariadb-backup", "--backup", *login, f"--target-dir={workdir / 'stock'}"], check=True, capture_output=True
        )
    not_yet = run_module(RESTORE, restoring.options(host, workdir / "stock"), fails=True)
    assert not_yet["error"]["code"] == "not_prepared"
    subprocess.run(
        ["mariadb-backup", "--prepare", f"--target-dir={workdir / 'stock'}"], check=True, capture_output=True
    )
    assert run_module(RESTORE, restoring.options(host, workdir / "stock", method="move"), fails=True)["error"][
        "code"
    ] == ("invalid_option")
    assert run_module(RESTORE, restoring.options(host, workdir / "stock"))["changed"]
    restoring.prove(host, prepared)
