# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that dies in the middle of its backup: the backup fails at once and is not there."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ServerError
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer


class Deadly:
    """A throttle that kills the server when ``after`` bytes were copied."""

    def __init__(self, server: DatabaseServer, after: int) -> None:
        self.killed: float | None = None
        self._server = server
        self._left = after
        self._lock = threading.Lock()

    def take(self, count: int, cancelled: threading.Event) -> None:
        """Copy slowly, so that the rest is not done before the death is noticed."""
        with self._lock:
            self._left -= count
            if self._left < 0 and self.killed is None:
                self._server.kill()
                self.killed = time.monotonic()
        cancelled.wait(count / (60 << 20))


@pytest.mark.parametrize("after", [0, 30 << 20])
@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_a_backup_whose_server_dies_fails_and_is_not_there(
    make_server: ServerFactory, make_mysql: MySQLFactory, workdir: Path, flavor: str, after: int
) -> None:
    source = make_server() if flavor == "mariadb" else make_mysql()
    datasets.create_big(source, 60)
    deadly = Deadly(source, after)
    with pytest.raises(ServerError) as raised:
        take(source, workdir / "backup", throttle=deadly)
    assert deadly.killed is not None
    assert time.monotonic() - deadly.killed < 30
    assert raised.value.remedy
    assert list(workdir.glob("backup*")) == []
    source.start()  # with what it has itself
    assert take(source, workdir / "backup")["state"] == "copied"
