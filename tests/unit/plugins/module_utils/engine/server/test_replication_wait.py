# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a channel counts as running, as caught up, and as broken."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ReplicationError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import replication_wait
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.replication import (
    ActualChannel,
    ReplicationState,
)

from .conftest import HEALTHY

WAITING = "Waiting for master to send event"
QUEUEING = "Queueing master event to the relay log"
CONNECTION: Any = None  # read_state is replaced: nothing is asked


def channel(read: int = 100, executed: int = 100, behind: int | None = 0, **changes: Any) -> ActualChannel:
    base = replace(
        HEALTHY,
        io_state=WAITING,
        read_file="bin.000002",
        read_position=read,
        executed_file="bin.000002",
        executed_position=executed,
        gtid_io_pos="",
        seconds_behind=behind,
    )
    return replace(base, **changes)


class Server:
    """Shows one state a look; the last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, channels: Iterable[ActualChannel], gtid: str = "") -> None:
        self.looks = 0
        self.clock = 0.0
        self._states: Iterator[ActualChannel] = iter(channels)
        self._gtid = gtid
        monkeypatch.setattr(replication_wait, "read_state", self.look)
        monkeypatch.setattr(replication_wait.time, "sleep", self.sleep)
        monkeypatch.setattr(replication_wait.time, "monotonic", lambda: self.clock)

    def look(self, _connection: Any) -> ReplicationState:
        self.looks += 1
        self._last = next(self._states, getattr(self, "_last", None))
        assert self._last is not None
        return ReplicationState((self._last,), self._gtid, "")

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


def test_an_idle_replica_that_has_executed_everything_has_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, [channel()])
    replication_wait.wait_caught_up(CONNECTION, "", 10)
    assert server.looks == 2


def test_zero_seconds_behind_is_not_enough_while_events_are_unexecuted(monkeypatch: pytest.MonkeyPatch) -> None:
    Server(monkeypatch, [channel(read=500, executed=100, io_state=QUEUEING)])
    with pytest.raises(ReplicationError, match=r"bin\.000002:100 of bin\.000002:500 read"):
        replication_wait.wait_caught_up(CONNECTION, "", 10)


def test_an_io_thread_that_still_reads_history_has_not_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    history = (channel(read=at, executed=at, io_state=QUEUEING) for at in itertools.count(100, 100))
    Server(monkeypatch, history)
    with pytest.raises(ReplicationError, match="not caught up within 10 s"):
        replication_wait.wait_caught_up(CONNECTION, "", 10)


def test_a_replica_that_keeps_up_with_steady_writes_has_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    states = (QUEUEING, WAITING)
    busy = (channel(read=at + 50, executed=at, io_state=states[at // 100 % 2]) for at in itertools.count(100, 100))
    server = Server(monkeypatch, busy)
    replication_wait.wait_caught_up(CONNECTION, "", 10)
    assert server.looks == replication_wait._BUSY_LOOKS


def test_a_replica_that_falls_behind_under_writes_has_not_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = (channel(read=at * 10, executed=at, behind=at // 100) for at in itertools.count(1000, 100))
    Server(monkeypatch, slow)
    with pytest.raises(ReplicationError, match="s behind"):
        replication_wait.wait_caught_up(CONNECTION, "", 10)


def test_a_later_binary_log_file_is_beyond_any_position_in_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Server(monkeypatch, [channel(read=4, executed=9000, read_file="bin.000010", executed_file="bin.000009")])
    with pytest.raises(ReplicationError):
        replication_wait.wait_caught_up(CONNECTION, "", 2)


def test_a_gtid_target_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    Server(monkeypatch, [channel()], gtid="0-1-9")
    replication_wait.wait_caught_up(CONNECTION, "", 10, "0-1-9")
    with pytest.raises(ReplicationError, match="wanted 0-1-10"):
        replication_wait.wait_caught_up(CONNECTION, "", 10, "0-1-10")


def test_running_is_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = channel(behind=None, sql_running="No", sql_errno=1062, sql_error="Duplicate entry")
    Server(monkeypatch, [channel(), broken])
    with pytest.raises(ReplicationError, match="1062, Duplicate entry") as caught:
        replication_wait.wait_running(CONNECTION, "")
    assert "rebuild the replica" in caught.value.remedy


@pytest.mark.parametrize(("errno", "running"), [(1045, "Connecting"), (1236, "No"), (1593, "No"), (4711, "No")])
def test_errors_that_waiting_cannot_cure_are_raised_at_once(
    monkeypatch: pytest.MonkeyPatch, errno: int, running: str
) -> None:
    server = Server(monkeypatch, [channel(behind=None, io_running=running, io_errno=errno, io_error="why")])
    with pytest.raises(ReplicationError, match=f"db1:3306: error {errno}, why"):
        replication_wait.wait_running(CONNECTION, "", 30)
    assert server.looks == 1


def test_a_source_that_cannot_be_reached_may_come_back_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    away = channel(behind=None, io_running="Connecting", io_errno=2003, io_error="cannot connect")
    server = Server(monkeypatch, [away, away, channel()])
    replication_wait.wait_running(CONNECTION, "", 30)
    assert server.looks == 4
    server = Server(monkeypatch, [away])
    with pytest.raises(ReplicationError, match="2003, cannot connect"):
        replication_wait.wait_running(CONNECTION, "", 30)
    assert server.clock >= 30


def test_a_channel_that_vanishes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Server(monkeypatch, [channel(channel="other")])
    with pytest.raises(ReplicationError, match="vanished"):
        replication_wait.wait_running(CONNECTION, "", 30)
