# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the roles wait for a job on a host that is away for a moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.innodb.xtrabackup.tests.support import plays


def test_a_job_is_found_again_on_a_host_that_was_away(workdir: Path) -> None:
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
    environment = {
        **os.environ,
        **plays.ansible_settings(workdir / "ansible"),
        "ANSIBLE_CONNECTION_PLUGINS": str(plays.PROJECT / "tests/support/connection_plugins"),
        "XTRABACKUP_TEST_AWAY": str(away),
    }
    command = ["ansible-playbook", f"--inventory={workdir}/inventory.yml", str(workdir / "play.yml")]
    command[0] = str(Path(sys.executable).with_name(command[0]))
    run = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    assert "the host is away" in run.stdout
    assert "Make sure that the host was not restarted" in run.stdout
    assert "it has said: the work is done" in run.stdout
    assert list((workdir / "ansible" / "async").iterdir()) == []
