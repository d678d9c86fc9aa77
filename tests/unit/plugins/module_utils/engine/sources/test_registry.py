# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which source is at a location; and that a new kind of source needs nothing but its file and a line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.catalog import describe_path
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import NotABackup
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_source import read_backup
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources import registry
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.place import (
    ArchiveSource,
    DirectorySource,
    PipeSource,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.compare import archive_holds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.selection import Selection
from ansible_collections.innodb.xtrabackup.tests.support.sources import VaultSource
from ansible_collections.innodb.xtrabackup.tests.support.streams import make_archive, some_files, tree

FILES = {
    **some_files(),
    "xtrabackup_checkpoints": b"backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\n",
    "backup-my.cnf": b"[mysqld]\ninnodb_page_size=16384\n",
}


def test_the_source_at_a_path_is_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("directory")
    (tmp_path / "broken").symlink_to("nowhere")
    assert source_at(tmp_path / "directory") == DirectorySource(tmp_path / "directory")
    assert source_at(tmp_path / "link") == DirectorySource(tmp_path / "link")
    assert source_at(str(tmp_path / "file")) == ArchiveSource(tmp_path / "file")
    assert source_at(tmp_path / "pipe") == PipeSource(tmp_path / "pipe")
    assert source_at("/dev/null") == PipeSource(Path("/dev/null"))
    for name in ("broken", "absent"):
        assert source_at(tmp_path / name) == ArchiveSource(tmp_path / name)
        assert not source_at(tmp_path / name).is_there()


def test_a_relative_source_becomes_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    assert source_at("./full").absolute() == DirectorySource(tmp_path / "full")


def test_a_pipe_is_not_read_to_find_out_what_it_holds(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = source_at(tmp_path / "pipe")
    with pytest.raises(NotABackup, match="is not a directory"):
        read_backup(pipe)
    make_archive(tmp_path / "made", FILES)
    assert archive_holds(source_at(tmp_path / "made"), source_at(tmp_path / "made").require_complete(), "")
    assert not archive_holds(pipe, source_at(tmp_path / "made").require_complete(), "")
    assert describe_path(tmp_path / "pipe")[0]["kind"] == "other"


@pytest.mark.parametrize("registered", [True, False])
def test_a_new_source_is_a_class_and_a_line_in_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: bool
) -> None:
    make_archive(tmp_path / "made", FILES, backup={"server": {"flavor": "mariadb"}})
    location = VaultSource.put((tmp_path / "made").read_bytes())
    (tmp_path / "made").unlink()
    if not registered:
        assert not source_at(location).is_there()
        return
    monkeypatch.setattr(registry, "LOCATED", [VaultSource, *registry.LOCATED])
    source = source_at(location)
    assert isinstance(source, VaultSource)
    assert {file.path for file in source.require_complete().files} == set(FILES)
    assert list_archive(source).manifest == source.require_complete()
    assert verify_archive(source) is not None
    extract_archive(source, tmp_path / "part", ExtractOptions(selection=Selection(databases=("shop",))))
    assert "shop/orders.ibd" in tree(tmp_path / "part")
    backup = read_backup(source)
    assert (backup.id, backup.state, backup.checkpoints.last_lsn) == ("backup-1", "copied", 2)
    facts, record = describe_path(location)
    assert (facts["kind"], facts["complete"], facts["id"]) == ("archive", True, "backup-1")
    assert record is not None
