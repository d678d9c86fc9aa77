# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides' tasks, run as they are written: paths, host names and ports of the text, in namespaces of their own.

``World`` is a mount and a network namespace in which /srv, /run and /etc/hosts are the test's, every host of the guide
is this one, and an SSH server answers on port 22. Nothing of it is seen outside.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .plays import PROJECT, ansible_settings, write_private

GUIDES = PROJECT / "docs" / "docsite" / "rst"
_START_SECONDS = 30
_BLOCK = re.compile(r"^\.\. code-block:: yaml\n(?: +:name: (\S+)\n)?\n((?:(?: {3}.*)?\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """A section of a guide: its ``title``, the ``tasks`` of its YAML blocks in order, the ``named`` blocks by name."""

    title: str
    tasks: list[dict[str, Any]]
    named: dict[str, Any]


def sections(guide: str) -> list[Section]:
    """The sections of ``guide`` (a file name below docs/docsite/rst); what is before the first belongs to ``""``."""
    text = (GUIDES / guide).read_text(encoding="utf-8")
    parts = re.split(r"^(\S.*)\n-{3,}\n", text, flags=re.MULTILINE)
    pairs = [("", parts[0]), *zip(parts[1::2], parts[2::2])]
    return [_section(title, body) for title, body in pairs]


def _section(title: str, body: str) -> Section:
    tasks: list[dict[str, Any]] = []
    named: dict[str, Any] = {}
    for match in re.finditer(
        r"^\.\. code-block:: yaml\n(?: +:name: (\S+)\n)?\n((?:(?: {3}.*)?\n)+)", body, re.MULTILINE
    ):
        block = yaml.safe_load(textwrap.dedent(match[2]))
        if match[1]:
            named[match[1]] = block
        else:
            tasks += block
    return Section(title, tasks, named)


class World:
    """The namespaces. ``root``: a directory for what is mounted; ``socket``: the server's, for /run/mysqld; ``mounts``:
    more of them (a path of this machine, and where it is seen in here)."""

    def __init__(
        self, root: Path, socket: Path, hosts: tuple[str, ...], mounts: Sequence[tuple[Path, str]] = ()
    ) -> None:
        self.root = root
        self._hosts = hosts
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("srv/backups", "srv/restore", "srv/keys", "ssh", "scratch"):
            (root / name).mkdir(parents=True, mode=0o700)
        (root / "srv").chmod(0o755)
        (root / "hosts").write_text("127.0.0.1 localhost " + " ".join(hosts) + "\n")
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        (home / ".ssh").mkdir(mode=0o700, exist_ok=True)
        self._make_keys()
        more = "".join(f"mount --bind {source} {place}\n" for source, place in mounts)
        setup = f"""
            set -eu
            {more}
            mount --bind {root}/srv /srv
            mount --bind {root}/hosts /etc/hosts
            mount --bind {root}/ssh {home}/.ssh
            mount -t tmpfs -o mode=755 tmpfs /run
            mkdir /run/mysqld /run/xtrabackup
            ln -s {socket} /run/mysqld/mysqld.sock
            ip link set lo up
            touch {root}/ready
            exec sleep infinity
        """
        command = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", setup]
        self._processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        self._wait_for(root / "ready")
        self._start_ssh_server()

    def enter(self, *command: str) -> list[str]:
        """The words that run ``command`` in here."""
        return ["nsenter", f"--target={self._processes[0].pid}", "--mount", "--net", *command]

    def play(self, tasks: list[dict[str, Any]], defaults: dict[str, Any], variables: dict[str, Any]) -> str:
        """Run ``tasks`` on the first of the hosts with Ansible; returns its output. Raises RuntimeError."""
        scratch = self.root / "scratch"
        inventory = {
            "all": {
                "hosts": {name: {} for name in self._hosts},
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            }
        }
        play = {"hosts": self._hosts[0], "gather_facts": False, **defaults, "tasks": tasks}
        write_private(scratch / "inventory.yml", inventory)
        write_private(scratch / "play.yml", [play])
        write_private(scratch / "variables.yml", variables)
        (scratch / "ansible.cfg").touch()
        environment = {
            **os.environ,
            **ansible_settings(scratch),
            "ANSIBLE_CONFIG": str(scratch / "ansible.cfg"),
        }
        words = self.enter(
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={scratch}/inventory.yml",
            f"--extra-vars=@{scratch}/variables.yml",
            str(scratch / "play.yml"),
        )
        run = subprocess.run(
            words, env=environment, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=850, check=False,
        )  # fmt: skip
        if run.returncode:
            raise RuntimeError(run.stdout[-20000:])
        return run.stdout

    def close(self) -> None:
        """End the servers in here; with its last process a namespace and all its mounts are gone."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _make_keys(self) -> None:
        ssh = self.root / "ssh"
        generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]
        for name in ("id_ed25519", "host_key"):
            subprocess.run([*generate, str(ssh / name)], check=True, stdin=subprocess.DEVNULL)
        subprocess.run(
            ["dropbearconvert", "openssh", "dropbear", str(ssh / "host_key"), str(ssh / "host_key.dropbear")],
            check=True,
            capture_output=True,
        )
        (ssh / "authorized_keys").write_bytes((ssh / "id_ed25519.pub").read_bytes())
        host_key = (ssh / "host_key.pub").read_text()
        (ssh / "known_hosts").write_text("".join(f"{name} {host_key}" for name in self._hosts))

    def _start_ssh_server(self) -> None:
        pid_file = self.root / "dropbear.pid"
        server = ["dropbear", "-F", "-s", "-p", "127.0.0.1:22", "-P", str(pid_file)]
        server += ["-r", str(self.root / "ssh" / "host_key.dropbear")]
        self._processes.append(
            subprocess.Popen(self.enter(*server), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        self._wait_for(pid_file)

    def _wait_for(self, path: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not path.exists():
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"{self._processes[-1].args!r} did not start")
            time.sleep(0.05)
