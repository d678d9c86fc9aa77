# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a host in one go: places, the service, and who is asked."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ConnectionFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.running import ServerProcess
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica import gather
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.gather import HostQuestion
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import installed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.installed import ServerRequest

BACKUP, ADMIN = ConnectionParameters(user="backup"), ConnectionParameters(user="root")


def question(datadir: Path, **more: Any) -> HostQuestion:
    return HostQuestion(ServerRequest(datadir=str(datadir), socket=str(datadir) + ".sock"), **more)


@pytest.fixture(name="programs")
def _programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs, the only ones that are installed."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(installed, "_SYSTEM_DIRECTORIES", ())
    return directory


def test_an_empty_host_is_read_without_a_server(tmp_path: Path, programs: Path) -> None:
    found = gather.read_all(question(tmp_path / "data", files=("/nosuch", "relative")), BACKUP, ADMIN)
    assert (found["host"]["installed"], found["host"]["missing_files"]) == (False, ["/nosuch"])
    assert (found["source"]["kind"], found["server"], found["replication"]) == ("absent", None, None)
    assert found["server_error"]["code"] == "connection_failed"
    assert found["journal"] == {"exists": False, "record": {}}
    assert found["incoming"] == {"path": f"{tmp_path}/data.incoming", "overlap": False, "source": None, "backup": None}
    assert "administrator" not in found


def test_what_has_arrived_is_looked_at_where_a_journal_is(tmp_path: Path, programs: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in.journal").write_text('{"phase": "place"}')
    found = gather.read_all(question(tmp_path / "data", incoming=str(tmp_path / "in")), BACKUP, ADMIN)
    assert found["journal"] == {"exists": True, "record": {"phase": "place"}}
    assert found["incoming"]["source"]["kind"] == "empty"


@pytest.mark.parametrize(
    ("incoming", "overlap"),
    [("data.incoming", False), ("data/in", True), ("data", True), ("", True), ("link/in", True), ("database", False)],
)
def test_places_that_are_one_inside_the_other_are_seen(
    tmp_path: Path, programs: Path, incoming: str, overlap: bool
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    found = gather.read_all(question(tmp_path / "data", incoming=f"{tmp_path}/{incoming}"), BACKUP, ADMIN)
    assert found["incoming"]["overlap"] is overlap


@pytest.mark.parametrize(
    ("answer", "replication", "state", "asked"),
    [
        (True, [], "none", False),
        (True, [{"channel": ""}], "found", False),
        (True, [], "unknown", True),
        (True, None, "none", True),
        (False, None, "unknown", False),
    ],
)
def test_the_administrator_is_asked_only_where_the_account_of_backups_cannot_see_everything(
    tmp_path: Path,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
    replication: Any,
    state: str,
    asked: bool,
) -> None:
    (tmp_path / "data" / "mysql").mkdir(parents=True)
    users: list[str | None] = []

    def ask(_datadir: str, _is_datadir: bool, login: ConnectionParameters) -> dict[str, Any]:
        users.append(login.user)
        assert login.unix_socket == f"{tmp_path}/data.sock"
        return {"server": {}, "replication": replication, "user_data": {"state": state}}

    monkeypatch.setattr(gather, "_asked", ask)
    monkeypatch.setattr(installed, "greets", lambda _path: answer)
    monkeypatch.setattr(ServerProcess, "works_in", lambda _process, _datadir: True)
    monkeypatch.setattr(gather.running, "servers", lambda: [ServerProcess(1)])
    found = gather.read_all(question(tmp_path / "data"), BACKUP, ADMIN)
    assert users == (["backup", "root"] if asked else ["backup"])
    assert ("administrator" in found) is asked


def test_a_server_on_another_data_directory_is_not_this_hosts(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    gather._require_on(str(tmp_path / "link"), str(tmp_path / "data"), "/s")
    for there in (tmp_path, tmp_path / "nosuch"):
        with pytest.raises(ConnectionFailed, match="answers at /s runs on"):
            gather._require_on(str(there), str(tmp_path / "data"), "/s")


@pytest.mark.parametrize(
    ("said", "known", "datadir"),
    [
        ("echo LoadState=not-found; echo MainPID=0", False, ""),
        ("echo LoadState=loaded; echo MainPID=0", True, ""),
        ("echo LoadState=loaded; echo MainPID=42", True, "/other"),
        ("exit 1", None, None),
    ],
)
def test_the_service_manager_tells_of_the_service(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, said: str, known: bool | None, datadir: str | None
) -> None:
    program = programs / "systemctl"
    program.write_text(f'#!/bin/sh\n[ "$4" = mariadb.service ] || exit 2\n{said}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(gather, "_SYSTEMD", str(tmp_path))
    monkeypatch.setattr(gather.running, "servers", lambda: [ServerProcess(42)])
    monkeypatch.setattr(ServerProcess, "directory", property(lambda _process: "/other"))
    host = gather.read_host(question(tmp_path / "data"))
    assert (host["service"], host["service_known"], host["service_datadir"]) == ("mariadb", known, datadir)
    unmanaged = gather.read_host(question(tmp_path / "data", service_managed=False))
    assert (unmanaged["service_known"], unmanaged["service_datadir"]) == (None, None)


@pytest.mark.parametrize(
    ("cgroup", "main_pid", "service"),
    [
        ("0::/system.slice/system-mariadb.slice/mariadb@two.service\n", 42, "mariadb@two"),
        ("12:pids:/\n1:name=systemd:/system.slice/mysql-b.service\n0::/\n", 42, "mysql-b"),
        # started by hand, over a connection
        ("0::/system.slice/ssh.service\n", 7, "mariadb"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", 42, "mariadb"),
    ],
)
def test_the_service_is_the_unit_that_runs_the_server(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str, main_pid: int, service: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "cgroup").write_text(cgroup)
    program = programs / "systemctl"
    program.write_text(f"#!/bin/sh\necho LoadState=loaded; echo MainPID={main_pid}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(gather, "_SYSTEMD", str(tmp_path))
    monkeypatch.setattr(gather, "_PROC", tmp_path)
    monkeypatch.setattr(gather.running, "servers", lambda: [ServerProcess(42)])
    monkeypatch.setattr(ServerProcess, "works_in", lambda _process, _datadir: True)
    assert gather.read_host(question(tmp_path / "data"))["service"] == service
    assert gather.read_host(question(tmp_path / "data", service="given"))["service"] == "given"
    # a run that was interrupted has stopped it
    monkeypatch.setattr(gather.running, "servers", list)
    (tmp_path / "data.incoming.journal").write_text('{"service": "mariadb@two"}')
    assert gather.read_host(question(tmp_path / "data"))["service"] == "mariadb@two"


def test_a_journal_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal")
    assert gather.read_journal(str(tmp_path / "journal")) == {"exists": False, "record": {}}


@pytest.mark.parametrize("owner", [0, 12345])
def test_a_backup_arrives_beside_the_directory_that_a_link_leads_to(tmp_path: Path, programs: Path, owner: int) -> None:
    (tmp_path / "volume" / "mysql").mkdir(parents=True)
    (tmp_path / "data").symlink_to("volume/mysql")
    for place in (tmp_path, tmp_path / "data"):
        os.chown(place, owner, owner, follow_symlinks=False)
    found = gather.read_all(question(tmp_path / "data"), BACKUP, ADMIN)["incoming"]["path"]
    # a link that another account can change is not followed
    assert found == str(tmp_path / ("data.incoming" if owner else "volume/mysql.incoming"))


def test_nothing_is_changed_by_looking(tmp_path: Path, programs: Path) -> None:
    (tmp_path / "data").mkdir()
    before = subprocess.run(["/usr/bin/find", str(tmp_path), "-newermt", "1970-01-01"], capture_output=True, check=True)
    gather.read_all(question(tmp_path / "data"), BACKUP, ADMIN)
    after = subprocess.run(["/usr/bin/find", str(tmp_path), "-newermt", "1970-01-01"], capture_output=True, check=True)
    assert after.stdout == before.stdout
