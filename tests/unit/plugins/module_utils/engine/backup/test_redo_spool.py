# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.redo_spool import Spool
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import Cancelled, PeerFailed, StreamError


class Output:
    """Takes data when ``gate`` is open; raises ``error`` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.data = bytearray()
        self.gate = threading.Event()
        self.error = error

    def write(self, data: Any) -> None:
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        self.data += data


def test_everything_arrives_in_order_through_a_ring_that_wraps(tmp_path: Path) -> None:
    source = random.Random(1).randbytes(300_000)
    output = Output()
    output.gate.set()
    spool = Spool(output, str(tmp_path), 7777)
    spool.start()
    position = 0
    while position < len(source):
        size = random.Random(position).randrange(1, 20_000)
        spool.write(memoryview(source)[position : position + size])
        position += size
    spool.finish()
    assert output.data == source
    assert list(tmp_path.iterdir()) == []


def test_a_slow_output_does_not_hold_up_the_writer_until_the_ring_is_full(tmp_path: Path) -> None:
    output = Output()
    spool = Spool(output, str(tmp_path), 100_000)
    spool.start()
    spool.write(b"x" * 100_000)
    assert not output.data
    blocked = threading.Thread(target=spool.write, args=(b"y",), daemon=True)
    blocked.start()
    blocked.join(0.2)
    assert blocked.is_alive()
    output.gate.set()
    blocked.join(10)
    spool.finish()
    assert output.data == b"x" * 100_000 + b"y"


@pytest.mark.parametrize(("error", "expected"), [(PeerFailed("gone"), PeerFailed), (OSError("pipe"), StreamError)])
def test_an_error_of_the_output_reaches_the_writer_and_the_end(
    tmp_path: Path, error: Exception, expected: type[Exception]
) -> None:
    output = Output(error)
    output.gate.set()
    spool = Spool(output, str(tmp_path), 1000)
    spool.start()
    spool.write(b"x")
    deadline = time.monotonic() + 10

    def write_until_told() -> None:
        while time.monotonic() < deadline:
            spool.write(b"x")
            time.sleep(0.001)

    with pytest.raises(expected):
        write_until_told()
    with pytest.raises(expected):
        spool.finish()


def test_cancel_frees_a_writer_that_waits(tmp_path: Path) -> None:
    output = Output()
    spool = Spool(output, str(tmp_path), 10)
    spool.cancel()
    spool = Spool(output, str(tmp_path), 10)
    spool.start()
    threading.Timer(0.1, spool.cancel).start()
    with pytest.raises(Cancelled):
        spool.write(b"x" * 11)
    output.gate.set()
    with pytest.raises(Cancelled):
        spool.finish()
