# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The coordinates of a MySQL server's backup once it is recovered, in its record and in the stock tool's files.

The GTIDs that were executed at the instant are not all that the data hold: recovery also commits what was in the binary
log and not yet in the set. Whoever follows the older set applies transactions twice. So the files that people and
scripts read are written anew, those of another tool's backup too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...format import file_kinds
from ...format.coordinates import BinlogCoordinates, ReplicaChannel, render_binlog_pos
from ...host import durable
from ...host.small_files import read_small
from ...server.mysql.applied_positions import AppliedPosition
from ...server.mysql.coordinates import render_binlog_info, render_slave_info

_MAX_BYTES = 16 << 20

_GTID_PURGED = re.compile(r"(\bgtid_purged\s*=\s*)'[^']*'", re.IGNORECASE)
_BINLOG_POS = re.compile(r"^binlog_pos = .*$", re.MULTILINE)


def recovered_record(
    record: Mapping[str, Any], gtid_executed: str, positions: Iterable[AppliedPosition]
) -> dict[str, Any]:
    """``binlog`` and ``replication`` of a backup's ``record``, as the recovered data have them: their GTIDs are
    ``gtid_executed``, and ``positions`` are what their channels had applied."""
    found = {position.channel: position for position in positions}
    binlog, channels = record.get("binlog"), record.get("replication", [])
    return {
        "binlog": {**binlog, "gtid": gtid_executed} if binlog else binlog,
        # None: nobody has looked which there were
        "replication": channels and [_recovered_channel(entry, gtid_executed, found) for entry in channels],
    }


def _recovered_channel(
    entry: Mapping[str, Any], gtid_executed: str, found: Mapping[str, AppliedPosition]
) -> dict[str, Any]:
    if entry.get("gtid"):
        return {**entry, "gtid": gtid_executed or entry["gtid"]}
    applied = found.get(str(entry.get("channel") or ""))
    if entry.get("exact") is not False or applied is None:
        return dict(entry)
    exact = applied.exact(in_order=entry.get("in_order") is True)
    if exact is None:
        return dict(entry)
    kept = {name: value for name, value in entry.items() if name != "in_order"}
    return {**kept, "file": exact[0], "position": exact[1], "exact": True}


def inexact_channels(record: Mapping[str, Any]) -> list[str]:
    """The names of the channels whose position nobody knows."""
    return [str(entry.get("channel") or "") for entry in record.get("replication") or [] if entry.get("exact") is False]


def write_coordinates(directory: Path, record: Mapping[str, Any]) -> list[Path]:
    """Write the files of the prepared backup in ``directory`` anew that tell its coordinates, where they are there, as
    ``record`` has them; may be done again. Returns the paths that were written."""
    written = []
    for name, render in (
        (file_kinds.BINLOG_INFO_NAME, _binlog_info),
        (file_kinds.SLAVE_INFO_NAME, _slave_info),
        (file_kinds.INFO_NAME, _info),
    ):
        path = directory / name
        with durable.storage_errors("reading", path):
            if not path.is_file():
                continue
            old = read_small(path, _MAX_BYTES).data.decode("utf-8", "surrogateescape")
        new = render(old, record)
        if new != old:
            durable.write_file(path, new.encode("utf-8", "surrogateescape"))
            written.append(path)
    return written


def _coordinates(record: Mapping[str, Any]) -> BinlogCoordinates | None:
    binlog = record.get("binlog")
    if not binlog:
        return None
    return BinlogCoordinates(str(binlog["file"]), int(binlog["position"]), str(binlog.get("gtid") or ""))


def _binlog_info(old: str, record: Mapping[str, Any]) -> str:
    coordinates = _coordinates(record)
    return render_binlog_info(coordinates) if coordinates else old


def _slave_info(old: str, record: Mapping[str, Any]) -> str:
    channels = [ReplicaChannel.from_dict(entry) for entry in record.get("replication") or []]
    if channels:
        return render_slave_info(channels)
    # of another tool's backup it is not known which channels there were
    gtid = str((record.get("prepared") or {}).get("gtid_executed") or "")
    return _GTID_PURGED.sub(lambda match: f"{match.group(1)}'{gtid}'", old) if gtid else old


def _info(old: str, record: Mapping[str, Any]) -> str:
    coordinates = _coordinates(record)
    if coordinates is None:
        return old
    return _BINLOG_POS.sub(lambda _match: f"binlog_pos = {render_binlog_pos(coordinates)}", old)
