# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two markers of a restore: begun (with all that is needed to go on after a kill), and done."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import durable
from ..errors import FormatError
from ..recovery.backup_directory import MOVING_NAME
from .placement import RESTORED_NAME
from .request import CarriedOut, Request, carried_out_from

_FORMAT = 1

FILLING = "filling"
PUBLISHING = "publishing"


@dataclass(frozen=True)
class InProgress:
    """``xtrabackup_restore_in_progress.json``, in the staging directory (and, while it is moved, in the backup).

    ``phase``: ``filling`` the staging places, or ``publishing``: all is there and durable, only renames are left.
    ``aside``: (from, to) of what is replaced; ``outside``: (staged, final) of files outside the data directory.
    ``unpacked``: where the archive ``source`` was unpacked, and its files are moved from; "" for a directory.
    ``request`` that asks for it, if one does; ``origin``: the backup that ``source`` was made from; ``requests`` that
    were carried out here before, oldest first: the data directory that tells may be aside when that is written again.
    ``kept`` and ``dropped``: the host's own files in the data directory.
    """

    id: str
    source_sha256: str
    source: str
    datadir: str
    method: str
    phase: str
    aside: tuple[tuple[str, str], ...] = ()
    outside: tuple[tuple[str, str], ...] = ()
    unpacked: str = ""
    request: Request | None = None
    origin: str = ""
    requests: tuple[CarriedOut, ...] = ()
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def same_restore(self, other: InProgress) -> bool:
        """Whether both are about the same backup, way and place, for the same request."""
        mine = (self.id, self.source_sha256, self.source, self.datadir, self.method, self.request)
        return mine == (other.id, other.source_sha256, other.source, other.datadir, other.method, other.request)

    def write(self, directory: Path) -> None:
        """Put the marker into ``directory``, durably."""
        data = json.dumps({"format": _FORMAT, **asdict(self)}, indent=1)
        durable.write_file(directory / MOVING_NAME, data.encode("utf-8", "surrogateescape"))


def read_in_progress(directory: Path) -> InProgress | None:
    """The marker of an unfinished restore in ``directory``, None when there is none; raises FormatError."""
    found = _read(directory / MOVING_NAME)
    if found is None:
        return None
    try:
        return InProgress(
            id=str(found["id"]),
            source_sha256=str(found["source_sha256"]),
            source=str(found["source"]),
            datadir=str(found["datadir"]),
            method=str(found["method"]),
            phase=str(found["phase"]),
            aside=tuple((str(one), str(other)) for one, other in found["aside"]),
            outside=tuple((str(one), str(other)) for one, other in found["outside"]),
            unpacked=str(found.get("unpacked", "")),
            request=Request(**found["request"]) if found.get("request") else None,
            origin=str(found.get("origin", "")),
            requests=tuple(carried_out_from(entry) for entry in found.get("requests", ())),
            kept=tuple(map(str, found.get("kept", ()))),
            dropped=tuple(map(str, found.get("dropped", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{directory / MOVING_NAME} is not readable: {error!r}", path=str(directory)) from error


def remove_in_progress(directory: Path) -> None:
    """Take the marker away, durably."""
    with durable.storage_errors("removing", directory / MOVING_NAME):
        with contextlib.suppress(FileNotFoundError):
            (directory / MOVING_NAME).unlink()
        durable.fsync_directory(directory)


@dataclass(frozen=True)
class Restored:
    """``xtrabackup_restored.json``: the backup that a data directory was restored from. ``backup``: its record.

    ``request``: the id of the request that asked for it, "" when none did. ``requests``: all that were carried out on
    this data directory and on those that it has replaced, oldest first. ``outside``: its files that are elsewhere.
    """

    id: str
    manifest_sha256: str
    source: str
    method: str
    finished_at: str
    backup: dict[str, Any]
    request: str = ""
    requests: tuple[CarriedOut, ...] = ()
    outside: tuple[str, ...] = ()

    @property
    def carried_out(self) -> CarriedOut | None:
        """The request that the data come from, None when nobody requested them."""
        return next((entry for entry in self.requests if entry.id == self.request), None)

    def write(self, directory: Path) -> Path:
        """Put the marker into ``directory``, durably; returns its path."""
        data = json.dumps({"format": _FORMAT, **asdict(self)}, indent=1, sort_keys=True)
        durable.write_file(directory / RESTORED_NAME, data.encode("utf-8", "surrogateescape"))
        return directory / RESTORED_NAME


def read_restored(directory: Path) -> Restored | None:
    """The marker of a finished restore in ``directory``, None when there is none; raises FormatError."""
    found = _read(directory / RESTORED_NAME)
    if found is None:
        return None
    try:
        return Restored(
            id=str(found["id"]),
            manifest_sha256=str(found["manifest_sha256"]),
            source=str(found["source"]),
            method=str(found["method"]),
            finished_at=str(found["finished_at"]),
            backup=dict(found["backup"]),
            request=str(found.get("request", "")),
            requests=tuple(carried_out_from(entry) for entry in found.get("requests", ())),
            outside=tuple(map(str, found.get("outside", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{directory / RESTORED_NAME} is not readable: {error!r}", path=str(directory)) from error


def _read(path: Path) -> dict[str, Any] | None:
    with durable.storage_errors("reading", path):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
    try:
        found = json.loads(data.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise FormatError(f"{path} is not readable: {error}", path=str(path)) from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise FormatError(f"{path} has a format that this version does not know", path=str(path))
    return found
