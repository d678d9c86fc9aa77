# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a MySQL server are in a backup, and under which names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.inventory import Kind
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.inventory import (
    innodb_files,
    plain_files,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import StorageError, UnsupportedTable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.tablespaces import Tablespace

NOT_COPIED = (
    "#ib_16384_0.dblwr",
    "#innodb_redo/#ib_redo7",
    "#innodb_temp/temp_1.ibt",
    "#rocksdb/x.ibd",
    ".hidden/x.ibd",
    "lost+found/x.ibd",
    "auto.cnf",
    "binlog.000001",
    "binlog.index",
    "ca-key.pem",
    "ib_buffer_pool",
    "ibtmp1",
    "mysql_upgrade_history",
    "server.pid",
    "undo_01",
    "undo_0011",
    "x.ibd.bak",
)


def make(directory: Path, *names: str, size: int = 10) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(bytes(size))


def layout_of(directory: Path, **variables: str) -> ServerLayout:
    return ServerLayout.from_variables(
        {"datadir": str(directory / "data"), "innodb_data_file_path": "ibdata1:12M:autoextend", **variables}
    )


def test_files_are_found_in_the_data_directory_and_by_the_dictionary(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make(data, "ibdata1", size=100)
    make(data, "mysql.ibd", "general.ibd", "user.ibu", "undo_001", "d/t.ibd", "d/#sql-ib1.ibd", "d/a/deep.ibd")
    make(data, *NOT_COPIED)
    make(tmp_path / "far", "d/far.ibd", "far_general.ibd", "far.ibu", "d/nobodys.ibd")
    known = [
        Tablespace(1, "d/t", "./d/t.ibd"),
        Tablespace(2, "d/far", str(tmp_path / "far/d/far.ibd")),
        Tablespace(3, "far_general", str(tmp_path / "far/far_general.ibd")),
        Tablespace(4, "far_undo", str(tmp_path / "far/far.ibu"), undo=True),
        Tablespace(5, "deep", "./d/a/deep.ibd"),
        Tablespace(6, "d/dropped_just_now", "./d/dropped_just_now.ibd"),
        Tablespace(7, "innodb_undo_001", "./undo_001", undo=True),
    ]
    found = {file.path: file for file in innodb_files(layout_of(tmp_path), known)}
    assert list(found) == [
        "ibdata1",
        "d/#sql-ib1.ibd",
        "d/a/deep.ibd",
        "d/far.ibd",
        "d/t.ibd",
        "far.ibu",
        "far_general.ibd",
        "general.ibd",
        "mysql.ibd",
        "undo_001",
        "user.ibu",
    ]
    assert found["d/far.ibd"].source == tmp_path / "far/d/far.ibd"
    assert (found["ibdata1"].system_index, found["mysql.ibd"].system_index) == (0, None)
    assert [path for path, file in found.items() if not file.replaceable] == ["ibdata1"]


def test_undo_tablespaces_and_system_files_may_have_directories_of_their_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make(data, "sys/a/ibdata1", "ibdata2", "undo_001", "d/t.ibd")
    make(tmp_path / "undo", "undo_001", "undo_002", "more.ibu", "else", size=20)
    layout = layout_of(
        tmp_path, innodb_undo_directory=str(tmp_path / "undo"), innodb_data_file_path="sys/a/ibdata1:12M;ibdata2:12M"
    )
    known = [Tablespace(4, "more", str(tmp_path / "undo/more.ibu"), undo=True)]
    found = {file.path: (file.source.parent, file.system_index) for file in innodb_files(layout, known)}
    assert found == {
        "undo_001": (tmp_path / "undo", None),
        "undo_002": (tmp_path / "undo", None),
        "more.ibu": (tmp_path / "undo", None),
        "ibdata1": (data / "sys/a", 0),
        "ibdata2": (data, 1),
        "d/t.ibd": (data / "d", None),
    }


def test_two_files_of_one_name_are_refused_and_one_file_of_two_names_is_not(tmp_path: Path) -> None:
    make(tmp_path / "data", "ibdata1", "d/t.ibd")
    make(tmp_path / "far", "ts.ibd")
    make(tmp_path / "farther", "ts.ibd")
    (tmp_path / "link").symlink_to(tmp_path / "far")
    layout = layout_of(tmp_path)
    one, other = (
        Tablespace(number, f"ts{number}", str(tmp_path / f"{place}/ts.ibd"))
        for number, place in enumerate(("far", "farther"))
    )
    linked = Tablespace(3, "ts3", str(tmp_path / "link/ts.ibd"))
    assert len(innodb_files(layout, [one, linked])) == 3
    with pytest.raises(UnsupportedTable, match=r"far/ts\.ibd and .*farther/ts\.ibd would both be ts\.ibd") as caught:
        innodb_files(layout, [one, other])
    assert caught.value.details["path"] == "ts.ibd"
    (tmp_path / "farther/ts.ibd").unlink()
    assert len(innodb_files(layout, [one, other])) == 3


def test_files_of_other_engines_have_their_kinds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make(data, "d/m.MYD", "d/m.MYI", "d/m_12.sdi", "d/a.ARZ", "d/c.CSV", "d/c.CSM", "d/merged.MRG", "d/db.opt")
    make(data, "d/t.ibd", "d/#sql-12.MYD", "d/t.cfg", "d/old.frm", "mysql/general_log.CSV", "mysql/general_log.CSM")
    make(data, "mysql/general_log_2.sdi", "mysql/slow_log.CSV", "performance_schema/hosts_1.sdi", *NOT_COPIED)
    (data / "empty").mkdir()
    found = plain_files(layout_of(tmp_path))
    assert {file.path: file.kind for file in found.files} == {
        **{f"d/{name}": Kind.TABLE for name in ("m.MYD", "m.MYI", "a.ARZ", "c.CSV", "c.CSM", "merged.MRG")},
        **{f"d/{name}": Kind.DEFINITION for name in ("m_12.sdi", "db.opt")},
        **{f"mysql/{name}": Kind.LOG_TABLE for name in ("general_log.CSV", "general_log.CSM", "slow_log.CSV")},
        "mysql/general_log_2.sdi": Kind.DEFINITION,
        "performance_schema/hosts_1.sdi": Kind.DEFINITION,
    }
    assert found.empty_databases == ("empty",)
    assert found.unknown == ("d/old.frm", "d/t.cfg")


def test_a_data_directory_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="data"):
        innodb_files(layout_of(tmp_path), [])
    with pytest.raises(StorageError, match="data"):
        plain_files(layout_of(tmp_path))
