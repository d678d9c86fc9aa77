# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files and records say of full and incremental backups."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.backup_kind import FULL, BackupKind


def test_a_full_backup_is_named_as_the_stock_tools_name_it() -> None:
    assert BackupKind(0, None) == FULL
    assert (FULL.is_full, FULL.copied_type, FULL.info_word) == (True, "full-backuped", "N")
    assert FULL.record() == {"type": "full", "from_lsn": 0}


def test_an_incremental_backup_tells_its_lsn_and_its_parent() -> None:
    kind = BackupKind(46016, "monday")
    assert (kind.is_full, kind.copied_type, kind.info_word) == (False, "incremental", "Y")
    assert kind.record() == {"type": "incremental", "from_lsn": 46016, "parent": "monday"}
    assert BackupKind(46016).record() == {"type": "incremental", "from_lsn": 46016}
