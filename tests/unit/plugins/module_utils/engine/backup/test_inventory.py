# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are found, as which kind, in which order; and what counts as changed by DDL."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import ddl_watch, inventory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import (
    CopiedTablespace,
    CopierContext,
    FileIdentity,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    UnsupportedServer,
    UnsupportedTable,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import metadata
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_names import encode_name
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import FileEntry
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import Layout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import SinkFile


def _no_file(path: str) -> SinkFile:
    raise AssertionError(f"nothing is copied here: {path}")


CONTEXT = CopierContext(16384, _no_file, threading.Event(), Progress("backup"))


def _layout(datadir: Path, data_file_path: str = "ibdata1:12M:autoextend") -> Layout:
    return Layout.from_variables(
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
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_innodb_files_are_listed_largest_first_with_undo_and_system_tablespaces(datadir: Path) -> None:
    found = inventory.innodb_files(_layout(datadir))
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
    found = inventory.innodb_files(_layout(datadir, "ibdata1:12M;ibdata2:50M:autoextend"))
    assert {file.path: file.system_index for file in found if file.system_index is not None} == {
        "ibdata1": 0,
        "ibdata2": 1,
    }


def test_a_raw_device_is_refused(datadir: Path) -> None:
    with pytest.raises(UnsupportedServer, match="raw device"):
        inventory.innodb_files(_layout(datadir, "/dev/sda1:10Graw"))


def test_a_table_with_a_data_directory_of_its_own_is_refused_by_name(datadir: Path) -> None:
    (datadir / "shop/far.isl").write_text("/elsewhere/shop/far.ibd")
    with pytest.raises(UnsupportedTable, match="shop/far"):
        inventory.innodb_files(_layout(datadir))


def test_other_files_are_classified_and_what_is_unknown_is_named(datadir: Path) -> None:
    found = inventory.plain_files(_layout(datadir))
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
    assert {"undo003", "shop/circle.ibd"}.isdisjoint(file.path for file in inventory.innodb_files(_layout(datadir)))
    found = inventory.plain_files(_layout(datadir))
    assert "undo003/t.frm" in {file.path for file in found.files}
    assert found.unknown == ("shop/circle.MYD", "shop/notes.txt", "shop/unmounted.MYI")


def test_a_database_that_is_called_as_a_file_of_every_backup_is_refused(datadir: Path) -> None:
    (datadir / "xtrabackup_info").mkdir()
    with pytest.raises(UnsupportedTable, match="database xtrabackup_info"):
        names = [database.name for database in inventory.databases(_layout(datadir))]
        inventory.require_database_names(names, metadata.NAMES["mariadb"])
    inventory.require_database_names(["xtrabackup_logfile"], metadata.NAMES["mariadb"])
    with pytest.raises(UnsupportedTable, match="database xtrabackup_logfile"):
        inventory.require_database_names(["xtrabackup_logfile"], metadata.NAMES["mysql"])


def _copy(file: inventory.InnodbFile, identity: FileIdentity, size: int | None = None) -> CopiedTablespace:
    entry = FileEntry(file.path, file.size if size is None else size, "digest")
    return CopiedTablespace(file, identity, 7, entry, 0, 1)


def test_changes_are_found_by_path_identity_and_tablespace_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        name: inventory.InnodbFile(f"d/{name}.ibd", tmp_path / name, 10)
        for name in ("same", "truncated", "recreated", "new", "void", "dropped", "void_and_dropped")
    }
    life = FileIdentity(1, 2, 3)
    now = {
        "same": (life, 7),
        "truncated": (life, 8),  # TRUNCATE gives a new tablespace id, perhaps in the same inode
        "recreated": (FileIdentity(1, 2, 4), 7),  # IMPORT keeps the id, the inode's generation differs
    }
    monkeypatch.setattr(ddl_watch, "read_identity", lambda file, _context: now[file.source.name])
    copied = {files[name].path: _copy(files[name], life) for name in ("same", "truncated", "recreated", "dropped")}
    present = [files[name] for name in ("same", "truncated", "recreated", "new", "void")]
    changes = ddl_watch.compare(copied, {"d/void.ibd", "d/void_and_dropped.ibd"}, present, CONTEXT)
    assert [file.path for file in changes.add] == ["d/new.ibd"]
    assert [file.path for file in changes.replace] == ["d/truncated.ibd", "d/recreated.ibd", "d/void.ibd"]
    assert changes.discard == ("d/dropped.ibd", "d/void_and_dropped.ibd")
    assert changes.bytes_to_copy == 40


def test_an_undo_tablespace_is_not_copied_again_when_it_has_shrunk(tmp_path: Path) -> None:
    life = FileIdentity(1, 2, 3)
    grown = inventory.InnodbFile("undo001", tmp_path / "undo001", 500)
    shrunk = inventory.InnodbFile("undo002", tmp_path / "undo002", 100)
    copied = {"undo001": _copy(grown, life, size=300), "undo002": _copy(shrunk, life, size=300)}
    assert ddl_watch.compare(copied, (), [grown, shrunk], CONTEXT).replace == ()


def test_a_file_that_took_the_inode_of_a_removed_one_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "t.ibd"
    seen = set()
    for _life in range(20):
        path.write_bytes(b"x")
        descriptor = os.open(path, os.O_RDONLY)
        seen.add(FileIdentity.of(descriptor))
        os.close(descriptor)
        path.unlink()
    assert len(seen) == 20


def test_tables_in_memory_are_known_by_their_definitions(datadir: Path) -> None:
    name = "m\u00e4h"
    (datadir / "shop").mkdir(exist_ok=True)
    (datadir / "shop" / f"{encode_name(name)}.frm").write_bytes(bytes.fromhex("fe010a06") + bytes(60))
    (datadir / "shop" / "innodb.frm").write_bytes(bytes.fromhex("fe010a0c") + bytes(60))
    (datadir / "shop" / "seen.frm").write_bytes(b"TYPE=VIEW\n")
    (datadir / "shop" / "short.frm").write_bytes(b"\xfe")
    files = inventory.plain_files(_layout(datadir)).files
    (datadir / "shop" / "innodb.frm").unlink()  # dropped meanwhile
    assert inventory.memory_tables(files) == [f"shop.{name}"]
