# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of a run with its prediction fails when they differ, which is what scenarios rely on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.tests.support import prediction


def run(check: bool, *, changed: int = 1, diff: Any = None, says: str = "", task: str = "Restore") -> list[str]:
    """The events of a run of site.yml on db1: one task, one message."""
    events: list[dict[str, Any]] = [{"playbook": "/play/site.yml", "check": check}]
    common = {"host": "db1", "outcome": "ok"}
    result = {"changed": bool(changed), "diff": diff or {}}
    events.append({**common, "task": task, "action": "innodb.xtrabackup.xtrabackup_restore", "result": result})
    if says:
        events.append({**common, "task": "Tell", "action": "ansible.builtin.debug", "result": {"msg": says}})
    events.append({"stats": {"db1": {"changed": changed}}})
    return [json.dumps(event) for event in events]


def compare(*runs: list[str]) -> prediction.Run:
    """The comparison of the last prediction of site.yml in these runs."""
    return prediction.compare_last(prediction.read_runs(line for lines in runs for line in lines), "site.yml")


def test_a_run_that_does_what_was_predicted_is_accepted() -> None:
    diff = {"before": "old", "after": "new"}
    real = compare(
        run(True, diff=diff, says="Would copy"), run(False, diff=diff, says="Will copy"), run(False, changed=0)
    )
    assert real.stats["db1"]["changed"] == 1


@pytest.mark.parametrize(
    "check, real, difference",
    [
        (run(True, changed=0), run(False), "predicted changed=False, was changed=True"),
        (run(True), run(False, changed=0), "predicted changed=True, was changed=False"),
        (run(True, diff={"after": "1 file"}), run(False, diff={"after": "2 files"}), "Restore: predicted diff"),
        (run(True, says="Would keep db1"), run(False, says="Will replace db1"), "'Would keep db1'"),
    ],
)
def test_each_kind_of_difference_is_found(check: list[str], real: list[str], difference: str) -> None:
    with pytest.raises(prediction.WrongPrediction, match=difference):
        compare(check, real)


def as_job(events: list[str], ends: bool) -> list[str]:
    """``events`` of a task whose work is a job, for whose end another task waits."""
    playbook, task, *rest = map(json.loads, events)
    begun = {**task, "result": {"ansible_job_id": "j1.1", "started": True, "finished": False, "changed": False}}
    looked = {**begun, "task": "Wait"}
    ended = {**looked, "result": {**task["result"], "ansible_job_id": "j1.1", "finished": True}}
    return [json.dumps(event) for event in (playbook, begun, looked, *([ended] if ends else []), *rest)]


def test_what_a_job_did_is_what_its_task_was_to_do() -> None:
    diff = {"before": "old", "after": "new"}
    compare(run(True, diff=diff), as_job(run(False, diff=diff), ends=True))
    with pytest.raises(prediction.WrongPrediction, match="Restore: predicted diff"):
        compare(run(True, diff=diff), as_job(run(False), ends=True))
    with pytest.raises(prediction.WrongPrediction, match="Restore: predicted changed=True, was False"):
        compare(run(True, diff=diff), as_job(run(False), ends=False))


@pytest.mark.parametrize("runs", [[], [run(True)], [run(False)], [run(False), run(True)]])
def test_no_comparison_is_no_success(runs: list[list[str]]) -> None:
    with pytest.raises(prediction.WrongPrediction, match="there is no prediction and run"):
        compare(*runs)


def test_a_plan_stands_for_the_tasks_that_check_mode_does_not_run() -> None:
    def planned(check: bool, text: str, *, changed: int = 1) -> list[str]:
        events = [json.loads(event) for event in run(check, changed=changed)]
        events[1].update(
            action="innodb.xtrabackup.xtrabackup_replica_plan",
            task="Decide",
            result={"changed": check, "diff": {"after": text}},
        )
        return [json.dumps(event) for event in events]

    compare(planned(True, "copy"), planned(False, "copy"))
    with pytest.raises(prediction.WrongPrediction, match="Decide: predicted diff"):
        compare(planned(True, "copy"), planned(False, "keep"))
    with pytest.raises(prediction.WrongPrediction, match="predicted changed=True, was changed=False"):
        compare(planned(True, "copy"), planned(False, "copy", changed=0))
