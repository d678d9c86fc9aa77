# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""provision_replica.yml, killed in the middle of the transfer, and run again at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.remote_jobs import Job
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.plays import succeeded


@pytest.fixture(name="estate", params=["mariadb", "mysql"])
def _estate(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Estate]:
    with contextlib.closing(Estate(workdir, flavor=request.param)) as estate:
        yield estate


def kill_during_transfer(estate: Estate, throttle: str) -> tuple[Job, Job]:
    """Run the play until the backup arrives, and kill all of its processes; the jobs of both ends."""
    play = threading.Thread(target=lambda: estate.play(xtrabackup_throttle=throttle, xtrabackup_compress={}))
    play.start()
    sender = Job(estate.directory / "primary/run/jobs/sender-replica")
    receiver = Job(estate.directory / "replica/run/jobs/receiver-replica")
    deadline = time.monotonic() + 120
    while receiver.phase() != "receiving" or not sender.lives:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(estate.directory / "inventory.yml") in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)
    play.join(60)
    assert sender.lives
    assert receiver.lives
    return sender, receiver


@pytest.mark.parametrize("ended", [False, True], ids=["goes-on", "has-ended"])
def test_the_next_run_uses_a_transfer_that_goes_on_or_has_ended_well(estate: Estate, ended: bool) -> None:
    replica = estate.host("replica")
    sender, receiver = kill_during_transfer(estate, "8MiB" if ended else "1MiB")
    while ended and (sender.lives or receiver.lives):
        time.sleep(0.1)
    result = succeeded(estate.play())
    assert "Wait until the backup of the earlier run is taken" in result.output
    assert "Generate the receiver's key" not in result.output
    estate.assert_replica(replica)
    assert estate.leftovers() == []


def test_the_next_run_begins_anew_when_one_end_has_died(estate: Estate) -> None:
    replica = estate.host("replica")
    _sender, receiver = kill_during_transfer(estate, "1MiB")
    os.kill(receiver.run()[0], signal.SIGKILL)
    result = succeeded(estate.play())
    assert "Generate the receiver's key" in result.output
    estate.assert_replica(replica)
    assert estate.leftovers() == []
