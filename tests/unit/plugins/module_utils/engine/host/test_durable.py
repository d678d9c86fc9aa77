# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durable changes of the file system: what they leave as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable


def test_writing_behind_changes_nothing_of_a_file(tmp_path: Path) -> None:
    content = os.urandom(9 << 20)
    with open(tmp_path / "file", "wb", buffering=0) as target:
        behind = durable.WriteBehind(target.fileno())
        for start in range(0, len(content), 1 << 20):
            target.write(content[start : start + (1 << 20)])
            behind.wrote(start + (1 << 20))
    assert (tmp_path / "file").read_bytes() == content


def test_writing_behind_is_a_hint_that_a_pipe_may_ignore() -> None:
    reading, writing = os.pipe()
    durable.WriteBehind(writing).wrote(1 << 30)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("name", ["t.ibd", "t" * 237, "t" * 238, "t" * 255, "表" * 85])
def test_the_name_of_something_beside_a_file_is_never_too_long(tmp_path: Path, name: str) -> None:
    path = durable.beside(tmp_path / name, ".xtrabackup-staged")
    path.touch()
    assert path.name.endswith(".xtrabackup-staged")
    assert path == durable.beside(tmp_path / name, ".xtrabackup-staged")
    assert path != durable.beside(tmp_path / f"{name[:-1]}x", ".xtrabackup-staged")
    if len(name.encode()) <= 237:
        assert path.name == f"{name}.xtrabackup-staged"
