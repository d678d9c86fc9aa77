# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of rows of the Aria tables that recovery has changed.

An Aria table stores how many rows it has. Recovery brings that up to date from the LSN that the table's state has on
disk, and MariaDB's checkpoints can leave the LSN of an older state there (backup/mariadb/aria_checkpoint). Rows and
keys are right then, COUNT(*) is not. The backup mends the LSN from what it can see on disk; that the number is right is
known only when the rows have been counted. Where it is wrong, the server repairs the table.
"""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import RecoveryFailed
from ...format.aria import LSN_SIZE, Lsn, is_of_horizon
from ...format.file_kinds import ARIA_INDEX_SUFFIX
from ...host import below, durable

#: so many tables are counted between two questions; their statements must fit into a pipe (64 KiB)
_AT_ONCE = 50


class AriaCounts:
    """The tables in ``directory``; made before the server starts, asked for when its recovery has ended. Paths are
    those of the tables' files in the directory, without suffix. ``resumed``: an earlier run has begun the recovery and
    was killed; what it has changed and not counted is not known, so all tables are counted."""

    def __init__(self, directory: Path, *, resumed: bool) -> None:
        self._directory = directory
        self._before = {} if resumed else _states(directory)
        self._due: list[str] | None = None
        self._repaired: set[str] = set()

    def next_paths(self) -> list[str]:
        """The tables that are to be counted next; none when all numbers are right."""
        if self._due is None:
            now = _states(self._directory)
            self._due = sorted(path for path, lsn in now.items() if self._before.get(path) != lsn)
        return self._due[:_AT_ONCE]

    def counted(self, wrong: list[int]) -> list[str]:
        """The tables of ``next_paths`` are counted; of those with the places ``wrong`` the number was not right.

        Returns these: they are to be repaired, and are counted again. Raises RecoveryFailed for one that was repaired
        already.
        """
        paths = self.next_paths()
        to_repair = [paths[place] for place in wrong]
        for path in to_repair:
            if path in self._repaired:
                raise RecoveryFailed(f"the server could not repair the number of rows of Aria table {path}", table=path)
        self._repaired.update(to_repair)
        self._due = to_repair + (self._due or [])[len(paths) :]
        return to_repair


def counting(table: str, place: int) -> str:
    """A statement that adds ``place`` and a comma to ``@wrong`` when the number of rows of ``table`` is not right."""
    # what is summed up is counted row by row
    wrong = f"(SELECT COUNT(*) FROM {table}) <> (SELECT COALESCE(SUM(1), 0) FROM {table})"  # noqa: S608
    return f"SELECT IF({wrong}, CONCAT(@wrong, '{place},'), @wrong) INTO @wrong"


def parse_wrong(text: str) -> list[int] | None:
    """The places in ``@wrong``; None while the answer is not all there."""
    return [int(place) for place in text.strip().split(",") if place] if text.endswith("\n") else None


def _states(directory: Path) -> dict[str, Lsn]:
    """The LSN of the state of each Aria table in the databases of ``directory``, by its path."""
    found = {}
    for database in os.scandir(directory):
        if not database.is_dir(follow_symlinks=False) or not os.access(database.path, os.R_OK | os.X_OK):
            continue  # what we cannot read is no database of the server either
        for entry in os.scandir(database.path):
            if entry.name.endswith(ARIA_INDEX_SUFFIX):
                with durable.storage_errors("reading", entry.path), below.reading_file(entry.path) as index:
                    head = index.read(LSN_SIZE)
                found[f"{database.name}/{entry.name[: -len(ARIA_INDEX_SUFFIX)]}"] = is_of_horizon(head)
    return found
