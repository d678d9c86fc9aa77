# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing archives of MariaDB's backups; test_mysql_backup_kinds.py has MySQL's, test_prepare.py what both have."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.backups import options_for
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_zoo
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.preparing import PREPARING

KEY = bytes(range(32))


@pytest.mark.parametrize("encrypted", [False, True])
def test_an_archive_is_unpacked_and_prepared(make_server: ServerFactory, workdir: Path, encrypted: bool) -> None:
    preparing = PREPARING[Family.MARIADB]
    source, replica = make_server("source"), make_server("replica", start=False)
    create_zoo(source)
    key = KEY if encrypted else None
    with WriteLoad(source) as load:
        load.wait_for(100)
        sink = ArchiveSink(workdir / "full.xbstream", compress=Compression("zstd", 1, 2), encrypt_key=key)
        job.take_backup(options_for(source), sink, Progress("backup"))
    result = preparing.prepare(workdir / "full.xbstream", workdir / "ready", decrypt_key=key)
    assert result.record["prepared"]["recovered_lsn"] == result.record["last_lsn"]
    with preparing.started_on(replica, workdir / "ready"):
        check_invariants(replica)
    assert not preparing.prepare(workdir / "full.xbstream", workdir / "ready", decrypt_key=key).changed
