# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's modules from code that stays on the hosts: sent once for each host and version, compiled once.

Ansible packs a module with all that it imports, and sends, unpacks and compiles that in each task. Here the task names
the code by its digest (see the module xtrabackup_engine); only a host that says that it lacks it gets it. Where it
cannot be kept, and for tasks with ``async``, the module is packed as Ansible does it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import math
import os
import secrets
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import constants  # type: ignore[attr-defined]  # Ansible has no types
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils import basic
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.release import __version__
from ansible.utils.display import Display

from .following import Follower, HostLost, Shown
from .plain_types import plain

COLLECTION = "innodb.xtrabackup"
RUNNER = f"{COLLECTION}.xtrabackup_engine"
KEEP_VARIABLE = "xtrabackup_keep_engine"

DETACHED_VARIABLE = "__xtrabackup_detached"
"""Variable of a task that only starts its job, and goes on when that is in its first phase."""

NAME_VARIABLE = "__xtrabackup_job_name"
"""Variable of a task whose job is found again by this name, whatever its options are."""

JOB_SECONDS = 86400
POLL_SECONDS = 5
RECONNECT_SECONDS = 300
SHORT_SECONDS = 2
"""A job that is over by then is a task like any other: one round trip."""
START_SECONDS = 60

_SECRETS = ("password", "token", "secret")  # parts of names of options
_PLUGINS = Path(__file__).resolve().parents[1]
_COLLECTION = "ansible_collections/innodb/xtrabackup/plugins"
# parts of Ansible's module_utils that no module of this collection imports
_LEFT_OUT = ("csharp", "facts", "powershell")
_INIT = f"__version__ = {__version__!r}\n"

_display = Display()


def code_files() -> Iterator[tuple[str, bytes]]:
    """Name and content of each file that runs on hosts: this collection's, and Ansible's own that modules import."""
    yield "ansible/__init__.py", _INIT.encode()
    utils = Path(basic.__file__).parent
    for path in sorted(utils.rglob("*.py")):
        relative = path.relative_to(utils)
        if relative.parts[0] not in _LEFT_OUT:
            yield f"ansible/module_utils/{relative}", path.read_bytes()
    for folder in ("module_utils", "modules"):
        for path in sorted((_PLUGINS / folder).rglob("*.py")):
            yield f"{_COLLECTION}/{path.relative_to(_PLUGINS)}", path.read_bytes()


def pack() -> tuple[str, bytes]:
    """Digest (hexadecimal) and zip archive of the code."""
    digest = hashlib.sha256()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in code_files():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            archive.writestr(name, content)
    return digest.hexdigest()[:40], packed.getvalue()


@functools.lru_cache(maxsize=1)
def packed_code() -> tuple[str, Path]:
    """Digest of the code and the file with its archive, made once in each run of ansible-playbook.

    Tasks run in processes of their own, so the run's temporary directory is what they have in common.
    """
    directory = Path(constants.DEFAULT_LOCAL_TMP)
    for found in directory.glob("xtrabackup-engine-*.zip"):
        return found.stem.rpartition("-")[2], found
    digest, content = pack()
    descriptor, temporary = tempfile.mkstemp(dir=directory)
    with open(descriptor, "wb") as file:
        file.write(content)
    path = directory / f"xtrabackup-engine-{digest}.zip"
    os.replace(temporary, path)
    return digest, path


class ModuleAction(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The action of a module of this collection: the module, run from the kept code."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        variables = task_vars or {}
        in_background = bool(self._task.async_val)
        answer = None
        if not in_background and self._may_keep(variables):
            answer = self._run_kept(variables)
        if answer is None:
            answer = self._execute_module(task_vars=variables, wrap_async=in_background)
        result.update(answer)
        if not in_background:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _may_keep(self, variables: dict[str, Any]) -> bool:
        return bool(boolean(self._variable(variables, KEEP_VARIABLE, True)))

    def _variable(self, variables: dict[str, Any], name: str, default: Any) -> Any:
        value = variables.get(name, default)
        return self._templar.template(value) if isinstance(value, str) else value

    def _run_kept(self, variables: dict[str, Any]) -> dict[str, Any] | None:
        """The module's result; None where it is to be packed."""
        return self._call_kept(variables, self._module, dict(self._task.args))

    @property
    def _module(self) -> str:
        return str(self._task.resolved_action).rpartition(".")[2]

    def _call_kept(
        self, variables: dict[str, Any], module: str, arguments: dict[str, Any], **more: Any
    ) -> dict[str, Any] | None:
        """The result of ``module`` run from the kept code; None where that cannot be kept, or only in check mode."""
        digest, archive = packed_code()
        request = {"digest": digest, "module": module, "arguments": arguments, **more}
        answer = self._call_packed(variables, RUNNER, request)
        if _state(answer) == "missing" and not self._task.check_mode:
            request["code"] = base64.b64encode(archive.read_bytes()).decode()
            answer = self._call_packed(variables, RUNNER, request)
        if _state(answer):
            _display.vvv(f"The module is packed: {answer['xtrabackup_engine']}", host=self._host(variables))
            return None
        return answer

    def _followed(
        self, variables: dict[str, Any], job: str, task: str, run_dir: str, limit: float = 0
    ) -> dict[str, Any]:
        """The answer of the job ``job`` once it is over."""
        seconds = float(self._variable(variables, "xtrabackup_reconnect_timeout", RECONNECT_SECONDS))
        poll = max(int(self._variable(variables, "xtrabackup_poll", POLL_SECONDS)), 1)
        follower = Follower(self._connection, self._shell_command, self._shown(variables), poll, seconds)
        wanted = {"id": job, "task": task, "timeout": 1 if limit else 0, "run_dir": run_dir}
        try:
            follower.until_over(job, run_dir, limit or math.inf)
            answer = follower.lasting(self._call_kept, variables, "xtrabackup_job", wanted)
            if answer is None:  # the code was removed meanwhile, and cannot be kept again
                answer = follower.lasting(self._call_packed, variables, f"{COLLECTION}.xtrabackup_job", wanted)
            return answer
        except HostLost as error:
            raise AnsibleConnectionFailure(
                f"{self._host(variables)} could not be reached for {seconds:g} s ({error}). The job {job} there goes "
                "on unless the host is down; the same task finds it again. xtrabackup_reconnect_timeout is the limit."
            ) from error

    def _call_packed(self, variables: dict[str, Any], module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any]
        answer = self._execute_module(module_name=module, module_args=dict(arguments), task_vars=variables)
        return answer

    def _run_dir(self, variables: dict[str, Any]) -> str:
        """The directory for what runs, on the host of the task; empty for the usual one."""
        if self._task.delegate_to:
            of_host = (variables.get("hostvars") or {}).get(self._task.delegate_to) or {}
            return str(of_host.get("xtrabackup_run_dir") or "")
        return str(self._variable(variables, "xtrabackup_run_dir", ""))

    def _shell_command(self, command: str) -> dict[str, Any]:
        # without input, ssh would be asked for a terminal
        pipelined = self._is_pipelining_enabled("new")
        found: dict[str, Any] = self._low_level_execute_command(command, in_data=b"\n" if pipelined else None)
        return found

    def _shown(self, variables: dict[str, Any]) -> Shown:
        alone = len(variables.get("ansible_play_batch") or ()) < 2
        return Shown(self._host(variables), bool(self._task.no_log), alone)

    def _host(self, variables: dict[str, Any]) -> str:
        return str(self._task.delegate_to or variables.get("inventory_hostname", "the host"))


class JobAction(ModuleAction):
    """The action of a module that may take long: it runs as a job on the host, which is followed."""

    def _run_kept(self, variables: dict[str, Any]) -> dict[str, Any] | None:
        if self._task.check_mode:
            return super()._run_kept(variables)
        arguments = plain(self._task.args)
        detached = bool(self._variable(variables, DETACHED_VARIABLE, False))
        wanted: dict[str, Any] = {
            "name": self._variable(variables, NAME_VARIABLE, "") or f"{self._module}-{job_digest(arguments)}",
            "run_dir": self._run_dir(variables),
            "task": secrets.token_hex(8),
            "limit": float(self._variable(variables, "xtrabackup_job_timeout", JOB_SECONDS)),
            "wait": START_SECONDS if detached else SHORT_SECONDS,
            "first_phase": detached,
        }
        answer = self._call_kept(variables, self._module, arguments, job=wanted)
        if detached and answer is None:
            raise AnsibleActionFail(
                f"The job cannot be started: the code of {self._module} cannot be kept on {self._host(variables)} "
                "(ansible-playbook -vvv shows why). Run the task as root."
            )
        if answer is None or detached or not isinstance(answer.get("job"), dict):
            return answer
        job = answer["job"]
        if job["began"]:
            self._shown(variables).text(f"job {job['id']} goes on, also without this play; kill {job['pid']} stops it")
        else:
            self._shown(variables).text(f"found job {job['id']} (process {job['pid']}) of an earlier run; it goes on")
        return self._followed(variables, job["id"], job["task"], wanted["run_dir"])


class FollowAction(ModuleAction):
    """The action xtrabackup_job: it follows a job that another task has started."""

    def _run_kept(self, variables: dict[str, Any]) -> dict[str, Any] | None:
        self._task.args.setdefault("run_dir", self._run_dir(variables))
        arguments = plain(self._task.args)
        if self._task.check_mode or arguments.get("state", "finished") != "finished" or not arguments.get("id"):
            return super()._run_kept(variables)
        limit = float(arguments.get("timeout") or 0)
        return self._followed(
            variables, str(arguments["id"]), str(arguments.get("task") or ""), arguments["run_dir"], limit
        )


def job_digest(arguments: dict[str, Any]) -> str:
    """Return the digest of the options without secrets, which tells a task from others with another purpose."""
    return hashlib.sha256(json.dumps(_public(arguments), sort_keys=True).encode()).hexdigest()[:12]


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public(item) for key, item in value.items() if not any(word in key for word in _SECRETS)}
    return [_public(item) for item in value] if isinstance(value, list) else value


def _state(answer: dict[str, Any]) -> str:
    """Why the module was not run: ``missing``, ``refused``, or nothing when it was."""
    reason = answer.get("xtrabackup_engine")
    return str(reason.get("state", "")) if isinstance(reason, dict) else ""
