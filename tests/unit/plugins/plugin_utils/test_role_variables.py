# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that nothing reads because a letter is missing."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.plugin_utils.role_variables import misspelt, role_variables


def test_the_variables_of_all_roles_and_of_the_playbooks_are_known() -> None:
    names = {"xtrabackup_primary", "xtrabackup_restore_src", "xtrabackup_console", "xtrabackup_backup_name"}
    assert names | {"xtrabackup_serial", "xtrabackup_install_ready"} <= role_variables()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("xtrabackup_replica_rebuld", "xtrabackup_replica_rebuild"),
        ("xtrabackup_replication_pasword", "xtrabackup_replication_password"),
        ("xtrabackup_throtle", "xtrabackup_throttle"),
        ("xtrabackup_replica_rebuild", None),
        ("xtrabackup_nightly_mail_to", None),
        ("xtrabackup_", None),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest_known_one(name: str, nearest: str | None) -> None:
    assert list(misspelt([name])) == ([] if nearest is None else [(name, nearest)])
