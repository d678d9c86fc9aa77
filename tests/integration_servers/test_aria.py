# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactional Aria tables, which a MariaDB server writes to until commits are blocked, the accounts among them.

ARIA_SOAK_SECONDS (0) adds a soak of so many seconds: backups in a row under such writes, of all rates and checkpoint
intervals; `make test-all` has it last an hour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_backup import PREPARE, replicate, start_copy
from ansible_collections.innodb.xtrabackup.tests.support import checksums
from ansible_collections.innodb.xtrabackup.tests.support.aria_load import AriaLoad, accounts, damaged
from ansible_collections.innodb.xtrabackup.tests.support.backups import SlowArchive, options_for
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

MIB = 1 << 20


def add_slow_data(source: MariaDBServer, mib: int) -> None:
    """A table that is copied between the first and the last of the Aria tables, so that this takes its time."""
    source.execute(
        "CREATE DATABASE bulky",
        "CREATE TABLE bulky.t (content LONGBLOB) ENGINE=MyISAM",
        *["INSERT INTO bulky.t VALUES (REPEAT(RANDOM_BYTES(1024), 1024))"] * mib,
    )


def prove(
    make_server: ServerFactory, source: MariaDBServer, load: AriaLoad, backup: Path, record: dict[str, Any]
) -> None:
    """The prepared copy's tables are sound; it catches up with the load, and is equal then."""
    copy = start_copy(make_server, f"copy-{backup.name}", backup, source)
    assert damaged(copy) == []
    replicate(copy, source, record["binlog"]["gtid"])
    load.wait_for(50)
    load.stop()
    checksums.wait_until_caught_up(source, copy)
    checksums.assert_tables_equal(source, copy, at_least=5)
    assert accounts(copy) == accounts(source)
    assert damaged(copy) == []
    copy.stop()


@pytest.mark.parametrize("tool", ["ours", "stock"])
def test_aria_tables_that_are_written_during_a_slow_stream_are_right(
    make_server: ServerFactory, workdir: Path, tool: str
) -> None:
    source = make_server("source", {"aria_checkpoint_interval": 1, "aria_log_file_size": "8M"})
    add_slow_data(source, 50)
    with AriaLoad(source) as load:
        load.wait_for(300)
        sink = SlowArchive(workdir / "backup.xbstream", 12 * MIB)
        record = job.take_backup(options_for(source), sink, Progress("backup"))
        assert record["locks"]["block_ddl"] > 3000, "the tables were not open to writes long enough to prove anything"
        extract_archive(workdir / "backup.xbstream", workdir / "backup")
        PREPARE[tool](workdir / "backup")
        prove(make_server, source, load, workdir / "backup", record)
