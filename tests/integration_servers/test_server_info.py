# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xtrabackup_info tells what is there, and changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.markers import Restored
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, run_task
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer, program


def info(**options: Any) -> dict[str, Any]:
    result = run_module("xtrabackup_info", options)
    assert result["changed"] is False
    return result


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below ``root``."""
    found = {}
    for directory, _names, files in os.walk(root):
        for name in files:
            status = os.lstat(os.path.join(directory, name))
            found[os.path.join(directory, name)] = (status.st_size, status.st_mtime_ns)
    return found


def take(server: MariaDBServer, dest: Path, **options: Any) -> dict[str, Any]:
    return dict(run_module("xtrabackup_backup", {**server.login(), "dest": str(dest), **options})["backup"])


def test_a_server_tells_whether_and_by_whom_it_can_be_backed_up(make_server: ServerFactory) -> None:
    server = make_server()
    server.execute("CREATE DATABASE shop", "CREATE DATABASE archive")
    server.create_account("weak", "x", "RELOAD")
    found = info(**server.login())
    facts = found["server"]
    assert facts["supported"] is True
    assert facts["refusal"] is None
    assert facts["flavor"] == "mariadb"
    assert facts["user_databases"] == ["archive", "shop"]
    assert facts["datadir"] == str(server.datadir)
    assert facts["gtid"] == server.value("SELECT @@gtid_current_pos") == facts["binlog"]["gtid"]
    assert facts["privileges_missing"] == []
    assert found["replication"] == []
    weak = info(**server.login("weak", "x"))
    assert weak["server"]["privileges_missing"] == ["PROCESS", "BINLOG MONITOR", "SLAVE MONITOR"]
    assert weak["server"]["binlog"] is None
    assert weak["replication"] is None


def test_a_server_that_cannot_be_backed_up_says_why(make_server: ServerFactory) -> None:
    server = make_server()
    server.restart({"innodb_force_recovery": 1, "log_bin": False})
    facts = info(**server.login())["server"]
    assert facts["supported"] is False
    assert "innodb_force_recovery" in facts["refusal"]
    assert facts["log_bin"] is False


def test_a_server_that_is_away_is_a_failure_unless_it_is_optional(workdir: Path) -> None:
    login = {"login_unix_socket": str(workdir / "nobody.sock"), "login_user": "root"}
    assert run_module("xtrabackup_info", login, fails=True)["error"]["code"] == "connection_failed"
    found = info(**login, server_optional=True, src=str(workdir))
    assert found["server"] is None
    assert found["server_error"]["code"] == "connection_failed"
    assert found["source"]["kind"] == "empty"


@pytest.mark.parametrize("form", ["directory", "xbstream"])
def test_a_backup_and_an_archive_are_told_with_their_record(
    make_server: ServerFactory, workdir: Path, form: str
) -> None:
    server = make_server()
    server.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (a INT)", "INSERT INTO shop.t VALUES (1)")
    dest = workdir / "backup"
    taken = take(server, dest, format=form)
    before = tree(workdir / "backup" if form == "directory" else workdir)
    found = info(src=str(dest))
    assert found["source"]["kind"] == ("backup" if form == "directory" else "archive")
    assert found["source"]["complete"] is True
    assert found["source"]["problem"] is None
    assert found["source"]["state"] == "copied"
    assert found["source"]["id"] == taken["id"] == found["backup"]["id"]
    assert found["source"]["files"] > 10
    assert found["backup"]["binlog"]["gtid"] == server.value("SELECT @@gtid_current_pos")
    if form == "directory":
        assert tree(dest) == before


def test_an_archive_that_was_cut_off_is_not_complete(make_server: ServerFactory, workdir: Path) -> None:
    server = make_server()
    dest = workdir / "full.xbstream"
    take(server, dest, format="xbstream")
    os.truncate(dest, dest.stat().st_size // 2)
    found = info(src=str(dest))
    assert found["source"]["kind"] == "archive"
    assert found["source"]["complete"] is False
    assert found["source"]["problem"]
    assert found["backup"] is None


def test_a_backup_of_the_stock_tool_is_a_backup(make_server: ServerFactory, workdir: Path) -> None:
    server = make_server()
    dest = workdir / "stock"
    subprocess.run(
        [program("mariadb-backup"), f"--defaults-file={server.option_file}", "--backup", f"--target-dir={dest}"],
        check=True,
        capture_output=True,
    )
    found = info(src=str(dest))
    assert (found["source"]["kind"], found["source"]["state"]) == ("backup", "copied")
    assert found["backup"]["binlog"]["file"].startswith("binlog.")


def test_every_other_place_is_told_apart(make_server: ServerFactory, workdir: Path) -> None:
    server = make_server()
    server.stop()
    (workdir / "empty" / "lost+found").mkdir(parents=True)
    (workdir / "things").mkdir()
    (workdir / "things" / "letter.txt").write_text("dear")
    assert info(src=str(workdir / "nosuch"))["source"]["kind"] == "absent"
    assert info(src=str(workdir / "empty"))["source"]["kind"] == "empty"
    assert info(src=str(workdir / "things"))["source"]["kind"] == "other"
    assert info(src=str(workdir / "things" / "letter.txt"))["source"]["kind"] == "other"
    datadir = info(src=str(server.datadir))
    assert (datadir["source"]["kind"], datadir["source"]["restored"]) == ("datadir", False)
    assert datadir["backup"] is None
    Restored("b1", "0" * 64, "/b/full", "copy", "2026-01-01T00:00:00Z", {"id": "b1"}).write(server.datadir)
    restored = info(src=str(server.datadir))
    assert (restored["source"]["restored"], restored["source"]["complete"]) == (True, True)
    assert restored["backup"] == {"id": "b1"}
    (server.datadir / "xtrabackup_restore_in_progress.json").write_text("{}")
    assert info(src=str(server.datadir))["source"]["complete"] is False
    (workdir / "empty.partial").mkdir()
    assert info(src=str(workdir / "empty"))["source"]["partial"] is True


def test_the_progress_of_a_job_is_read_from_its_file(workdir: Path) -> None:
    file = workdir / "progress.json"
    assert info(progress_file=str(file))["job"] is None
    progress = Progress("backup", file)
    progress.phase("copying", 1000)
    running = info(progress_file=str(file))["job"]
    assert (running["job"], running["phase"], running["bytes_total"]) == ("backup", "copying", 1000)
    assert (running["pid"], running["alive"]) == (os.getpid(), True)
    progress.close()
    assert info(progress_file=str(file))["job"] is None
    file.write_text("{}")
    failed = run_module("xtrabackup_info", {"progress_file": str(file)}, fails=True)
    assert failed["error"]["code"] == "format_error"


def test_through_ansible_in_check_mode_the_answer_is_the_same(make_server: ServerFactory) -> None:
    server = make_server()
    options = {**server.login(), "src": str(server.datadir)}
    results = [run_task("xtrabackup_info", options, check=check) for check in (True, False)]
    assert results[0]["server"] == results[1]["server"]
    assert results[0]["source"] == results[1]["source"]
    assert not any(result["changed"] for result in results)
