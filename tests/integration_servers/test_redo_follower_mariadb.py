# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB's redo log on real servers: what is not so for MySQL's (test_redo_follower.py has what is so for both)."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import RedoReplaced
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.mariadb_redo import following
from ansible_collections.innodb.xtrabackup.tests.support.mysql_redo import wait_for


def test_a_resize_of_the_log_is_noticed(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server(options={"innodb_log_file_size": "8M"})
    with WriteLoad(source, threads=2), following(source, workdir / "copied") as copy:
        source.execute("SET GLOBAL innodb_log_file_size = 16777216")
        wait_for(lambda: bool(copy.failures), 30)
    (error,) = copy.failures
    assert isinstance(error, RedoReplaced)
