# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applied positions of a MySQL replica in the binary log of its source, read from the data themselves.

An applier writes its position in the transaction that it applies: a channel without workers into the channel's row of
``mysql.slave_relay_log_info``, each worker into a row of its own in ``mysql.slave_worker_info``. The channel's row is
then a low mark, moved now and then: all before it was applied, and of what is after it the workers' rows tell. They are
InnoDB's, so after recovery they say what the recovered data hold (seen on 9.7: the workers' rows are emptied whenever
the applier starts with nothing left to repair, and when the channel is given another position).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..connection import Connection


@dataclass(frozen=True)
class AppliedPosition:
    """Position that one channel has applied: everything up to ``file`` and ``position`` in its source's binary log, and
    nothing after ``last_file`` and ``last_position`` (bytes). ``last_file`` is "" when the end cannot be told."""

    channel: str
    file: str
    position: int
    last_file: str
    last_position: int

    def as_dict(self) -> dict[str, Any]:
        """For a note in JSON."""
        return asdict(self)

    def exact(self, *, in_order: bool) -> tuple[str, int] | None:
        """File and position after the last transaction, None when they are not known. ``in_order``: transactions were
        committed in the order of the source, so that nothing before the last one can be missing."""
        if (self.last_file, self.last_position) == (self.file, self.position):
            return self.file, self.position
        return (self.last_file, self.last_position) if in_order and self.last_file else None


def read_applied_positions(connection: Connection) -> list[AppliedPosition]:
    """The positions that the data of the server hold, of every channel that has one."""
    return applied_positions(
        connection.query("SELECT Channel_name, Master_log_name, Master_log_pos FROM mysql.slave_relay_log_info"),
        connection.query("SELECT Channel_name, Master_log_name, Master_log_pos FROM mysql.slave_worker_info"),
    )


def applied_positions(
    channels: Iterable[Mapping[str, Any]], workers: Iterable[Mapping[str, Any]]
) -> list[AppliedPosition]:
    """The positions in the rows of slave_relay_log_info (``channels``) and slave_worker_info (``workers``)."""
    rows = list(workers)
    found = []
    for channel in channels:
        low = _place(channel)
        if not low[0]:
            continue
        name = str(channel["Channel_name"])
        places = [low, *(_place(row) for row in rows if str(row["Channel_name"]) == name and row["Master_log_name"])]
        found.append(AppliedPosition(name, *low, *_last(places)))
    return found


def _last(places: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """The last of ``places``, or "" and 0 when they are not all in one binary log, whose files are numbered."""
    bases, ordered = set(), []
    for file, position in places:
        base, _dot, number = file.rpartition(".")
        if not number.isdigit():
            return "", 0
        bases.add(base)
        ordered.append((int(number), position, file))
    if len(bases) > 1:
        return "", 0
    _number, position, file = max(ordered)
    return file, position


def _place(row: Mapping[str, Any]) -> tuple[str, int]:
    return str(row["Master_log_name"] or ""), int(row["Master_log_pos"] or 0)
