# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of tasks, followed, lost and found again by ansible-playbook. The job is a receiver that a test lets end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import PeerFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tcp_sender import TcpSink, TcpTarget
from ansible_collections.innodb.xtrabackup.plugins.module_utils.remote_jobs import Job
from ansible_collections.innodb.xtrabackup.tests.support import plays
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.streams import write_backup


@dataclass
class Plays:
    """Plays of one task that receives a backup, and of others after it."""

    directory: Path
    port: int
    environment: dict[str, str]

    @property
    def dest(self) -> Path:
        return self.directory / "arrived"

    @property
    def jobs(self) -> list[Job]:
        root = self.directory / "run" / "jobs"
        return [Job(path) for path in root.iterdir()] if root.exists() else []

    def write(self, **variables: Any) -> list[str]:
        """The command of a play whose task listens and stores what comes."""
        task = {
            "name": "Receive",
            "innodb.xtrabackup.xbstream": {
                "state": "extracted",
                "dest": str(self.dest),
                "listen": {"address": "127.0.0.1", "port": self.port, "plain": True, "timeout": "60s"},
            },
            "register": "received",
        }
        shown = {"ansible.builtin.debug": {"msg": "the task is over, changed: {{ received.changed }}"}}
        play = {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"xtrabackup_run_dir": str(self.directory / "run"), "xtrabackup_poll": 1, **variables},
            "tasks": [task, shown],
        }
        plays.write_private(self.directory / "play.yml", [play])
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        return [program, f"--inventory={self.directory / 'inventory.yml'}", str(self.directory / "play.yml")]

    def start(self, **variables: Any) -> subprocess.Popen[str]:
        """Start the play."""
        return subprocess.Popen(
            self.write(**variables),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_for_job(self) -> Job:
        """The job once it listens."""
        deadline = time.monotonic() + 60
        while not self.jobs or self.jobs[0].phase() != "listening":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self.jobs[0]

    def send(self) -> None:
        """Let a backup arrive: the job ends."""
        write_backup(TcpSink(TcpTarget("127.0.0.1", self.port, connect_timeout=20.0)), {"a": b"1"}, {})


@pytest.fixture(name="receiving")
def _receiving(workdir: Path) -> Iterator[Plays]:
    host = {"ansible_connection": "once_away", "ansible_python_interpreter": sys.executable}
    plays.write_private(workdir / "inventory.yml", {"all": {"hosts": {"db1": host}}})
    (workdir / "ansible.cfg").touch()
    environment = {
        **os.environ,
        **plays.ansible_settings(workdir / "ansible"),
        "ANSIBLE_CONFIG": str(workdir / "ansible.cfg"),
        "ANSIBLE_CONNECTION_PLUGINS": str(plays.PROJECT / "tests/support/connection_plugins"),
        "XTRABACKUP_TEST_AWAY": str(workdir / "away"),
    }
    found = Plays(workdir, free_port(), environment)
    yield found
    for job in found.jobs:
        if job.lives:
            os.kill(job.run()[0], signal.SIGKILL)


def over(play: subprocess.Popen[str]) -> str:
    """What a play has printed, once it is over."""
    output, _errors = play.communicate(timeout=120)
    return output


def test_a_job_is_followed_through_a_lost_connection(receiving: Plays, workdir: Path) -> None:
    play = receiving.start()
    receiving.wait_for_job()
    time.sleep(4)  # the task follows it
    (workdir / "away").touch()
    time.sleep(4)
    receiving.send()
    output = over(play)
    assert play.returncode == 0, output
    assert "db1: listening" in output
    assert "db1: connection lost" in output
    assert "the host is away" in output
    assert "the task is over, changed: True" in output
    assert (receiving.dest / "a").read_bytes() == b"1"
    assert receiving.jobs == []


def test_a_job_of_a_host_that_stays_away_is_told_as_unreachable_and_goes_on(receiving: Plays, workdir: Path) -> None:
    play = receiving.start(xtrabackup_reconnect_timeout=0)
    job = receiving.wait_for_job()
    time.sleep(4)
    (workdir / "away").touch()
    output = over(play)
    assert play.returncode == 4, output
    assert f"The job {job.directory.name} there goes on" in output
    assert job.lives


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_job_outlives_its_play_and_the_next_play_finds_it(receiving: Plays, number: signal.Signals) -> None:
    first = receiving.start()
    job = receiving.wait_for_job()
    time.sleep(3)
    os.killpg(first.pid, number)
    first.communicate(timeout=60)
    assert first.returncode != 0
    assert job.lives
    second = receiving.start()
    deadline = time.monotonic() + 60
    while len(job.run()[1]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(receiving.jobs) == 1
    receiving.send()
    output = over(second)
    assert second.returncode == 0, output
    assert f"found job {job.directory.name} (process" in output
    # a process of the first play may still follow the job; the result is for both
    assert "the task is over, changed: True" in output


def test_a_job_can_be_stopped_by_its_name(receiving: Plays) -> None:
    play = receiving.start()
    job = receiving.wait_for_job()
    program = str(Path(sys.executable).with_name("ansible"))
    arguments = f"id={job.directory.name} run_dir={job.directory.parent.parent} state=stopped"
    command = [program, "-i", str(receiving.directory / "inventory.yml"), "db1", "-m"]
    stopped = subprocess.run(
        [*command, "innodb.xtrabackup.xtrabackup_job", "-a", arguments],
        env=receiving.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "CHANGED" in stopped.stdout
    output = over(play)
    assert play.returncode == 2, output
    assert "stopped by signal SIGTERM" in output
    assert not receiving.dest.exists()


def test_a_job_that_was_killed_is_a_failure(receiving: Plays) -> None:
    play = receiving.start()
    job = receiving.wait_for_job()
    os.kill(job.run()[0], signal.SIGKILL)
    output = over(play)
    assert play.returncode == 2, output
    assert "died, or its host was restarted" in output


def test_a_job_ends_when_its_time_is_over(receiving: Plays) -> None:
    play = receiving.start(xtrabackup_job_timeout=4)
    output = over(play)
    assert play.returncode == 2, output
    assert "stopped by signal SIGTERM" in output


def test_nothing_is_shown_of_a_task_with_no_log(receiving: Plays) -> None:
    command = receiving.write()
    path = receiving.directory / "play.yml"
    path.write_text(path.read_text().replace("  - name: Receive", "  - no_log: true\n    name: Receive"))
    play = subprocess.Popen(
        command, env=receiving.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    receiving.wait_for_job()
    time.sleep(4)
    receiving.send()
    output = over(play)
    assert play.returncode == 0, output
    assert "listening" not in output
    assert "goes on" not in output


def test_where_no_code_may_be_kept_the_task_does_the_work_itself(receiving: Plays) -> None:
    play = receiving.start(xtrabackup_keep_engine=False)
    deadline = time.monotonic() + 60
    while not receiving.dest.exists():
        assert time.monotonic() < deadline
        with contextlib.suppress(PeerFailed):
            receiving.send()
        time.sleep(0.2)
    output = over(play)
    assert play.returncode == 0, output
    assert "the task is over, changed: True" in output
    assert not (receiving.directory / "run").exists()
