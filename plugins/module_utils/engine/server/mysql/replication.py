# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication of MySQL and Percona Server: their statements, and their GTID sets.

All versions that are supported (8.0.30 and newer) have the statements that speak of sources and replicas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ...errors import InvalidOption, Option, ReplicationError, ServerError
from ...format.family import Family
from ..connection import Connection
from ..replication_model import ActualChannel, ReplicationDialect, ReplicationState, Step, WantedChannel
from .gtid_sets import GtidSet

_GROUP_CHANNELS = ("group_replication_applier", "group_replication_recovery")
_REBUILD = "Rebuild the replica from a backup of its source, or give the coordinates of the data it holds."


class MysqlReplication(ReplicationDialect):
    """SHOW REPLICA STATUS, CHANGE REPLICATION SOURCE, gtid_executed and gtid_purged."""

    family = Family.MYSQL
    prefix = "SOURCE_"
    position_name = "gtid_executed"
    compared: ClassVar[Mapping[str, str]] = {
        "source_user": "SOURCE_USER",
        "connect_retry": "SOURCE_CONNECT_RETRY",
        "source_ssl": "SOURCE_SSL",
        "source_ssl_ca": "SOURCE_SSL_CA",
        "source_ssl_cert": "SOURCE_SSL_CERT",
        "source_ssl_key": "SOURCE_SSL_KEY",
        "source_ssl_verify": "SOURCE_SSL_VERIFY_SERVER_CERT",
        "get_source_public_key": "GET_SOURCE_PUBLIC_KEY",
    }
    leftovers: ClassVar[Mapping[str, Any]] = {}  # RESET REPLICA ALL forgets everything (9.7)
    by_gtid: ClassVar[Mapping[str, Any]] = {"SOURCE_AUTO_POSITION": 1}
    using_gtid = "Auto_Position"
    gtid_name = "GTID set"
    gtid_form = "Write server_uuid:first-last, several joined by commas, as gtid_executed shows them."
    gtid_sets = True
    password_limit = 32  # the error (3056) says characters and counts bytes
    user_limit = 32  # that of accounts; CHANGE cuts at 96
    channel_limit = 64
    retry_limit = 2147483647  # seconds

    def read_state(self, connection: Connection) -> ReplicationState:
        """Reads the state of all channels; needs REPLICATION CLIENT. What the applier's threads say of their errors is
        added where the account may see it (SELECT on performance_schema.replication_applier_status_by_worker)."""
        rows = connection.query("SHOW REPLICA STATUS")
        known = connection.variables(
            "gtid_executed", "gtid_purged", "gtid_mode", "server_uuid", "group_replication_group_name"
        )
        executed = GtidSet.parse(known.get("gtid_executed", ""))
        return ReplicationState(
            channels=tuple(_with_worker_error(connection, channel_from_row(row)) for row in rows),
            executed=str(executed),
            logged=str(executed - GtidSet.parse(known.get("gtid_purged", ""))),
            family=Family.MYSQL,
            server_uuid=known.get("server_uuid", ""),
            gtids=known.get("gtid_mode", "OFF").upper() != "OFF",
            group_member=bool(known.get("group_replication_group_name")),
        )

    def gtid(self, text: str) -> str:
        """Returns the normal form of a GTID set."""
        return str(GtidSet.parse(text))

    def reached(self, position: str, target: str) -> bool:
        """Returns whether ``position`` holds everything up to ``target``."""
        return GtidSet.parse(target) <= GtidSet.parse(position)

    def require_known(self, wanted: WantedChannel) -> None:
        """Raises InvalidOption for what this family does not know."""
        if wanted.channel.lower().startswith(_GROUP_CHANNELS):
            raise InvalidOption(f"channel: {wanted.channel} belongs to group replication", option="channel")

    def position_steps(self, wanted: WantedChannel, actual: ReplicationState) -> list[Step]:
        """Returns the steps that bring the server to the start position.

        A server that holds the start and more goes on from where it is, unless the rest is of its own making. One that
        lacks a part of it gets that as gtid_purged (added to what is there: nothing is reset), if it is a fresh
        restore: no channel, and nothing in its own binary log.
        """
        if not actual.gtids:
            raise ReplicationError(
                "this server's gtid_mode is OFF, so it cannot find its place by GTID",
                remedy="Set gtid_mode=ON and enforce_gtid_consistency=ON in its option file, as on the source; or, "
                f"where the source has them OFF as well, give {Option('coordinates', '{file, position}')}.",
                channel=wanted.channel,
            )
        if wanted.start is None:
            if actual.executed:
                return []
            raise ReplicationError(
                f"nothing says where the new channel {wanted.channel!r} begins: the server's gtid_executed is empty",
                remedy=f"Say {Option('coordinates')}: the backup that this server was restored from, GTIDs, or "
                "file and position.",
                channel=wanted.channel,
            )
        start = GtidSet.parse(wanted.start.gtid or "")
        executed = GtidSet.parse(actual.executed)
        _require_no_own_writes(executed - start, actual.server_uuid, wanted.start.origin)
        missing = start - executed
        if not missing:
            return []
        if executed - start:
            raise ReplicationError(
                f"the server's gtid_executed {actual.executed} and that of {wanted.start.origin}, {start}, belong to "
                "different histories",
                remedy=_REBUILD,
                gtid_executed=actual.executed,
                gtid=str(start),
            )
        _require_fresh(actual, start, wanted.start.origin)
        # "+": to what is there, so that no binary log has to be reset for it
        return [Step("set_position", "SET GLOBAL gtid_purged = %s", (f"+{missing}",))]

    def change(self, channel: str, options: Mapping[str, Any], using_gtid: str | None = None) -> Step:
        """Returns the statement that changes the channel."""
        return self._change("CHANGE REPLICATION SOURCE TO {} FOR CHANNEL %s", options, (), (channel,), using_gtid)

    def start(self, channel: str) -> Step:
        """Returns the statement that starts the channel."""
        return Step("start", "START REPLICA FOR CHANNEL %s", (channel,))

    def stop(self, channel: str) -> Step:
        """Returns the statement that stops the channel."""
        return Step("stop", "STOP REPLICA FOR CHANNEL %s", (channel,), undo="START REPLICA FOR CHANNEL %s")

    def reset(self, channel: str) -> Step:
        """Returns the statement that removes the channel."""
        return Step("reset", "RESET REPLICA ALL FOR CHANNEL %s", (channel,))


def channel_from_row(row: dict[str, Any]) -> ActualChannel:
    """The channel in a row of SHOW REPLICA STATUS."""
    behind = row["Seconds_Behind_Source"]
    return ActualChannel(
        channel=str(row["Channel_Name"] or ""),
        source_host=str(row["Source_Host"] or ""),
        source_port=int(row["Source_Port"]),
        source_user=str(row["Source_User"] or ""),
        source_ssl=row["Source_SSL_Allowed"] == "Yes",
        source_ssl_ca=str(row["Source_SSL_CA_File"] or ""),
        source_ssl_cert=str(row["Source_SSL_Cert"] or ""),
        source_ssl_key=str(row["Source_SSL_Key"] or ""),
        source_ssl_verify=row["Source_SSL_Verify_Server_Cert"] == "Yes",
        connect_retry=int(row["Connect_Retry"]),
        using_gtid="Auto_Position" if str(row["Auto_Position"]) == "1" else "No",
        io_running=str(row["Replica_IO_Running"]),
        sql_running=str(row["Replica_SQL_Running"]),
        io_state=str(row["Replica_IO_State"] or ""),
        io_errno=int(row["Last_IO_Errno"]),
        io_error=str(row["Last_IO_Error"] or ""),
        sql_errno=int(row["Last_SQL_Errno"]),
        sql_error=str(row["Last_SQL_Error"] or ""),
        read_file=str(row["Source_Log_File"] or ""),
        read_position=int(row["Read_Source_Log_Pos"]),
        executed_file=str(row["Relay_Source_Log_File"] or ""),
        executed_position=int(row["Exec_Source_Log_Pos"]),
        gtid_io_pos=str(GtidSet.parse(str(row["Retrieved_Gtid_Set"] or ""))),
        seconds_behind=None if behind is None else int(behind),
        get_source_public_key=str(row["Get_Source_public_key"]) == "1",
        source_server_id=int(row.get("Source_Server_Id") or 0),
        source_uuid=str(row.get("Source_UUID") or ""),
    )


def _with_worker_error(connection: Connection, channel: ActualChannel) -> ActualChannel:
    """``channel``, its applier's error in the words of the thread that met it: the coordinator only points to it."""
    if not channel.sql_errno:
        return channel
    try:
        row = connection.row(
            "SELECT LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_worker "
            "WHERE CHANNEL_NAME = %s AND LAST_ERROR_NUMBER = %s ORDER BY LAST_ERROR_TIMESTAMP DESC LIMIT 1",
            [channel.channel, channel.sql_errno],
        )
    except ServerError:
        return channel  # the account may not look there
    return channel if not row else replace(channel, sql_error=str(row["LAST_ERROR_MESSAGE"]))


def _require_no_own_writes(beyond: GtidSet, server_uuid: str, origin: str) -> None:
    """Raises ReplicationError when ``beyond``, what the server has executed beyond the start, is of its own making."""
    if server_uuid.lower() not in beyond.uuids:
        return
    raise ReplicationError(
        f"this server has executed {beyond} beyond the position of {origin}: it has written transactions of its own "
        "and is no fresh restore",
        remedy="Rebuild the replica; or, if you know that those writes do not matter or are on the source as well, "
        f"leave out {Option('coordinates')}, so that it goes on from where it is.",
        beyond=str(beyond),
        server_uuid=server_uuid,
    )


def _require_fresh(actual: ReplicationState, start: GtidSet, origin: str) -> None:
    """Raises ReplicationError when gtid_purged must not be set, since the data may not stand at ``start``."""
    reason = ""
    if actual.group_member:
        reason = "it belongs to group replication"
    elif actual.channels:
        names = ", ".join(repr(channel.channel) for channel in actual.channels)
        reason = f"it already replicates through {names}"
    elif actual.logged:
        reason = f"its own binary log holds {actual.logged}, so its data have moved on since they were put there"
    if reason:
        raise ReplicationError(
            f"this server's gtid_executed is {actual.executed!r}, not {str(start)!r} as {origin} has it, and {reason}: "
            "it is no fresh restore",
            remedy="Set gtid_purged by hand if the data really stand there, or rebuild the replica.",
            gtid_executed=actual.executed,
            gtid=str(start),
        )
