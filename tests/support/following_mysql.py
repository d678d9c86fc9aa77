# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A follower of a synthetic redo log of MySQL, and an archive of that log."""

from __future__ import annotations

import io
import time
from typing import Any

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_follower import (
    MysqlRedoFollower,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import redo_format
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_status import RedoStatus

from . import redo_files_mysql as made
from .held_still import held_still
from .redo_files_mysql import SyntheticRedo


class Following:
    """A follower of a synthetic log, what it wrote, and what it reported."""

    def __init__(self, log: SyntheticRedo, output: Any = None, archive: str = "") -> None:
        self.log = log
        self.output = output or io.BytesIO()
        self.failures: list[XtrabackupError] = []
        self.progress: list[int] = []
        self.status = RedoStatus(log.lsn, log.start_lsn, made.UUID)
        self.follower = MysqlRedoFollower(
            str(log.directory),
            "9.7.4",
            lambda: self.status,
            self.output,
            self.failures.append,
            on_progress=self.progress.append,
            archive=archive,
        )

    @property
    def blocks(self) -> bytes:
        """What was copied, without the header."""
        return bytes(self.output.getvalue()[2048:])

    def expect(self, condition: Any, seconds: float = 10) -> None:
        """Wait until ``condition`` holds; raises AssertionError."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the follower did not get there"
            time.sleep(0.002)


class ArchivedLog:
    """An archive of ``log``, begun in the block that the log ends in, as servers do it."""

    def __init__(self, log: SyntheticRedo) -> None:
        self.log = log
        self.path = log.directory.parent / "archive.uuid.000001.log"
        self.start_lsn = redo_format.block_start(log.lsn)
        self.path.write_bytes(bytes(4096))

    def catch_up(self, *, damage: int | None = None) -> None:
        """Write what the log has, as chunks of 4096 bytes."""
        blocks = self.log.linear[self.start_lsn - self.log.start_lsn :]
        data = bytearray(4096) + blocks[: len(blocks) - len(blocks) % 4096]
        if damage is not None:
            data[4096 + damage - self.start_lsn + 100] ^= 1
        self.path.write_bytes(data)


def overtake(following: Following, archive: ArchivedLog, blocks: int = 200, behind: int = 100) -> None:
    """The log goes on, and recycles its files, while the follower stands still at its tail."""
    log = following.log
    following.expect(lambda: following.follower.lsn == redo_format.block_start(log.lsn))
    with held_still(following.follower):
        time.sleep(0.1)
        log.fill(blocks)
        log.append(b"tail")
        archive.catch_up()
        following.status = RedoStatus(log.lsn, log.lsn - behind, made.UUID)
        log.checkpoint(log.lsn - behind)
