# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where MySQL's files are, under which names a backup has them, and which of them it records."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import tablespaces
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.tablespaces import RecordedTablespace
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql import (
    tablespaces as mysql_tablespaces,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.tablespaces import (
    Tablespace,
    backup_path,
)

DATADIR = Path("/var/lib/mysql")
LAYOUT = ServerLayout.from_variables({"datadir": f"{DATADIR}/"})
KNOWN = {
    Tablespace(2, "d/t", "./d/t.ibd"): "d/t.ibd",
    Tablespace(3, "my-db/t-1 ü", "./my@002ddb/t@002d1@0020@1o.ibd"): "my@002ddb/t@002d1@0020@1o.ibd",
    Tablespace(4, "d/far#p#p0", "/data/other/d/far#p#p0.ibd"): "d/far#p#p0.ibd",
    Tablespace(5, "general", "./general.ibd"): "general.ibd",
    Tablespace(6, "deep", "./a/b/deep.ibd"): "a/b/deep.ibd",
    Tablespace(7, "far_general", "/data/d/far_general.ibd"): "far_general.ibd",
    Tablespace(8, "innodb_undo_001", "./undo_001", undo=True): "undo_001",
    Tablespace(9, "more", "/data/undo/more.ibu", undo=True): "more.ibu",
    Tablespace(10, "below", "./undo/below.ibu", undo=True): "below.ibu",
}


@pytest.mark.parametrize("tablespace", KNOWN, ids=lambda tablespace: tablespace.name)
def test_names_in_the_backup(tablespace: Tablespace) -> None:
    assert backup_path(tablespace, LAYOUT) == KNOWN[tablespace]
    # what only looks like the data directory is outside of it
    assert tablespace.path(LAYOUT).is_absolute()
    other = Tablespace(1, "d/t", "/var/lib/mysql2/d/t.ibd")
    assert backup_path(other, LAYOUT) == "d/t.ibd"


def test_a_relative_name_of_an_undo_tablespace_may_be_meant_from_their_directory(tmp_path: Path) -> None:
    layout = ServerLayout.from_variables(
        {"datadir": str(tmp_path / "data"), "innodb_undo_directory": str(tmp_path / "undo")}
    )
    more = Tablespace(9, "more", "./more.ibu", undo=True)
    assert more.path(layout) == tmp_path / "undo/more.ibu"
    (tmp_path / "data").mkdir()
    (tmp_path / "data/more.ibu").touch()
    assert more.path(layout) == tmp_path / "data/more.ibu"


def test_undo_tablespaces_and_those_from_outside_are_recorded() -> None:
    recorded = tablespaces.parse(
        tablespaces.render(mysql_tablespaces.recorded(LAYOUT, KNOWN)).encode(), "xtrabackup_tablespaces"
    )
    assert recorded == [
        RecordedTablespace(DATADIR / "undo/below.ibu", "below", undo=True),
        RecordedTablespace(Path("/data/other/d/far#p#p0.ibd"), "d/far#p#p0", undo=False),
        RecordedTablespace(Path("/data/d/far_general.ibd"), "far_general", undo=False),
        RecordedTablespace(DATADIR / "undo_001", "innodb_undo_001", undo=True),
        RecordedTablespace(Path("/data/undo/more.ibu"), "more", undo=True),
    ]
    assert [entry.backup_path for entry in recorded] == [
        "below.ibu",
        "d/far#p#p0.ibd",
        "far_general.ibd",
        "undo_001",
        "more.ibu",
    ]


def test_the_list_is_written_as_perconas_tool_does() -> None:
    known = [Tablespace(4, "d/tä", "/data/d/t@0e4.ibd"), Tablespace(8, "innodb_undo_001", "./undo_001", undo=True)]
    assert tablespaces.render(mysql_tablespaces.recorded(LAYOUT, known)) == (
        '{"version":2,"external_tablespaces":['
        '{"file_name":"/data/d/t@0e4.ibd","tablespace_name":"d/tä","tablespace_type":"TABLESPACE"},'
        '{"file_name":"/var/lib/mysql/undo_001","tablespace_name":"innodb_undo_001","tablespace_type":"UNDO_LOG"}]}'
    )
    assert tablespaces.parse(tablespaces.render(mysql_tablespaces.recorded(LAYOUT, [])).encode(), "x") == []
