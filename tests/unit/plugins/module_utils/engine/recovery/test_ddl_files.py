# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stock tool's notes about schema changes."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.ddl_files import apply_ddl_files
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at


def make(root: Path, **files: str) -> None:
    (root / "db").mkdir(exist_ok=True)
    for name, content in files.items():
        (root / "db" / name.replace("__", ".")).write_text(content)


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_nothing_to_do_does_nothing(tmp_path: Path) -> None:
    make(tmp_path, t__ibd="t")
    assert apply_ddl_files(tmp_path) == []
    assert files(tmp_path) == {"db/t.ibd": "t"}


def test_dropped_renamed_and_newer_tables(tmp_path: Path) -> None:
    make(tmp_path, dropped__ibd="x", dropped__del="", old__ibd="o", old__ren="other/new", t__ibd="1", t__new="2")
    assert apply_ddl_files(tmp_path) == ["db/dropped.del", "db/old.ren", "db/t.new"]
    assert files(tmp_path) == {"other/new.ibd": "o", "db/t.ibd": "2"}


def test_tables_that_exchanged_their_names(tmp_path: Path) -> None:
    make(tmp_path, a__ibd="A", b__ibd="B", c__ibd="C", a__ren="db/b", b__ren="db/c", c__ren="db/a")
    apply_ddl_files(tmp_path)
    assert files(tmp_path) == {"db/b.ibd": "A", "db/c.ibd": "B", "db/a.ibd": "C"}


def test_a_new_table_needs_no_older_copy(tmp_path: Path) -> None:
    make(tmp_path, t__new="2")
    apply_ddl_files(tmp_path)
    assert files(tmp_path) == {"db/t.ibd": "2"}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "nodatabase", "a/b/c", ""])
def test_a_rename_out_of_the_backup_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, t__ibd="t", t__ren=name)
    with pytest.raises(FormatError):
        apply_ddl_files(tmp_path)


def test_interrupted_anywhere_it_ends_the_same(tmp_path: Path) -> None:
    """Killed at every change of the file system in turn, the next run completes it."""

    def fill(root: Path) -> None:
        root.mkdir()
        make(root, a__ibd="A", b__ibd="B", a__ren="db/b", b__ren="db/a", d__ibd="D", d__del="", t__ibd="1", t__new="2")

    step, killed = 0, True
    while killed:
        root = tmp_path / str(step)
        fill(root)
        killed = killed_at(step, functools.partial(apply_ddl_files, root))
        apply_ddl_files(root)
        assert files(root) == {"db/b.ibd": "A", "db/a.ibd": "B", "db/t.ibd": "2"}, f"killed at step {step}"
        step += 1
    assert step > 8
