# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the roles wait for a job on a host that is away for a moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.support import plays


def test_a_job_is_found_again_on_a_host_that_was_away(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = workdir / "away"
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": {"xtrabackup_poll": 1, "xtrabackup_job_timeout": 120, "xtrabackup_reconnect_timeout": 60},
        "tasks": [
            {
                "ansible.builtin.command": {
                    "argv": ["sh", "-c", f"sleep 2; touch {away}; sleep 6; echo the work is done"]
                },
                "async": 120,
                "poll": 0,
                "register": "__xtrabackup_job",
            },
            {"ansible.builtin.include_role": {"name": "innodb.xtrabackup.restore", "tasks_from": "job.yml"}},
            {"ansible.builtin.debug": {"msg": "it has said: {{ __xtrabackup_job_end.stdout }}"}},
        ],
    }
    plays.write_private(workdir / "play.yml", [play])
    host = {"ansible_connection": "once_away", "ansible_python_interpreter": sys.executable}
    plays.write_private(workdir / "inventory.yml", {"all": {"hosts": {"db1": host}}})
    monkeypatch.setenv("ANSIBLE_CONNECTION_PLUGINS", str(plays.PROJECT / "tests/support/connection_plugins"))
    monkeypatch.setenv("XTRABACKUP_TEST_AWAY", str(away))
    scratch = workdir / "ansible"
    run = plays.run_playbook(str(workdir / "play.yml"), inventory=workdir / "inventory.yml", scratch=scratch)
    plays.succeeded(run)
    assert "the host is away" in run.output
    assert "Fail if the host was restarted" in run.output
    assert "it has said: the work is done" in run.output
    assert list((scratch / "async").iterdir()) == []
