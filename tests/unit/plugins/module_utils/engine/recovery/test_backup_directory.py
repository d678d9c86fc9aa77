# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup directory says about itself, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupError,
    BackupIncomplete,
    FormatError,
    NotABackup,
    UnsupportedTable,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import (
    IN_PROGRESS_NAME,
    MOVING_NAME,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    is_backup_directory,
    read_backup_directory,
    require_recoverable_files,
)

from .conftest import CHECKPOINTS, CONFIGURATION, Backup


def test_a_stock_backup_has_a_record_from_its_own_files(backup: Backup) -> None:
    found = read_backup_directory(backup.path)
    assert found.id == "0e4cd5b0-aaaa-11f1-9c4e-02fc00000001"
    assert found.record["server"] == {"flavor": "mariadb", "version": "10.11.19-MariaDB-log"}
    assert found.record["binlog"] == {"file": "binlog.000007", "position": 4711, "gtid": "0-1-815"}
    assert (found.state, found.source_sha256, found.manifest) == ("copied", "", None)
    assert found.configuration.undo_tablespaces == 3
    assert found.configuration.data_files[0].autoextend


def test_the_names_of_newer_stock_tools_are_known(backup: Backup) -> None:
    for name in ("checkpoints", "info", "binlog_info"):
        os.rename(backup.path / f"xtrabackup_{name}", backup.path / f"mariadb_backup_{name}")
    found = read_backup_directory(backup.path)
    assert found.checkpoints_name == "mariadb_backup_checkpoints"
    assert found.record["binlog"]["gtid"] == "0-1-815"


def test_our_backup_has_the_record_of_its_manifest(backup: Backup) -> None:
    sha256 = backup.add_manifest()
    found = read_backup_directory(backup.path)
    assert (found.id, found.source_sha256) == ("ours-1", sha256)
    assert found.manifest_is_current


def test_a_prepared_backup_is_still_named_by_its_first_manifest(backup: Backup) -> None:
    backup.put("xtrabackup_checkpoints", CHECKPOINTS.replace("full-backuped", "log-applied"))
    digest = backup.add_manifest(state="prepared", prepared={"source_sha256": "feed" * 16})
    found = read_backup_directory(backup.path)
    # until this host has prepared it, it is named by what it holds
    assert (found.state, found.source_sha256) == ("prepared", digest)
    manifest.note_preparation(backup.path, "feed" * 16)
    found = read_backup_directory(backup.path)
    assert (found.state, found.source_sha256) == ("prepared", "feed" * 16)
    assert found.manifest_is_current


def test_a_manifest_is_not_current_after_the_stock_tool_prepared_it(backup: Backup) -> None:
    backup.add_manifest()
    backup.put("xtrabackup_checkpoints", CHECKPOINTS.replace("full-backuped", "log-applied"))
    found = read_backup_directory(backup.path)
    assert found.state == "prepared"
    assert not found.manifest_is_current


def test_an_interrupted_preparation_is_not_prepared(backup: Backup) -> None:
    backup.put("xtrabackup_checkpoints", CHECKPOINTS.replace("full-backuped", "log-applied"))
    backup.put(IN_PROGRESS_NAME, "{}")
    assert read_backup_directory(backup.path).state == "copied"


def test_what_is_no_backup_is_said(tmp_path: Path, backup: Backup) -> None:
    (tmp_path / "other").mkdir()
    assert not is_backup_directory(tmp_path / "other")
    assert is_backup_directory(backup.path)
    for path in (tmp_path / "other", tmp_path / "absent", backup.path / "ibdata1"):
        with pytest.raises(NotABackup):
            read_backup_directory(path)


@pytest.mark.parametrize("name", ["xtrabackup_checkpoints", "backup-my.cnf"])
def test_a_backup_that_lacks_metadata_is_incomplete(backup: Backup, name: str) -> None:
    backup.add_manifest()
    (backup.path / name).unlink()
    with pytest.raises(BackupIncomplete, match=name):
        read_backup_directory(backup.path)


def test_an_incremental_backup_is_refused(backup: Backup) -> None:
    backup.put("xtrabackup_checkpoints", CHECKPOINTS.replace("full-backuped", "incremental"))
    with pytest.raises(BackupError, match="incremental"):
        read_backup_directory(backup.path)


def test_a_backup_that_is_being_moved_is_not_taken_for_a_whole_one(backup: Backup) -> None:
    backup.put(MOVING_NAME, '{"datadir": "/srv/data"}')
    with pytest.raises(BackupIncomplete, match="/srv/data"):
        read_backup_directory(backup.path)
    assert read_backup_directory(backup.path, being_moved=True).state == "copied"


@pytest.mark.parametrize("line", ["plugin_load=file_key_management", "innodb_encrypt_log=ON"])
def test_encryption_is_refused(backup: Backup, line: str) -> None:
    backup.put("backup-my.cnf", f"{CONFIGURATION}{line}\n")
    with pytest.raises(UnsupportedTable, match="encrypt"):
        read_backup_directory(backup.path)


def test_a_number_that_is_none_is_a_damaged_file(backup: Backup) -> None:
    backup.put("backup-my.cnf", CONFIGURATION.replace("16384", "many"))
    with pytest.raises(FormatError, match=r"backup-my\.cnf"):
        read_backup_directory(backup.path)


def test_a_table_outside_is_refused_before_a_server_could_open_it(backup: Backup) -> None:
    backup.put("shop/far.isl", "/elsewhere/shop/far.ibd")
    with pytest.raises(UnsupportedTable, match=r"far\.isl"):
        require_recoverable_files(backup.path, in_place=True)


def test_links_out_of_the_backup_are_refused(backup: Backup, tmp_path: Path) -> None:
    outside = tmp_path / "live.ibd"
    outside.write_bytes(b"live")
    os.symlink(outside, backup.path / "shop" / "l.ibd")
    with pytest.raises(BackupError, match=r"l\.ibd is a link"):
        require_recoverable_files(backup.path, in_place=False)


def test_a_linked_database_is_refused(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    os.symlink(tmp_path / "live", backup.path / "live")
    with pytest.raises(BackupError, match="is a link"):
        require_recoverable_files(backup.path, in_place=False)


def test_hard_links_matter_only_where_files_are_changed(backup: Backup, tmp_path: Path) -> None:
    os.link(backup.path / "ibdata1", tmp_path / "same")
    require_recoverable_files(backup.path, in_place=False)
    with pytest.raises(BackupError, match="ibdata1 is a link"):
        require_recoverable_files(backup.path, in_place=True)


@pytest.mark.parametrize("name", ["shop/other.ibd.zst", "shop/other.ibd.qp", "shop/other.ibd.xbcrypt"])
def test_packed_files_are_refused(backup: Backup, name: str) -> None:
    backup.put(name, b"packed")
    with pytest.raises(BackupIncomplete, match="still packed"):
        require_recoverable_files(backup.path, in_place=True)


def test_rocksdb_is_refused(backup: Backup) -> None:
    (backup.path / "#rocksdb").mkdir()
    with pytest.raises(UnsupportedTable, match="MyRocks"):
        require_recoverable_files(backup.path, in_place=True)
