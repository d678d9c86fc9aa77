# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example repository of restores by request, on an estate: its own files, its own CI's commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from . import plays
from .estate import Estate

EXAMPLE = plays.PROJECT / "docs" / "examples" / "gitops"
_SECONDS = 600


class Repository:
    """A copy of the example, with the hosts of ``estate`` in its inventory and no request yet."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.path = estate.directory / "repository"
        self.log = estate.directory / "ci.log"
        shutil.copytree(EXAMPLE, self.path)
        for request in (self.path / "requests").iterdir():
            request.unlink()
        self.jobs: dict[str, Any] = yaml.safe_load((self.path / ".gitlab-ci.yml").read_text(encoding="utf-8"))
        self.write_inventory()

    def write_inventory(self, **of_hosts: Mapping[str, Any]) -> None:
        """The estate's hosts; ``of_hosts``: variables of some of them beside the usual ones."""
        hosts = {
            name: {**plays.host_variables(server), **of_hosts.get(name, {})}
            for name, server in self.estate.servers.items()
        }
        document = {"all": {"vars": plays.common_variables(), "hosts": hosts}}
        plays.write_private(self.path / "inventory.yml", document)

    def commit(self, request: Mapping[str, Any]) -> None:
        """Write ``request`` into a file that has its id."""
        path = self.path / "requests" / f"{request['id']}.yml"
        path.write_text(yaml.safe_dump(dict(request), sort_keys=False), encoding="utf-8")

    def start(self, job: str) -> subprocess.Popen[bytes]:
        """Start the script of a ``job`` of the CI file as its CI does, in a process group of its own; its output goes
        into the file ``log``."""
        (line,) = self.jobs[job]["script"]
        # the collection is this one, not what requirements.yml names; the rest is for hosts that all are this machine
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            **plays.ansible_settings(self.estate.directory / "ansible"),
            "PWD": str(self.path),
            "PATH": f"{plays.PROJECT / '.venv/bin'}:{os.environ.get('PATH', '')}",
        }
        with open(self.log, "wb") as log:
            return subprocess.Popen(
                shlex.split(line), cwd=self.path, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def run(self, job: str) -> plays.PlayResult:
        """``start``, and what came of it; of several playbooks the recaps are added up."""
        with self.start(job) as process:
            process.wait(_SECONDS)
        output = self.log.read_text(encoding="utf-8")
        return plays.PlayResult(process.returncode, output, plays.recap_of(output))
