# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Aria tables are counted after recovery, and what is done with a number that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import RecoveryFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb.aria_counts import (
    AriaCounts,
    parse_wrong,
)


def write(directory: Path, name: str, offset: int) -> None:
    """An index file whose state is of the LSN (1, ``offset``)."""
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.MAI").write_bytes(bytes(35) + b"\1\0\0" + offset.to_bytes(4, "little") + bytes(100))


def test_only_tables_that_recovery_has_changed_are_counted_and_wrong_ones_again_after_repair(tmp_path: Path) -> None:
    for name in ("a", "b", "idle"):
        write(tmp_path / "d", name, 100)
    counts = AriaCounts(tmp_path, resumed=False)
    for name in ("a", "b"):
        write(tmp_path / "d", name, 200)
    assert counts.next_paths() == ["d/a", "d/b"]
    assert counts.counted([1]) == ["d/b"]
    assert counts.next_paths() == ["d/b"]
    assert counts.counted([]) == []
    assert counts.next_paths() == []


def test_a_number_that_repair_does_not_make_right_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "d", "t", 100)
    counts = AriaCounts(tmp_path, resumed=False)
    write(tmp_path / "d", "t", 200)
    assert counts.counted([0]) == ["d/t"]
    with pytest.raises(RecoveryFailed, match="d/t"):
        counts.counted([0])


def test_tables_are_counted_in_parts(tmp_path: Path) -> None:
    names = [f"t{number:03d}" for number in range(120)]
    for name in names:
        write(tmp_path / "d", name, 100)
    counts = AriaCounts(tmp_path, resumed=False)
    for name in names:
        write(tmp_path / "d", name, 200)
    seen = []
    while paths := counts.next_paths():
        seen += paths
        assert counts.counted([]) == []
    assert seen == [f"d/{name}" for name in names]


def test_after_a_run_that_was_killed_all_tables_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "d", "t", 200)
    assert AriaCounts(tmp_path, resumed=True).next_paths() == ["d/t"]
    assert AriaCounts(tmp_path, resumed=False).next_paths() == []


@pytest.mark.parametrize(("text", "wrong"), [("", None), ("0,3,", None), ("\n", []), ("0,3,\n", [0, 3])])
def test_an_answer_is_read_when_it_is_all_there(text: str, wrong: list[int] | None) -> None:
    assert parse_wrong(text) == wrong
