# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Coordinates of an instant of a MariaDB server: binary log position, GTIDs, replica channels.

The texts that mariadb-backup keeps beside a backup are rendered here too:
docs/internals/formats-backup-files.md#coordinates-files.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ...format.coordinates import BinlogCoordinates, ReplicaChannel, normal_gtid, quoted
from ...units import is_digits
from ..connection import Connection

#: what a thread of a replica says (sql/mysqld.cc) that is not between a commit and telling its place
_WAITING = ("Waiting for", "waiting for more updates")
_REST_PAUSE = 0.02
_REST_SECONDS = 0.5


def read_coordinates(connection: Connection) -> BinlogCoordinates | None:
    """The newest coordinates of the server, None when its binary log is off; needs BINLOG MONITOR.

    Two statements: exact only while commits are blocked.
    """
    row = connection.row("SHOW MASTER STATUS")
    if row is None:
        return None
    gtid = str(connection.scalar("SELECT @@GLOBAL.gtid_current_pos") or "")
    return BinlogCoordinates(str(row["File"]), int(row["Position"]), normal_gtid(gtid))


def has_position(_version: tuple[int, ...]) -> bool:
    """Returns True: every version knows what is asked for privileges and position."""
    return True


def position_facts(connection: Connection, missing: Collection[str]) -> dict[str, Any]:
    """Returns where the server stands; ``missing`` are the privileges that the account lacks."""
    gtid = str(connection.scalar("SELECT @@GLOBAL.gtid_current_pos") or "")
    coordinates = None if "BINLOG MONITOR" in missing else read_coordinates(connection)
    return {"gtid": gtid, "binlog": None if coordinates is None else coordinates.as_dict()}


def _read_channels(connection: Connection) -> tuple[list[ReplicaChannel], bool]:
    """Every replica channel, and whether the place of one may change although nothing is committed."""
    rows = connection.query("SHOW ALL SLAVES STATUS")
    if not rows:
        return [], False
    gtid = normal_gtid(str(connection.scalar("SELECT @@GLOBAL.gtid_slave_pos") or ""))
    channels = sorted((channel_of(row, gtid) for row in rows), key=lambda channel: channel.channel)
    running = {str(row.get("Connection_name") or "") for row in rows if str(row["Slave_SQL_Running"]) != "No"}
    return channels, any(channel.channel in running and not channel.by_gtid for channel in channels)


def read_channels_at_rest(connection: Connection) -> list[ReplicaChannel]:
    """Every replica channel, as its place is when what has been committed is counted; while commits are blocked.

    A thread that applies transactions commits first and tells its place (file and position) afterwards. So it is asked
    until all threads wait for something and two looks agree, or so long that none can still be on its way to tell.
    Needs SLAVE MONITOR and PROCESS.
    """
    deadline = time.monotonic() + _REST_SECONDS
    channels, moving = _read_channels(connection)
    while moving:
        states = [
            str(row["STATE"] or "")
            for row in connection.query(
                "SELECT STATE FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Slave_SQL', 'Slave_worker')"
            )
        ]
        time.sleep(_REST_PAUSE)
        again, moving = _read_channels(connection)
        waiting = all(any(words in state for words in _WAITING) for state in states)
        if (again == channels and waiting) or time.monotonic() > deadline:
            return again
        channels = again
    return channels


def seems_replica(connection: Connection, datadir: Path) -> bool:
    """Returns whether a server shows that it is a replica to somebody who may not read its channels; needs PROCESS.

    A channel that is stopped has its file in the data directory, if no option has moved it, until it is removed.
    """
    threads = connection.scalar(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Slave_IO', 'Slave_SQL', 'Slave_worker')"
    )
    return int(threads or 0) > 0 or any(datadir.glob("master*.info"))


def channel_of(row: dict[str, Any], gtid: str) -> ReplicaChannel:
    """The channel in one row of SHOW ALL SLAVES STATUS; ``gtid`` is the server's gtid_slave_pos."""
    return ReplicaChannel(
        channel=str(row.get("Connection_name") or ""),
        source_host=str(row["Master_Host"]),
        source_port=int(row["Master_Port"]),
        # the SQL thread's place, not the IO thread's: what was read but not executed is not in the data
        file=str(row["Relay_Master_Log_File"]),
        position=int(row["Exec_Master_Log_Pos"]),
        using_gtid=str(row.get("Using_Gtid") or "No"),
        gtid=gtid,
    )


def gtid_positions(text: str) -> dict[int, tuple[int, int]]:
    """A MariaDB GTID position as domain -> (server id, sequence number); raises ValueError when it is not one."""
    positions: dict[int, tuple[int, int]] = {}
    for part in normal_gtid(text).split(","):
        if part:
            if not all(map(is_digits, numbers := part.split("-"))):
                raise ValueError(f"{part!r} is no GTID")
            domain, server, sequence = map(int, numbers)
            positions[domain] = (server, sequence)
    return positions


def render_binlog_info(coordinates: BinlogCoordinates) -> str:
    """``xtrabackup_binlog_info`` as mariadb-backup writes it: file TAB position TAB gtid LF."""
    return f"{coordinates.file}\t{coordinates.position}\t{coordinates.gtid}\n"


def render_slave_info(channels: list[ReplicaChannel]) -> str:
    """``xtrabackup_slave_info`` as mariadb-backup writes it; "" for a server that replicates from nobody."""
    lines = []
    gtid = next((channel.gtid for channel in channels if channel.by_gtid and channel.gtid), "")
    if gtid:
        lines.append(f"SET GLOBAL gtid_slave_pos='{gtid}';")
    for channel in channels:
        name = f" {quoted(channel.channel)}" if channel.channel else ""
        if gtid and channel.by_gtid:
            lines.append(f"CHANGE MASTER{name} TO master_use_gtid = slave_pos;")
        else:
            lines.append(f"CHANGE MASTER{name} TO MASTER_LOG_FILE='{channel.file}', MASTER_LOG_POS={channel.position};")
    return "".join(line + "\n" for line in lines)
