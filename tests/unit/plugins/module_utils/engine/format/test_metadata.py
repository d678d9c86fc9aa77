# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata files read and write as mariadb-backup's do."""

from __future__ import annotations

from datetime import datetime

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import metadata
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.backup_kind import FULL
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.coordinates import BinlogCoordinates
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Flavor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout


def test_checkpoints_are_written_as_mariadb_backup_writes_them_and_read_back() -> None:
    text = metadata.Checkpoints(FULL.copied_type, FULL, 46016, 46092).render()
    assert text == (
        b"backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 46016\nlast_lsn = 46092\nrecover_binlog_info = 0\n"
    )
    assert metadata.parse_checkpoints(text, "x") == metadata.Checkpoints("full-backuped", FULL, 46016, 46092)


def test_checkpoints_of_percona_xtrabackup_are_read_too() -> None:
    text = b"backup_type = full-prepared\nfrom_lsn = 0\nto_lsn = 9\nlast_lsn = 10\nflushed_lsn = 9\nredo_memory = 0\n"
    assert metadata.parse_checkpoints(text, "x").last_lsn == 10


def test_checkpoints_of_mysql_are_written_as_percona_xtrabackup_writes_them_and_read_back() -> None:
    checkpoints = metadata.Checkpoints(FULL.copied_type, FULL, 9, 10, flushed_lsn=9)
    assert checkpoints.render() == (
        b"backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 9\nlast_lsn = 10\nflushed_lsn = 9\n"
        b"redo_memory = 0\nredo_frames = 0\n"
    )
    assert metadata.parse_checkpoints(checkpoints.render(), "x") == checkpoints


@pytest.mark.parametrize("flavor", [Flavor.MYSQL, Flavor.PERCONA])
def test_info_of_mysql_has_the_keys_of_percona_xtrabackup_in_their_order(flavor: Flavor) -> None:
    moment = datetime(2026, 11, 21, 3, 4, 5)
    info = metadata.BackupInfo("id", "0.1.0", "9.7.4", moment, moment, None, FULL, 7, True, True, flavor=flavor)
    keys = [line.split(" =")[0] for line in info.render().decode().splitlines()]
    assert keys[6:9] == ["server_version", "server_flavor", "start_time"]
    assert keys[-3:] == ["compressed", "encrypted", "lock_ddl_type"]
    assert len(keys) == 20


@pytest.mark.parametrize("text", [b"", b"backup_type = full-backuped\n", b"\xff\xfe\0"])
def test_damaged_checkpoints_are_an_error_that_names_the_file(text: bytes) -> None:
    with pytest.raises(FormatError, match="/b/xtrabackup_checkpoints"):
        metadata.parse_checkpoints(text, "/b/xtrabackup_checkpoints")


def test_info_has_the_keys_of_mariadb_backup_in_their_order() -> None:
    moment = datetime(2026, 11, 21, 3, 4, 5)
    info = metadata.BackupInfo(
        "id",
        "0.1.0",
        "10.11.19-MariaDB",
        moment,
        moment,
        BinlogCoordinates("b.000001", 4, "0-1-2"),
        FULL,
        7,
        True,
        True,
    )
    lines = info.render().decode().splitlines()
    assert [line.split(" = ")[0] for line in lines] == [
        "uuid",
        "name",
        "tool_name",
        "tool_command",
        "tool_version",
        "ibbackup_version",
        "server_version",
        "start_time",
        "end_time",
        "lock_time",
        "binlog_pos",
        "innodb_from_lsn",
        "innodb_to_lsn",
        "partial",
        "incremental",
        "format",
        "compressed",
    ]
    assert "binlog_pos = filename 'b.000001', position '4', GTID of the last change '0-1-2'" in lines
    assert "start_time = 2026-11-21 03:04:05" in lines
    assert "format = xbstream" in lines
    assert "compressed = compressed" in lines


def test_the_configuration_of_mysql_is_an_option_file_with_the_keys_of_percona_xtrabackup() -> None:
    layout = ServerLayout.from_variables({"datadir": "/d", "innodb_page_size": "4096", "lower_case_table_names": "1"})
    text = metadata.MysqlConfiguration(layout, 7, "uuid").render().decode()
    options = dict(line.split("=") for line in text.splitlines() if "=" in line)
    assert text.splitlines()[1] == "[mysqld]"
    assert options["innodb_page_size"] == "4096"
    assert options["server_uuid"] == "uuid"
    assert options["innodb_redo_log_encrypt"] == "OFF"
    assert options["lower_case_table_names"] == "1"
