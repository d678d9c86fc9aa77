# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which LSN the state of an Aria table is (its number of rows among it) when recovery begins with a checkpoint.

A checkpoint has three LSNs: ``began``, where the log ended when it began; ``collected``, where the log ended when it
copied the states of all open tables, under the log's lock; ``ended``, that of its record. It waits in between: for
tables that are just being closed before it collects, and for pages to be written after that. Only ``began`` is in its
record. A state on disk has the LSN ``collected`` when the checkpoint has written it. A table that is closed or loaded
in bulk writes its state itself, with the LSN of that moment. A state that is equal to the one that a checkpoint has
written last is not written again: it keeps an older LSN on disk, though it is the one of ``collected``.

Recovery counts the changes from the LSN of the state on, but reads the log only from about ``began``. So a state older
than ``began`` must get the LSN ``collected`` in the copy: with a smaller one changes are counted that it holds, with a
greater one changes are lost.

The stages FLUSH and BLOCK_DDL close every table that is not in use. A checkpoint that runs at that time leaves states
of many LSNs, so one from before these stages or from after them is taken.

What is on disk is no proof: other sessions close tables as well. Preparing counts the rows
(recovery/mariadb/aria_counts).

Source: docs/internals/formats-aria.md#aria-checkpoints-and-states.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable, Optional

from ...format.aria import LSN_SIZE, Horizon, Lsn, is_of_horizon
from ...format.file_kinds import ARIA_INDEX_SUFFIX
from ...host import below
from ..inventory import Kind, OpenSource, PlainFile
from .inventory import read_head

#: The next checkpoint is waited for so long (s), with DDL blocked, where the states of the last one do not tell. With
#: the default interval (30 s) it seldom comes in that time.
_TIMEOUT = 2.0
_PAUSE = 0.05

FindCheckpoint = Callable[[], Optional[tuple[Lsn, Lsn]]]


@dataclass(frozen=True)
class _SeenCheckpoint:
    """A checkpoint and the LSNs that the tables' states had on disk after it."""

    began: Lsn
    ended: Lsn
    states: tuple[Lsn, ...]

    @property
    def collected(self) -> Lsn | None:
        """The smallest LSN between begin and end that several states have: tables that are closed or loaded meanwhile
        are so one after the other. Where no two states have the same one, ``began``: a single one may be much greater
        than that of the checkpoint, and it is the changes in between that would be lost. None where no state has one.
        """
        within = Counter(lsn for lsn in self.states if self.began <= lsn <= self.ended)
        if not within:
            return None
        return min((lsn for lsn, count in within.items() if count > 1), default=self.began)

    @property
    def overwritten(self) -> bool:
        """Returns whether states may have been written after the checkpoint over its own."""
        return any(lsn > self.ended for lsn in self.states)


class CheckpointStates:
    """Finds the Horizon for the copies of one backup. ``find`` tells of the newest checkpoint where it began and ended
    (None: there was none yet), ``files`` what there is beside InnoDB, ``open_source`` opens these."""

    def __init__(
        self,
        find: FindCheckpoint,
        files: Callable[[], Iterable[PlainFile]],
        open_source: OpenSource = below.open_file,
    ) -> None:
        self._find = find
        self._open_source = open_source
        self._files = files
        self._early: _SeenCheckpoint | None = None
        self._closed: Lsn = (0, 0)

    def note_newest(self) -> None:
        """Before stage FLUSH: remember the newest checkpoint and its states."""
        self._early = self._read_newest()

    def tables_were_closed(self) -> None:
        """After stage BLOCK_DDL: a checkpoint that begins later is not disturbed by it."""
        self._closed = max(self._read(), default=(0, 0))

    def find_horizon(self) -> Horizon | None:
        """Before the first table is copied; None when there was no checkpoint yet."""
        deadline = time.monotonic() + _TIMEOUT
        while True:
            seen = self._read_newest()
            if seen is None:
                return None
            early = self._early
            if early is not None and early.ended == seen.ended and (early.collected or not early.overwritten):
                return Horizon(seen.began, early.collected or seen.began)
            calm = seen.began >= self._closed and (seen.collected or not seen.overwritten)
            if calm or time.monotonic() > deadline:
                return Horizon(seen.began, seen.collected or seen.began)
            time.sleep(_PAUSE)

    def _read_newest(self) -> _SeenCheckpoint | None:
        """The newest checkpoint. Its states were read when it was the newest one already; where possible, also when it
        still was."""
        found = self._find()
        for _attempt in range(5):
            if found is None:
                return None
            states = self._read()
            before, found = found, self._find()
            if found == before:
                break
        return _SeenCheckpoint(*found, states) if found is not None else None

    def _read(self) -> tuple[Lsn, ...]:
        indexes = (
            file.source for file in self._files() if file.kind is Kind.TABLE and file.source.suffix == ARIA_INDEX_SUFFIX
        )
        return tuple(is_of_horizon(read_head(index, LSN_SIZE, self._open_source)) for index in indexes)
