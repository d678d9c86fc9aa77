# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a replication channel: until it runs, until it has caught up; with deadlines, and why it did not."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..errors import Option, ReplicationError
from .connection import Connection
from .replication import ActualChannel, ReplicationState, dialect_of, read_state

START_TIMEOUT = 30.0  # seconds in which a started channel must be connected
_INTERVAL = 0.25  # seconds between two looks
_IDLE_LOOKS = 2  # looks in a row at a source that has nothing more to send
_BUSY_LOOKS = 8  # looks in a row at a replica that keeps up with a source that writes
# looks after which what was read must be executed; parallel appliers of MySQL say so every replica_checkpoint_period
# only, which is 0.3 s
_STEP_LOOKS = 4

_LOGIN = (
    f"Check {Option('source_user')} and {Option('source_password')}, and that the account may connect from this host."
)
_REBUILD = (
    "The source no longer has the binary log that this replica needs: rebuild the replica from a new backup. If that "
    "ends like this, too, the source removes its binary logs before a backup has arrived: raise "
    "binlog_expire_logs_seconds (MariaDB also expire_logs_days) on the source first."
)
_PACKET = (
    "An event of the source is larger than max_allowed_packet: raise it on the source, and slave_max_allowed_packet "
    "(replica_max_allowed_packet on MySQL) on this server, then run this again. A new backup would not help."
)
_GRANT = f"GRANT REPLICATION SLAVE ON *.* to {Option('source_user')} on the source."
# The source says so once and for all: waiting does not help (server and client error numbers).
_FATAL_IO = {
    1045: _LOGIN,
    1698: _LOGIN,
    1130: "Let the source accept connections from this host (accounts, bind_address).",
    1236: _REBUILD,
    1593: "Give this server a server_id of its own.",
    1597: _GRANT,
    2026: f"Check {Option('source_ssl')} and the certificates on both ends.",
    2061: f"Say {Option('source_ssl', True)}, or {Option('get_source_public_key', True)}: without either, MySQL "
    "sends no password.",
    13114: _REBUILD,
    13120: _GRANT,
    13117: "Give this server a server_id, a server_uuid (remove auto.cnf) and a gtid_mode that go with the source's.",
}
_OTHER_IO = (
    f"Check that the source runs and that this host reaches {Option('source_host')} and {Option('source_port')}."
)
_DATA_DIFFER = (
    "The data of replica and source differ: rebuild the replica from a new backup of the source itself. If that "
    "ends like this, too, something else writes on the replica: look for enabled events (SHOW EVENTS) and for accounts "
    "that read_only does not stop."
)
_SQL_REMEDIES = {
    1032: _DATA_DIFFER,
    1062: _DATA_DIFFER,
    1146: _DATA_DIFFER,
    1950: "The GTIDs of replica and source are not in order (gtid_strict_mode): rebuild the replica from a new backup. "
    "If that ends like this, too, two servers write to the source's GTID domain: give each its own gtid_domain_id.",
}


def raise_if_broken(channel: ActualChannel) -> None:
    """Raises ReplicationError when the channel has stopped with an error, or cannot succeed by waiting."""
    if channel.sql_errno and channel.sql_running == "No":
        raise ReplicationError(
            f"channel {channel.channel!r} cannot apply a transaction of its source: error {channel.sql_errno}, "
            f"{channel.sql_error}",
            remedy=_SQL_REMEDIES.get(channel.sql_errno, "Correct what the error names, then run this again."),
            **_facts(channel),
        )
    fatal = channel.io_errno in _FATAL_IO and channel.io_running != "Yes"
    if fatal or (channel.io_errno and channel.io_running == "No"):
        raise _io_error(channel)


def wait_running(connection: Connection, name: str, timeout: float = START_TIMEOUT) -> ReplicationState:
    """Wait until both threads of channel ``name`` run, and look again that they stay so; returns the state then.

    Raises ReplicationError with the last error of a thread, at once when waiting cannot help, else after ``timeout``
    seconds.
    """
    deadline = time.monotonic() + timeout
    seen = 0
    while True:
        state = read_state(connection)
        channel = _require(state, name)
        raise_if_broken(channel)
        # one look may fall between the start of a thread and its first error
        seen = seen + 1 if channel.healthy else 0
        if seen >= _IDLE_LOOKS:
            return state
        if time.monotonic() >= deadline:
            if channel.io_errno:
                raise _io_error(channel)
            raise ReplicationError(
                f"channel {name!r} is not replicating after {timeout:g} s: IO thread {channel.io_running}, "
                f"SQL thread {channel.sql_running}",
                remedy=_OTHER_IO,
                **_facts(channel),
            )
        time.sleep(_INTERVAL)


@dataclass
class _Reading:
    """State at one reading, to compare with the next one."""

    read: tuple[int, int]
    waiting: bool


def wait_caught_up(
    connection: Connection, name: str, timeout: float, target_gtid: str | None = None
) -> ReplicationState:
    """Wait until channel ``name`` has caught up with its source; returns the state then.

    With ``target_gtid`` (the source's position, asked there): when the replica has executed it. Without: when the
    replica has executed all that it has read and the source has nothing more to send, or, under steady writes, when it
    keeps at most a second behind over several looks. Raises ReplicationError when a thread fails or time is up.
    """
    started = time.monotonic()
    idle = 0
    keeping: list[_Reading] = []
    while True:
        state = read_state(connection)
        channel = _require(state, name)
        raise_if_broken(channel)
        if target_gtid is not None:
            if channel.healthy and dialect_of(state.family).reached(state.executed, target_gtid):
                return state
        elif channel.healthy and channel.seconds_behind is not None:
            reading = _Reading(
                _place(channel.read_file, channel.read_position), channel.io_state.startswith("Waiting for")
            )
            executed = _place(channel.executed_file, channel.executed_position)
            drained = executed >= reading.read and reading.waiting and channel.seconds_behind == 0
            idle = idle + 1 if drained else 0
            before = keeping[-_STEP_LOOKS] if len(keeping) >= _STEP_LOOKS else None
            in_step = channel.seconds_behind <= 1 and (before is None or executed >= before.read)
            keeping = [*keeping, reading] if in_step else []
            # an IO thread that never waits for its source is still reading history
            busy_but_close = len(keeping) >= _BUSY_LOOKS and any(seen.waiting for seen in keeping[-_BUSY_LOOKS:])
            if idle >= _IDLE_LOOKS or busy_but_close:
                return state
        else:
            idle, keeping = 0, []
        if time.monotonic() - started >= timeout:
            raise _not_caught_up(channel, state, timeout, target_gtid)
        time.sleep(_INTERVAL)


def _not_caught_up(
    channel: ActualChannel, state: ReplicationState, timeout: float, target_gtid: str | None
) -> ReplicationError:
    if channel.io_errno and not channel.healthy:
        return _io_error(channel)
    behind = "unknown" if channel.seconds_behind is None else f"{channel.seconds_behind} s"
    target = f", wanted {target_gtid}" if target_gtid is not None else ""
    where = dialect_of(state.family).position_name
    return ReplicationError(
        f"channel {channel.channel!r} has not caught up within {timeout:g} s: {behind} behind, at "
        f"{channel.executed_file}:{channel.executed_position} of {channel.read_file}:{channel.read_position} read, "
        f"{where} {state.executed or 'empty'}{target}",
        remedy=f"Replication runs: allow it more time ({Option('caught_up_within')}), or make the replica faster.",
        **{where: state.executed},
        **_facts(channel),
    )


def _io_error(channel: ActualChannel) -> ReplicationError:
    return ReplicationError(
        f"channel {channel.channel!r} cannot read from {channel.source}: error {channel.io_errno}, {channel.io_error}",
        remedy=_PACKET if "max_allowed_packet" in channel.io_error else _FATAL_IO.get(channel.io_errno, _OTHER_IO),
        **_facts(channel),
    )


def _require(state: ReplicationState, name: str) -> ActualChannel:
    channel = state.channel(name)
    if channel is None:
        raise ReplicationError(
            f"channel {name!r} has vanished", remedy="Somebody else has removed it: find out who.", channel=name
        )
    return channel


def _facts(channel: ActualChannel) -> dict[str, object]:
    return {
        "channel": channel.channel,
        "source": channel.source,
        "io_running": channel.io_running,
        "io_errno": channel.io_errno,
        "io_error": channel.io_error,
        "sql_running": channel.sql_running,
        "sql_errno": channel.sql_errno,
        "sql_error": channel.sql_error,
        "seconds_behind": channel.seconds_behind,
    }


def _place(file: str, position: int) -> tuple[int, int]:
    """A place in the source's binary log that can be compared: number of the file, bytes."""
    number = file.rpartition(".")[2]
    return (int(number) if number.isdigit() else 0, position)
