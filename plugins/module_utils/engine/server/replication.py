# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wanted and the actual state of a replication channel, and the statements in between.

``plan`` is pure: it compares and returns steps, or raises ReplicationError when no step is safe. A healthy channel
gets no step. What a channel's password is cannot be seen, so it never counts as a difference; it is set again when
the source refuses the login.
"""

from __future__ import annotations

from typing import Any

from ..errors import Option, ReplicationError, UnsupportedServer, XtrabackupError
from ..format.family import Family
from .connection import Connection
from .identity import ServerIdentity, identify
from .mariadb.replication import MariadbReplication, compare_gtid, reached
from .mysql.replication import MysqlReplication
from .replication_model import (
    ABSENT,
    REPLICATING,
    STOPPED,
    ActualChannel,
    ReplicationDialect,
    ReplicationState,
    StartPosition,
    Step,
    WantedChannel,
)

__all__ = [
    "ABSENT",
    "REPLICATING",
    "STOPPED",
    "ActualChannel",
    "ReplicationState",
    "StartPosition",
    "Step",
    "WantedChannel",
    "apply",
    "channel_facts",
    "compare_gtid",
    "dialect_of",
    "needs_start",
    "plan",
    "predict",
    "reached",
    "read_state",
    "replicating_family",
    "summary",
]

_MYSQL_MINIMUM = (8, 0, 23)
_DIALECTS: dict[Family, ReplicationDialect] = {Family.MARIADB: MariadbReplication(), Family.MYSQL: MysqlReplication()}


def dialect_of(family: Family) -> ReplicationDialect:
    """Returns the replication dialect of ``family``."""
    return _DIALECTS[family]


def replicating_family(identity: ServerIdentity) -> Family:
    """The family of a server that can replicate; raises UnsupportedServer for a MySQL whose statements are older."""
    if identity.family is Family.MYSQL and identity.version_tuple < _MYSQL_MINIMUM:
        raise UnsupportedServer(
            f"{identity.name} has no CHANGE REPLICATION SOURCE; 8.0.30 and newer are supported",
            flavor=identity.flavor.value,
            version=identity.version,
        )
    return identity.family


def read_state(connection: Connection) -> ReplicationState:
    """The channels of a server and where it stands; needs SLAVE MONITOR (MySQL: REPLICATION CLIENT)."""
    return dialect_of(replicating_family(identify(connection))).read_state(connection)


# --- the plan ------------------------------------------------------------------------------------


def plan(wanted: WantedChannel, actual: ReplicationState) -> list[Step]:
    """The steps from ``actual`` to ``wanted``, [] when there is nothing to do.

    Raises ReplicationError, and InvalidOption for what this family of servers does not know.
    """
    dialect = dialect_of(actual.family)
    dialect.check(wanted)
    present = actual.channel(wanted.channel)
    if wanted.state == ABSENT:
        return _plan_absent(dialect, present)
    if present is None:
        return _plan_new(dialect, wanted, actual)
    if wanted.source_host is not None and _moves(wanted, present):
        return _plan_repoint(dialect, wanted, present, actual)
    differences = dialect.differences(wanted, present)
    if differences:
        return _changed(dialect, wanted, present, dialect.change(wanted.channel, differences))
    if wanted.running:
        return [] if present.started else [dialect.start(wanted.channel)]
    return [] if present.stopped else [dialect.stop(wanted.channel)]


def needs_start(wanted: WantedChannel, actual: ReplicationState) -> bool:
    """Returns whether ``plan`` will ask for ``wanted.start``: a channel that is there keeps its place."""
    present = actual.channel(wanted.channel)
    if wanted.state == ABSENT or wanted.source_host is None:
        return False
    return present is None or _moves(wanted, present)


def _plan_absent(dialect: ReplicationDialect, present: ActualChannel | None) -> list[Step]:
    if present is None:
        return []
    steps = [] if present.stopped else [dialect.stop(present.channel)]
    return [*steps, dialect.reset(present.channel)]


def _plan_new(dialect: ReplicationDialect, wanted: WantedChannel, actual: ReplicationState) -> list[Step]:
    if wanted.source_host is None:
        if wanted.state == STOPPED:
            return []  # what is not there does not run
        raise ReplicationError(
            f"there is no replication channel {wanted.channel!r}, and no {Option('source_host')} to make one",
            remedy=f"Say {Option('source_host')}, {Option('source_user')}, {Option('source_password')} and "
            f"{Option('coordinates')}.",
            channel=wanted.channel,
        )
    if wanted.source_user is None:
        raise ReplicationError(
            f"a new replication channel {wanted.channel!r} needs {Option('source_user')}",
            remedy=f"Say {Option('source_user')} and {Option('source_password')}: an account with REPLICATION "
            "SLAVE on the source.",
            channel=wanted.channel,
        )
    steps: list[Step] = []
    options = {**dialect.leftovers, **dialect.source_options(wanted)}
    if wanted.start is not None and wanted.start.gtid is None:
        options.update(dialect.file_options(wanted.start))
        using = "No"
    else:
        steps += dialect.position_steps(wanted, actual)
        options.update(dialect.by_gtid)
        using = dialect.using_gtid
    steps.append(dialect.change(wanted.channel, options, using))
    return [*steps, *([dialect.start(wanted.channel)] if wanted.running else [])]


def _plan_repoint(
    dialect: ReplicationDialect, wanted: WantedChannel, present: ActualChannel, actual: ReplicationState
) -> list[Step]:
    new = f"{wanted.source_host}:{wanted.source_port}"
    if not wanted.allow_repoint:
        raise ReplicationError(
            f"channel {wanted.channel!r} replicates from {present.source}, not from {new}",
            remedy=f"Say {Option('allow_repoint', True)} to let it follow the other source, or rebuild the replica.",
            channel=wanted.channel,
            source=present.source,
            wanted=new,
        )
    options = dialect.source_options(wanted)
    if wanted.start is not None and wanted.start.gtid is None:
        options.update(dialect.file_options(wanted.start))
        using = "No"
    elif actual.executed and actual.gtids:
        # the data stand where this server says, whatever backup they came from once
        options.update(dialect.by_gtid)
        using = dialect.using_gtid
    else:
        raise ReplicationError(
            f"channel {wanted.channel!r} cannot follow {new}: the server has no GTID position to continue from",
            remedy=f"Give {Option('coordinates', '{file, position}')} in the new source's binary log.",
            channel=wanted.channel,
        )
    return _changed(dialect, wanted, present, dialect.change(wanted.channel, options, using))


def _changed(dialect: ReplicationDialect, wanted: WantedChannel, present: ActualChannel, change: Step) -> list[Step]:
    """``change`` of a channel that is there, which must not run meanwhile."""
    before = [] if present.stopped else [dialect.stop(wanted.channel)]
    return [*before, change, *([dialect.start(wanted.channel)] if wanted.running else [])]


def _moves(wanted: WantedChannel, present: ActualChannel) -> bool:
    return (wanted.source_host, wanted.source_port) != (present.source_host, present.source_port)


# --- what the server will look like, and doing it ------------------------------------------------


def summary(channel: ActualChannel | None) -> dict[str, Any]:
    """The stable facts of a channel, for diff mode: no positions, no times."""
    if channel is None:
        return {"state": ABSENT}
    facts: dict[str, Any] = {
        "state": STOPPED if channel.stopped else REPLICATING if channel.started else "broken",
        "source_host": channel.source_host,
        "source_port": channel.source_port,
        "source_user": channel.source_user,
        "source_ssl": channel.source_ssl,
        "source_ssl_ca": channel.source_ssl_ca,
        "source_ssl_cert": channel.source_ssl_cert,
        "source_ssl_key": channel.source_ssl_key,
        "source_ssl_verify": channel.source_ssl_verify,
        "connect_retry": channel.connect_retry,
        "using_gtid": channel.using_gtid,
    }
    if channel.get_source_public_key is not None:
        facts["get_source_public_key"] = channel.get_source_public_key
    return facts


def channel_facts(state: ReplicationState, name: str) -> dict[str, Any]:
    """One channel with its positions and its health."""
    channel = state.channel(name)
    where = dialect_of(state.family).position_name
    facts: dict[str, Any] = {"channel": name, **summary(channel), where: state.executed}
    if channel is not None:
        facts.update(
            io_running=channel.io_running,
            sql_running=channel.sql_running,
            io_state=channel.io_state,
            seconds_behind=channel.seconds_behind,
            read_file=channel.read_file,
            read_position=channel.read_position,
            executed_file=channel.executed_file,
            executed_position=channel.executed_position,
            gtid_io_pos=channel.gtid_io_pos,
            last_error=channel.sql_error or channel.io_error,
            source_server_id=channel.source_server_id,
            source_uuid=channel.source_uuid,
        )
    return facts


def predict(wanted: WantedChannel, actual: ReplicationState, steps: list[Step]) -> dict[str, Any]:
    """``summary`` as it will be after ``steps``; values that the server chooses itself are left out."""
    dialect = dialect_of(actual.family)
    present = actual.channel(wanted.channel)
    after = summary(present)
    for step in steps:
        if step.action == "reset":
            after = {"state": ABSENT}
        elif step.action == "stop":
            after["state"] = STOPPED
        elif step.action == "start":
            after["state"] = REPLICATING
        elif step.action == "set_position":
            # where the start is to be: a step that only adds to a set says less
            after[dialect.position_name] = wanted.start.gtid if wanted.start is not None else step.args[0]
        elif step.action == "change":
            after["state"] = STOPPED
            asked = {name: getattr(wanted, name) for name in dialect.compared}
            if wanted.source_host is not None:
                asked.update(source_host=wanted.source_host, source_port=wanted.source_port)
            after.update({name: value for name, value in asked.items() if value is not None})
            if present is not None and step.secrets:
                after["login"] = "(password set again)"
            if step.using_gtid is not None:
                after["using_gtid"] = step.using_gtid
    return after


def apply(connection: Connection, steps: list[Step]) -> None:
    """Run ``steps`` in order. When one fails after the channel was stopped, it is started again."""
    stopped: Step | None = None
    for step in steps:
        try:
            connection.execute(step.statement, step.args, secrets=step.secrets)
        except XtrabackupError:
            if stopped is not None and step.action != "start":
                _take_back(connection, stopped)
            raise
        if step.action == "stop":
            stopped = step


def _take_back(connection: Connection, step: Step) -> None:
    try:
        connection.execute(step.undo, step.args)
    except XtrabackupError:
        # the error that brought us here says more
        return
