# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a MariaDB server that make a backup unsafe are named."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.support import (
    refusals_of_variables,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("innodb_encrypt_log", "ON"),
        ("innodb_encrypt_tables", "FORCE"),
        ("innodb_encrypt_tables", "ON"),
        ("aria_encrypt_tables", "ON"),
        ("innodb_log_archive", "ON"),
        ("binlog_storage_engine", "innodb"),
    ],
)
def test_settings_that_make_a_backup_unsafe_are_named(name: str, value: str) -> None:
    (reason,) = refusals_of_variables({"innodb_encrypt_log": "OFF", name: value})
    assert name in reason


def test_an_ordinary_configuration_is_not_refused() -> None:
    ordinary = {
        "innodb_encrypt_log": "OFF",
        "innodb_encrypt_tables": "OFF",
        "aria_encrypt_tables": "OFF",
        "innodb_log_archive": "OFF",
        "binlog_storage_engine": "",
    }
    assert refusals_of_variables(ordinary) == []
