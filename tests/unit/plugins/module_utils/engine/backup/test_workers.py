# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers: all tasks are done, the first error wins and stops the rest."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import READ_SIZE
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.workers import CopyPool, Failure
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import Cancelled, DiskFull, PageCorrupt


def test_results_come_in_the_order_of_the_tasks_and_each_worker_has_its_own_buffer() -> None:
    buffers = {}

    def work(task: int, buffer: memoryview) -> int:
        buffers[threading.get_ident()] = id(buffer.obj)
        return task * task

    pool = CopyPool(3, Failure())
    assert pool.run(range(50), work) == [task * task for task in range(50)]
    pool.close()
    assert len(set(buffers.values())) == len(buffers)
    assert READ_SIZE % (64 << 10) == 0


def test_the_first_error_is_raised_and_tasks_that_have_not_begun_do_not_begin() -> None:
    failure = Failure()
    begun = []

    def work(task: int, _buffer: memoryview) -> None:
        begun.append(task)
        if task == 1:
            raise PageCorrupt("page 7")
        failure.cancelled.wait(5)

    pool = CopyPool(2, failure)
    with pytest.raises(PageCorrupt, match="page 7"):
        pool.run(range(20), work)
    pool.close()
    assert len(begun) <= 3


def test_a_failure_elsewhere_ends_a_run() -> None:
    failure = Failure()
    pool = CopyPool(1, failure)
    threading.Timer(0.1, lambda: failure.set(DiskFull("full"))).start()
    with pytest.raises(DiskFull):
        pool.run([1], lambda _task, _buffer: failure.cancelled.wait(10))
    pool.close()


def test_a_cancelled_worker_does_not_hide_the_error_that_cancelled_it() -> None:
    failure = Failure()
    failure.set(Cancelled("stopped"))
    failure.set(DiskFull("full"))
    failure.set(PageCorrupt("later"))
    with pytest.raises(DiskFull):
        failure.check()
