# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MySQL backup's redo log: proven, given to the server once, and removed in the end, through kills."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupError,
    BackupIncomplete,
    RecoveryIncomplete,
    RedoCorrupt,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Flavor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import IN_PROGRESS_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_8_0_30 import (
    render_block,
    render_header,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_format import MysqlCheckpoint
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    BackupDirectory,
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.families import recovery_family_of
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb.family import MariadbFamily
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mysql.family import MysqlFamily
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare_marker import PrepareMarker
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at

from .conftest import Backup

FIRST_LSN = 1 << 20
LAST_LSN = FIRST_LSN + 2 * 512 + 40
LOGFILE = "xtrabackup_logfile"
FAMILY = MysqlFamily(None)


def redo(end_lsn: int = LAST_LSN) -> bytes:
    """A log without records."""
    full = range(FIRST_LSN, end_lsn - end_lsn % 512, 512)
    blocks = b"".join(render_block(lsn, 512) for lsn in full)
    return (
        render_header(MysqlCheckpoint(FIRST_LSN + 12), 7)
        + blocks
        + render_block(end_lsn - end_lsn % 512, end_lsn % 512)
    )


@pytest.fixture(name="mysql")
def _mysql(tmp_path: Path) -> Path:
    """A backup of MySQL as Percona's tool leaves it."""
    made = Backup(tmp_path / "mysql")
    for name in ("ib_logfile0", "undo001", "aria_log_control"):
        (made.path / name).unlink()
    made.put(LOGFILE, redo())
    made.put("undo_001", b"u" * 20000)
    made.put("binlog.000012", b"events")
    made.put("binlog.index", "./binlog.000012\n")
    made.put("xtrabackup_binlog_info", "binlog.000012\t6\t3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5\n")
    made.put("xtrabackup_info", "uuid = u\ntool_name = xtrabackup\nserver_version = 9.7.4\nserver_flavor = MySQL\n")
    made.put(
        "xtrabackup_checkpoints", f"backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = {LAST_LSN}\n"
    )
    entry = {"file_name": "/far/undo_001", "tablespace_name": "innodb_undo_001", "tablespace_type": "UNDO_LOG"}
    made.put("xtrabackup_tablespaces", json.dumps({"version": 2, "external_tablespaces": [entry]}))
    return made.path


def ready(path: Path) -> tuple[BackupDirectory, PrepareMarker]:
    """Up to the start of the server, as a job does it."""
    backup = read_backup_directory(path)
    marker = PrepareMarker(backup)
    FAMILY.require_whole_redo(backup, marker)
    marker.begin()
    FAMILY.prepare(backup, marker)
    return backup, marker


def test_the_flavor_decides(mysql: Path, backup: Backup) -> None:
    found = read_backup_directory(mysql)
    assert (found.flavor, found.state, found.binary_log) == (Flavor.MYSQL, "copied", "binlog.000012")
    assert isinstance(recovery_family_of(found, None), MysqlFamily)
    assert isinstance(recovery_family_of(read_backup_directory(backup.path), None), MariadbFamily)


def test_the_log_is_given_to_the_server_once(mysql: Path) -> None:
    _backup, marker = ready(mysql)
    assert not (mysql / LOGFILE).exists()
    assert marker.log_in_place
    servers = mysql / "#innodb_redo" / "#ib_redo0"
    servers.write_bytes(b"the server's own by now")
    ready(mysql)
    assert servers.read_bytes() == b"the server's own by now"


def test_a_log_that_ends_early_is_refused_before_anything_is_touched(mysql: Path) -> None:
    (mysql / LOGFILE).write_bytes(redo(LAST_LSN - 5))
    with pytest.raises(RecoveryIncomplete, match=f"ends at LSN {LAST_LSN - 5}"):
        ready(mysql)
    assert not (mysql / IN_PROGRESS_NAME).exists()


def test_a_damaged_block_is_refused(mysql: Path) -> None:
    data = bytearray((mysql / LOGFILE).read_bytes())
    data[2048 + 512 + 100] ^= 1
    (mysql / LOGFILE).write_bytes(data)
    with pytest.raises(RedoCorrupt):
        ready(mysql)


@pytest.mark.parametrize("name", ["binlog.000012", "undo_001", LOGFILE])
def test_what_recovery_would_do_without_in_silence_must_be_there(mysql: Path, name: str) -> None:
    (mysql / name).unlink()
    with pytest.raises(BackupIncomplete, match=name.replace(".", r"\.")):
        ready(mysql)


def test_a_log_that_a_server_found_to_be_short_is_not_tried_again(mysql: Path) -> None:
    _backup, marker = ready(mysql)
    marker.note(incomplete=True)
    with pytest.raises(RecoveryIncomplete, match="earlier run"):
        ready(mysql)


@pytest.mark.parametrize("name", ["shop/7.ren", "shop/t.ibd.new", "shop/9.del"])
def test_notes_that_only_the_other_tool_understands_are_refused(mysql: Path, name: str) -> None:
    (mysql / name).write_text("shop/u.ibd")
    with pytest.raises(BackupError, match="which only the tool that took it can apply"):
        ready(mysql)


def test_killed_at_any_change_the_log_is_there_for_the_next_run(mysql: Path) -> None:
    for step in range(100):
        place = mysql.with_name(f"step{step}")
        shutil.copytree(mysql, place)
        ended = not killed_at(step, lambda place=place: ready(place))  # type: ignore[misc]
        assert (place / LOGFILE).exists() != (place / "#innodb_redo" / "#ib_redo0").exists()
        _backup, marker = ready(place)
        assert marker.log_in_place
        if ended:
            break
    assert step >= 3


def test_killed_at_any_change_the_cleaning_goes_on(mysql: Path) -> None:
    _backup, marker = ready(mysql)
    marker.note(recovered={"recovered_lsn": LAST_LSN})
    (mysql / "#innodb_temp").mkdir()
    (mysql / "#innodb_temp" / "temp_1.ibt").write_text("")

    def cleaned() -> None:
        FAMILY.clean(ready(mysql)[0])

    for step in range(100):
        if not killed_at(step, cleaned):
            break
    assert step > 5
    assert os.listdir(mysql / "#innodb_redo") == []
    left = {path.name for path in mysql.iterdir()}
    assert not left & {"#innodb_temp", LOGFILE, "binlog.000012", "binlog.index"}
    assert {"ibdata1", "undo_001", "shop"} <= left


@pytest.mark.parametrize(
    "name", ["auto.cnf", "ibtmp1", "#ib_16384_0.dblwr", "#ib_16384_1.bdblwr", "ca-key.pem", "mysqld-auto.cnf", "a.pid"]
)
def test_what_belongs_to_one_server_is_a_leftover(name: str) -> None:
    assert FAMILY.is_leftover(name)
    assert not FAMILY.is_leftover("ibdata1")


def test_a_backup_for_increments_is_refused_by_name(mysql: Path) -> None:
    text = (mysql / "xtrabackup_checkpoints").read_text()
    (mysql / "xtrabackup_checkpoints").write_text(text.replace("full-backuped", "log-applied"))
    with pytest.raises(BackupError, match="apply-log-only"):
        read_backup_directory(mysql)
