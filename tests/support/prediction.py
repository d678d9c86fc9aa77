# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a playbook do what its check mode has predicted?

As a script: ``prediction.py EVENTS PLAYBOOK``, where EVENTS is what ``callback_plugins/json_lines.py`` has written and
PLAYBOOK the end of a playbook's path. The last run with ``--check`` and the real run that came after it are compared.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class WrongPrediction(AssertionError):
    """The real run was not what check mode has said."""


@dataclass
class Run:
    """One run of a playbook. ``results`` are by host, task and how often that task came there before.

    What an asynchronous task did is what its job, of ``jobs``, had done at its end.
    """

    playbook: str
    check: bool
    results: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    announced: dict[str, list[str]] = field(default_factory=dict)
    stats: dict[str, dict[str, int]] = field(default_factory=dict)


def read_runs(events: Iterable[str]) -> list[Run]:
    """The runs that the lines ``events`` tell of, in order."""
    runs: list[Run] = []
    seen: Counter[tuple[str, str]] = Counter()
    for line in events:
        event = json.loads(line)
        if "playbook" in event:
            runs.append(Run(event["playbook"], event["check"]))
            seen.clear()
        elif "stats" in event:
            runs[-1].stats = event["stats"]
        elif event["outcome"] in ("ok", "failed"):
            _add(runs[-1], event, seen)
    return runs


def _add(run: Run, event: dict[str, Any], seen: Counter[tuple[str, str]]) -> None:
    host, task, result = event["host"], event["task"], event["result"]
    if event["action"].rpartition(".")[2] == "debug":  # what a run says; it changes nothing itself
        run.announced.setdefault(host, []).append(str(result.get("msg", "")))
        return
    if event["action"].rpartition(".")[2] == "xtrabackup_replica_plan":
        # in check mode it stands for the tasks that do not run then; each host's change is compared all the same
        result = {name: value for name, value in result.items() if name != "changed"}
    job = result.get("ansible_job_id", "")
    if job in run.jobs:
        if result.get("finished"):
            run.results[run.jobs[job]] = result
        return
    seen[host, task] += 1
    key = (host, task, seen[host, task])
    run.results[key] = result
    if job and not result.get("finished"):
        run.jobs[job] = key


def differences(check: Run, real: Run) -> list[str]:
    """In what the run ``real`` was other than ``check`` had said.

    Each host is changed in both or in neither. A task that both ran reports the same change and the same difference.
    What is announced ("Would ...", "Will ...") is the same. A task that only one ran says nothing: what a task
    would do to the result of another one is not there in check mode.
    """
    found = []
    for host in sorted(check.stats.keys() | real.stats.keys()):
        predicted, happened = (bool(run.stats.get(host, {}).get("changed")) for run in (check, real))
        if predicted != happened:
            found.append(f"{host}: predicted changed={predicted}, was changed={happened}")
    for key in sorted(check.results.keys() & real.results.keys()):
        host, task, _count = key
        for name in ("changed", "diff"):
            predicted_value, value = check.results[key].get(name), real.results[key].get(name)
            if predicted_value != value:
                found.append(f"{host}: {task}: predicted {name}={predicted_value}, was {value}")
    for host, texts in check.announced.items():
        said = [_tense(text) for text in real.announced.get(host, [])]
        unsaid = [text for text in texts if _tense(text) not in said]
        found += [f"{host}: predicted {text!r}, which the run did not say" for text in unsaid]
    return found


def _tense(text: str) -> str:
    return re.sub(r"\b[Ww](ill|ould)\b", "will", text)


def compare_last(runs: list[Run], playbook: str) -> Run:
    """Compare the last prediction of ``playbook`` with the real run after it, which is returned.

    Raises WrongPrediction.
    """
    ours = [run for run in runs if run.playbook.endswith(playbook)]
    last = max((index for index, run in enumerate(ours) if run.check), default=None)
    if last is None or len(ours) == last + 1:
        raise WrongPrediction(f"there is no prediction and run of {playbook}")
    check, real = ours[last], ours[last + 1]
    if not check.results:
        raise WrongPrediction(f"check mode ran no task of {playbook}")
    found = differences(check, real)
    if found:
        raise WrongPrediction(f"{len(found)} differences between check mode and run: " + "; ".join(found[:10]))
    return real


if __name__ == "__main__":
    try:
        with Path(sys.argv[1]).open(encoding="utf-8") as lines:
            run = compare_last(read_runs(lines), sys.argv[2])
    except WrongPrediction as error:
        sys.exit(str(error))
    print("as predicted: " + ", ".join(f"{host} changed={stats['changed']}" for host, stats in run.stats.items()))
