# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's playbooks, run by the real ansible-playbook on hosts that all are this machine.

A host is a directory with a private server (``servers.DatabaseServer``), which ``service.py`` starts and stops.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import yaml

from .servers import DatabaseServer

PROJECT = Path(__file__).resolve().parents[2]
SERVICE = Path(__file__).with_name("service.py")
# what the role's README asks for
BACKUP_GRANTS = "RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR, REPLICATION SLAVE ADMIN"
MYSQL_BACKUP_GRANTS = "BACKUP_ADMIN, RELOAD, PROCESS, REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN"

_RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+ .*failed=\d+ .*)$", re.MULTILINE)


@dataclass(frozen=True)
class PlayResult:
    """What a run of a playbook did. ``recap``: ok, changed, failed, ... by host."""

    status: int
    output: str
    recap: dict[str, dict[str, int]]

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks have changed something, by host."""
        return {host: counts["changed"] for host, counts in self.recap.items()}


def succeeded(result: PlayResult) -> PlayResult:
    """``result``, of a run without a failure."""
    assert result.status == 0, result.output
    return result


def failed(result: PlayResult, *texts: str) -> PlayResult:
    """``result``, of a run that has failed and says ``texts``."""
    assert result.status != 0, result.output
    flat = " ".join(result.output.split())
    for text in texts:
        assert text in flat, result.output
    return result


def recap_of(output: str) -> dict[str, dict[str, int]]:
    """The recap at the end of ``output``; those of several playbooks are added up."""
    recap: dict[str, dict[str, int]] = {}
    for match in _RECAP.finditer(output):
        counts = recap.setdefault(match["host"], {})
        for pair in match["counts"].split():
            key, value = pair.split("=")
            counts[key] = counts.get(key, 0) + int(value)
    return recap


def write_private(path: Path, data: object) -> None:
    """``data`` as YAML in a new file that only its owner can read."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
        yaml.safe_dump(data, target, sort_keys=False)


def create_accounts(server: DatabaseServer, passwords: Mapping[str, str]) -> None:
    """The two accounts that the role's README asks for: backup and repl."""
    mysql = server.flavor == "mysql"
    grants = MYSQL_BACKUP_GRANTS if mysql else BACKUP_GRANTS
    server.create_account("backup", passwords["xtrabackup_backup_password"], grants)
    server.create_account("repl", passwords["xtrabackup_replication_password"], "REPLICATION SLAVE")
    if mysql:
        for host in ("localhost", "127.0.0.1"):
            server.execute(f"GRANT SELECT ON performance_schema.log_status TO backup@'{host}'")


def host_variables(server: DatabaseServer) -> dict[str, Any]:
    """The inventory variables of the host that ``server`` stands for."""
    service = [sys.executable, str(SERVICE)]
    # MariaDB is found as users have it; MySQL is not installed on this machine
    named = {} if server.flavor == "mariadb" else {"xtrabackup_server_program": server.executable()}
    return {
        **named,
        "ansible_host": "127.0.0.1",
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "xtrabackup_login_unix_socket": str(server.socket),
        "xtrabackup_defaults_file": str(server.option_file),
        "xtrabackup_run_dir": str(server.directory / "run"),
        "xtrabackup_server_start_command": [*service, "start", str(server.directory), server.executable()],
        "xtrabackup_server_stop_command": [*service, "stop", str(server.directory)],
    }


def common_variables() -> dict[str, Any]:
    """What private servers need that the defaults of the roles do not say."""
    return {
        "xtrabackup_become": False,
        "xtrabackup_server_owner": "",
        "xtrabackup_server_group": "",
        "xtrabackup_transfer_listen_address": "127.0.0.1",
        "xtrabackup_poll": 1,
    }


def ansible_settings(scratch: Path) -> dict[str, str]:
    """Ansible's environment for hosts that all are this machine: this collection, and its files in ``scratch``."""
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / ".build/collections"),
        "ANSIBLE_LOCAL_TEMP": str(scratch / "local"),
        "ANSIBLE_REMOTE_TEMP": str(scratch / "remote"),
        "ANSIBLE_ASYNC_DIR": str(scratch / "async"),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "1",
    }
    if "XTRABACKUP_TEST_PACKED" in os.environ:  # a session of tests
        settings["ANSIBLE_CALLBACK_PLUGINS"] = str(Path(__file__).with_name("callback_plugins"))
        settings["ANSIBLE_CALLBACKS_ENABLED"] = "packed_modules"
    return settings


def run_playbook(
    name: str,
    *arguments: str,
    inventory: Path,
    scratch: Path,
    variables: Mapping[str, Any] | None = None,
    echo: Callable[[str], None] | None = None,
) -> PlayResult:
    """Run ``playbooks/NAME`` and wait for its end; ``echo`` gets each line as it comes.

    ``variables`` are given as a private file, so that no password is on a command line.
    """
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    extra = scratch / "variables.yml"
    write_private(extra, dict(variables or {}))
    nothing = scratch / "ansible.cfg"  # nobody's own settings
    nothing.touch()
    environment = {
        **os.environ,
        **ansible_settings(scratch),
        "ANSIBLE_CONFIG": str(nothing),
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
    }
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={inventory}",
        f"--extra-vars=@{extra}",
        *arguments,
        str(PROJECT / "playbooks" / name),
    ]
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as play:  # fmt: skip
        assert play.stdout is not None
        for line in play.stdout:
            lines.append(line)
            if echo is not None:
                echo(line.rstrip("\n"))
    output = "".join(lines)
    return PlayResult(play.returncode, output, recap_of(output))
