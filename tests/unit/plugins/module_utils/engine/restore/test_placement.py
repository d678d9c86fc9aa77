# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup on a host whose options a server with its files could not work with."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.placement import require_fit


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(
    ("record", "noted", "fits"),
    [
        ({"layout": {"lower_case_table_names": 0}}, False, False),
        ({"layout": {"lower_case_table_names": 1}}, True, True),
        # without a manifest, what backup-my.cnf says counts, if it says so
        ({}, True, False),
        ({}, False, True),
    ],
)
def test_names_of_tables_are_compared_with_what_the_backup_tells(
    family: Family, record: dict[str, Any], noted: bool, fits: bool
) -> None:
    configuration = SimpleNamespace(page_size=16384, names_noted=noted, lower_case_table_names=0, data_files=[])
    backup: Any = SimpleNamespace(configuration=configuration, record=record)
    layout: Any = SimpleNamespace(page_size=16384, family=family, lower_case_table_names=1, data_files=[])
    with contextlib.nullcontext() if fits else pytest.raises(InvalidOption, match="lower_case_table_names"):
        require_fit(backup, {}, layout)
