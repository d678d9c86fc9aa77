# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from two looks at MariaDB's dictionary; that it says so, the tests on servers prove."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.inventory import InnodbFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.dictionary import (
    MariadbDictionary,
    Table,
    known_files,
)

BEFORE = MariadbDictionary({5: "d/t.ibd", 6: "d/u.ibd"}, {5: Table(18, "d/t.ibd"), 6: Table(19, "d/u.ibd")})


def files(*paths: str) -> list[InnodbFile]:
    return [InnodbFile(path, Path("/data") / path, 16384) for path in paths]


@pytest.mark.parametrize(
    ("now", "altered"),
    [
        (BEFORE, set()),
        # discarded, and imported again: the table has another id
        (MariadbDictionary(BEFORE.files, {**BEFORE.tables, 5: Table(20, "d/t.ibd")}), {5}),
        # discarded: there is no file to copy again
        (MariadbDictionary({6: "d/u.ibd"}, {6: Table(19, "d/u.ibd")}), set()),
        # made, or imported after it was discarded before
        (
            MariadbDictionary({**BEFORE.files, 7: "d/new.ibd"}, {**BEFORE.tables, 7: Table(21, "d/new.ibd")}),
            {7},
        ),
        # a running ALTER TABLE's, whose table is not in the dictionary yet
        (MariadbDictionary({**BEFORE.files, 8: "d/#sql-alter-1.ibd"}, BEFORE.tables), {8}),
    ],
)
def test_which_tablespaces_are_others_than_before(now: MariadbDictionary, altered: set[int]) -> None:
    assert now.altered_since(BEFORE) == altered


def test_a_tablespace_that_is_only_opened_late_is_the_one_before() -> None:
    assert BEFORE.altered_since(MariadbDictionary({}, BEFORE.tables)) == set()
    assert BEFORE.altered_since(MariadbDictionary({5: "d/t.ibd"}, {6: Table(19, "d/u.ibd")})) == {5}


def test_files_that_the_dictionary_does_not_name_are_none_of_the_data() -> None:
    fulltext = "d/FTS_0000000000000012_CONFIG.ibd"
    listed = files("ibdata1", "undo001", "d/t.ibd", "d/copy.ibd", "e/t.ibd", "d/#sql-alter-9.ibd", fulltext)
    known, unknown = known_files(listed, BEFORE)
    assert [file.path for file in known] == ["ibdata1", "undo001", "d/t.ibd"]
    assert unknown == ["d/copy.ibd", "e/t.ibd"]


def test_files_of_tables_that_are_not_there_are_missing_opened_or_not() -> None:
    dictionary = MariadbDictionary(
        {5: "d/t.ibd", 8: "d/#sql-alter-1.ibd"}, {5: Table(18, "d/t.ibd"), 6: Table(19, "d/p#P#p0.ibd")}
    )
    assert dictionary.missing(files("ibdata1")) == {"d/t.ibd": 5, "d/p#P#p0.ibd": 6}
    assert dictionary.missing(files("d/t.ibd", "d/p#P#p0.ibd")) == {}
