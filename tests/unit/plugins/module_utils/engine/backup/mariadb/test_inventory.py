# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a MariaDB server are found, as which kind, in which order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import inventory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb import (
    inventory as mariadb_inventory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnsupportedServer, UnsupportedTable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_names import encode_name
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout


def _layout(datadir: Path, data_file_path: str = "ibdata1:12M:autoextend") -> ServerLayout:
    return ServerLayout.from_variables(
        {
            "datadir": str(datadir),
            "innodb_data_file_path": data_file_path,
            "innodb_undo_directory": "./",
            "innodb_log_group_home_dir": "./",
            "aria_log_dir_path": str(datadir),
        }
    )


@pytest.fixture(name="datadir")
def _datadir(tmp_path: Path) -> Path:
    for name, size in {
        "ibdata1": 300,
        "undo001": 200,
        "undo002": 10,
        "ibtmp1": 5000,
        "ib_logfile0": 100,
        "ib_buffer_pool": 1,
        "aria_log_control": 52,
        "aria_log.00000001": 16,
        "multi-master.info": 1,
        "shop/t.ibd": 400,
        "shop/t.frm": 1,
        "shop/#sql-alter-1-2.ibd": 50,
        "shop/#sql-alter-1-2.frm": 50,
        "shop/m.MYD": 7,
        "shop/m.MYI": 7,
        "shop/t.TRG": 3,
        "shop/db.opt": 3,
        "shop/notes.txt": 3,
        "mysql/general_log.CSV": 3,
        "mysql/general_log.CSM": 3,
        "mysql/table_stats.MAD": 3,
        "mysql/user.MAD": 3,
        ".hidden/x.ibd": 9,
        "lost+found/x.ibd": 9,
        "#binlog_cache_files/ML_1": 9,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_innodb_files_are_listed_largest_first_with_undo_and_system_tablespaces(datadir: Path) -> None:
    found = mariadb_inventory.innodb_files(_layout(datadir))
    assert [file.path for file in found] == [
        "shop/t.ibd",
        "ibdata1",
        "undo001",
        "shop/#sql-alter-1-2.ibd",
        "undo002",
    ]
    assert [file.system_index for file in found] == [None, 0, None, None, None]


def test_files_of_the_system_tablespace_are_counted_in_the_order_of_the_option(datadir: Path) -> None:
    (datadir / "ibdata2").write_bytes(b"x" * 999)
    found = mariadb_inventory.innodb_files(_layout(datadir, "ibdata1:12M;ibdata2:50M:autoextend"))
    assert {file.path: file.system_index for file in found if file.system_index is not None} == {
        "ibdata1": 0,
        "ibdata2": 1,
    }


def test_a_raw_device_is_refused(datadir: Path) -> None:
    with pytest.raises(UnsupportedServer, match="raw device"):
        mariadb_inventory.innodb_files(_layout(datadir, "/dev/sda1:10Graw"))


def test_a_table_with_a_data_directory_of_its_own_is_refused_by_name(datadir: Path) -> None:
    (datadir / "shop/far.isl").write_text("/elsewhere/shop/far.ibd")
    with pytest.raises(UnsupportedTable, match="shop/far"):
        mariadb_inventory.innodb_files(_layout(datadir))


def test_other_files_are_classified_and_what_is_unknown_is_named(datadir: Path) -> None:
    found = mariadb_inventory.plain_files(_layout(datadir))
    assert {file.path: file.kind.name for file in found.files} == {
        "shop/t.frm": "DEFINITION",
        "shop/m.MYD": "TABLE",
        "shop/m.MYI": "TABLE",
        "shop/t.TRG": "DEFINITION",
        "shop/db.opt": "DEFINITION",
        "mysql/general_log.CSV": "LOG_TABLE",
        "mysql/general_log.CSM": "LOG_TABLE",
        "mysql/table_stats.MAD": "STATISTICS",
        "mysql/user.MAD": "TABLE",
    }
    assert found.empty_databases == ("empty",)
    assert found.unknown == ("shop/notes.txt",)


def test_what_only_has_the_name_of_a_file_and_links_to_nowhere_are_no_files(datadir: Path) -> None:
    (datadir / "undo003").mkdir()
    (datadir / "undo003/t.frm").write_bytes(b"x")
    os.symlink("circle", datadir / "circle")
    os.symlink("circle.ibd", datadir / "shop/circle.ibd")
    os.symlink("circle.MYD", datadir / "shop/circle.MYD")
    os.symlink("/nowhere", datadir / "shop/unmounted.MYI")
    assert {"undo003", "shop/circle.ibd"}.isdisjoint(
        file.path for file in mariadb_inventory.innodb_files(_layout(datadir))
    )
    found = mariadb_inventory.plain_files(_layout(datadir))
    assert "undo003/t.frm" in {file.path for file in found.files}
    assert found.unknown == ("shop/circle.MYD", "shop/notes.txt", "shop/unmounted.MYI")


def test_a_database_that_is_called_as_a_file_of_every_backup_is_refused(datadir: Path) -> None:
    (datadir / "xtrabackup_info").mkdir()
    with pytest.raises(UnsupportedTable, match="database xtrabackup_info"):
        names = [database.name for database in mariadb_inventory.databases(_layout(datadir))]
        inventory.require_database_names(names, file_kinds.METADATA_NAMES[Family.MARIADB])


def test_tables_in_memory_are_known_by_their_definitions(datadir: Path) -> None:
    name = "m\u00e4h"
    (datadir / "shop").mkdir(exist_ok=True)
    (datadir / "shop" / f"{encode_name(name)}.frm").write_bytes(bytes.fromhex("fe010a06") + bytes(60))
    (datadir / "shop" / "innodb.frm").write_bytes(bytes.fromhex("fe010a0c") + bytes(60))
    (datadir / "shop" / "seen.frm").write_bytes(b"TYPE=VIEW\n")
    (datadir / "shop" / "short.frm").write_bytes(b"\xfe")
    files = mariadb_inventory.plain_files(_layout(datadir)).files
    (datadir / "shop" / "innodb.frm").unlink()  # dropped meanwhile
    assert mariadb_inventory.memory_tables(files) == [f"shop.{name}"]
