# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan between a wanted and an actual replication channel: nothing for a healthy one, never a guess."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ReplicationError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.replication import (
    ActualChannel,
    ReplicationState,
    StartPosition,
    WantedChannel,
    compare_gtid,
    needs_start,
    plan,
    predict,
    reached,
    summary,
)

from .conftest import HEALTHY

STOPPED = replace(HEALTHY, io_running="No", sql_running="No", seconds_behind=None)
FROM_BACKUP = StartPosition("the backup b1", gtid="0-1-100")
WANTED = WantedChannel("replicating", source_host="db1", source_user="repl", source_password="hush", start=FROM_BACKUP)


def state(*channels: ActualChannel, slave: str = "", binlog: str = "") -> ReplicationState:
    return ReplicationState(channels, slave, binlog)


def actions(wanted: WantedChannel, actual: ReplicationState) -> list[str]:
    return [step.action for step in plan(wanted, actual)]


# --- nothing to do -------------------------------------------------------------------------------


def test_a_healthy_channel_is_left_alone() -> None:
    assert plan(WANTED, state(HEALTHY, slave="0-1-200")) == []


def test_a_channel_that_is_still_connecting_is_left_alone() -> None:
    assert plan(WANTED, state(replace(HEALTHY, io_running="Connecting", io_errno=2003))) == []


def test_another_password_alone_is_no_difference() -> None:
    assert plan(replace(WANTED, source_password="other"), state(HEALTHY)) == []


@pytest.mark.parametrize("wanted", ["stopped", "absent"])
def test_what_is_not_there_needs_no_stopping(wanted: str) -> None:
    assert plan(WantedChannel(wanted), state()) == []


def test_names_of_channels_are_not_case_sensitive() -> None:
    assert plan(replace(WANTED, channel="Main"), state(replace(HEALTHY, channel="main"))) == []


# --- a new channel -------------------------------------------------------------------------------


def test_a_fresh_restore_gets_its_position_its_channel_and_is_started() -> None:
    steps = plan(WANTED, state())
    assert [step.action for step in steps] == ["set_position", "change", "start"]
    assert steps[0].args == ("0-1-100",)
    assert "MASTER_USE_GTID = slave_pos" in steps[1].statement
    assert steps[1].secrets == ("hush",)
    assert "hush" not in repr(steps[1].statement)


def test_a_restored_former_replica_has_its_older_position_replaced() -> None:
    assert actions(WANTED, state(slave="0-1-90")) == ["set_position", "change", "start"]


@pytest.mark.parametrize("slave", ["0-1-100", "0-1-150", "0-1-150,7-2-1"])
def test_a_server_at_or_beyond_the_backup_goes_on_from_where_it_is(slave: str) -> None:
    assert actions(WANTED, state(slave=slave)) == ["change", "start"]


@pytest.mark.parametrize("slave", ["0-2-100", "0-1-90,7-2-1"])
def test_a_position_of_another_history_is_refused(slave: str) -> None:
    with pytest.raises(ReplicationError, match="different histories"):
        plan(WANTED, state(slave=slave))


@pytest.mark.parametrize("binlog", ["0-9-100", "0-9-101"])
def test_writes_of_the_servers_own_are_refused(binlog: str) -> None:
    with pytest.raises(ReplicationError, match="transactions of its own"):
        plan(WANTED, state(binlog=binlog))


@pytest.mark.parametrize("binlog", ["0-1-100", "0-9-3", "5-9-1000"])
def test_a_binary_log_that_does_not_conflict_is_no_obstacle(binlog: str) -> None:
    assert actions(WANTED, state(binlog=binlog)) == ["set_position", "change", "start"]


def test_the_position_is_never_set_under_another_channel() -> None:
    with pytest.raises(ReplicationError, match="no fresh restore"):
        plan(WANTED, state(replace(HEALTHY, channel="other"), slave="0-1-5"))


def test_file_and_position_are_used_as_given() -> None:
    start = StartPosition("the option coordinates", file="bin.000007", position=815)
    steps = plan(replace(WANTED, start=start), state())
    assert [step.action for step in steps] == ["change", "start"]
    assert "MASTER_USE_GTID = no" in steps[0].statement
    assert "bin.000007" in steps[0].args
    assert 815 in steps[0].args


def test_without_coordinates_the_servers_own_position_is_where_it_begins() -> None:
    assert actions(replace(WANTED, start=None), state(slave="0-1-7")) == ["change", "start"]
    with pytest.raises(ReplicationError, match="nothing says where"):
        plan(replace(WANTED, start=None), state())


def test_an_empty_gtid_is_the_very_beginning() -> None:
    wanted = replace(WANTED, start=StartPosition("the option coordinates", gtid=""))
    assert actions(wanted, state()) == ["change", "start"]


def test_a_stopped_channel_is_made_but_not_started() -> None:
    assert actions(replace(WANTED, state="stopped"), state()) == ["set_position", "change"]


def test_a_new_channel_inherits_nothing_from_an_older_one() -> None:
    steps = plan(replace(WANTED, source_password=None), state())
    assert {"MASTER_PASSWORD", "MASTER_SSL_CA", "MASTER_SSL_CERT", "MASTER_SSL_KEY"} <= set(
        steps[1].statement.replace(",", " ").split()
    )


@pytest.mark.parametrize("missing", ["source_host", "source_user"])
def test_a_new_channel_needs_a_source_and_an_account(missing: str) -> None:
    changes: dict[str, Any] = {missing: None}
    with pytest.raises(ReplicationError, match=missing):
        plan(replace(WANTED, **changes), state())


# --- a channel that is there ---------------------------------------------------------------------


def test_a_stopped_channel_is_started_and_nothing_else() -> None:
    assert actions(WANTED, state(STOPPED, slave="0-1-200")) == ["start"]


def test_one_stopped_thread_is_enough_to_start() -> None:
    assert actions(WANTED, state(replace(HEALTHY, sql_running="No", sql_errno=1062))) == ["start"]


def test_a_running_channel_is_stopped() -> None:
    assert actions(WantedChannel("stopped"), state(HEALTHY)) == ["stop"]
    assert actions(WantedChannel("stopped"), state(replace(HEALTHY, sql_running="No"))) == ["stop"]
    assert plan(WantedChannel("stopped"), state(STOPPED)) == []


def test_a_channel_is_removed_after_it_was_stopped() -> None:
    assert actions(WantedChannel("absent"), state(HEALTHY)) == ["stop", "reset"]
    assert actions(WantedChannel("absent"), state(STOPPED)) == ["reset"]


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"source_user": "other"}, "MASTER_USER"),
        ({"connect_retry": 10}, "MASTER_CONNECT_RETRY"),
        ({"source_ssl": True}, "MASTER_SSL"),
        ({"source_ssl_ca": "/ca.pem"}, "MASTER_SSL_CA"),
        ({"source_ssl_verify": True}, "MASTER_SSL_VERIFY_SERVER_CERT"),
    ],
)
def test_only_the_difference_is_changed_and_the_place_is_kept(change: dict[str, Any], option: str) -> None:
    steps = plan(replace(WANTED, **change), state(HEALTHY))
    assert [step.action for step in steps] == ["stop", "change", "start"]
    assert f"{option} = %s" in steps[1].statement
    for kept in ("MASTER_HOST", "MASTER_LOG_POS", "MASTER_USE_GTID"):
        assert kept not in steps[1].statement


def test_a_refused_login_sets_the_password_again() -> None:
    refused = replace(HEALTHY, io_running="Connecting", io_errno=1045)
    steps = plan(WANTED, state(refused))
    assert [step.action for step in steps] == ["stop", "change", "start"]
    assert steps[1].statement == "CHANGE MASTER %s TO MASTER_PASSWORD = %s"
    stopped = replace(refused, io_running="No", sql_running="No")
    assert plan(replace(WANTED, state="stopped"), state(stopped)) == []


def test_another_source_needs_consent() -> None:
    with pytest.raises(ReplicationError, match=r"db1:3306, not from db2:3306.*") as caught:
        plan(replace(WANTED, source_host="db2"), state(HEALTHY, slave="0-1-200"))
    assert "allow_repoint" in caught.value.remedy


def test_with_consent_the_channel_goes_on_at_the_other_source_from_its_own_position() -> None:
    wanted = replace(WANTED, source_host="db2", allow_repoint=True)
    steps = plan(wanted, state(HEALTHY, slave="0-1-200"))
    assert [step.action for step in steps] == ["stop", "change", "start"]
    assert "MASTER_USE_GTID = slave_pos" in steps[1].statement
    with pytest.raises(ReplicationError, match="no GTID position"):
        plan(wanted, state(HEALTHY))


def test_the_backup_is_only_asked_when_a_channel_begins() -> None:
    assert needs_start(WANTED, state())
    assert needs_start(replace(WANTED, source_host="db2"), state(HEALTHY))
    assert not needs_start(WANTED, state(HEALTHY))
    assert not needs_start(replace(WANTED, state="absent"), state())


# --- prediction and GTID arithmetic --------------------------------------------------------------


def test_the_prediction_is_what_the_steps_lead_to() -> None:
    actual = state(HEALTHY)
    wanted = replace(WANTED, connect_retry=10)
    after = predict(wanted, actual, plan(wanted, actual))
    assert after == {**summary(HEALTHY), "connect_retry": 10}
    assert predict(WantedChannel("absent"), actual, plan(WantedChannel("absent"), actual)) == {"state": "absent"}
    assert predict(WANTED, actual, []) == summary(HEALTHY)


def test_no_prediction_shows_the_password() -> None:
    for actual in (state(), state(replace(HEALTHY, io_running="Connecting", io_errno=1045))):
        assert "hush" not in str(predict(WANTED, actual, plan(WANTED, actual)))


@pytest.mark.parametrize(
    ("left", "right", "relation"),
    [
        ("", "", "equal"),
        ("0-1-5", "0-1-5", "equal"),
        ("1-1-1,0-1-5", "0-1-5,1-1-1", "equal"),
        ("", "0-1-5", "behind"),
        ("0-1-4", "0-1-5", "behind"),
        ("0-1-6", "0-2-5", "ahead"),
        ("0-1-5,1-1-1", "0-1-5", "ahead"),
        ("0-1-5", "0-2-5", "diverged"),
        ("0-1-4,1-1-9", "0-1-5,1-1-8", "diverged"),
    ],
)
def test_gtid_positions_are_compared_by_domain(left: str, right: str, relation: str) -> None:
    assert compare_gtid(left, right) == relation


def test_a_target_is_reached_when_every_domain_of_it_is() -> None:
    assert reached("0-1-5,1-1-1", "0-1-5")
    assert reached("0-2-6", "0-1-5")
    assert not reached("0-1-4", "0-1-5")
    assert not reached("0-1-9", "0-1-5,1-1-1")
    assert reached("", "")
