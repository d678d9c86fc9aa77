# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a row of performance_schema.log_status means, and how its coordinates are written down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.coordinates import (
    BinlogCoordinates,
    ReplicaChannel,
    normal_gtid,
    parse_binlog_info,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.coordinates import (
    parse_log_status,
    render_binlog_info,
    render_slave_info,
)

UUID = "3aac5335-e59b-11f1-86e4-02fc00000001"
OTHER = "7c68c337-e59b-11f1-b4b1-02fc00000001"
# line feeds as the server puts them between the parts of a set
GTIDS = f"{OTHER}:1-7,\n{UUID}:1-10:12,\n{UUID}:tag:1-3"
FLAT = GTIDS.replace("\n", "")


def row(channels: list[dict[str, Any]] | None = None, local: dict[str, Any] | None = None) -> dict[str, str]:
    """A row as MySQL 9.7 returns it."""
    default = {"gtid_executed": GTIDS, "binary_log_file": "binlog.000012", "binary_log_position": 1981}
    return {
        "LOCAL": json.dumps(default if local is None else local),
        "REPLICATION": json.dumps({"channels": channels or []}),
        "STORAGE_ENGINES": json.dumps({"InnoDB": {"LSN": 19391005, "LSN_checkpoint": 19048229}}),
    }


def replica(name: str = "", **values: Any) -> dict[str, Any]:
    """The columns of SHOW REPLICA STATUS that matter."""
    return {
        "Channel_Name": name,
        "Source_Host": "db1",
        "Source_Port": 3306,
        "Source_Log_File": "bin.000003",
        "Read_Source_Log_Pos": 900,
        "Relay_Source_Log_File": "bin.000003",
        "Exec_Source_Log_Pos": 500,
        "Relay_Log_File": "relay.000002",
        "Relay_Log_Pos": 640,
        "Auto_Position": 0,
        "Replica_SQL_Running": "Yes",
        "Replica_SQL_Running_State": "Replica has read all relay log; waiting for more updates",
        "Last_SQL_Errno": 0,
        **values,
    }


def seen(name: str = "", position: int = 640, **more: Any) -> dict[str, Any]:
    """A channel in log_status."""
    return {"channel_name": name, "relay_log_file": "relay.000002", "relay_log_position": position, **more}


def test_an_instant_has_lsn_checkpoint_position_and_gtids_in_one_line() -> None:
    status = parse_log_status(row(), [], by_gtid=True)
    assert (status.lsn, status.checkpoint_lsn) == (19391005, 19048229)
    assert status.binlog == BinlogCoordinates("binlog.000012", 1981, FLAT)
    assert status.gtid_executed == FLAT
    assert status.channels == []


def test_gtids_are_coordinates_only_where_every_transaction_has_one() -> None:
    status = parse_log_status(row(), [], by_gtid=False)
    assert status.binlog == BinlogCoordinates("binlog.000012", 1981, "")
    assert status.gtid_executed == FLAT


def test_a_server_without_a_binary_log_has_no_position() -> None:
    status = parse_log_status(row(local={"gtid_executed": GTIDS}), [], by_gtid=True)
    assert status.binlog is None
    assert status.gtid_executed == FLAT


def test_a_channel_with_auto_position_is_sure_wherever_it_is() -> None:
    status = parse_log_status(row([seen(position=1)]), [replica(Auto_Position=1)], by_gtid=True)
    (channel,) = status.channels
    assert (channel.by_gtid, channel.gtid, status.unsure) == (True, FLAT, ())


@pytest.mark.parametrize(("position", "unsure"), [(640, ()), (700, ("c",))])
def test_a_channel_that_has_received_more_than_it_has_applied_is_unsure(position: int, unsure: tuple[str, ...]) -> None:
    status = parse_log_status(row([seen("c", position)]), [replica("c")], by_gtid=True)
    assert status.unsure == unsure
    assert (status.channels[0].file, status.channels[0].position) == ("bin.000003", 500)
    assert status.channels[0].as_dict()["gtid"] == ""


def test_a_channel_at_work_is_unsure_although_it_has_not_moved() -> None:
    """It moves its position before it commits."""
    status = parse_log_status(
        row([seen()]), [replica(Replica_SQL_Running_State="waiting for handler commit")], by_gtid=True
    )
    assert status.unsure == ("",)


@pytest.mark.parametrize(
    ("running", "errno", "in_order"), [("Yes", 0, True), ("No", 1062, False)], ids=["at work", "stopped with an error"]
)
def test_a_position_that_is_not_exact_is_in_a_comment(running: str, errno: int, in_order: bool) -> None:
    at_work = replica(Replica_SQL_Running=running, Replica_SQL_Running_State="", Last_SQL_Errno=errno)
    (channel,) = parse_log_status(row([seen()]), [at_work], by_gtid=False, in_order={""}).channels
    assert channel.as_dict()["exact"] is False
    assert channel.as_dict()["in_order"] is in_order
    assert ReplicaChannel.from_dict(channel.as_dict()).exact is False
    assert render_slave_info([channel]).startswith("-- ")


@pytest.mark.parametrize(("errno", "unsure"), [(0, ()), (1062, ("",))])
def test_a_stopped_channel_stands_still_unless_it_failed(errno: int, unsure: tuple[str, ...]) -> None:
    stopped = replica(Replica_SQL_Running="No", Replica_SQL_Running_State="", Last_SQL_Errno=errno)
    assert parse_log_status(row([seen(position=999)]), [stopped], by_gtid=False).unsure == unsure


def test_what_percona_server_adds_to_the_row_is_the_position_of_the_instant() -> None:
    added = seen("c", relay_master_log_file="bin.000002", exec_master_log_position=77)
    status = parse_log_status(row([added]), [replica("c")], by_gtid=True)
    assert (status.channels[0].file, status.channels[0].position, status.unsure) == ("bin.000002", 77, ())


def test_channels_of_group_replication_are_its_own_business() -> None:
    names = ["group_replication_applier", "b", "a", "group_replication_recovery"]
    status = parse_log_status(row([seen(name) for name in names]), [replica(name) for name in names], by_gtid=True)
    assert [channel.channel for channel in status.channels] == ["a", "b"]


def test_the_files_are_those_of_perconas_tool_and_can_be_read_again() -> None:
    coordinates = BinlogCoordinates("binlog.000012", 1981, FLAT)
    assert render_binlog_info(coordinates) == f"binlog.000012\t1981\t{FLAT}\n"
    assert parse_binlog_info(render_binlog_info(coordinates)) == coordinates
    without = BinlogCoordinates("binlog.000012", 1981, "")
    assert render_binlog_info(without) == "binlog.000012\t1981\n"
    assert parse_binlog_info(render_binlog_info(without)) == without


def test_a_replica_is_told_how_to_follow_the_same_source() -> None:
    status = parse_log_status(row([seen("a"), seen("b")]), [replica("a"), replica("b", Auto_Position=1)], by_gtid=True)
    assert render_slave_info(status.channels).splitlines() == [
        f"SET GLOBAL gtid_purged='{FLAT}';",
        "CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='bin.000003', SOURCE_LOG_POS=500 FOR CHANNEL 'a';",
        "CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=1 FOR CHANNEL 'b';",
    ]
    assert render_slave_info([]) == ""


def test_a_set_keeps_its_order_and_a_position_of_mariadb_is_put_in_order() -> None:
    assert normal_gtid(GTIDS) == FLAT
    assert normal_gtid("1-2-3,\n0-1-9") == "0-1-9,1-2-3"
