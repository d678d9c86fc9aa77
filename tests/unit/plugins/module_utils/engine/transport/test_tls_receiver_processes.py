# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS transfers whose other end is a process that is killed, stopped, or told to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    Cancelled,
    PeerFailed,
    PeerTimeout,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import DirectoryIntake
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_receiver import receive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink
from ansible_collections.innodb.xtrabackup.tests.support import transfer
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.transfer import Ends, Receiver, make_ends, send_blocks

ENDLESS = 1_000_000  # blocks


class OtherEnd:
    """One end of the transfer as a process of its own."""

    def __init__(self, command: str, ends: Ends, count: int = ENDLESS) -> None:
        arguments = [command, str(ends.directory), str(ends.port), str(count)]
        module = transfer.__name__
        environment = same_imports()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=environment, stdout=subprocess.PIPE, text=True
        )

    def signal(self, number: int) -> float:
        """Send it a signal; returns when (time.monotonic)."""
        self.process.send_signal(number)
        return time.monotonic()

    def answer(self, seconds: float = 20) -> str:
        """What it says at its end."""
        return self.process.communicate(timeout=seconds)[0]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return make_ends(tmp_path)


@pytest.fixture
def other_ends() -> Iterator[list[OtherEnd]]:
    others: list[OtherEnd] = []
    yield others
    for other in others:
        other.close()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} has not appeared"
        time.sleep(0.01)


def start_receiver(ends: Ends, other_ends: list[OtherEnd]) -> OtherEnd:
    other = OtherEnd("receive", ends)
    other_ends.append(other)
    transfer.wait_for_phase(ends.directory / "progress.json", "listening")
    return other


def start_sender(ends: Ends, other_ends: list[OtherEnd], count: int = ENDLESS) -> OtherEnd:
    other = OtherEnd("send", ends, count)
    other_ends.append(other)
    wait_for(ends.directory / "go")
    return other


def test_two_processes_transfer_a_backup(ends: Ends, other_ends: list[OtherEnd]) -> None:
    receiver = start_receiver(ends, other_ends)
    sender = start_sender(ends, other_ends, 200)
    assert sender.answer(60) == "done\n"
    assert receiver.answer() == "done\n"
    blocks = transfer.blocks(1)
    expected = b"".join(next(blocks) for _number in range(200))
    assert (ends.dest / "db/one.ibd").read_bytes() == expected
    assert (ends.dest / "db/two.ibd").read_bytes() == expected
    assert ends.leftovers() == [ends.dest.name]


def test_the_receiver_fails_after_the_time_out_when_its_sender_is_killed_and_publishes_nothing(
    ends: Ends, other_ends: list[OtherEnd]
) -> None:
    receiver = Receiver(ends, timeout=2.0)
    sender = start_sender(ends, other_ends)
    killed = sender.signal(signal.SIGKILL)
    receiver.join(5)
    assert receiver.ended_at - killed < 5
    assert isinstance(receiver.error, PeerFailed)
    assert ends.leftovers() == []


def test_the_sender_fails_when_its_receiver_is_killed_and_nothing_is_published(
    ends: Ends, other_ends: list[OtherEnd]
) -> None:
    receiver = start_receiver(ends, other_ends)
    sink = TlsSink(ends.target())
    killed: list[float] = []
    threading.Timer(0.5, lambda: killed.append(receiver.signal(signal.SIGKILL))).start()
    with pytest.raises(PeerFailed) as caught:
        send_blocks(sink, ENDLESS, ends.directory / "go")
    assert time.monotonic() - killed[0] < 8
    sink.abort(caught.value)
    assert time.monotonic() - killed[0] < 11
    assert not ends.dest.exists()


def test_a_sender_that_waits_for_the_receiver_notices_its_death(ends: Ends, other_ends: list[OtherEnd]) -> None:
    receiver = start_receiver(ends, other_ends)
    sink = TlsSink(ends.target())
    # without an END the receiver never confirms
    killed: list[float] = []
    threading.Timer(0.5, lambda: killed.append(receiver.signal(signal.SIGKILL))).start()
    with pytest.raises(PeerFailed) as caught:
        sink._session.wait(lambda: False)
    assert time.monotonic() - killed[0] < 8
    sink.abort(caught.value)


def test_a_receiver_that_stands_still_is_given_up_and_a_sender_that_goes_on_is_not_believed(
    ends: Ends, other_ends: list[OtherEnd]
) -> None:
    receiver = start_receiver(ends, other_ends)
    sink = TlsSink(ends.target(timeout=1.0))
    threading.Timer(0.5, lambda: receiver.signal(signal.SIGSTOP)).start()
    with pytest.raises(PeerTimeout) as caught:
        send_blocks(sink, ENDLESS, ends.directory / "go")
    sink.abort(caught.value)
    receiver.signal(signal.SIGCONT)
    assert receiver.answer().startswith("peer_")
    assert ends.leftovers() == []


def test_a_sender_that_stands_still_is_given_up_and_fails_when_it_goes_on(
    ends: Ends, other_ends: list[OtherEnd]
) -> None:
    receiver = Receiver(ends, timeout=1.0)
    sender = start_sender(ends, other_ends)
    sender.signal(signal.SIGSTOP)
    receiver.join(8)
    assert isinstance(receiver.error, PeerTimeout)
    sender.signal(signal.SIGCONT)
    assert sender.answer().startswith("peer_timeout")
    assert ends.leftovers() == []


def test_a_receiver_that_is_told_to_stop_tells_its_sender_and_leaves_nothing(
    ends: Ends, other_ends: list[OtherEnd]
) -> None:
    sender = OtherEnd("send", ends)
    other_ends.append(sender)

    def stop(_number: int, _frame: Any) -> None:
        raise Cancelled("stopped by signal SIGALRM")

    def alarm() -> None:
        wait_for(ends.directory / "go")
        signal.raise_signal(signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        threading.Thread(target=alarm).start()
        with pytest.raises(Cancelled):
            receive(ends.listen(), DirectoryIntake(ends.dest))
    finally:
        signal.signal(signal.SIGALRM, before)
    answer = sender.answer()
    assert answer.startswith("peer_failed")
    assert "stopped by signal" in answer
    assert ends.leftovers() == []
