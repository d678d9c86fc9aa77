# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The LSN at which a checkpoint has collected the states of Aria tables, from what is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.inventory import Kind, PlainFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb import aria_checkpoint
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.aria_checkpoint import (
    CheckpointStates,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.aria import Horizon, Lsn
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.format.test_aria import head

CHECKPOINT = ((1, 100), (1, 200))


class Disk:
    """Index files in ``directory`` and the newest checkpoint, which both change when the test says so."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: list[PlainFile] = []
        self.checkpoint: tuple[Lsn, Lsn] | None = CHECKPOINT
        self.later: Iterator[tuple[Lsn, Lsn]] = iter(())

    def write(self, *offsets: int) -> None:
        """A state of each of these LSNs in the first log file, each of another table."""
        self._files = []
        for number, offset in enumerate(offsets):
            path = self._directory / f"t{number}.MAI"
            path.write_bytes(head()[:35] + b"\1\0\0" + offset.to_bytes(4, "little") + head()[42:])
            self._files.append(PlainFile(f"d/{path.name}", path, Kind.TABLE, 1))

    def find(self) -> tuple[Lsn, Lsn] | None:
        """The newest checkpoint."""
        self.checkpoint = next(self.later, self.checkpoint)
        return self.checkpoint

    def states(self) -> CheckpointStates:
        """What is to be tested."""
        return CheckpointStates(self.find, lambda: self._files)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(aria_checkpoint, "_TIMEOUT", 0.2)
    return Disk(tmp_path)


def test_the_states_of_a_checkpoint_are_of_the_first_lsn_that_several_of_them_have(disk: Disk) -> None:
    # 105 and 150: tables that were closed before and after it collected the states
    disk.write(7, 105, 110, 110, 150, 30, 160, 160, 160)
    assert disk.states().find_horizon() == Horizon((1, 100), (1, 110))


def test_the_lsn_of_a_single_state_tells_nothing_of_the_others(disk: Disk) -> None:
    disk.write(7, 150, 30, 180)
    assert disk.states().find_horizon() == Horizon((1, 100), (1, 100))


def test_a_checkpoint_that_wrote_no_state_collected_them_where_it_began(disk: Disk) -> None:
    disk.write(7, 99)
    assert disk.states().find_horizon() == Horizon((1, 100), (1, 100))


def test_no_checkpoint_has_no_horizon(disk: Disk) -> None:
    disk.checkpoint = None
    disk.write(7)
    assert disk.states().find_horizon() is None


def test_what_was_seen_before_tables_were_closed_counts_as_long_as_the_checkpoint_is_the_newest(disk: Disk) -> None:
    disk.write(110, 110, 7)
    states = disk.states()
    states.note_newest()
    disk.write(250, 250, 7)
    states.tables_were_closed()
    assert states.find_horizon() == Horizon((1, 100), (1, 110))


def test_after_a_checkpoint_that_tables_were_closed_in_the_next_one_is_waited_for(disk: Disk) -> None:
    disk.checkpoint = ((1, 10), (1, 20))
    disk.write(7, 7, 7)
    states = disk.states()
    states.note_newest()
    disk.checkpoint = CHECKPOINT
    disk.write(105, 105, 110)  # two partitions that were closed before it collected the states
    states.tables_were_closed()
    disk.later = iter([CHECKPOINT] * 4 + [((1, 300), (1, 400))] * 9)
    disk.write(310, 105, 310)
    assert states.find_horizon() == Horizon((1, 300), (1, 310))


def test_a_checkpoint_whose_states_are_all_overwritten_is_used_when_no_other_comes(disk: Disk) -> None:
    disk.write(7, 210, 230)
    assert disk.states().find_horizon() == Horizon((1, 100), (1, 100))
