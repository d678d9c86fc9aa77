# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a backup, in place and as a copy, around a server that only plays."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    DiskFull,
    InvalidOption,
    NotABackup,
    RecoveryFailed,
    RecoveryIncomplete,
    TargetBusy,
    TargetNotEmpty,
    TargetUnsafe,
    UnsupportedServer,
    UnsupportedTable,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import IN_PROGRESS_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    SCRATCH_NAME,
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import (
    PrepareOptions,
    PrepareResult,
    plan,
    prepare,
)

from .conftest import INFO, LAST_LSN, Backup, FakeServer, redo_log


def run(
    source: Path, target: Path | None, server: FakeServer, *, force: bool = False, use_memory: str = "64M"
) -> PrepareResult:
    options = PrepareOptions(use_memory=use_memory, server_program=str(server.path), force=force, stall_timeout=30)
    predicted = plan(source, target, options)
    result = prepare(source, target, options, Progress("prepare"))
    assert predicted.changed == result.changed
    return result


def test_in_place_the_state_changes_and_the_identity_stays(backup: Backup, server: FakeServer) -> None:
    sha256 = backup.add_manifest()
    result = run(backup.path, None, server)
    found = read_backup_directory(backup.path)
    assert result.changed
    assert (found.state, found.id, found.source_sha256) == ("prepared", "ours-1", sha256)
    assert found.record["binlog"] == {"file": "binlog.000007", "position": 4711, "gtid": "0-1-815"}
    prepared = found.record["prepared"]
    assert (prepared["recovered_lsn"], prepared["rolled_back"], prepared["use_memory"]) == (LAST_LSN, 1, "64.0 MiB")
    assert b"backup_type = log-applied" in (backup.path / "xtrabackup_checkpoints").read_bytes()
    assert not (backup.path / IN_PROGRESS_NAME).exists()


def test_the_new_manifest_describes_the_prepared_files(backup: Backup, server: FakeServer) -> None:
    backup.add_manifest()
    run(backup.path, None, server)
    found = manifest.read(backup.path)
    manifest.verify_directory(backup.path, found, digests=False)
    digests = {entry.path: entry.digest for entry in found.files}
    assert set(digests) == set(backup.content()) - {file_kinds.MANIFEST_NAME}
    # known for what recovery left alone, and not claimed for what it changed
    assert digests["shop/t.frm"]
    assert digests["ibdata1"]
    assert digests["shop/t.ibd"] == ""
    assert digests["ib_logfile0"] == ""


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize("copy", [True, False])
def test_what_lies_beside_a_backup_is_no_part_of_it(
    backup: Backup, server: FakeServer, tmp_path: Path, with_manifest: bool, copy: bool
) -> None:
    if with_manifest:
        backup.add_manifest()
    # somebody has unpacked it at home
    key = backup.put(".ssh/authorized_keys", b"key")
    target = tmp_path / "ready" if copy else None
    run(backup.path, target, server)
    prepared = target or backup.path
    assert ".ssh/authorized_keys" not in {entry.path for entry in manifest.read(prepared).files}
    assert (prepared / ".ssh").exists() is not copy
    assert key.read_bytes() == b"key"
    assert not run(backup.path, target, server).changed


def test_the_servers_leftovers_are_removed(backup: Backup, server: FakeServer) -> None:
    run(backup.path, None, server)
    names = {path.name for path in backup.path.iterdir()}
    assert not names & {"ibtmp1", "server.pid", SCRATCH_NAME}


def test_prepared_twice_changes_nothing(backup: Backup, server: FakeServer) -> None:
    backup.add_manifest()
    first = run(backup.path, None, server)
    content, calls = backup.content(), len(server.calls)
    second = run(backup.path, None, server)
    assert (first.changed, second.changed) == (True, False)
    assert second.record == first.record
    assert backup.content() == content
    assert len(server.calls) == calls


def test_a_copy_leaves_the_backup_alone(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    backup.add_manifest()
    content = backup.content()
    result = run(backup.path, tmp_path / "ready", server)
    assert backup.content() == content
    assert result.record["path"] == str(tmp_path / "ready")
    assert read_backup_directory(tmp_path / "ready").state == "prepared"
    assert (tmp_path / "ready" / "empty").is_dir()
    assert not (tmp_path / "ready.partial").exists()
    assert not run(backup.path, tmp_path / "ready", server).changed


def test_a_stock_backup_is_prepared_with_a_warning_and_gets_a_manifest(
    backup: Backup, server: FakeServer, tmp_path: Path
) -> None:
    result = run(backup.path, tmp_path / "ready", server)
    assert any("no manifest" in warning for warning in result.warnings)
    assert manifest.read(tmp_path / "ready").id == "0e4cd5b0-aaaa-11f1-9c4e-02fc00000001"
    assert not run(backup.path, tmp_path / "ready", server).changed


def test_schema_changes_of_a_stock_backup_are_applied_first(backup: Backup, server: FakeServer) -> None:
    backup.put("shop/new.new", b"n" * 100)
    server.says(before='assert os.path.exists(os.path.join(datadir, "shop/new.ibd"))')
    assert any("shop/new.new" in warning for warning in run(backup.path, None, server).warnings)


def test_a_damaged_file_is_found_while_it_is_copied(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    backup.add_manifest()
    backup.put("shop/t.ibd", b"t" * 69999 + b"x")
    with pytest.raises(BackupIncomplete, match=r"t\.ibd: other content"):
        run(backup.path, tmp_path / "ready", server)
    assert not (tmp_path / "ready").exists()
    assert not (tmp_path / "ready.partial").exists()


@pytest.mark.parametrize("name", ["shop/t.ibd", "ib_logfile0"])
def test_a_file_of_another_size_is_found_before_anything_is_touched(
    backup: Backup, server: FakeServer, name: str
) -> None:
    backup.add_manifest()
    with open(backup.path / name, "ab") as target:
        target.write(b"more")
    content = backup.content()
    with pytest.raises(BackupIncomplete, match=name):
        run(backup.path, None, server)
    assert backup.content() == content


def test_a_damaged_log_is_found_before_anything_is_touched(backup: Backup, server: FakeServer) -> None:
    backup.add_manifest()
    backup.put("ib_logfile0", redo_log()[:-1] + b"x")
    with pytest.raises(BackupIncomplete, match="ib_logfile0: other content"):
        run(backup.path, None, server)
    assert server.calls == []


def test_a_log_that_is_too_short_is_found_before_anything_is_touched(backup: Backup, server: FakeServer) -> None:
    backup.put("ib_logfile0", redo_log(size=4999))
    content = backup.content()
    with pytest.raises(RecoveryIncomplete, match="LSN 24999"):
        run(backup.path, None, server)
    assert backup.content() == content


def test_a_failed_copy_is_removed(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    server.says(end=LAST_LSN - 5)
    with pytest.raises(RecoveryIncomplete):
        run(backup.path, tmp_path / "ready", server)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("ready")] == []


def test_in_place_a_failed_run_can_be_repeated(backup: Backup, server: FakeServer) -> None:
    backup.add_manifest()
    server.says(after="os.abort()")
    with pytest.raises(RecoveryFailed):
        run(backup.path, None, server)
    assert read_backup_directory(backup.path).state == "copied"
    assert json.loads((backup.path / IN_PROGRESS_NAME).read_text())["redo_proven"] == LAST_LSN
    # the log is another one by now, and ends later
    server.says(end=LAST_LSN + 700)
    result = run(backup.path, None, server)
    assert result.record["prepared"]["recovered_lsn"] == LAST_LSN
    assert read_backup_directory(backup.path).state == "prepared"


def test_without_proof_of_the_first_run_a_changed_log_is_refused(backup: Backup, server: FakeServer) -> None:
    backup.put("ib_logfile0", redo_log(b"MariaDB 10.11.19", 90000))
    with pytest.raises(RecoveryFailed, match="cannot be proven"):
        run(backup.path, None, server)
    assert server.calls == []


def test_the_marker_of_another_backup_proves_nothing(backup: Backup, server: FakeServer) -> None:
    backup.put("ib_logfile0", redo_log(b"MariaDB 10.11.19", 90000))
    backup.put(IN_PROGRESS_NAME, json.dumps({"id": "another", "redo_proven": LAST_LSN}))
    with pytest.raises(RecoveryFailed, match="no run of this user on this host has written it"):
        run(backup.path, None, server)
    (backup.path / IN_PROGRESS_NAME).unlink()
    with pytest.raises(RecoveryFailed, match="cannot be proven"):
        run(backup.path, None, server)


def test_a_killed_run_in_place_is_taken_up_again(backup: Backup, server: FakeServer) -> None:
    backup.add_manifest()
    server.says(middle='put("reached", b"x"); time.sleep(600)')
    child = os.fork()
    if child == 0:
        try:
            run(backup.path, None, server)
        finally:
            os._exit(1)
    deadline = time.monotonic() + 20
    while not (backup.path / "reached").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert read_backup_directory(backup.path).interrupted
    server.says(end=LAST_LSN + 10)
    assert run(backup.path, None, server).changed
    assert read_backup_directory(backup.path).state == "prepared"


def test_the_rest_of_a_killed_copy_is_swept(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "ready.partial").mkdir()
    (tmp_path / "ready.partial" / "rubbish").write_text("x")
    run(backup.path, tmp_path / "ready", server)
    assert not (tmp_path / "ready" / "rubbish").exists()


def test_what_is_in_the_target_stays_unless_it_is_a_backup_and_forced(
    backup: Backup, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "precious").write_text("x")
    for force in (False, True):
        with pytest.raises(TargetNotEmpty):
            run(backup.path, tmp_path / "ready", server, force=force)
    assert (tmp_path / "ready" / "precious").exists()
    (tmp_path / "ready" / "xtrabackup_checkpoints").write_text("damaged")
    with pytest.raises(TargetNotEmpty):
        run(backup.path, tmp_path / "ready", server)
    assert run(backup.path, tmp_path / "ready", server, force=True).changed
    assert not (tmp_path / "ready" / "precious").exists()
    assert read_backup_directory(tmp_path / "ready").state == "prepared"


def test_another_backup_in_the_target_is_not_this_one(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    run(backup.path, tmp_path / "ready", server)
    backup.put("xtrabackup_info", INFO.replace("0e4cd5b0", "99999999"))
    with pytest.raises(TargetNotEmpty):
        run(backup.path, tmp_path / "ready", server)
    assert run(backup.path, tmp_path / "ready", server, force=True).changed


def test_an_empty_target_is_fine(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "ready").mkdir()
    assert run(backup.path, tmp_path / "ready", server).changed


@pytest.mark.parametrize("target", ["/", "/proc", "full/inside", "."])
def test_unsafe_targets_are_refused(backup: Backup, server: FakeServer, tmp_path: Path, target: str) -> None:
    with pytest.raises(TargetUnsafe):
        run(backup.path, tmp_path / target, server, force=True)


def test_a_link_as_target_is_refused(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", tmp_path / "ready")
    with pytest.raises(TargetUnsafe, match="symbolic link"):
        run(backup.path, tmp_path / "ready", server)


def test_two_at_once_are_one_too_many(backup: Backup, server: FakeServer) -> None:
    with durable.directory_lock(backup.path, "test"), pytest.raises(TargetBusy, match=str(os.getpid())):
        run(backup.path, None, server)


def test_an_archive_needs_a_target(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(XtrabackupError):
        run(backup.path / "ibdata1", None, server)
    with pytest.raises(NotABackup):
        run(tmp_path / "absent.xbstream", tmp_path / "ready", server)


def test_tables_outside_are_refused_before_a_server_runs(backup: Backup, server: FakeServer, tmp_path: Path) -> None:
    backup.put("shop/far.isl", "/live/shop/far.ibd")
    for target in (None, tmp_path / "ready"):
        with pytest.raises(UnsupportedTable):
            run(backup.path, target, server)
    assert server.calls == []


def test_a_newer_source_is_refused_by_name(backup: Backup, server: FakeServer) -> None:
    backup.put("xtrabackup_info", INFO.replace("10.11.19", "11.8.3"))
    with pytest.raises(UnsupportedServer, match=r"11\.8\.3"):
        run(backup.path, None, server)


def test_too_little_space_is_said_before_anything_is_written(
    backup: Backup, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "free_bytes", lambda _path: 1000)
    with pytest.raises(DiskFull):
        run(backup.path, tmp_path / "ready", server)
    assert not (tmp_path / "ready.partial").exists()


@pytest.mark.parametrize("use_memory", ["1M", "lots", "999999G"])
def test_memory_that_cannot_be_is_said_before_anything_is_changed(
    backup: Backup, server: FakeServer, use_memory: str
) -> None:
    content = backup.content()
    with pytest.raises(InvalidOption, match="use_memory"):
        run(backup.path, None, server, use_memory=use_memory)
    assert backup.content() == content
