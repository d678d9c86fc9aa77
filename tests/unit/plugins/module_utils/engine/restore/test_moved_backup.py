# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of a backup whose files were moved away, and is removed."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import FileEntry, Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.moved_backup import remove_moved


def test_a_database_that_is_called_like_metadata_is_removed_as_any_other(tmp_path: Path) -> None:
    source = tmp_path / "backup"
    names = ("xtrabackup_db/t.MYD", "shop/t.MYD", "backup-my.cnf", "xtrabackup_info")
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"x")
    manifest = Manifest({"id": "1"}, tuple(FileEntry(name, 1, "") for name in names))
    (source / "xtrabackup_manifest.json").write_bytes(manifest.render())
    assert remove_moved(source) == []
    assert not source.exists()
