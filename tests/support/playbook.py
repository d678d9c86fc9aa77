# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running playbooks and modules as users do, and reading what came of it.

``run_playbook`` and ``run_task`` go through ansible-playbook: everything is real, at about a second a run.
``run_module`` runs a module's file by itself with its arguments on standard input, as the generated code on a managed
host does in the end: for the many calls that a matrix of cases needs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".build" / "collections"


class RunFailed(AssertionError):
    """A playbook or module did not end as the test expected; the message holds its output."""


@dataclass(frozen=True)
class TaskResult:
    """What one task did on one host. ``outcome``: ok, failed, ignored, skipped, unreachable."""

    host: str
    task: str
    action: str
    outcome: str
    result: dict[str, Any]


@dataclass(frozen=True)
class PlaybookRun:
    """What a run of ansible-playbook did."""

    status: int
    output: str
    tasks: tuple[TaskResult, ...]
    stats: dict[str, dict[str, int]]

    def changed(self, host: str | None = None) -> int:
        """How many tasks changed something, on ``host`` or on all hosts."""
        return sum(stats["changed"] for name, stats in self.stats.items() if host in (None, name))

    def results(self, text: str, host: str | None = None) -> list[TaskResult]:
        """The results of the tasks whose name or action contains ``text``."""
        return [task for task in self.tasks if (text in task.task or text in task.action) and host in (None, task.host)]

    def failure(self) -> TaskResult:
        """The first task that failed; raises RunFailed when none did."""
        for task in self.tasks:
            if task.outcome in ("failed", "unreachable"):
                return task
        raise RunFailed(f"no task failed\n{self.output[-4000:]}")

    def must_succeed(self) -> PlaybookRun:
        """This run; raises RunFailed when it did not succeed on every host, or did nothing."""
        if self.status != 0:
            raise RunFailed(f"ansible-playbook ended with {self.status}\n{self.output[-12000:]}")
        if not self.stats:
            raise RunFailed(f"the play had no host\n{self.output[-4000:]}")
        return self


def ansible_environment(**extra: str) -> dict[str, str]:
    """The environment of Ansible's programs: this collection from this tree, no settings of the user's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update(
        ANSIBLE_CONFIG=str(Path(__file__).parent / "ansible.cfg"),
        ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS),
        PATH=f"{Path(sys.executable).parent}:{environment.get('PATH', '')}:/usr/sbin:/sbin",
    )
    environment.update(extra)
    return environment


def write_inventory(path: Path, groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Path:
    """Write an inventory (group -> host -> variables) as JSON, which is YAML too. Local connections by default."""
    document = {
        "all": {
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            "children": {group: {"hosts": dict(hosts)} for group, hosts in groups.items()},
        }
    }
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def run_playbook(
    playbook: Path,
    inventory: Path,
    variables: Mapping[str, Any] | None = None,
    *,
    check: bool = False,
    diff: bool = False,
    arguments: tuple[str, ...] = (),
    timeout: float = 900,
) -> PlaybookRun:
    """Run ``playbook``; nothing is raised for a run that fails (see ``PlaybookRun.must_succeed``)."""
    with tempfile.TemporaryDirectory(prefix="xtrabackup-play-") as scratch:
        events = Path(scratch) / "events"
        command = ["ansible-playbook", "-i", str(inventory), str(playbook), *arguments]
        if variables:
            variables_file = Path(scratch) / "variables.json"
            variables_file.write_text(json.dumps(variables), encoding="utf-8")
            variables_file.chmod(0o600)
            command += ["--extra-vars", f"@{variables_file}"]
        command += ["--check"] * check + ["--diff"] * diff
        finished = subprocess.run(
            command,
            cwd=ROOT,
            env=ansible_environment(
                ANSIBLE_CALLBACK_PLUGINS=str(Path(__file__).parent / "callback_plugins"),
                ANSIBLE_CALLBACKS_ENABLED="json_lines,packed_modules",
                XTRABACKUP_TEST_EVENTS=str(events),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        lines = events.read_text(encoding="utf-8").splitlines() if events.exists() else []
    found = [json.loads(line) for line in lines]
    return PlaybookRun(
        status=finished.returncode,
        output=finished.stdout,
        tasks=tuple(TaskResult(**event) for event in found if "outcome" in event),
        stats=next((event["stats"] for event in found if "stats" in event), {}),
    )


def run_task(
    module: str, options: Mapping[str, Any], *, check: bool = False, diff: bool = False, timeout: float = 900
) -> dict[str, Any]:
    """Run one task of ``module`` (its short name) on localhost through ansible-playbook; returns its result."""
    with tempfile.TemporaryDirectory(prefix="xtrabackup-task-") as scratch:
        playbook = Path(scratch) / "task.yml"
        task = {f"innodb.xtrabackup.{module}": dict(options), "name": "The task"}
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]), encoding="utf-8")
        playbook.chmod(0o600)
        inventory = write_inventory(Path(scratch) / "inventory.json", {"tested": {"localhost": {}}})
        run = run_playbook(playbook, inventory, check=check, diff=diff, timeout=timeout)
    results = run.results("The task")
    if len(results) != 1:
        raise RunFailed(f"the task was not run\n{run.output[-8000:]}")
    return results[0].result


def run_module(
    module: str,
    options: Mapping[str, Any],
    *,
    check: bool = False,
    diff: bool = False,
    fails: bool = False,
    python: str = sys.executable,
    timeout: float = 900,
) -> dict[str, Any]:
    """Run the file of ``module`` by itself; returns the result that it prints.

    Raises RunFailed when it fails although ``fails`` is not said, or the other way round.
    """
    process = start_module(module, options, check=check, diff=diff, python=python)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise RunFailed(f"{module} did not end in {timeout} s") from error
    return module_result(module, output, errors, fails=fails)


def start_module(
    module: str,
    options: Mapping[str, Any],
    *,
    check: bool = False,
    diff: bool = False,
    python: str = sys.executable,
) -> subprocess.Popen[str]:
    """Start ``module`` in the background, for tests that do something to it meanwhile; see ``module_result``."""
    arguments = dict(options, _ansible_check_mode=check, _ansible_diff=diff, _ansible_no_log=False)
    process = subprocess.Popen(
        [python, "-m", f"ansible_collections.innodb.xtrabackup.plugins.modules.{module}"],
        env=dict(os.environ, PYTHONPATH=module_python_path(python)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    process.stdin.close()
    process.stdin = None  # communicate() would flush it
    return process


def module_python_path(python: str) -> str:
    """PYTHONPATH under which ``python`` finds this collection and, where it is another Python, ansible-core."""
    paths = [str(COLLECTIONS)]
    if python != sys.executable:
        import ansible  # only its place is wanted

        link = ROOT / ".build" / "ansible"  # ansible alone: not the libraries beside it, built for this Python
        link.mkdir(parents=True, exist_ok=True)
        target = Path(ansible.__file__).parent
        if not (link / "ansible").exists():
            (link / "ansible").unlink(missing_ok=True)
            (link / "ansible").symlink_to(target)
        paths.append(str(link))
    return os.pathsep.join(paths)


def module_result(module: str, output: str, errors: str, *, fails: bool = False) -> dict[str, Any]:
    """The result that a module printed; raises RunFailed as ``run_module`` does."""
    try:
        result: dict[str, Any] = json.loads(output)
    except ValueError as error:
        raise RunFailed(f"{module} printed no result\n{output[-4000:]}\n{errors[-8000:]}") from error
    if bool(result.get("failed")) != fails:
        raise RunFailed(f"{module} {'succeeded' if fails else 'failed'}: {json.dumps(result, indent=1)[-8000:]}")
    return result
