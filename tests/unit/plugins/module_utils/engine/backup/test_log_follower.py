# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a copy of a redo log is behind the server: asked now and then, by the thread that copies."""

from __future__ import annotations

import io

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import log_follower
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ServerError, XtrabackupError


class Copying(log_follower.LogFollower):
    """A follower that copies what a test gives it. ``server``: the server's LSN, or how it fails to answer."""

    def __init__(self) -> None:
        self.failures: list[XtrabackupError] = []
        super().__init__("log", io.BytesIO(), self.failures.append)
        self.server: int | XtrabackupError = 0
        self.questions = 0

    def copy(self, count: int) -> None:
        """Copy so many bytes."""
        self._copy(bytes(count), self.lsn + count)

    def at_tail(self) -> None:
        """Say that nothing more is to be read."""
        self._at_tail = True

    def _server_lsn(self) -> int:
        self.questions += 1
        if isinstance(self.server, XtrabackupError):
            raise self.server
        return self.server


def test_the_lag_is_what_the_server_has_written_and_the_copy_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_follower, "_LAG_INTERVAL", 0.0)
    follower = Copying()
    follower.server = 5000
    follower.copy(1000)
    assert follower.behind == 4000
    follower.server = ServerError("the connection is gone")
    follower.copy(1000)
    assert (follower.behind, follower.failures) == (4000, [])  # that of a moment ago
    follower.server = 1
    follower.copy(1000)
    assert follower.behind == 0
    follower.server = 5000
    follower.copy(1000)
    follower.at_tail()
    assert follower.behind == 0


def test_the_server_is_asked_once_a_second_at_most() -> None:
    follower = Copying()
    for _number in range(1000):
        follower.copy(1)
    assert follower.questions <= 1
