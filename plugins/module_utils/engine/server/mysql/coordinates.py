# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Coordinates of an instant of a MySQL server: LSN, binary log position and executed GTIDs, read in one moment.

``performance_schema.log_status`` stops all logs for as long as it takes to read them: its LSN, its position and its
GTIDs belong together, with no lock held (MySQL manual, log_status). Of a replica channel it tells the end of the relay
log, which is what was received; what was applied only Percona Server adds to the same row.

A channel that finds its place by GTID needs no position. That of another one is exact only where it had applied all
that it had received: an applier may move its position before it commits (seen on 9.7: one transaction ahead of the
executed GTIDs, which a new replica would lose), and usually moves it some 300 ms later. Of a busier channel the
recovered data tell the position (see applied_positions.py), if its workers commit in the order of its source.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import ServerError
from ...format.coordinates import BinlogCoordinates, ReplicaChannel, normal_gtid, quoted
from ..connection import Connection
from .support import refusal_of_version

# channels of group replication are set up by the group itself, never by CHANGE REPLICATION SOURCE
GROUP_CHANNELS = "group_replication_"
_ATTEMPTS = 10  # at a moment in which a busy channel stands still
_PAUSE = 0.05  # seconds between them
_ACCESS_DENIED = (1044, 1142)  # ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR
_IDLE = "has read all relay log"  # in the state of an applier


@dataclass(frozen=True)
class LogStatus:
    """One instant. ``lsn`` is the end of the redo log, ``checkpoint_lsn`` that of its checkpoint (bytes);
    ``binlog`` is None when the binary log is off, and its ``gtid`` "" unless gtid_mode is ON; ``gtid_executed`` is
    the whole set. ``unsure`` names the channels without auto-position whose position may be some transactions off,
    because they were too busy to be met standing still; their ``exact`` is False."""

    lsn: int
    checkpoint_lsn: int
    binlog: BinlogCoordinates | None
    channels: list[ReplicaChannel]
    gtid_executed: str = ""
    unsure: tuple[str, ...] = ()


def read_log_status(connection: Connection) -> LogStatus:
    """The server's newest instant; needs BACKUP_ADMIN, SELECT on the table, and REPLICATION CLIENT.

    When a channel without auto-position is not met standing still, a later instant is read, some times.
    """
    by_gtid = connection.variables("gtid_mode").get("gtid_mode") == "ON"
    for left in reversed(range(_ATTEMPTS)):
        before = connection.query("SHOW REPLICA STATUS")
        in_order = channels_in_order(connection) if any(not _by_gtid(replica) for replica in before) else set()
        row = connection.row("SELECT LOCAL, REPLICATION, STORAGE_ENGINES FROM performance_schema.log_status")
        if row is None:
            raise ServerError("performance_schema.log_status of this server is empty: no instant can be taken")
        status = parse_log_status(row, before, by_gtid=by_gtid, in_order=in_order)
        if not status.unsure or not left:
            break
        time.sleep(_PAUSE)
    return status


def has_position(version: tuple[int, ...]) -> bool:
    """Returns whether servers of this version know what is asked for privileges and position: an old one does not."""
    return refusal_of_version(version) is None


def position_facts(connection: Connection, missing: Collection[str]) -> dict[str, Any]:
    """Returns where the server stands; ``missing`` are the privileges that the account lacks."""
    gtid = normal_gtid(str(connection.scalar("SELECT @@GLOBAL.gtid_executed") or ""))
    binlog = None if missing else read_log_status(connection).binlog
    return {"gtid": gtid, "binlog": None if binlog is None else binlog.as_dict()}


def channels_in_order(connection: Connection) -> set[str]:
    """The channels whose workers have been committing in the order of the source since their applier was started.

    That takes replica_preserve_commit_order. And an applier that begins by filling the gaps of an earlier run does so
    without its workers: only after that is any of them seen to have applied something. Empty also when the account may
    not read performance_schema.replication_applier_status_by_worker.
    """
    settings = connection.variables("replica_preserve_commit_order", "slave_preserve_commit_order")
    if "ON" not in settings.values():
        return set()
    try:
        rows = connection.query(
            "SELECT DISTINCT CHANNEL_NAME FROM performance_schema.replication_applier_status_by_worker "
            "WHERE LAST_APPLIED_TRANSACTION <> '' AND SERVICE_STATE = 'ON'"
        )
    except ServerError as error:
        if error.details.get("errno") in _ACCESS_DENIED:
            return set()
        raise
    return {str(row["CHANNEL_NAME"]) for row in rows}


def parse_log_status(
    row: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
    *,
    by_gtid: bool,
    in_order: Collection[str] = (),
) -> LogStatus:
    """The instant in one ``row`` of log_status, with the rows of SHOW REPLICA STATUS read just ``before`` it.

    ``by_gtid``: gtid_mode is ON. ``in_order``: see ``channels_in_order``.
    """
    local, innodb = json.loads(row["LOCAL"]), json.loads(row["STORAGE_ENGINES"])["InnoDB"]
    gtid = "".join(str(local.get("gtid_executed", "")).split())
    binlog = None
    if "binary_log_file" in local:
        binlog = BinlogCoordinates(
            str(local["binary_log_file"]), int(local["binary_log_position"]), gtid if by_gtid else ""
        )
    seen = {str(entry["channel_name"]): entry for entry in json.loads(row["REPLICATION"])["channels"]}
    channels, unsure = [], []
    for replica in sorted(before, key=lambda replica: str(replica["Channel_Name"])):
        name = str(replica["Channel_Name"])
        if not name.startswith(GROUP_CHANNELS):
            channel = _channel(replica, seen.get(name, {}), gtid)
            if not channel.by_gtid and not _was_idle(replica, seen.get(name, {})):
                unsure.append(name)
                # of one that stopped with an error it is not known how it was set up when it ran
                running = str(replica["Replica_SQL_Running"]) == "Yes"
                channel = replace(channel, exact=False, in_order=running and name in in_order)
            channels.append(channel)
    return LogStatus(int(innodb["LSN"]), int(innodb["LSN_checkpoint"]), binlog, channels, gtid, tuple(unsure))


def _channel(replica: Mapping[str, Any], seen: Mapping[str, Any], gtid: str) -> ReplicaChannel:
    file, position = str(replica["Relay_Source_Log_File"]), int(replica["Exec_Source_Log_Pos"])
    if "exec_master_log_position" in seen:
        file, position = str(seen["relay_master_log_file"]), int(seen["exec_master_log_position"])
    return ReplicaChannel(
        channel=str(replica["Channel_Name"]),
        source_host=str(replica["Source_Host"]),
        source_port=int(replica["Source_Port"]),
        file=file,
        position=position,
        using_gtid="Auto_Position" if _by_gtid(replica) else "No",
        gtid=gtid,
    )


def _by_gtid(replica: Mapping[str, Any]) -> bool:
    return str(replica["Auto_Position"]) == "1"


def _was_idle(replica: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    """Returns whether a channel had applied everything before the instant, and had received nothing since; or is
    stopped."""
    if str(replica["Replica_SQL_Running"]) == "No":
        # stopped in order, it has waited for its workers
        return int(replica["Last_SQL_Errno"]) == 0
    applied = (str(replica["Relay_Log_File"]), int(replica["Relay_Log_Pos"]))
    received = (str(seen.get("relay_log_file", "")), int(seen.get("relay_log_position", 0)))
    return applied == received and _IDLE in str(replica["Replica_SQL_Running_State"])


def render_binlog_info(coordinates: BinlogCoordinates) -> str:
    """``xtrabackup_binlog_info`` as Percona's tool writes it: file TAB position [TAB gtid_executed] LF."""
    gtid = f"\t{coordinates.gtid}" if coordinates.gtid else ""
    return f"{coordinates.file}\t{coordinates.position}{gtid}\n"


def render_slave_info(channels: Sequence[ReplicaChannel]) -> str:
    """``xtrabackup_slave_info`` as Percona's tool writes it; "" for a server that replicates from nobody.

    In the words of 8.0.23 and newer, which are those of every supported version. A position that is not exact stands
    in a comment: nobody must start there.
    """
    lines = []
    gtid = next((channel.gtid for channel in channels if channel.by_gtid and channel.gtid), "")
    if gtid:
        lines.append(f"SET GLOBAL gtid_purged='{gtid}';")
    for channel in channels:
        where = (
            "SOURCE_AUTO_POSITION=1"
            if channel.by_gtid
            else f"SOURCE_LOG_FILE='{channel.file}', SOURCE_LOG_POS={channel.position}"
        )
        name = f" FOR CHANNEL {quoted(channel.channel)}" if channel.channel else ""
        hidden = "" if channel.by_gtid or channel.exact else "-- not exact, do not start here: "
        lines.append(f"{hidden}CHANGE REPLICATION SOURCE TO {where}{name};")
    return "".join(line + "\n" for line in lines)
