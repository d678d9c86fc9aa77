# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The throttle keeps its rate, for one thread and for many, and lets go when the job is cancelled."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import Cancelled, InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.throttle import Throttle


class Clock(threading.Event):
    """A clock that only waiting moves, and the event that the throttle waits on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now += timeout
        return self.is_set()


@pytest.mark.parametrize("block", [1, 4096, 1_000_000, 30_000_000])
def test_a_job_takes_the_time_that_its_bytes_need(block: int) -> None:
    clock = Clock()
    throttle = Throttle(1_000_000, clock=clock)
    count = max(60_000_000 // block, 2) if block > 1 else 200_000
    for _repeat in range(count):
        throttle.take(block, clock)
    assert clock.now - 1000 == pytest.approx(count * block / 1_000_000, rel=0.05, abs=0.1)


def test_time_in_which_nothing_was_moved_is_not_made_up_for() -> None:
    clock = Clock()
    throttle = Throttle(1_000_000, clock=clock)
    clock.now += 3600
    started = clock.now
    throttle.take(10_000_000, clock)
    assert clock.now - started == pytest.approx(10, rel=0.05)


def test_threads_share_one_rate() -> None:
    throttle, never = Throttle(8_000_000), threading.Event()

    def move() -> None:
        for _repeat in range(40):
            throttle.take(50_000, never)

    threads = [threading.Thread(target=move) for _repeat in range(4)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # only the lower bound: an upper one would measure this machine's load
    assert time.monotonic() - started >= 0.85 * 4 * 40 * 50_000 / 8_000_000


def test_cancelling_ends_a_long_wait_at_once() -> None:
    throttle, cancelled = Throttle(1), threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        throttle.take(1_000_000, cancelled)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_must_be_positive(rate: int) -> None:
    with pytest.raises(InvalidOption, match="throttle"):
        Throttle(rate)
