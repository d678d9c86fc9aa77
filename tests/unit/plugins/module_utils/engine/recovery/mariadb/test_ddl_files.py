# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stock tool's notes about schema changes."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb.ddl_files import apply_ddl_files
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


@pytest.mark.parametrize("longest", [1, 251])
def test_tables_that_exchanged_their_names(tmp_path: Path, longest: int) -> None:
    a, b, c = (letter * longest for letter in "abc")
    content = {f"{a}__ibd": "A", f"{b}__ibd": "B", f"{c}__ibd": "C"}
    content |= {f"{a}__ren": f"db/{b}", f"{b}__ren": f"db/{c}", f"{c}__ren": f"db/{a}"}
    make(tmp_path, **content)
    apply_ddl_files(tmp_path)
    assert files(tmp_path) == {f"db/{b}.ibd": "A", f"db/{c}.ibd": "B", f"db/{a}.ibd": "C"}


def test_a_new_table_needs_no_older_copy(tmp_path: Path) -> None:
    make(tmp_path, t__new="2")
    apply_ddl_files(tmp_path)
    assert files(tmp_path) == {"db/t.ibd": "2"}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "nodatabase", "a/b/c", ""])
def test_a_rename_out_of_the_backup_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, t__ibd="t", t__ren=name)
    with pytest.raises(FormatError):
        apply_ddl_files(tmp_path)


@pytest.mark.parametrize("longest", [1, 251])
def test_interrupted_anywhere_it_ends_the_same(tmp_path: Path, longest: int) -> None:
    """Killed at every change of the file system in turn, the next run completes it."""
    a, b = "a" * longest, "b" * longest
    notes = {f"{a}__ibd": "A", f"{b}__ibd": "B", f"{a}__ren": f"db/{b}", f"{b}__ren": f"db/{a}"}
    notes |= {"d__ibd": "D", "d__del": "", "t__ibd": "1", "t__new": "2"}

    def fill(root: Path) -> None:
        root.mkdir()
        make(root, **notes)

    step, killed = 0, True
    while killed:
        root = tmp_path / str(step)
        fill(root)
        killed = killed_at(step, functools.partial(apply_ddl_files, root))
        apply_ddl_files(root)
        assert files(root) == {f"db/{b}.ibd": "A", f"db/{a}.ibd": "B", "db/t.ibd": "2"}, f"killed at step {step}"
        step += 1
    assert step > 8
