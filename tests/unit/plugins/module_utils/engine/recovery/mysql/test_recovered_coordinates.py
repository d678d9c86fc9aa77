# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup's record and the stock tool's files say after recovery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mysql.recovered_coordinates import (
    inexact_channels,
    recovered_record,
    write_coordinates,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.applied_positions import (
    AppliedPosition,
)

UUID = "3aac5335-e59b-11f1-86e4-02fc00000001"
OLD, NEW = f"{UUID}:1-7", f"{UUID}:1-9"
BEHIND = AppliedPosition("c", "bin.000003", 500, "bin.000003", 700)


def channel(**values: Any) -> dict[str, Any]:
    default = {"channel": "c", "source_host": "db1", "source_port": 3306, "file": "bin.000003", "position": 480}
    return {**default, "gtid": "", "exact": True, **values}


@pytest.mark.parametrize(
    ("entry", "position", "exact"),
    [
        ({}, 480, True),
        ({"exact": False, "in_order": True}, 700, True),
        ({"exact": False, "in_order": False}, 480, False),
        ({"exact": False, "in_order": True, "channel": "without a row"}, 480, False),
    ],
    ids=["known", "found in the data", "may have gaps", "not in the data"],
)
def test_a_position_that_was_not_exact_is_that_of_the_data_or_stays_unknown(
    entry: dict[str, Any], position: int, exact: bool
) -> None:
    record = recovered_record({"binlog": None, "replication": [channel(**entry)]}, "", [BEHIND])
    (found,) = record["replication"]
    assert (found["position"], found["exact"]) == (position, exact)
    assert inexact_channels(record) == ([] if exact else [found["channel"]])


def test_channels_that_nobody_could_look_for_are_not_taken_for_none() -> None:
    assert recovered_record({"binlog": None, "replication": None}, NEW, [BEHIND])["replication"] is None
    assert recovered_record({"binlog": None, "replication": []}, NEW, [BEHIND])["replication"] == []


def test_gtids_are_those_of_the_data_wherever_they_are_told(tmp_path: Path) -> None:
    binlog = {"file": "binlog.000012", "position": 1981, "gtid": OLD}
    by_gtid = channel(channel="b", gtid=OLD)
    record = recovered_record({"binlog": binlog, "replication": [by_gtid, channel()]}, NEW, [])
    assert (record["binlog"]["gtid"], record["replication"][0]["gtid"]) == (NEW, NEW)
    (tmp_path / "xtrabackup_binlog_info").write_text(f"binlog.000012\t1981\t{OLD}\n")
    (tmp_path / "xtrabackup_slave_info").write_text("older\n")
    (tmp_path / "xtrabackup_info").write_text(f"uuid = x\nbinlog_pos = filename 'y', '{OLD}'\nlock_time = 0\n")
    assert len(write_coordinates(tmp_path, record)) == 3
    assert (tmp_path / "xtrabackup_binlog_info").read_text() == f"binlog.000012\t1981\t{NEW}\n"
    assert (tmp_path / "xtrabackup_slave_info").read_text().splitlines() == [
        f"SET GLOBAL gtid_purged='{NEW}';",
        "CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=1 FOR CHANNEL 'b';",
        "CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='bin.000003', SOURCE_LOG_POS=480 FOR CHANNEL 'c';",
    ]
    assert (tmp_path / "xtrabackup_info").read_text() == (
        f"uuid = x\nbinlog_pos = filename 'binlog.000012', position '1981', GTID of the last change '{NEW}'\n"
        "lock_time = 0\n"
    )
    assert write_coordinates(tmp_path, record) == []


def test_files_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    assert write_coordinates(tmp_path, {"binlog": {"file": "b.1", "position": 4, "gtid": NEW}, "replication": []}) == []
    assert list(tmp_path.iterdir()) == []
