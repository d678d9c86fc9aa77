# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tablespaces MySQL's dictionary says were changed without redo, and which were not copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import (
    CopiedTablespace,
    FileIdentity,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.inventory import InnodbFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.dictionary import (
    MysqlDictionary,
    require_all_copied,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DdlConflict
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import FileEntry


def test_a_built_or_dropped_index_other_flags_and_a_new_tablespace_are_changes() -> None:
    indexes = {number: frozenset({10 * number, 10 * number + 1}) for number in range(1, 6)}
    flags = dict.fromkeys(range(1, 6), 0x4021)
    before = MysqlDictionary({number: f"d/t{number}" for number in range(1, 5)}, flags, indexes)
    now = MysqlDictionary(
        {number: f"d/t{number}" for number in range(1, 6)},
        {**flags, 3: 0x6021},
        {**indexes, 1: indexes[1] | {99}, 2: frozenset({20})},
    )
    assert now.altered_since(before) == {1, 2, 3, 5}


def test_a_tablespace_that_was_not_copied_is_named() -> None:
    file = InnodbFile("d/t1.ibd", Path("/data/d/t1.ibd"), 10)
    copied = {file.path: CopiedTablespace(file, FileIdentity(1, 2, 3), 1, FileEntry(file.path, 10, ""), 0, 1)}
    require_all_copied(MysqlDictionary({1: "d/t1"}, {}, {}), copied)
    with pytest.raises(DdlConflict, match="d/t2"):
        require_all_copied(MysqlDictionary({1: "d/t1", 2: "d/t2"}, {}, {}), copied)
