# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Coordinates of an instant of a server in a backup: binary log position, GTIDs, replica channels, Galera state.

How they are read from a server, and written as the stock tool of its family writes them, is in ``server/mariadb`` and
``server/mysql``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..units import is_digits


@dataclass(frozen=True)
class BinlogCoordinates:
    """A position in the server's own binary log (bytes), and its GTID position (MariaDB: gtid_current_pos)."""

    file: str
    position: int
    gtid: str

    def as_dict(self) -> dict[str, Any]:
        """As in a backup's record (key ``binlog``)."""
        return {"file": self.file, "position": self.position, "gtid": self.gtid}


@dataclass(frozen=True)
class ReplicaChannel:
    """Position of a server that is itself a replica in its source: file and position of the last transaction that was
    executed, and the GTID position when it replicates by GTID (``using_gtid``: No, Slave_Pos, Current_Pos).

    ``exact`` is False when file and position may be some transactions off. ``in_order``: what the channel had executed
    then was all that came before its last transaction, so that the recovered data tell the position.
    """

    channel: str
    source_host: str
    source_port: int
    file: str
    position: int
    using_gtid: str
    gtid: str
    exact: bool = True
    in_order: bool = False

    @property
    def by_gtid(self) -> bool:
        """Returns whether the channel finds its position by GTID."""
        return self.using_gtid.lower() not in ("", "no")

    def as_dict(self) -> dict[str, Any]:
        """As in a backup's record (items of ``replication``)."""
        return {
            "channel": self.channel,
            "source_host": self.source_host,
            "source_port": self.source_port,
            "file": self.file,
            "position": self.position,
            "gtid": self.gtid if self.by_gtid else "",
            "exact": self.exact,
            **({} if self.exact else {"in_order": self.in_order}),
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> ReplicaChannel:
        """The channel in a backup's record; one with a GTID finds its place by it."""
        gtid = str(entry.get("gtid") or "")
        return cls(
            channel=str(entry.get("channel") or ""),
            source_host=str(entry.get("source_host") or ""),
            source_port=int(entry.get("source_port") or 0),
            file=str(entry.get("file") or ""),
            position=int(entry.get("position") or 0),
            using_gtid="Yes" if gtid else "No",
            gtid=gtid,
            exact=entry.get("exact") is not False,
            in_order=entry.get("in_order") is True,
        )


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of the instant of a backup; ``target_lsn`` is the redo log's. ``channels`` is None when they could
    not be read."""

    binlog: BinlogCoordinates | None
    channels: list[ReplicaChannel] | None
    target_lsn: int

    def channel_records(self) -> list[dict[str, Any]] | None:
        """The channels as in a backup's record; None stays None."""
        return None if self.channels is None else [channel.as_dict() for channel in self.channels]


def normal_gtid(text: str) -> str:
    """A GTID position without blanks and line feeds, its domains in order; a set of MySQL's keeps the server's order.

    Raises nothing.
    """
    if ":" in text:
        return "".join(text.split())
    parts = [part for part in "".join(text.split()).split(",") if part]
    return ",".join(sorted(parts, key=_gtid_order))


def _gtid_order(part: str) -> tuple[int, ...]:
    return tuple(int(number) if is_digits(number) else 0 for number in part.split("-"))


def parse_binlog_info(text: str) -> BinlogCoordinates | None:
    """The coordinates in a ``xtrabackup_binlog_info``, None when the text is not one."""
    fields = text.rstrip("\n").split("\t")
    if len(fields) < 2 or not is_digits(fields[1]):
        return None
    return BinlogCoordinates(fields[0], int(fields[1]), normal_gtid(fields[2]) if len(fields) > 2 else "")


def render_binlog_pos(coordinates: BinlogCoordinates) -> str:
    """The ``binlog_pos`` line of ``xtrabackup_info``, without its key."""
    text = f"filename '{coordinates.file}', position '{coordinates.position}'"
    return text + (f", GTID of the last change '{coordinates.gtid}'" if coordinates.gtid else "")


def quoted(name: str) -> str:
    """``name`` as a string of SQL, whatever is in it; for files that people copy statements from."""
    text = name.replace("\\", "\\\\").replace("'", "''")
    return f"'{text}'"
