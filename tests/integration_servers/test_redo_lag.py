# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress of a backup says how far the copy of the redo log is behind a server that is written to."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job, log_follower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.destinations.directory import DirectorySink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.tests.support.backups import options_for
from ansible_collections.innodb.xtrabackup.tests.support.estate import KINDS
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad


class Watching:
    """A throttle that notes the status at each of its calls, and waits a moment."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.statuses: list[dict[str, Any]] = []

    def take(self, _count: int, cancelled: threading.Event) -> None:
        """Note the status."""
        self.statuses.append(self._progress.snapshot())
        cancelled.wait(0.05)


@pytest.mark.parametrize("flavor", sorted(KINDS))
def test_the_lag_of_the_redo_log_is_in_the_status_while_it_is_copied(
    workdir: Path, flavor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_follower, "_LAG_INTERVAL", 0.0)
    copy = log_follower.LogFollower._copy

    def copy_slowly(follower: log_follower.LogFollower, *arguments: Any) -> None:
        copy(follower, *arguments)
        time.sleep(0.1)

    monkeypatch.setattr(log_follower.LogFollower, "_copy", copy_slowly)
    progress = Progress("backup")
    watching = Watching(progress)
    with KINDS[flavor](workdir / "source") as source, WriteLoad(source, threads=2, payload=2000) as load:
        load.wait_for(50)
        job.take_backup(options_for(source, throttle=watching), DirectorySink(workdir / "backup"), progress)
    lags = [status["redo_behind_bytes"] for status in watching.statuses]
    assert all(lag >= 0 for lag in lags)
    assert max(lags) > 0
    assert "redo_behind_bytes" not in progress.snapshot()
