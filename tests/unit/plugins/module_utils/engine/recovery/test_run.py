# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a server, here one that only plays: what is waited for, what is proven, what is an error."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DiskFull,
    PageCorrupt,
    RecoveryFailed,
    RecoveryIncomplete,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.handover import handed_over
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import SCRATCH_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb.server import command_line
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.program import ServerProgram
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.recovery_server import (
    RecoverySettings,
    scratch_of,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.run import RecoveryReport, recover

from .conftest import LAST_LSN, Backup, FakeServer

SETTINGS = RecoverySettings(16384, "ibdata1:12M:autoextend", 3, 64 << 20, 32 << 20)


def run(backup: Backup, server: FakeServer, *, stall: float = 30, proven: list[int] | None = None) -> RecoveryReport:
    with handed_over(backup.path, SCRATCH_NAME) as held, scratch_of(held) as scratch:
        return recover(
            held,
            SETTINGS,
            ServerProgram(server.path, "10.11.19-MariaDB"),
            last_lsn=LAST_LSN,
            scratch=scratch,
            progress=Progress("prepare"),
            stall_timeout=stall,
            redo_proven=(proven if proven is not None else []).append,
        )


def test_it_waits_for_the_rollback_and_reports(backup: Backup, server: FakeServer) -> None:
    proven: list[int] = []
    report = run(backup, server, proven=proven)
    assert (report.recovered_lsn, report.rolled_back, report.server_version) == (LAST_LSN, 1, "10.11.19-MariaDB")
    assert proven == [LAST_LSN]
    assert report.warnings == []


def test_the_server_is_isolated() -> None:
    program = ServerProgram(Path("/usr/sbin/mariadbd"), "10.11.19-MariaDB")
    words = command_line(Path("/b"), SETTINGS, program, Path("/b/s"))
    assert words[1] == "--no-defaults"
    for word in (
        "--bootstrap",
        "--skip-networking",
        "--skip-log-bin",
        "--skip-slave-start",
        "--event-scheduler=DISABLED",
        "--innodb-data-home-dir=/b",
        "--innodb-log-group-home-dir=/b",
        "--innodb-undo-directory=/b",
        "--aria-log-dir-path=/b",
        "--tmpdir=/b/s",
    ):
        assert word in words
    assert not any(word.startswith("--user") for word in words)


def test_torn_pages_are_guarded_against_only_where_the_copy_matters() -> None:
    program = ServerProgram(Path("/usr/sbin/mariadbd"), "10.11.19-MariaDB")
    kept = command_line(Path("/b"), SETTINGS, program, Path("/s"))
    thrown_away = command_line(
        Path("/b"),
        RecoverySettings(16384, "ibdata1:12M", 3, 64 << 20, 32 << 20, disposable=True),
        program,
        Path(),
    )
    assert "--loose-innodb-doublewrite=1" in kept
    assert "--loose-innodb-doublewrite=0" in thrown_away


def test_a_log_that_ends_early_is_stopped_at_once(backup: Backup, server: FakeServer) -> None:
    server.says(end=LAST_LSN - 1, middle="time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(RecoveryIncomplete, match=f"ends at LSN {LAST_LSN - 1}"):
        run(backup, server)
    assert time.monotonic() - started < 20


def test_a_server_that_fails_says_why(backup: Backup, server: FakeServer) -> None:
    server.says(
        before='say("[ERROR] InnoDB: Unable to apply log to corrupted page 5 in file ./shop/t.ibd"); sys.exit(1)'
    )
    with pytest.raises(PageCorrupt, match=r"page 5 in file \./shop/t\.ibd"):
        run(backup, server)


def test_a_server_that_crashes_at_the_end_is_a_failure(backup: Backup, server: FakeServer) -> None:
    server.says(after="os.abort()")
    with pytest.raises(RecoveryFailed, match="SIGABRT"):
        run(backup, server)


def test_a_server_that_ends_before_it_is_done_is_a_failure(backup: Backup, server: FakeServer) -> None:
    server.says(middle="sys.exit(0)")
    with pytest.raises(RecoveryFailed, match="before recovery was done"):
        run(backup, server)


def test_damage_that_the_server_went_on_with_is_a_failure(backup: Backup, server: FakeServer) -> None:
    server.says(
        middle='say("[ERROR] InnoDB: Page [page id: space=5, page number=3] log sequence number 9 is in the future!")'
    )
    with pytest.raises(RecoveryIncomplete, match="future"):
        run(backup, server)


def test_other_errors_of_a_run_that_ended_well_are_warnings(backup: Backup, server: FakeServer) -> None:
    server.says(middle='say("[ERROR] mariadbd: something odd"); say("[Warning] hm")')
    assert run(backup, server).warnings == ["server: mariadbd: something odd", "server: hm"]


def test_a_server_that_does_nothing_is_ended(backup: Backup, server: FakeServer) -> None:
    server.says(middle='put("pid", str(os.getpid()).encode()); time.sleep(600)')
    with pytest.raises(RecoveryFailed, match=r"neither said nor done anything.*applying redo"):
        run(backup, server, stall=1.5)
    assert not Path(f"/proc/{(backup.path / 'pid').read_text()}").exists()


def test_a_server_that_only_computes_is_not_ended(backup: Backup, server: FakeServer) -> None:
    server.says(middle="while time.process_time() < 4: pass")
    assert run(backup, server, stall=1.5).rolled_back == 1


def test_a_server_that_only_computes_after_an_error_is_ended(backup: Backup, server: FakeServer) -> None:
    error = "[ERROR] InnoDB: preallocating 16777216 bytes for file ./ib_logfile101 failed with error 28"
    server.says(before=f'say("{error}")\nwhile True: pass')
    with pytest.raises(DiskFull, match="did not end"):
        run(backup, server, stall=1.5)


def test_a_flood_on_its_log_neither_blocks_it_nor_us(backup: Backup, server: FakeServer) -> None:
    server.says(middle='for number in range(20000): say("[Note] " + "x" * 200)')
    assert run(backup, server).rolled_back == 1


def test_the_server_does_not_outlive_a_killed_job(backup: Backup, server: FakeServer) -> None:
    server.says(middle='put("pid", str(os.getpid()).encode()); time.sleep(600)')
    child = os.fork()
    if child == 0:
        try:
            run(backup, server)
        finally:
            os._exit(1)
    deadline = time.monotonic() + 20
    while not (backup.path / "pid").exists() or not (backup.path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process = Path(f"/proc/{(backup.path / 'pid').read_text()}")
    os.kill(child, 9)
    os.waitpid(child, 0)
    while process.exists() and "Z" not in (process / "stat").read_text().rpartition(")")[2][:3]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
