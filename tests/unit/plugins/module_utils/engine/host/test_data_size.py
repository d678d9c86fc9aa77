# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as data, and what of it takes room."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.data_size import data_bytes, stored_bytes

PAGE = 16384


def write(path: Path, count: int = PAGE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"x" * count)
        os.fsync(file.fileno())


def test_files_that_a_backup_copies_count_once(tmp_path: Path) -> None:
    data, undo, disk = tmp_path / "data", tmp_path / "undo", tmp_path / "disk"
    for path in (data / "ibdata1", data / "shop" / "a.ibd", data / "shop" / "b.MYD", undo / "undo001", disk / "c.ibd"):
        write(path)
    (data / "crm").symlink_to(disk)
    for name in ("binlog.000001", "ib_logfile0", "ibtmp1", "error.log"):
        write(data / name)
    # a backup that somebody keeps there, and a link in a circle
    write(data / "backup" / "ibdata1")
    (data / "loop").symlink_to("loop")
    assert data_bytes(data, [undo, data]) == 5 * PAGE


def test_holes_take_no_room(tmp_path: Path) -> None:
    write(tmp_path / "ibdata1")
    os.truncate(tmp_path / "ibdata1", 1 << 30)
    assert PAGE <= data_bytes(tmp_path, []) < 1 << 20


def test_a_tree_takes_what_its_files_take(tmp_path: Path) -> None:
    write(tmp_path / "in" / "deep" / "file")
    write(tmp_path / "in" / "file")
    assert stored_bytes(tmp_path / "in") == 2 * PAGE
    assert stored_bytes(tmp_path / "nosuch") == 0
    assert data_bytes(tmp_path / "nosuch", []) == 0
