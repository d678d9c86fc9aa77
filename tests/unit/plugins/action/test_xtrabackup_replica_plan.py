# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action that decides about a replica: its arguments, its answers, and what it keeps to itself."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.innodb.xtrabackup.plugins.action import xtrabackup_replica_plan as action

SERVER: dict[str, Any] = {
    "flavor": "mariadb", "version_tuple": [10, 11, 6], "server_id": 1, "supported": True, "log_bin": True,
    "log_replica_updates": False, "gtid": "0-1-5",
}  # fmt: skip
HOST: dict[str, Any] = {
    "host": {
        "installed": True,
        "flavor": "mariadb",
        "version": "10.11.6",
        "datadir": "/data",
        "options": {"server_id": "2"},
    },
    "source": {"kind": "absent"},
    "journal": {"exists": False, "record": {}},
    "incoming": {"path": "/data.incoming", "overlap": False},
}
DECIDE: dict[str, Any] = {
    "stage": "decide", "primary": "db1", "primary_facts": {"server": SERVER, "replication": []}, "host_facts": HOST,
    "source_host": "10.0.0.1", "source_port": "3306", "rebuild": "false", "backup_user": "b",
    "backup_password": "canary", "replication_user": "r", "replication_password": "canary",
    "channel": {"source_user": "r", "source_ssl": None, "source_ssl_ca": ""}, "resume_within": 60,
}  # fmt: skip
VARIABLES: dict[str, Any] = {
    "inventory_hostname": "db2",
    "groups": {"all": ["db1", "db2", "db3"], "primaries": ["db1"]},
    "hostvars": {"db1": {}, "db2": {}, "db3": {}},
}


def run(arguments: dict[str, Any], *, check: bool = False, diff: bool = False, **variables: Any) -> dict[str, Any]:
    """Run the action as a task does, without a connection."""
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task = SimpleNamespace(args=arguments, check_mode=check, diff=diff)
    return plugin.run(None, {**VARIABLES, **variables})


@pytest.fixture(autouse=True)
def _no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})


@pytest.mark.parametrize("check", [False, True])
def test_a_plan_is_told_and_only_check_mode_calls_it_a_change(check: bool) -> None:
    result = run(DECIDE, check=check, diff=True)
    assert result["changed"] is check
    assert result["msg"] == f"{'Would' if check else 'Will'} copy db1 to /data: there is nothing in /data"
    assert (result["plan"]["step"], result["plan"]["replaces"]) == ("provision", False)
    assert (result["diff"]["before"]["role"], result["diff"]["after"]["role"]) == ("none", "replica")
    assert "canary" not in json.dumps(result)
    assert "diff" not in run(DECIDE, check=check)


def test_every_problem_is_told_at_once_with_its_code() -> None:
    facts = {"server": {**SERVER, "log_bin": False, "server_id": 2}, "replication": []}
    result = run({**DECIDE, "primary_facts": facts, "replication_password": ""})
    assert (result["failed"], result["changed"]) == (True, False)
    codes = ["binary_log_off", "server_id_taken", "variable_empty"]
    assert [problem["code"] for problem in result["problems"]] == codes
    assert (result["error"]["code"], result["error"]["details"]["problems"]) == ("binary_log_off", codes)
    assert result["msg"].startswith("Nothing was touched: ")
    assert result["msg"].count("Also: ") == 2


def test_a_password_of_digits_is_a_password() -> None:
    result = run({**DECIDE, "replication_password": 12345, "backup_password": 678})
    assert result["plan"]["step"] == "provision"
    assert "12345" not in json.dumps(result)
    assert not run({"stage": "request", "primary": "db1", "backup_user": "b", "backup_password": 0}).get("failed")


def test_the_other_replicas_of_the_same_primary_are_known_by_what_the_role_registers() -> None:
    def peer(primary: str, server_id: str) -> dict[str, Any]:
        facts = {**HOST, "host": {**HOST["host"], "options": {"server_id": server_id}}}
        return {action._PRIMARY_OF: {"primary": primary}, action._FACTS_OF: facts}

    for primary, server_id, taken in (("db1", "2", True), ("db1", "3", False), ("db9", "2", False)):
        hostvars = {**VARIABLES["hostvars"], "db3": peer(primary, server_id)}
        assert bool(run(DECIDE, hostvars=hostvars).get("failed")) is taken


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"backup_password": ""}, "xtrabackup_backup_password is empty"),
        ({"primary": "nobody"}, "'nobody', which is no host of the inventory"),
        ({"primary": "db2"}, "db2 cannot be a replica of itself"),
    ],
)
def test_the_request_is_checked_without_any_host(arguments: dict[str, Any], words: str) -> None:
    request = {"stage": "request", "primary": "db1", "backup_user": "b", "backup_password": "p"}
    assert run(request) == {"changed": False, "primary": "db1"}
    assert words in run({**request, **arguments})["msg"]


def test_a_misspelt_variable_is_a_warning_that_names_the_right_one() -> None:
    request = {"stage": "request", "primary": "db1", "backup_user": "b", "backup_password": "p"}
    assert run(request, xtrabackup_replica_rebuld=True)["warnings"] == [
        "xtrabackup_replica_rebuld is no variable of this collection; did you mean xtrabackup_replica_rebuild?"
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({**DECIDE, "stage": "other"}, "stage"),
        ({**DECIDE, "source_port": "x"}, "source_port"),
        ({**DECIDE, "host_facts": {"host": "nothing"}}, "db2: host: str instead of facts"),
        ({**DECIDE, "unknown": 1}, "unknown"),
    ],
)
def test_arguments_and_facts_that_are_none_fail_with_their_name(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(AnsibleActionFail, match=words):
        run(arguments)


class Vaulted:
    """As ansible-core 2.18 hands on an inline vaulted value: no string."""

    def __str__(self) -> str:
        return "secret"


def test_a_value_that_is_no_plain_type_becomes_text() -> None:
    assert action.plain({"a": [Vaulted(), 1, None, True]}) == {"a": ["secret", 1, None, True]}


def test_of_the_channel_what_is_null_or_empty_was_not_given() -> None:
    given = {"source_user": 5, "source_ssl": "no", "source_ssl_ca": "", "source_ssl_verify": None, "other": 1}
    assert action.channel_settings(given) == {"source_user": "5", "source_ssl": False}
