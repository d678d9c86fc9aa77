# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example repository of restores by request: its own files, its own CI's commands, also on an estate."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import yaml

from . import plays
from .estate import Estate

EXAMPLE = plays.PROJECT / "docs" / "examples" / "gitops"
FILE, LINK, COMMIT = "100644", "120000", "160000"  # modes of entries in git
_SECONDS = 600


class Example:
    """A copy of the example in ``directory``, with no request yet; a repository of git, which is its own origin."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "repository"
        self.log = directory / "ci.log"
        shutil.copytree(EXAMPLE, self.path)
        for request in (self.path / "requests").iterdir():
            request.unlink()
        self.jobs: dict[str, Any] = yaml.safe_load((self.path / ".gitlab-ci.yml").read_text(encoding="utf-8"))
        for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "The example"]):
            self.git(*command)
        self.git("remote", "add", "origin", str(self.path))

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        """What a git command in the repository prints."""
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=self.path, input=stdin, stdout=subprocess.PIPE, check=True)
        return done.stdout.decode().strip()

    def commit(self, request: Mapping[str, Any]) -> None:
        """Write ``request`` into a file that has its id."""
        path = self.path / "requests" / f"{request['id']}.yml"
        path.write_text(yaml.safe_dump(dict(request), sort_keys=False), encoding="utf-8")

    def propose(self, number: int, files: Mapping[str, Union[str, tuple[str, str]]]) -> None:
        """A merge request with ``files`` beside those of the last commit: content, or mode and content (of a link its
        target). The work tree, which is the default branch's, stays as it is."""
        for path, entry in files.items():
            mode, content = entry if isinstance(entry, tuple) else (FILE, entry)
            key = content if mode == COMMIT else self.git("hash-object", "-w", "--stdin", stdin=content.encode())
            self.git("update-index", "--add", "--cacheinfo", f"{mode},{key},{path}")
        commit = self.git("commit-tree", "-p", "HEAD", "-m", "A proposal", self.git("write-tree"))
        self.git("update-ref", f"refs/merge-requests/{number}/head", commit)
        self.git("read-tree", "HEAD")

    def start(self, job: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start the script of a ``job`` of the CI file as its CI does, in a process group of its own; its output goes
        into the file ``log``. ``variables``: those of its pipeline."""
        # the collection is this one, not what requirements.yml names; the rest is for hosts that all are this machine
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            **plays.ansible_settings(self.directory / "ansible"),
            "PWD": str(self.path),
            "PATH": f"{plays.PROJECT / '.venv/bin'}:{os.environ.get('PATH', '')}",
            **variables,
        }
        with open(self.log, "wb") as log:
            return subprocess.Popen(
                ["/bin/sh", "-ec", "\n".join(self.jobs[job]["script"])], cwd=self.path, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def run(self, job: str, **variables: str) -> plays.PlayResult:
        """``start``, and what came of it; of several playbooks the recaps are added up."""
        with self.start(job, **variables) as process:
            process.wait(_SECONDS)
        output = self.log.read_text(encoding="utf-8")
        return plays.PlayResult(process.returncode, output, plays.recap_of(output))

    def look(self) -> plays.PlayResult:
        """Propose the requests that are in the work tree, and run the default branch's look at that proposal."""
        requests = (self.path / "requests").iterdir()
        self.propose(7, {f"requests/{path.name}": path.read_text(encoding="utf-8") for path in requests})
        return self.run("look", MERGE_REQUEST="7")


class Repository(Example):
    """A copy of the example, with the hosts of ``estate`` in its inventory and no request yet."""

    def __init__(self, estate: Estate) -> None:
        super().__init__(estate.directory)
        self.estate = estate
        self.write_inventory()

    def write_inventory(self, **of_hosts: Mapping[str, Any]) -> None:
        """The estate's hosts; ``of_hosts``: variables of some of them beside the usual ones."""
        hosts = {
            name: {**plays.host_variables(server), **of_hosts.get(name, {})}
            for name, server in self.estate.servers.items()
        }
        document = {"all": {"vars": plays.common_variables(), "hosts": hosts}}
        plays.write_private(self.path / "inventory.yml", document)
