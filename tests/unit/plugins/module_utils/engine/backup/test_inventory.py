# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that cannot be in a backup under their names are refused."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import inventory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnsupportedTable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family


def test_a_database_must_not_be_called_as_a_file_of_a_backup_of_its_family() -> None:
    inventory.require_database_names(["xtrabackup_logfile"], file_kinds.METADATA_NAMES[Family.MARIADB])
    with pytest.raises(UnsupportedTable, match="database xtrabackup_logfile"):
        inventory.require_database_names(["xtrabackup_logfile"], file_kinds.METADATA_NAMES[Family.MYSQL])
