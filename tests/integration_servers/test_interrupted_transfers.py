# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""provision_replica.yml and its jobs, killed somewhere, and run again at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.journal import write_journal
from ansible_collections.innodb.xtrabackup.plugins.module_utils.remote_jobs import Job, stop
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.link_cutter import LinkCutter
from ansible_collections.innodb.xtrabackup.tests.support.plays import PlayResult, failed, succeeded


@pytest.fixture(name="estate", params=["mariadb", "mysql"])
def _estate(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Estate]:
    with contextlib.closing(Estate(workdir, flavor=request.param)) as estate:
        yield estate


SENDER, RECEIVER = "primary/run/jobs/sender-replica", "replica/run/jobs/replica-replica"


def jobs_of(estate: Estate) -> tuple[Job, Job]:
    """The jobs of the primary and of the host ``replica``."""
    return Job(estate.directory / SENDER), Job(estate.directory / RECEIVER)


def kill_during_transfer(estate: Estate, throttle: str) -> tuple[Job, Job]:
    """Run the play until the backup arrives, and kill all of its processes; the jobs of both ends."""
    play = threading.Thread(target=lambda: estate.play(xtrabackup_throttle=throttle, xtrabackup_compress={}))
    play.start()
    sender, receiver = jobs_of(estate)
    deadline = time.monotonic() + 120
    while receiver.phase() != "receiving" or not sender.lives:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(estate.directory / "ansible" / "inventory.yml") in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)
    play.join(60)
    assert sender.lives
    assert receiver.lives
    return sender, receiver


def test_the_next_run_follows_the_job_that_goes_on(estate: Estate) -> None:
    replica = estate.host("replica")
    sender, _receiver = kill_during_transfer(estate, "4MiB")
    pid = sender.run()[0]
    os.kill(pid, signal.SIGSTOP)  # so that it does not end before the next run looks
    predicted = succeeded(estate.play("--check"))
    assert "Would follow the job that makes it a replica of primary" in predicted.output

    def go_on(line: str) -> None:
        if "Will follow" in line:
            os.kill(pid, signal.SIGCONT)

    estate.echo = go_on
    result = succeeded(estate.play())
    assert "Will follow the job that makes it a replica of primary" in result.output
    assert result.recap["replica"]["changed"] > 0
    assert "Start the receiver" not in result.output
    estate.assert_replica(replica)
    # the play that was killed has not fetched its results
    assert estate.leftovers() == [SENDER, RECEIVER]


def test_a_job_of_another_version_is_not_followed_until_it_is_stopped(estate: Estate) -> None:
    replica = estate.host("replica")
    sender, receiver = kill_during_transfer(estate, "1MiB")
    pid = sender.run()[0]
    os.kill(pid, signal.SIGSTOP)  # so that it does not end before the next run looks
    (receiver.directory / "code").write_text("of another version")
    refused = failed(
        estate.play("--check"),
        f"Nothing was touched: the job replica-replica on replica (process {receiver.run()[0]}, receiving) was ",
        "stop it with the module xtrabackup_job, id: replica-replica, state: stopped",
    )
    assert "job_other_version" in refused.output
    assert receiver.lives
    stop(receiver)
    os.kill(pid, signal.SIGCONT)
    while sender.lives:
        time.sleep(0.1)
    succeeded(estate.play())
    estate.assert_replica(replica)


def test_a_job_that_no_play_follows_makes_the_replica_nevertheless(estate: Estate) -> None:
    replica = estate.host("replica")
    sender, receiver = kill_during_transfer(estate, "8MiB")
    while sender.lives or receiver.lives:
        time.sleep(0.1)
    estate.assert_replica(replica)
    result = succeeded(estate.play())
    assert result.recap["replica"]["changed"] == 0
    # what no play has fetched
    assert estate.leftovers() == [SENDER, RECEIVER]


def test_the_next_run_begins_anew_when_one_end_has_died(estate: Estate) -> None:
    replica = estate.host("replica")
    _sender, receiver = kill_during_transfer(estate, "1MiB")
    os.kill(receiver.run()[0], signal.SIGKILL)
    result = succeeded(estate.play())
    assert "Start the receiver" in result.output
    estate.assert_replica(replica)
    assert estate.leftovers() == []


def test_two_plays_at_once_make_one_replica(estate: Estate) -> None:
    replica = estate.host("replica")
    results: list[PlayResult] = []

    def play(name: str) -> None:
        results.append(estate.play(controller=name))

    plays = [threading.Thread(target=play, args=[name]) for name in ("one", "two")]
    for thread in plays:
        thread.start()
    for thread in plays:
        thread.join(300)
    assert [result.status for result in results] == [0, 0], "\n".join(result.output for result in results)
    assert sum("Start the job on this host" in result.output for result in results) > 0
    estate.assert_replica(replica)
    assert [path for path in estate.leftovers() if "/run/jobs/" not in path] == []


# the parent of the command is the job
KILLS_THE_JOB = ["/bin/sh", "-c", "kill -9 $PPID"]


def test_a_job_that_was_killed_before_or_after_the_copy_was_put_in_place_is_taken_up(estate: Estate) -> None:
    replica = estate.host("replica")
    replica.start()
    failed(estate.play(xtrabackup_server_stop_command=KILLS_THE_JOB), "died, or its host was restarted")
    assert replica.running
    failed(estate.play(xtrabackup_server_start_command=KILLS_THE_JOB), "died, or its host was restarted")
    assert not replica.running
    result = succeeded(estate.play())
    assert "an earlier run was interrupted there" in result.output
    assert "Start the receiver" not in result.output
    estate.assert_replica(replica)
    assert estate.leftovers() == []


@pytest.mark.parametrize("estate", ["mariadb"], indirect=True)  # no part of it knows the family
def test_what_a_job_has_left_that_was_killed_at_its_very_end_is_removed(estate: Estate) -> None:
    replica = estate.host("replica")
    succeeded(estate.play())
    journal = replica.directory / "data.incoming.journal"
    source = f"127.0.0.1:{estate.primary.port}"
    write_journal(
        journal, {"source": source, "phase": "place", "id": "x", "time": 1, "replaces": True, "consent": True}
    )
    (replica.directory / "data.incoming").mkdir()
    assert succeeded(estate.play("--check")).changed["replica"] > 0
    assert journal.exists()
    assert succeeded(estate.play()).changed["replica"] > 0
    assert estate.leftovers() == []
    assert succeeded(estate.play()).changed["replica"] == 0
    estate.assert_replica(replica)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_job_that_was_killed_at_any_moment_is_taken_up(estate: Estate, seed: int) -> None:
    replica = estate.host("replica")
    moment = random.Random(seed)
    sender, receiver = jobs_of(estate)
    for attempt in range(3):
        # where the receiver is killed before the sender has come, the sender tries for so long
        play = threading.Thread(target=lambda: estate.play(xtrabackup_transfer_connect_timeout=5))
        play.start()
        deadline = time.monotonic() + 120
        while play.is_alive() and not receiver.lives:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        wait = moment.uniform(0, 3)
        time.sleep(wait)
        pid = receiver.run()[0]
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        print(f"attempt {attempt}: killed after {wait:.2f} s")
        play.join(120)
        while sender.lives:
            time.sleep(0.05)
    succeeded(estate.play())
    estate.assert_replica(replica)
    assert [path for path in estate.leftovers() if "/run/jobs/" not in path] == []


def test_a_link_that_is_cut_fifty_times_only_delays_the_transfer(estate: Estate) -> None:
    replica = estate.host("replica")
    port = estate.ports["replica"]
    with contextlib.closing(LinkCutter(port, every=250_000, times=50, address="127.0.0.2", port=port)) as cutter:
        succeeded(
            estate.play(
                xtrabackup_replica_address=cutter.address,
                xtrabackup_transfer_listen_address="127.0.0.1",
                xtrabackup_compress={},
            )
        )
    assert cutter.cuts >= 50
    estate.assert_replica(replica)
    assert estate.leftovers() == []


@pytest.mark.parametrize("estate", ["mariadb"], indirect=True)  # no part of it knows the family
def test_a_link_that_does_not_come_back_fails_the_transfer_and_touches_nothing(estate: Estate) -> None:
    replica = estate.host("replica")
    port = estate.ports["replica"]
    with contextlib.closing(LinkCutter(port, every=2_000_000, times=1, address="127.0.0.2", port=port)) as cutter:
        cutter.refuses_after_cut = True
        began = time.monotonic()
        said = failed(
            estate.play(
                xtrabackup_replica_address=cutter.address,
                xtrabackup_transfer_listen_address="127.0.0.1",
                xtrabackup_transfer_timeout="8s",
                xtrabackup_compress={},
            )
        ).output
    assert time.monotonic() - began < 60
    assert "No backup has arrived" in said
    assert "listens no longer" in said
    assert not replica.datadir.exists() or not list(replica.datadir.iterdir())
    succeeded(estate.play())
    estate.assert_replica(replica)
