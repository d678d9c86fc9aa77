# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a replica begins is read from the backup its data came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    FormatError,
    InvalidOption,
    NotABackup,
    ReplicationError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import (
    MANIFEST_NAME,
    RESTORED_NAME,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.start_position import (
    start_from_backup,
    start_from_options,
)

BINLOG = {"file": "bin.000002", "position": 400, "gtid": "0-1-40"}


def write_marker(directory: Path, **record: Any) -> None:
    (directory / RESTORED_NAME).write_text(json.dumps({"id": "b1", "backup": {"id": "b1", **record}}))


def test_the_marker_of_a_restored_datadir_tells(tmp_path: Path) -> None:
    write_marker(tmp_path, binlog=BINLOG, replication=[])
    assert start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB).gtid == "0-1-40"


def test_the_manifest_of_a_backup_tells(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(Manifest({"id": "b2", "binlog": BINLOG}, ()).render())
    found = start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB)
    assert found.gtid == "0-1-40"
    assert "b2" in found.origin


@pytest.mark.parametrize("name", ["xtrabackup_binlog_info", "mariadb_backup_binlog_info"])
def test_a_backup_of_the_stock_tool_tells(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("bin.000002\t400\t0-1-40\n")
    assert start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB).gtid == "0-1-40"


@pytest.mark.parametrize(("flavor", "variable"), [("mariadb", "log_slave_updates"), ("mysql", "log_replica_updates")])
def test_a_donor_that_does_not_pass_on_what_it_replicates_is_no_source(
    tmp_path: Path, flavor: str, variable: str
) -> None:
    channel = {"source_host": "top", "source_port": 3306, "file": "t.000001", "position": 7, "gtid": ""}
    server = {"flavor": flavor}
    write_marker(tmp_path, server=server, binlog=BINLOG, replication=[channel], log_replica_updates=False)
    with pytest.raises(ReplicationError, match=f"is a replica itself, and its {variable} was OFF"):
        start_from_backup(str(tmp_path), "db1", 3306, Family(flavor))
    assert start_from_backup(str(tmp_path), "top", 3306, Family(flavor)).file == "t.000001"
    # nothing comes to this one from elsewhere
    place = {**BINLOG, "gtid": ""} if flavor == "mysql" else BINLOG
    write_marker(tmp_path, server=server, binlog=place, replication=[], log_replica_updates=False)
    assert start_from_backup(str(tmp_path), "db1", 3306, Family(flavor))


def test_the_position_at_the_donors_own_source_is_taken_for_that_source_only(tmp_path: Path) -> None:
    channel = {"source_host": "top", "source_port": 3306, "file": "t.000001", "position": 7, "gtid": ""}
    write_marker(tmp_path, binlog=BINLOG, replication=[channel])
    below = start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB)
    beside = start_from_backup(str(tmp_path), "top", 3306, Family.MARIADB)
    assert below.gtid == "0-1-40"
    assert (beside.gtid, beside.file, beside.position) == (None, "t.000001", 7)


@pytest.mark.parametrize(("state", "way_out"), [("copied", "Prepare the backup"), ("prepared", "safe_slave_backup")])
def test_a_position_that_is_not_exact_starts_nothing(tmp_path: Path, state: str, way_out: str) -> None:
    channel = {"source_host": "top", "source_port": 3306, "file": "t.000001", "position": 7, "gtid": "", "exact": False}
    write_marker(tmp_path, binlog=BINLOG, replication=[channel], state=state)
    assert start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB).gtid == "0-1-40"
    with pytest.raises(ReplicationError, match="does not tell exactly") as caught:
        start_from_backup(str(tmp_path), "top", 3306, Family.MARIADB)
    assert way_out in caught.value.remedy


def test_a_backup_without_binary_log_is_refused_with_the_reason(tmp_path: Path) -> None:
    write_marker(tmp_path, binlog=None, replication=[])
    with pytest.raises(ReplicationError, match="binary log of its server was off"):
        start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB)


def test_a_backup_that_does_not_tell_of_replica_channels_is_no_place_to_begin(tmp_path: Path) -> None:
    write_marker(tmp_path, binlog=BINLOG, replication=None)
    with pytest.raises(ReplicationError, match="does not tell whether its server was a replica") as caught:
        start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB)
    assert "SLAVE MONITOR" in caught.value.remedy
    assert "gtid: 0-1-40" in caught.value.remedy


def test_a_place_without_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotABackup):
        start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB)
    with pytest.raises(NotABackup):
        start_from_backup(str(tmp_path / "nosuch"), "db1", 3306, Family.MARIADB)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"backup": 3}'])
def test_a_damaged_marker_is_a_format_error(tmp_path: Path, text: str) -> None:
    (tmp_path / RESTORED_NAME).write_text(text)
    with pytest.raises(FormatError, match=RESTORED_NAME):
        start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB)


def test_written_coordinates_are_checked() -> None:
    assert start_from_options(" 1-1-2,0-1-1", None, None, Family.MARIADB).gtid == "0-1-1,1-1-2"
    assert start_from_options(None, "bin.000001", 4, Family.MARIADB).position == 4
    with pytest.raises(InvalidOption, match="not a GTID position"):
        start_from_options("uuid:1-5", None, None, Family.MARIADB)
    with pytest.raises(InvalidOption):
        start_from_options(None, "bin.000001", None, Family.MARIADB)
