# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides on the controller, where the facts of both ends are, what is done to a host that is to be a replica.

The documentation is that of the module of the same name. No other module is called, and no host is reached.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.compatibility import request_problems
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.facts import (
    parse_host,
    parse_journal,
    parse_primary,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.model import (
    CHANNEL_SETTINGS,
    Plan,
    Request,
    Step,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.plan import (
    decide,
    refusal,
)
from ansible_collections.innodb.xtrabackup.plugins.plugin_utils.plain_types import plain
from ansible_collections.innodb.xtrabackup.plugins.plugin_utils.remote_engine import packed_code
from ansible_collections.innodb.xtrabackup.plugins.plugin_utils.role_variables import misspelt

SPEC: dict[str, dict[str, Any]] = {
    "stage": {"type": "str", "choices": ["request", "decide"], "required": True},
    "primary": {"type": "str", "default": ""},
    "primary_facts": {"type": "dict"},
    "host_facts": {"type": "dict"},
    "source_host": {"type": "str", "default": ""},
    "source_port": {"type": "int", "default": 3306},
    "rebuild": {"type": "bool", "default": False},
    "rebuild_healthy": {"type": "list", "elements": "str", "default": []},
    "backup_user": {"type": "str", "default": ""},
    "backup_password": {"type": "str", "default": "", "no_log": True},
    "replication_user": {"type": "str", "default": ""},
    "replication_password": {"type": "str", "default": "", "no_log": True},
    "channel": {"type": "dict", "default": {}},
    "resume_within": {"type": "int", "default": 43200},
}
_SWITCHES = ("source_ssl", "source_ssl_verify", "get_source_public_key")
# what the role registers on each host: its primary, and its facts
_PRIMARY_OF, _FACTS_OF = "__xtrabackup_replica_request", "__xtrabackup_host_info"


def channel_settings(channel: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the channel that were given, by name; what is null or empty was not."""
    given = {name: channel.get(name) for name in CHANNEL_SETTINGS}
    given = {name: value for name, value in given.items() if value is not None and value != ""}
    return {name: boolean(value) if name in _SWITCHES else str(value) for name, value in given.items()}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The action xtrabackup_replica_plan."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The plan, or a failure with all problems of the host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = self._arguments()
        host = str(variables.get("inventory_hostname", ""))
        try:
            request = self._request(arguments, variables, host)
            if arguments["stage"] == "request":
                result.update(self._check_request(arguments, variables, host, request))
            else:
                plan = decide(
                    parse_primary(arguments["primary"], arguments["primary_facts"]),
                    parse_host(host, arguments["host_facts"]),
                    parse_journal(host, arguments["host_facts"]),
                    request,
                )
                result.update(self._told(plan))
        except FormatError as error:
            raise AnsibleActionFail(f"{error.message}. {error.remedy}") from error
        return result

    def _arguments(self) -> dict[str, Any]:
        checked = ArgumentSpecValidator(SPEC).validate(plain(self._task.args))
        if checked.error_messages:
            raise AnsibleActionFail("; ".join(checked.error_messages))
        arguments: dict[str, Any] = checked.validated_parameters
        return arguments

    def _request(self, arguments: dict[str, Any], variables: dict[str, Any], host: str) -> Request:
        return Request(
            source_host=arguments["source_host"],
            source_port=arguments["source_port"],
            rebuild=arguments["rebuild"],
            rebuild_healthy=host in arguments["rebuild_healthy"],
            backup_user=arguments["backup_user"],
            backup_password=arguments["backup_password"],
            replication_user=arguments["replication_user"],
            replication_password=arguments["replication_password"],
            settings=channel_settings(arguments["channel"]),
            peers=_peers(variables, host, arguments["primary"]) if arguments["stage"] == "decide" else (),
            now=int(time.time()),
            resume_within=arguments["resume_within"],
            code=packed_code()[0] if arguments["stage"] == "decide" else "",
        )

    def _check_request(
        self, arguments: dict[str, Any], variables: dict[str, Any], host: str, request: Request
    ) -> dict[str, Any]:
        groups = variables.get("groups", {})
        problems = request_problems(
            primary=arguments["primary"],
            host=host,
            known_hosts=groups.get("all", ()),
            candidates=groups.get("primaries", ()),
            said=variables["hostvars"][host].get("xtrabackup_primary") is not None,
            request=request,
        )
        warnings = [
            f"{name} is no variable of this collection; did you mean {known}?"
            for name, known in misspelt(name for name in variables if str(name).startswith("xtrabackup_"))
        ]
        reported = _failure(refusal(problems)) if problems else {"changed": False, "primary": arguments["primary"]}
        return {**reported, "warnings": warnings} if warnings else reported

    def _told(self, plan: Plan) -> dict[str, Any]:
        if plan.step is Step.REFUSE:
            return _failure(plan)
        check_mode = bool(self._task.check_mode)
        reported = {
            "changed": check_mode and (plan.changes or plan.tidies),
            "plan": plan.as_dict(),
            "msg": plan.text(check_mode=check_mode),
        }
        if plan.changes and self._task.diff:
            reported["diff"] = {"before": dict(plan.before), "after": dict(plan.after)}
        return reported


def _failure(plan: Plan) -> dict[str, Any]:
    """The failure that tells all problems of ``plan``; ``error`` is the first of them, as modules return it."""
    problems = [problem.as_dict() for problem in plan.problems]
    error = {**problems[0], "details": {"problems": [problem["code"] for problem in problems]}}
    return {"failed": True, "changed": False, "msg": plan.text(check_mode=False), "error": error, "problems": problems}


def _peers(variables: dict[str, Any], host: str, primary: str) -> tuple[tuple[str, int], ...]:
    """The other hosts that this run makes replicas of the same primary, with the server_id of each."""
    found = []
    for name in variables.get("groups", {}).get("all", ()):
        if name == host:
            continue
        known = variables["hostvars"][name]
        if (known.get(_PRIMARY_OF) or {}).get("primary") == primary and known.get(_FACTS_OF):
            peer = parse_host(name, plain(known.get(_FACTS_OF)))
            if peer.installed:
                found.append((name, peer.server_id))
    return tuple(found)
