# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Coordinates are written as mariadb-backup writes them."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import coordinates
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.coordinates import (
    BinlogCoordinates,
    ReplicaChannel,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb import (
    coordinates as mariadb_coordinates,
)


def channel(name: str = "", *, using_gtid: str = "Slave_Pos", gtid: str = "0-1-5") -> ReplicaChannel:
    return ReplicaChannel(name, "db1", 3306, "bin.000007", 815, using_gtid, gtid)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (BinlogCoordinates("binlog.000003", 4711, "0-1-815"), "binlog.000003\t4711\t0-1-815\n"),
        (BinlogCoordinates("binlog.000003", 4711, ""), "binlog.000003\t4711\t\n"),
    ],
)
def test_binlog_info_always_has_three_columns_and_is_read_back(found: BinlogCoordinates, text: str) -> None:
    assert mariadb_coordinates.render_binlog_info(found) == text
    assert coordinates.parse_binlog_info(text) == found


def test_slave_info_by_gtid_sets_the_position_once() -> None:
    assert mariadb_coordinates.render_slave_info([channel(), channel("two")]) == (
        "SET GLOBAL gtid_slave_pos='0-1-5';\n"
        "CHANGE MASTER TO master_use_gtid = slave_pos;\n"
        "CHANGE MASTER 'two' TO master_use_gtid = slave_pos;\n"
    )


def test_slave_info_without_gtid_names_file_and_position() -> None:
    assert mariadb_coordinates.render_slave_info([channel("one", using_gtid="No")]) == (
        "CHANGE MASTER 'one' TO MASTER_LOG_FILE='bin.000007', MASTER_LOG_POS=815;\n"
    )
    assert mariadb_coordinates.render_slave_info([]) == ""


def test_a_channel_may_have_any_name() -> None:
    assert mariadb_coordinates.render_slave_info([channel("it's \\ here")]).splitlines()[1:] == [
        "CHANGE MASTER 'it''s \\\\ here' TO master_use_gtid = slave_pos;"
    ]


def test_a_gtid_position_is_read_by_its_domains() -> None:
    assert mariadb_coordinates.gtid_positions("2-1-7,0-3-1") == {0: (3, 1), 2: (1, 7)}
    assert mariadb_coordinates.gtid_positions("") == {}


@pytest.mark.parametrize("text", ["0-1", "a-b-c", "0-1-2-3", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"])
def test_what_is_no_gtid_position_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - int() and unpacking word it differently
        mariadb_coordinates.gtid_positions(text)
