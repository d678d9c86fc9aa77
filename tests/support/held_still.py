# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow storage under one follower of a redo log: what it reads arrives late, and the server goes on meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Callable
from unittest import mock

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.log_follower import LogFollower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.redo_files import LogFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_archive import ArchivedRedo
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_files import RedoFile

_READERS: tuple[Any, ...] = (LogFile, RedoFile, ArchivedRedo)
_PAUSE = 0.05  # seconds between two looks whether the follower was stopped


@contextlib.contextmanager
def held_still(follower: LogFollower) -> Iterator[Callable[[], None]]:
    """Hold ``follower`` until the block ends, or until what this gives is called: its thread reads the log once more,
    and gets what it has read then. One that is stopped is let go."""
    arrived = threading.Event()

    def late(read: Callable[..., bytearray]) -> Callable[..., bytearray]:
        def read_late(*arguments: Any) -> bytearray:
            window = read(*arguments)
            if threading.current_thread() is follower._thread:
                while not arrived.wait(_PAUSE) and not follower._stopped.is_set():
                    pass
            return window

        return read_late

    with contextlib.ExitStack() as patches:
        patches.callback(arrived.set)
        for kind in _READERS:
            patches.enter_context(mock.patch.object(kind, "read", late(kind.read)))
        yield arrived.set
