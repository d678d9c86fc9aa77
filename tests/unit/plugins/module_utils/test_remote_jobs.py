# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that go on by themselves, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils import remote_jobs
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    InvalidOption,
    JobGone,
)

COLLECTIONS = Path(__file__).parents[4] / ".build" / "collections"

# a module's part of the process on the host: start or find the job, print what came of it
SERVE = """
import sys, json
sys.path.insert(0, {collections!r})
from pathlib import Path
from ansible_collections.innodb.xtrabackup.plugins.module_utils import remote_jobs
def main():
    import os, time
    {body}
remote_jobs.serve(json.loads({request!r}), main)
"""


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return remote_jobs.jobs_root(str(tmp_path / "xtrabackup"))


def serve(root: Path, body: str, **request: Any) -> dict[str, Any]:
    """What a task's first round trip prints for a module that does ``body``."""
    request = {
        "name": "backup-1",
        "run_dir": str(root.parent),
        "task": "r1",
        "code": "0123abcd",
        "limit": 60.0,
        "wait": 10.0,
        "first_phase": False,
        **request,
    }
    program = SERVE.format(collections=str(COLLECTIONS), body=body, request=json.dumps(request))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_a_short_job_is_one_round_trip_and_leaves_nothing(root: Path) -> None:
    assert serve(root, "print(json.dumps({'changed': True, 'pid': os.getppid()})); raise SystemExit(0)")["changed"]
    assert list(root.iterdir()) == []


def test_a_long_job_outlives_its_task_and_is_answered_once(root: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = f"""
    while not os.path.exists({str(gate)!r}): time.sleep(0.02)
    print(json.dumps({{'changed': True, 'group': os.getpgid(0) == os.getpid()}}))"""
    job = remote_jobs.Job(root / "backup-1")
    first = serve(root, body, wait=0.1)["job"]
    assert first["began"]
    assert first["task"] == "r1"
    assert first["directory"] == str(job.directory)
    # the same task of another play finds it
    second = serve(root, body, task="r2", wait=0.1)["job"]
    assert (second["began"], second["task"], second["pid"]) == (False, "r2", first["pid"])
    assert not remote_jobs.wait(job, 0.1)
    gate.touch()
    assert remote_jobs.wait(job, 10)
    with pytest.raises(JobGone, match="another task has started the job backup-1 again"):
        remote_jobs.answer_of(job, "r3")
    # each of them gets the answer, in whatever order; that of the last one is the end of it
    for task in ("r2", "", "r2", "r1"):
        assert remote_jobs.answer_of(job, task)["changed"]
    with pytest.raises(JobGone, match="no job backup-1 on this host, or not any more"):
        remote_jobs.answer_of(job, "r1")


def test_a_job_of_another_version_is_refused_by_name_and_goes_on(root: Path) -> None:
    started = serve(root, "time.sleep(60)", wait=0.1)["job"]
    refused = serve(root, "print('{}')", task="r2", code="ffff", wait=0.1)
    assert refused["failed"]
    assert refused["error"]["code"] == "job_other_version"
    assert f"the job backup-1 (process {started['pid']}, starting)" in refused["msg"]
    job = remote_jobs.Job(root / "backup-1")
    assert job.lives
    assert job.run() == (started["pid"], ["r1"])
    os.kill(started["pid"], signal.SIGKILL)
    assert remote_jobs.wait(job, 10)
    assert serve(root, "print(json.dumps({'changed': True}))", task="r3", code="ffff") == {"changed": True}


def test_a_run_never_takes_the_result_of_an_older_one_for_its_own(root: Path) -> None:
    job = remote_jobs.Job(root / "backup-1")
    root.mkdir(parents=True)
    job.directory.mkdir()
    (job.directory / "run").write_text("1\nr1\n")
    job.result_file.write_text('{"changed": true, "of": "yesterday"}')
    assert serve(root, "print(json.dumps({'changed': False}))", task="r2") == {"changed": False}


@pytest.mark.parametrize(
    ("body", "said"),
    [("1 / 0", "ZeroDivisionError"), ("raise SystemExit(3)", ""), ("print('no JSON', file=sys.stderr)", "no JSON")],
)
def test_a_job_without_an_answer_has_failed_and_keeps_what_it_said(root: Path, body: str, said: str) -> None:
    answer = serve(root, body)
    assert answer["failed"]
    assert answer["msg"] == "The job ended without a result"
    assert said in answer["exception"]
    assert (root / "backup-1" / "result").exists()


def test_a_job_that_was_killed_is_no_success(root: Path) -> None:
    started = serve(root, "time.sleep(60)", wait=0.1)["job"]
    job = remote_jobs.Job(root / "backup-1")
    os.kill(started["pid"], signal.SIGKILL)
    assert remote_jobs.wait(job, 10)
    with pytest.raises(JobGone, match=r"backup-1 \(process \d+\) died, or its host was restarted"):
        remote_jobs.answer_of(job, "r1")
    assert serve(root, "print(json.dumps({'changed': True}))", task="r2")["changed"]


def test_a_job_is_stopped_as_by_sigterm(root: Path) -> None:
    body = """
    import signal
    def end(*_): print(json.dumps({'failed': True, 'msg': 'stopped'})); raise SystemExit(1)
    signal.signal(signal.SIGTERM, end)
    time.sleep(60)"""
    started = serve(root, body, wait=0.5)["job"]
    job = remote_jobs.Job(root / "backup-1")
    assert remote_jobs.stop(job)
    assert not remote_jobs.stop(job)
    assert remote_jobs.answer_of(job, started["task"])["msg"] == "stopped"
    begun = time.monotonic()
    assert serve(root, body, task="r2", limit=0.5)["msg"] == "stopped"
    assert time.monotonic() - begun < 8


def test_a_task_may_wait_for_the_first_phase_only(root: Path) -> None:
    body = """
    time.sleep(0.3)
    open(os.environ['XTRABACKUP_JOB_STATUS'], 'w').write('{"phase": "listening"}')
    time.sleep(60)"""
    begun = time.monotonic()
    assert serve(root, body, first_phase=True)["job"]["began"]
    assert 0.3 < time.monotonic() - begun < 8
    remote_jobs.stop(remote_jobs.Job(root / "backup-1"))


@pytest.mark.parametrize("name", ["", "..", "../backup", "a b", "x\n"])
def test_a_job_has_a_plain_name(name: str) -> None:
    with pytest.raises(InvalidOption, match="no name of a job"):
        remote_jobs.Job.named(name, "")


def test_jobs_that_ended_long_ago_are_removed(root: Path) -> None:
    old, new = remote_jobs.Job(root / "old"), remote_jobs.Job(root / "new")
    for job in (old, new):
        job.directory.mkdir(parents=True)
        job.result_file.touch()
    os.utime(old.directory, (0, 0))
    remote_jobs.remove_old(root)
    assert [path.name for path in root.iterdir()] == ["new"]
