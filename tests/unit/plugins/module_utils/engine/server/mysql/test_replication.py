# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan between a wanted and an actual channel of MySQL: its statements, and what may become gtid_purged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    FormatError,
    InvalidOption,
    ReplicationError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import RESTORED_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.replication import (
    ActualChannel,
    ReplicationState,
    StartPosition,
    WantedChannel,
    plan,
    predict,
    summary,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.start_position import (
    start_from_backup,
    start_from_options,
)

from ..conftest import HEALTHY

SOURCE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
OWN = "4c11fa47-71ca-11e1-9e33-c80aa9429562"
GTID = f"{SOURCE}:1-100"
CHANNEL = replace(HEALTHY, using_gtid="Auto_Position", get_source_public_key=False)
FROM_BACKUP = StartPosition("the backup b1", gtid=GTID)
WANTED = WantedChannel("replicating", source_host="db1", source_user="repl", source_password="hush", start=FROM_BACKUP)


def state(*channels: ActualChannel, executed: str = GTID, logged: str = "", **changes: Any) -> ReplicationState:
    return ReplicationState(channels, executed, logged, Family.MYSQL, server_uuid=OWN, **changes)


def statements(wanted: WantedChannel, actual: ReplicationState) -> list[str]:
    return [step.statement for step in plan(wanted, actual)]


def test_a_restore_that_brought_its_set_gets_a_channel_and_is_started() -> None:
    steps = plan(WANTED, state())
    assert [step.statement for step in steps] == [
        (
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_PASSWORD = %s, SOURCE_USER = %s, "
            "SOURCE_AUTO_POSITION = %s FOR CHANNEL %s"
        ),
        "START REPLICA FOR CHANNEL %s",
    ]
    assert steps[0].args == ("db1", 3306, "hush", "repl", 1, "")
    assert steps[0].secrets == ("hush",)


@pytest.mark.parametrize(
    ("executed", "added"), [("", GTID), (f"{SOURCE}:1-90", f"{SOURCE}:91-100"), (f"{SOURCE}:5-99", f"{SOURCE}:1-4:100")]
)
def test_what_a_fresh_restore_lacks_is_added_to_what_is_purged(executed: str, added: str) -> None:
    steps = plan(WANTED, state(executed=executed))
    assert (steps[0].statement, steps[0].args) == ("SET GLOBAL gtid_purged = %s", (f"+{added}",))
    assert predict(WANTED, state(executed=executed), steps)["gtid_executed"] == GTID


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"executed": f"{OWN}:1"}, "of its own"),
        ({"executed": f"{GTID},{OWN}:1"}, "of its own"),
        ({"executed": "5d11fa47-71ca-11e1-9e33-c80aa9429562:1"}, "different histories"),
        ({"executed": f"{SOURCE}:1-9", "logged": f"{SOURCE}:9"}, "no fresh restore"),
        ({"executed": "", "group_member": True}, "group replication"),
        ({"executed": GTID, "gtids": False}, "gtid_mode is OFF"),
    ],
)
def test_what_is_not_proven_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ReplicationError, match=words):
        plan(WANTED, state(**changes))


def test_nothing_is_purged_under_another_channel() -> None:
    with pytest.raises(ReplicationError, match="already replicates through 'other'"):
        plan(WANTED, state(replace(CHANNEL, channel="other"), executed=""))


@pytest.mark.parametrize("executed", [f"{SOURCE}:1-150", f"{GTID},5d11fa47-71ca-11e1-9e33-c80aa9429562:1-3"])
def test_a_server_beyond_the_backup_goes_on_from_where_it_is(executed: str) -> None:
    assert [step.action for step in plan(WANTED, state(executed=executed))] == ["change", "start"]


def test_without_coordinates_the_servers_own_set_is_where_it_begins() -> None:
    wanted = replace(WANTED, start=None)
    assert [step.action for step in plan(wanted, state(executed=f"{GTID},{OWN}:1"))] == ["change", "start"]
    with pytest.raises(ReplicationError, match="nothing says where"):
        plan(wanted, state(executed=""))


def test_file_and_position_need_no_gtids() -> None:
    wanted = replace(WANTED, start=StartPosition("the option coordinates", file="binlog.000007", position=815))
    change = plan(wanted, state(executed="", gtids=False))[0]
    assert "SOURCE_LOG_FILE = %s, SOURCE_LOG_POS = %s, SOURCE_AUTO_POSITION = %s FOR CHANNEL" in change.statement
    assert change.args[-4:] == ("binlog.000007", 815, 0, "")


def test_states_and_differences_are_said_in_mysqls_words() -> None:
    healthy = state(CHANNEL)
    assert plan(WANTED, healthy) == []
    assert statements(WantedChannel("stopped"), healthy) == ["STOP REPLICA FOR CHANNEL %s"]
    assert statements(WantedChannel("absent"), healthy) == [
        "STOP REPLICA FOR CHANNEL %s",
        "RESET REPLICA ALL FOR CHANNEL %s",
    ]
    steps = plan(replace(WANTED, get_source_public_key=True), healthy)
    assert [step.action for step in steps] == ["stop", "change", "start"]
    assert steps[0].undo == steps[2].statement
    assert steps[1].statement == "CHANGE REPLICATION SOURCE TO GET_SOURCE_PUBLIC_KEY = %s FOR CHANNEL %s"
    assert predict(replace(WANTED, get_source_public_key=True), healthy, steps) == {
        **summary(CHANNEL),
        "get_source_public_key": True,
    }


def test_with_consent_the_channel_goes_on_at_the_other_source() -> None:
    wanted = replace(WANTED, source_host="db2", allow_repoint=True)
    assert [step.using_gtid for step in plan(wanted, state(CHANNEL))] == [None, "Auto_Position", None]
    with pytest.raises(ReplicationError, match="no GTID position"):
        plan(wanted, state(CHANNEL, gtids=False))


def test_what_the_other_family_does_not_know_is_named() -> None:
    with pytest.raises(InvalidOption, match="no more than 32"):
        plan(replace(WANTED, source_password="x" * 33), state())
    with pytest.raises(InvalidOption, match="get_source_public_key"):
        plan(replace(WANTED, get_source_public_key=True), ReplicationState((), "", ""))


# --- where it begins -----------------------------------------------------------------------------


def write_marker(directory: Path, **record: Any) -> None:
    backup = {"id": "b1", "server": {"flavor": "mysql"}, **record}
    (directory / RESTORED_NAME).write_text(json.dumps({"id": "b1", "backup": backup}))


def test_the_restored_backup_says_the_set_or_without_one_file_and_position(tmp_path: Path) -> None:
    binlog = {"file": "binlog.000002", "position": 400, "gtid": f"{OWN}:1,\n{GTID}"}
    write_marker(tmp_path, binlog=binlog)
    assert start_from_backup(str(tmp_path), "db1", 3306, Family.MYSQL).gtid == f"{GTID},{OWN}:1"
    write_marker(tmp_path, binlog={**binlog, "gtid": ""})
    start = start_from_backup(str(tmp_path), "db1", 3306, Family.MYSQL)
    assert (start.gtid, start.file, start.position) == (None, "binlog.000002", 400)


def test_a_replica_of_the_same_source_as_its_donor_begins_where_the_donor_stood(tmp_path: Path) -> None:
    binlog = {"file": "binlog.000002", "position": 400, "gtid": f"{GTID},{OWN}:1"}
    channel = {"source_host": "top", "source_port": 3306, "file": "top.000001", "position": 7, "gtid": GTID}
    write_marker(tmp_path, binlog=binlog, replication=[channel])
    assert start_from_backup(str(tmp_path), "top", 3306, Family.MYSQL).gtid == f"{GTID},{OWN}:1"
    write_marker(tmp_path, binlog=None, replication=[channel])
    assert start_from_backup(str(tmp_path), "top", 3306, Family.MYSQL).gtid == GTID
    write_marker(tmp_path, binlog=None, replication=[{**channel, "gtid": ""}])
    assert start_from_backup(str(tmp_path), "top", 3306, Family.MYSQL).file == "top.000001"


def test_a_backup_of_the_stock_tool_tells_and_of_the_other_family_is_refused(tmp_path: Path) -> None:
    info = tmp_path / "xtrabackup_binlog_info"
    info.write_text(f"binlog.000002\t400\t{GTID}\n")
    assert start_from_backup(str(tmp_path), "db1", 3306, Family.MYSQL).gtid == GTID
    info.write_text("binlog.000002\t400\n")
    assert start_from_backup(str(tmp_path), "db1", 3306, Family.MYSQL).position == 400
    info.write_text("binlog.000002\t400\t0-1-5\n")
    with pytest.raises(FormatError, match="no readable GTID"):
        start_from_backup(str(tmp_path), "db1", 3306, Family.MYSQL)
    write_marker(tmp_path, server={"flavor": "mariadb"}, binlog={"file": "b.1", "position": 4, "gtid": "0-1-5"})
    with pytest.raises(ReplicationError, match="one of MariaDB, and this server is MySQL"):
        start_from_backup(str(tmp_path), "db1", 3306, Family.MYSQL)
    write_marker(tmp_path, server={"flavor": "percona"}, binlog={"file": "b.1", "position": 4, "gtid": GTID})
    with pytest.raises(ReplicationError, match="one of MySQL, and this server is MariaDB"):
        start_from_backup(str(tmp_path), "db1", 3306, Family.MARIADB)


def test_written_sets_are_checked() -> None:
    assert start_from_options(f"{OWN}:1, {GTID}", None, None, family=Family.MYSQL).gtid == f"{GTID},{OWN}:1"
    with pytest.raises(InvalidOption, match="not a GTID set"):
        start_from_options("0-1-100", None, None, family=Family.MYSQL)
