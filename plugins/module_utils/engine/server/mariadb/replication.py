# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication of MariaDB: its statements, and its GTID positions, which have one number a domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ...errors import InvalidOption, Option, ReplicationError
from ...format.coordinates import normal_gtid
from ...format.family import Family
from ..connection import Connection
from ..replication_model import ActualChannel, ReplicationDialect, ReplicationState, Step, WantedChannel, Word
from .coordinates import gtid_positions


class MariadbReplication(ReplicationDialect):
    """SHOW ALL SLAVES STATUS, CHANGE MASTER, gtid_slave_pos."""

    family = Family.MARIADB
    prefix = "MASTER_"
    position_name = "gtid_slave_pos"
    compared: ClassVar[Mapping[str, str]] = {
        "source_user": "MASTER_USER",
        "connect_retry": "MASTER_CONNECT_RETRY",
        "source_ssl": "MASTER_SSL",
        "source_ssl_ca": "MASTER_SSL_CA",
        "source_ssl_cert": "MASTER_SSL_CERT",
        "source_ssl_key": "MASTER_SSL_KEY",
        "source_ssl_verify": "MASTER_SSL_VERIFY_SERVER_CERT",
    }
    # RESET SLAVE ALL forgets none of these (10.11)
    leftovers: ClassVar[Mapping[str, Any]] = {
        "MASTER_PASSWORD": "",
        "MASTER_SSL_CA": "",
        "MASTER_SSL_CERT": "",
        "MASTER_SSL_KEY": "",
    }
    by_gtid: ClassVar[Mapping[str, Any]] = {"MASTER_USE_GTID": Word("slave_pos")}
    using_gtid = "Slave_Pos"
    gtid_name = "GTID position"
    gtid_form = "Write domain-server-sequence, several joined by commas: 0-1-100,1-1-7."
    gtid_sets = False
    password_limit = 96
    user_limit = 128
    channel_limit = 191
    retry_limit = 4294967295  # seconds

    def read_state(self, connection: Connection) -> ReplicationState:
        """Reads the state of all channels; needs SLAVE MONITOR."""
        rows = connection.query("SHOW ALL SLAVES STATUS")
        positions = connection.row("SELECT @@GLOBAL.gtid_slave_pos AS executed, @@GLOBAL.gtid_binlog_pos AS logged")
        found = positions or {}
        return ReplicationState(
            channels=tuple(channel_from_row(row) for row in rows),
            executed=normal_gtid(str(found.get("executed") or "")),
            logged=normal_gtid(str(found.get("logged") or "")),
            family=Family.MARIADB,
        )

    def gtid(self, text: str) -> str:
        """Returns the normal form of a GTID position: domains in order."""
        gtid_positions(text)
        return normal_gtid(text)

    def reached(self, position: str, target: str) -> bool:
        """Returns whether ``position`` holds everything up to ``target``, domain by domain."""
        return reached(position, target)

    def require_known(self, wanted: WantedChannel) -> None:
        """Raises InvalidOption for what this family does not know."""
        if wanted.get_source_public_key is not None:
            raise InvalidOption(
                f"{Option('get_source_public_key')} is for MySQL: MariaDB's accounts need no public key",
                remedy="Leave the option out.",
                option="get_source_public_key",
            )

    def position_steps(self, wanted: WantedChannel, actual: ReplicationState) -> list[Step]:
        """Returns the steps that bring the server to the start position.

        The server's own position wins when it is at or beyond the start: its data have moved on since the backup.
        """
        if wanted.start is None:
            if actual.executed:
                return []
            raise ReplicationError(
                f"nothing says where the new channel {wanted.channel!r} begins: the server has no gtid_slave_pos",
                remedy=f"Say {Option('coordinates')}: the backup that this server was restored from, a GTID, or "
                "file and position.",
                channel=wanted.channel,
            )
        gtid = normal_gtid(wanted.start.gtid or "")
        relation = compare_gtid(actual.executed, gtid)
        if relation in ("equal", "ahead"):
            return []
        if relation == "diverged":
            raise ReplicationError(
                f"the server's gtid_slave_pos {actual.executed} and the position of {wanted.start.origin}, {gtid}, "
                "belong to different histories",
                remedy="Rebuild the replica from a backup of its source, or give the coordinates of the data it holds.",
                gtid_slave_pos=actual.executed,
                gtid=gtid,
            )
        if actual.channels:
            names = ", ".join(repr(channel.channel) for channel in actual.channels)
            raise ReplicationError(
                f"gtid_slave_pos is {actual.executed!r}, not {gtid!r} as {wanted.start.origin} has it, and the "
                f"server already replicates through {names}: it is no fresh restore",
                remedy="Set gtid_slave_pos by hand if the data really stand there, or rebuild the replica.",
                gtid_slave_pos=actual.executed,
                gtid=gtid,
            )
        _require_no_own_writes(actual.logged, gtid, wanted.start.origin)
        return [Step("set_position", "SET GLOBAL gtid_slave_pos = %s", (gtid,))]

    def change(self, channel: str, options: Mapping[str, Any], using_gtid: str | None = None) -> Step:
        """Returns the statement that changes the channel."""
        return self._change("CHANGE MASTER %s TO {}", options, (channel,), (), using_gtid)

    def start(self, channel: str) -> Step:
        """Returns the statement that starts the channel."""
        return Step("start", "START SLAVE %s", (channel,))

    def stop(self, channel: str) -> Step:
        """Returns the statement that stops the channel."""
        return Step("stop", "STOP SLAVE %s", (channel,), undo="START SLAVE %s")

    def reset(self, channel: str) -> Step:
        """Returns the statement that removes the channel."""
        return Step("reset", "RESET SLAVE %s ALL", (channel,))


def channel_from_row(row: dict[str, Any]) -> ActualChannel:
    """The channel in a row of SHOW ALL SLAVES STATUS."""
    behind = row["Seconds_Behind_Master"]
    return ActualChannel(
        channel=str(row["Connection_name"] or ""),
        source_host=str(row["Master_Host"] or ""),
        source_port=int(row["Master_Port"]),
        source_user=str(row["Master_User"] or ""),
        source_ssl=row["Master_SSL_Allowed"] == "Yes",
        source_ssl_ca=str(row["Master_SSL_CA_File"] or ""),
        source_ssl_cert=str(row["Master_SSL_Cert"] or ""),
        source_ssl_key=str(row["Master_SSL_Key"] or ""),
        source_ssl_verify=row["Master_SSL_Verify_Server_Cert"] == "Yes",
        connect_retry=int(row["Connect_Retry"]),
        using_gtid=str(row["Using_Gtid"] or "No"),
        io_running=str(row["Slave_IO_Running"]),
        sql_running=str(row["Slave_SQL_Running"]),
        io_state=str(row["Slave_IO_State"] or ""),
        io_errno=int(row["Last_IO_Errno"]),
        io_error=str(row["Last_IO_Error"] or ""),
        sql_errno=int(row["Last_SQL_Errno"]),
        sql_error=str(row["Last_SQL_Error"] or ""),
        read_file=str(row["Master_Log_File"] or ""),
        read_position=int(row["Read_Master_Log_Pos"]),
        executed_file=str(row["Relay_Master_Log_File"] or ""),
        executed_position=int(row["Exec_Master_Log_Pos"]),
        gtid_io_pos=normal_gtid(str(row["Gtid_IO_Pos"] or "")),
        seconds_behind=None if behind is None else int(behind),
        source_server_id=int(row.get("Master_Server_Id") or 0),
    )


def _require_no_own_writes(binlog: str, gtid: str, origin: str) -> None:
    """Raises ReplicationError when the server's own binary log already holds what the source would send again."""
    start = gtid_positions(gtid)
    for domain, (server, sequence) in gtid_positions(binlog).items():
        begins = start.get(domain)
        if begins is not None and sequence >= begins[1] and (server, sequence) != begins:
            raise ReplicationError(
                f"this server's own binary log is at {domain}-{server}-{sequence}, beyond the position {gtid} of "
                f"{origin}: it has written transactions of its own and is no fresh restore",
                remedy="Rebuild the replica; or RESET MASTER on it, if you know that those writes do not matter.",
                gtid_binlog_pos=binlog,
                gtid=gtid,
            )


def compare_gtid(left: str, right: str) -> str:
    """Compares GTID position ``left`` with ``right``: equal, ahead, behind or diverged, by domain."""
    mine, other = gtid_positions(left), gtid_positions(right)
    ahead = behind = False
    for domain in mine.keys() | other.keys():
        here, there = mine.get(domain), other.get(domain)
        if here == there:
            continue
        if there is None or (here is not None and here[1] > there[1]):
            ahead = True
        elif here is None or here[1] < there[1]:
            behind = True
        else:
            return "diverged"  # the same sequence number from two servers
    if ahead and behind:
        return "diverged"
    return "ahead" if ahead else "behind" if behind else "equal"


def reached(position: str, target: str) -> bool:
    """Returns whether GTID position ``position`` holds everything up to ``target``."""
    mine = gtid_positions(position)
    return all(
        domain in mine and mine[domain][1] >= sequence for domain, (_server, sequence) in gtid_positions(target).items()
    )
