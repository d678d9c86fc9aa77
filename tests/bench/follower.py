# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the redo follower reads, verifies and copies, when the log is far ahead of it."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.redo_follower import RedoFollower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_big
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

BACKLOG_MIB = 256


def _failed(error: XtrabackupError) -> None:
    print(f"redo follower: {error}", flush=True)  # follow_until raises it


def make_backlog(server: MariaDBServer) -> None:
    """Write about BACKLOG_MIB MiB of redo that is not checkpointed; the server's log must be twice as large."""
    # no flushing of pages: the checkpoint stays behind
    server.execute("SET GLOBAL innodb_max_dirty_pages_pct = 99, innodb_max_dirty_pages_pct_lwm = 0")
    create_big(server, BACKLOG_MIB, database="backlog", tables=4)


def follower_speed(server: MariaDBServer, scratch: Path) -> tuple[int, float]:
    """(bytes, seconds) of following a backlog."""
    make_backlog(server)
    server.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
    with open(scratch / "followed", "wb") as output:
        follower = RedoFollower(
            str(server.datadir / "ib_logfile0"),
            server.variable("version"),
            lambda: int(server.status("Innodb_lsn_current")),
            output,
            _failed,
        )
        begun = time.monotonic()
        follower.start()
        follower.follow_until(int(server.status("Innodb_lsn_current")), 600)
        seconds = time.monotonic() - begun
    server.execute("DROP DATABASE backlog")
    return follower.copied_bytes, seconds
