# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start position of a new replica: read from the backup that its data came from."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from .. import manifest
from ..errors import FormatError, InvalidOption, NotABackup, Option, ReplicationError
from ..format import strict_json
from ..format.coordinates import BinlogCoordinates, parse_binlog_info
from ..format.family import Family, recorded_flavor
from ..format.file_kinds import BINLOG_INFO_NAMES, RESTORED_NAME
from ..format.record import checked_record
from ..host.journal import Journal
from ..host.small_files import read_small
from .replication import StartPosition, dialect_of
from .replication_model import ReplicationDialect

# the marker that a restore leaves in the data directory; it holds the whole record of the backup
_MAX_MARKER = 16 << 20  # bytes


def backup_record(path: str | Path) -> dict[str, Any] | None:
    """The record of the backup at ``path``, or of the one that the data directory ``path`` was restored from: as the
    journal of this user has it, or else as the marker there says.

    None when there is neither a restore marker nor a manifest. Raises FormatError when it cannot be read,
    ReplicationError when the journal and the marker of one directory contradict each other.
    """
    marker = Path(path) / RESTORED_NAME
    try:
        data = read_small(marker, _MAX_MARKER).data
    except (FileNotFoundError, NotADirectoryError):
        data = None
    if data is not None:
        try:
            found = strict_json.parse_object(data, str(marker), max_bytes=_MAX_MARKER)
            strict_json.require_plain(found, str(marker))
            journal = Journal(Path(path))
            known = journal.proven(found)
            if known is None and journal.knows_directory():
                raise ReplicationError(
                    f"{marker} is not what the last restore into {path} has left there: somebody has changed it, or "
                    "has restored other data since",
                    remedy=f"Find out who did. Restore the data again, or give the {Option('coordinates')} yourself.",
                    path=str(marker),
                )
            return checked_record((known or found).get("backup"), str(marker))
        except FormatError as error:
            raise FormatError(f"{marker} is no restore marker: {error.message}", path=str(marker)) from error
    try:
        return manifest.read(path).record
    except NotABackup:
        return None


def start_from_backup(path: str, source_host: str | None, source_port: int, family: Family) -> StartPosition:
    """Returns the position of the backup at ``path`` in the binary log of the source.

    The source is the server that was backed up, or, when that was itself a replica of ``source_host`` and
    ``source_port``, its source. ``family`` is that of the server that is to replicate. Raises NotABackup, or
    ReplicationError when the backup has no coordinates, is of another family, or does not tell of replica channels.
    """
    dialect = dialect_of(family)
    record = backup_record(path)
    if record is None:
        found = _stock_coordinates(Path(path))
        if found is None:
            raise NotABackup(
                f"{path} is neither a backup nor a data directory that was restored from one", path=str(path)
            )
        return _start(f"the backup {path}", dialect, found.as_dict(), found.gtid)
    origin = f"the backup {record.get('id')} in {path}"
    _require_family(record, family, origin)
    _require_known_channels(record, origin)
    binlog = record.get("binlog") or {}
    for channel in record.get("replication") or []:
        if (channel.get("source_host"), int(channel.get("source_port") or 0)) == (source_host, source_port):
            gtid = str(channel.get("gtid") or "")
            if channel.get("exact") is False:
                raise _not_exact(record, str(channel.get("channel") or ""), origin)
            if not gtid:
                return StartPosition(origin, file=channel["file"], position=int(channel["position"]))
            # recovery has seen what the data hold
            return _start(origin, dialect, channel, str(binlog.get("gtid") or gtid) if dialect.gtid_sets else gtid)
    _require_logged_updates(record, family, origin)
    if not binlog.get("file"):
        raise ReplicationError(
            f"{origin} has no binary log coordinates: the binary log of its server was off",
            remedy="Enable log_bin on the source, and take a new backup.",
            path=str(path),
        )
    return _start(origin, dialect, binlog, str(binlog.get("gtid") or ""))


def _not_exact(record: dict[str, Any], channel: str, origin: str) -> ReplicationError:
    """The error of a start where transactions would be lost or applied twice."""
    if record.get("state") != "prepared":
        remedy = "Prepare the backup first: then the data tell the position, if they can."
    else:
        remedy = (
            f"Take a new backup with {Option('safe_slave_backup')}, which stops the channel for the instant. Or "
            "let the channel "
            "find its place by GTID (SOURCE_AUTO_POSITION=1). Or set replica_preserve_commit_order=ON on the server "
            "that is backed up, and let the account of backups read the channel's state: GRANT SELECT ON "
            "performance_schema.replication_applier_status_by_worker."
        )
    return ReplicationError(
        f"{origin} does not tell exactly where the replica channel {channel!r} stood in the binary log of its source",
        remedy=remedy,
        channel=channel,
    )


def _start(origin: str, dialect: ReplicationDialect, place: dict[str, Any], gtid: str) -> StartPosition:
    """The start after ``gtid``; for a set that is empty at ``place``, file and position."""
    if dialect.gtid_sets and not gtid:
        return StartPosition(origin, file=str(place["file"]), position=int(place["position"]))
    try:
        return StartPosition(origin, gtid=dialect.gtid(gtid))
    except ValueError as error:
        raise FormatError(f"{origin} has no readable GTID: {error}", gtid=gtid) from error


def _require_logged_updates(record: dict[str, Any], family: Family, origin: str) -> None:
    """Raises ReplicationError when the server of the backup cannot pass on what it replicates itself."""
    if not record.get("replication") or record.get("log_replica_updates", True):
        return
    variable = family.facts.log_updates_variable
    raise ReplicationError(
        f"the server of {origin} is a replica itself, and its {variable} was OFF: what it replicates is not in its "
        "binary log and would never arrive here",
        remedy=f"Set {variable}=ON in the option file of that server, restart it, and take a new backup; or replicate "
        f"from its own source: say that as {Option('source_host')} and {Option('source_port')}.",
        variable=variable,
    )


def _require_known_channels(record: dict[str, Any], origin: str) -> None:
    """Raises ReplicationError when nobody could look whether the server of the backup was a replica itself."""
    if record.get("replication", []) is not None:
        return
    binlog = record.get("binlog") or {}
    gtid = f"gtid: {binlog['gtid']}" if binlog.get("gtid") else "gtid"
    raise ReplicationError(
        f"{origin} does not tell whether its server was a replica itself, so nobody knows whose binary log its "
        "coordinates are good for: the account that took it may not read replica channels",
        remedy="Take a new backup with an account that has SLAVE MONITOR (GRANT SLAVE MONITOR ON *.* TO ...). Or, when "
        "the source is the very server that was backed up, and it replicates from nobody, say its coordinates "
        f"yourself: {gtid}",
    )


def _require_family(record: dict[str, Any], family: Family, origin: str) -> None:
    flavor = str((record.get("server") or {}).get("flavor") or "")
    theirs = recorded_flavor(record).family if flavor else family
    if theirs is not family:
        raise ReplicationError(
            f"{origin} is one of {theirs.display_name}, and this server is {family.display_name}",
            remedy="Say the backup that this server's data come from.",
            flavor=flavor,
        )


def start_from_options(
    gtid: str | None, file: str | None, position: int | None, family: Family, option: str = "coordinates"
) -> StartPosition:
    """A start position that somebody wrote down; raises InvalidOption."""
    if gtid is not None:
        dialect = dialect_of(family)
        try:
            normal = dialect.gtid(gtid)
        except ValueError:
            raise InvalidOption(
                f"{option}: {gtid!r} is not a {dialect.gtid_name}", remedy=dialect.gtid_form, option=option
            ) from None
        return StartPosition(f"the option {option}", gtid=normal)
    if not file or position is None:
        raise InvalidOption(f"{option}: needs backup, or gtid, or file with position", option=option)
    return StartPosition(f"the option {option}", file=file, position=position)


def _stock_coordinates(directory: Path) -> BinlogCoordinates | None:
    """The coordinates that the stock tool left in ``directory``."""
    for name in BINLOG_INFO_NAMES:
        path = directory / name
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return parse_binlog_info(read_small(path, _MAX_MARKER).data.decode("utf-8", "surrogateescape"))
    return None
