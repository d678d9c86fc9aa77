# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to make a replica, each from its first command until the replica has caught up with its primary."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ansible_collections.innodb.xtrabackup.plugins.module_utils.remote_jobs import Job
from ansible_collections.innodb.xtrabackup.tests.bench.measure import peak_memory
from ansible_collections.innodb.xtrabackup.tests.support import plays, service
from ansible_collections.innodb.xtrabackup.tests.support.checksums import wait_until_caught_up
from ansible_collections.innodb.xtrabackup.tests.support.estate import ACCOUNTS, Estate
from ansible_collections.innodb.xtrabackup.tests.support.mysql import ROOT, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, OptionValue

OPTIONS: dict[str, dict[str, OptionValue]] = {
    "mariadb": {"innodb_buffer_pool_size": "512M", "innodb_log_file_size": "512M", "sync_binlog": 1},
    "mysql": {
        "innodb_buffer_pool_size": "512M",
        "innodb_redo_log_capacity": "512M",
        "sync_binlog": 1,
        "innodb_flush_method": "fsync",
    },
}
_PLAYS = Path(__file__).with_name("plays")
_CLIENTS = ROOT / "usr" / "bin"
_TASK = re.compile(r"^TASK \[(?:[^:\]]*: )?([^\]]*)\]", re.MULTILINE)


@dataclass
class Run:
    """One run of a way. ``tasks``: seconds and name of each task of a playbook; ``peak_bytes``: of its jobs."""

    seconds: float
    peak_bytes: int = 0
    phases: dict[str, float] = field(default_factory=dict)
    tasks: list[tuple[float, str]] = field(default_factory=list)


def prepare(estate: Estate) -> None:
    """What the ways need of the primary."""
    if estate.primary.flavor == "mysql":
        estate.primary.execute("INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
        for host in ("localhost", "127.0.0.1"):
            estate.primary.execute(f"GRANT BACKUP_ADMIN, REPLICATION SLAVE ON *.* TO backup@'{host}'")


def run(way: str, estate: Estate, name: str, *, compare: bool) -> Run:
    """Make the replica ``name`` in this way, and remove it again; ``compare``: its tables with the primary's."""
    made, replicas = WAYS[estate.primary.flavor][way](estate, name)
    for replica in replicas:
        if compare:
            estate.assert_replica(replica)
        _remove(estate, replica)
    return made


def new_and_unchanged(estate: Estate, name: str) -> Iterator[tuple[str, float]]:
    """Seconds of the playbook for a new host, and of its next run."""
    replica = estate.host(name, OPTIONS[estate.primary.flavor])
    for run_name in ("new", "unchanged"):
        begun = time.monotonic()
        plays.succeeded(estate.play("--limit", f"primary,{name}"))
        yield run_name, time.monotonic() - begun
    _remove(estate, replica)


def _remove(estate: Estate, replica: DatabaseServer) -> None:
    replica.kill()
    service.stop(replica.directory, 60)  # a playbook's was not started by us
    name = replica.directory.name
    estate.servers.pop(name, None)
    shutil.rmtree(replica.directory)


# --- the ways ------------------------------------------------------------------------------------


def _caught_up(estate: Estate, begun: float, replicas: list[DatabaseServer]) -> float:
    for replica in replicas:
        wait_until_caught_up(estate.primary, replica)
    return time.monotonic() - begun


def _by_playbook(estate: Estate, *names: str) -> tuple[Run, list[DatabaseServer]]:
    replicas = [estate.host(name, OPTIONS[estate.primary.flavor]) for name in names]
    report = estate.directory / "report-{{ inventory_hostname }}.json"
    jobs = [Job(estate.directory / "primary/run/jobs" / f"sender-{name}") for name in names]
    jobs += [Job(replica.directory / "run/jobs" / f"replica-{name}") for name, replica in zip(names, replicas)]
    with _watched(jobs) as peak:
        begun = time.monotonic()
        lines: list[tuple[float, str]] = []
        estate.echo = lambda line: lines.append((time.monotonic(), line))
        result = estate.play(
            "--limit",
            ",".join(["primary", *names]),
            xtrabackup_serial=len(names),
            xtrabackup_replica_report=str(report),
        )
        plays.succeeded(result)
        seconds = _caught_up(estate, begun, replicas)
    phases = json.loads(report.with_name(f"report-{names[0]}.json").read_text())["phases"]
    return Run(seconds, peak[0], phases, _tasks(begun, lines)), replicas


def _tasks(begun: float, lines: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Seconds and name of each task, by the times at which Ansible has printed their names."""
    found = [(at, match[1]) for at, line in lines if (match := _TASK.match(line))]
    ends = [at for at, _name in found[1:]] + [lines[-1][0] if lines else begun]
    return [(end - at, name) for (at, name), end in zip(found, ends)]


def _three(estate: Estate, name: str) -> tuple[Run, list[DatabaseServer]]:
    return _by_playbook(estate, *(f"{name}{letter}" for letter in "abc"))


def _play_of_shell_tasks(estate: Estate, name: str) -> tuple[Run, list[DatabaseServer]]:
    """The play of plays/: mariadb-backup by shell tasks, or the clone plugin."""
    flavor = estate.primary.flavor
    replica = estate.host(name, OPTIONS[flavor])
    variables: dict[str, Any] = {
        "primary_socket": str(estate.primary.socket),
        "primary_port": estate.primary.port,
        "option_file": str(replica.option_file),
        "datadir": str(replica.datadir),
        "socket": str(replica.socket),
        "pid_file": str(replica.directory / "server.pid"),
        "incoming": str(replica.directory / "incoming"),
        "client": str(_CLIENTS / "mysql"),
        "client_file": _client_file(estate, "backup", estate.passwords["xtrabackup_backup_password"]),
        "root_file": _client_file(estate, "root", ""),
        "clone_user": "backup",
        "clone_password": estate.passwords["xtrabackup_backup_password"],
        "replication_user": ACCOUNTS["xtrabackup_replication_user"],
        "replication_password": estate.passwords["xtrabackup_replication_password"],
        "parallel": 2,
    }
    hosts = plays.host_variables(replica)
    variables["start_command"] = hosts["xtrabackup_server_start_command"]
    variables["stop_command"] = hosts["xtrabackup_server_stop_command"]
    if flavor == "mysql":  # a recipient of CLONE runs
        replica.start()
        service_pid = replica.process
        assert service_pid is not None
        threading.Thread(target=service_pid.wait, daemon=True).start()  # else it stays a zombie with its pid file
    inventory = estate.directory / "stock.yml"
    plays.write_private(inventory, {"replicas": {"hosts": {name: hosts}}})
    begun = time.monotonic()
    playbook = _PLAYS / ("clone.yml" if flavor == "mysql" else "mariabackup.yml")
    result = plays.run_playbook(
        str(playbook), inventory=inventory, scratch=estate.directory / "stock", variables=variables
    )
    plays.succeeded(result)
    return Run(_caught_up(estate, begun, [replica])), [replica]


def _client_file(estate: Estate, user: str, password: str) -> str:
    path = estate.directory / f"{user}.cnf"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(f"[client]\nuser={user}\npassword={password}\n")
    return str(path)


def _follow(estate: Estate, replica: DatabaseServer) -> None:
    """Let ``replica`` replicate from where its data are."""
    password = estate.passwords["xtrabackup_replication_password"]
    replica.execute(
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={estate.primary.port}, SOURCE_USER='repl', "
        f"SOURCE_PASSWORD='{password}', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1",
        "START REPLICA",
    )


def _clone_by_hand(estate: Estate, name: str) -> tuple[Run, list[DatabaseServer]]:
    primary, replica = estate.primary, MySQLServer(estate.directory / name, OPTIONS["mysql"], server_id=90)
    replica.start()
    replica.execute("INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
    replica.execute(f"SET GLOBAL clone_valid_donor_list = '127.0.0.1:{primary.port}'")
    password = estate.passwords["xtrabackup_backup_password"]
    begun = time.monotonic()
    # it ends with an error where nothing restarts the server for it
    statement = f"CLONE INSTANCE FROM 'backup'@'127.0.0.1':{primary.port} IDENTIFIED BY '{password}'"
    subprocess.run(
        [_CLIENTS / "mysql", f"--socket={replica.socket}", "--user=root"],
        input=statement,
        text=True,
        capture_output=True,
        check=False,
    )
    assert replica.process is not None
    replica.process.wait(600)
    replica.start()
    _follow(estate, replica)
    return Run(_caught_up(estate, begun, [replica])), [replica]


def _dump(estate: Estate, name: str) -> tuple[Run, list[DatabaseServer]]:
    primary, replica = estate.primary, MySQLServer(estate.directory / name, OPTIONS["mysql"], server_id=91)
    replica.start()
    replica.execute("RESET BINARY LOGS AND GTIDS")
    begun = time.monotonic()
    options = ["--all-databases", "--single-transaction", "--routines", "--events", "--set-gtid-purged=ON"]
    dump = subprocess.Popen(
        [_CLIENTS / "mysqldump", f"--socket={primary.socket}", "--user=root", *options], stdout=subprocess.PIPE
    )
    subprocess.run([_CLIENTS / "mysql", f"--socket={replica.socket}", "--user=root"], stdin=dump.stdout, check=True)
    assert dump.wait() == 0
    _follow(estate, replica)
    return Run(_caught_up(estate, begun, [replica])), [replica]


Way = Callable[[Estate, str], "tuple[Run, list[DatabaseServer]]"]
_ANY_SERVER: dict[str, Way] = {"playbook": _by_playbook, "play": _play_of_shell_tasks, "three": _three}
WAYS: dict[str, dict[str, Way]] = {
    "mariadb": _ANY_SERVER,
    "mysql": {**_ANY_SERVER, "clone": _clone_by_hand, "dump": _dump},
}


# --- memory --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _watched(jobs: list[Job]) -> Iterator[list[int]]:
    """The largest resident set (bytes) of the processes of ``jobs``, in a list of one."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            for job in jobs:
                with contextlib.suppress(OSError):
                    peak[0] = max(peak[0], peak_memory(job.run()[0]))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
