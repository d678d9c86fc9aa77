# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Coordinates are read as the stock tools write them, and put into records."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import coordinates
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.coordinates import (
    BinlogCoordinates,
    ReplicaChannel,
)


def test_binlog_info_of_two_columns_is_read_too() -> None:
    assert coordinates.parse_binlog_info("b.000001\t4\n") == BinlogCoordinates("b.000001", 4, "")


@pytest.mark.parametrize("text", ["", "nonsense\n", "file\tposition\n"])
def test_what_is_no_binlog_info_is_none(text: str) -> None:
    assert coordinates.parse_binlog_info(text) is None


def test_the_binlog_line_of_the_info_file_names_the_gtid_only_if_there_is_one() -> None:
    with_gtid = coordinates.render_binlog_pos(BinlogCoordinates("b.000001", 4, "0-1-2"))
    assert with_gtid == "filename 'b.000001', position '4', GTID of the last change '0-1-2'"
    assert coordinates.render_binlog_pos(BinlogCoordinates("b.000001", 4, "")) == "filename 'b.000001', position '4'"


def channel(*, using_gtid: str = "Slave_Pos") -> ReplicaChannel:
    return ReplicaChannel("", "db1", 3306, "bin.000007", 815, using_gtid, "0-1-5")


def test_a_channel_without_gtid_has_none_in_its_record() -> None:
    assert channel(using_gtid="No").as_dict()["gtid"] == ""
    assert channel().as_dict()["gtid"] == "0-1-5"


def test_gtid_positions_are_ordered_by_domain_and_freed_of_blanks() -> None:
    assert coordinates.normal_gtid("10-1-5,\n2-1-7 , 0-3-1") == "0-3-1,2-1-7,10-1-5"
