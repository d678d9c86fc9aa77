# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The redo log in a directory of MariaDB's, before it is recovered."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnsupportedServer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb.family import read_redo
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.recovery.conftest import (
    Backup,
    redo_log,
)


def test_the_log_is_read_and_an_encrypted_one_refused(backup: Backup) -> None:
    header, checkpoint = read_redo(read_backup_directory(backup.path))
    assert (header.creator, header.first_lsn) == ("Backup 10.11.19", 20000)
    assert checkpoint is not None
    log = bytearray(redo_log())
    log[0:4] = bytes.fromhex("f09f979d")
    backup.put("ib_logfile0", bytes(log))
    with pytest.raises(UnsupportedServer, match="encrypted"):
        read_redo(read_backup_directory(backup.path))
