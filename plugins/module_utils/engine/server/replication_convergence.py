# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a replication channel into its wanted state: compare, do the difference, wait until it runs or caught up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable

from ..format.family import Family
from . import replication
from .connection import Connection
from .identity import identify
from .privileges import require_replication_privileges
from .replication_wait import wait_caught_up, wait_running
from .start_position import start_from_options

StartOf = Callable[[Family], "replication.StartPosition | None"]
"""Returns where a new channel of a server of this family starts; called only when it is needed."""


@dataclass(frozen=True)
class CaughtUp:
    """Bounds of the wait: ``seconds`` at most until the channel has nothing more to apply, or with ``position`` (GTIDs)
    until that is applied."""

    seconds: float
    position: str | None = None


@dataclass(frozen=True)
class Convergence:
    """Changes of a channel, done or predicted: ``statements`` with passwords masked, and the channel's facts."""

    changed: bool
    before: dict[str, Any]
    after: dict[str, Any]
    statements: list[str]
    replication: dict[str, Any] | None


def converge(
    connection: Connection,
    wanted: replication.WantedChannel,
    start_of: StartOf,
    *,
    caught_up: CaughtUp | None = None,
    only_predict: bool = False,
) -> Convergence:
    """Bring the channel that ``wanted`` names into that state. Raises ReplicationError, InvalidOption, and others."""
    family = replication.replicating_family(identify(connection))
    if caught_up is not None and caught_up.position is not None:
        start_from_options(caught_up.position, None, None, family, "caught_up_to")
    require_replication_privileges(connection, reset=wanted.state == replication.ABSENT)
    state = replication.read_state(connection)
    if replication.needs_start(wanted, state):
        wanted = replace(wanted, start=start_of(family))
    steps = replication.plan(wanted, state)
    if any(step.action == "set_position" for step in steps):
        require_replication_privileges(connection, position=True)
    before = replication.summary(state.channel(wanted.channel))
    after = replication.predict(wanted, state, steps)
    if not only_predict:
        replication.apply(connection, steps)
        if wanted.state == replication.REPLICATING:
            wait_running(connection, wanted.channel)
            if caught_up is not None:
                wait_caught_up(connection, wanted.channel, caught_up.seconds, caught_up.position)
        state = replication.read_state(connection)
    return Convergence(
        changed=bool(steps),
        before=before,
        after=after,
        statements=[step.shown(connection) for step in steps],
        replication=replication.channel_facts(state, wanted.channel),
    )
