# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two markers of a restore: begun, and done. In a data directory, a staging directory and a backup they are hints,
for people and for more care; what a restore acts on is in its journal (see ``journal``)."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..format import strict_json
from ..format.file_kinds import MOVING_NAME, RESTORED_NAME
from ..format.names import LONGEST_PATH, safe_path
from ..format.record import checked_record
from ..host import durable
from ..host.small_files import read_small
from ..sources.registry import source_at
from .request import CarriedOut, Request, carried_out_from, request_from

_FORMAT = 1
_MAX_BYTES = 16 << 20

COPY = "copy"
MOVE = "move"

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
    ``kept`` and ``dropped``: the host's own files in the data directory. ``pinned``: the digest that the backup was
    asked for by, and was proven to have before its files were moved; "" for any.
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
    pinned: str = ""

    def same_restore(self, other: InProgress) -> bool:
        """Returns whether both are about the same backup, way and place, for the same request."""
        mine = (self.id, self.source_sha256, self.source, self.datadir, self.method, self.request)
        return mine == (other.id, other.source_sha256, other.source, other.datadir, other.method, other.request)

    def as_document(self) -> dict[str, Any]:
        """Returns the document that is written."""
        return {"format": _FORMAT, **asdict(self)}

    def write(self, directory: Path) -> None:
        """Put the marker into ``directory``, durably."""
        data = json.dumps(self.as_document(), indent=1)
        durable.write_file(directory / MOVING_NAME, data.encode("utf-8", "surrogateescape"))


def read_in_progress(directory: Path) -> InProgress | None:
    """The marker of an unfinished restore in ``directory``, None when there is none; raises FormatError."""
    found = _read(directory / MOVING_NAME)
    return None if found is None else in_progress_from(found, str(directory / MOVING_NAME))


def in_progress_from(found: dict[str, Any], where: str) -> InProgress:
    """The marker in the document ``found`` at ``where``; raises FormatError."""
    try:
        return InProgress(
            id=_text(found["id"], where),
            source_sha256=_text(found["source_sha256"], where),
            source=_location(found["source"], where),
            datadir=_path(found["datadir"], where),
            method=_text(found["method"], where),
            phase=_one_of((FILLING, PUBLISHING), found["phase"], where),
            aside=tuple((_path(one, where), _path(other, where)) for one, other in found["aside"]),
            outside=tuple((_path(one, where), _path(other, where)) for one, other in found["outside"]),
            unpacked=_path(found["unpacked"], where) if found.get("unpacked") else "",
            request=request_from(found["request"], where) if found.get("request") else None,
            origin=_location(found["origin"], where) if found.get("origin") else "",
            requests=tuple(carried_out_from(entry, where) for entry in found.get("requests", ())),
            kept=tuple(safe_path(name, where) for name in found.get("kept", ())),
            dropped=tuple(safe_path(name, where) for name in found.get("dropped", ())),
            pinned=_text(found.get("pinned", ""), where),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{where} is not readable: {error!r}", path=where) from error


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
    ``pinned``: the digest that the backup was asked for by, "" when any would do.
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
    pinned: str = ""

    @property
    def carried_out(self) -> CarriedOut | None:
        """The request that the data come from, None where there was no request."""
        return next((entry for entry in self.requests if entry.id == self.request), None)

    def as_document(self) -> dict[str, Any]:
        """Returns the document that is written."""
        return {"format": _FORMAT, **asdict(self)}

    def write(self, directory: Path) -> Path:
        """Put the marker into ``directory``, durably; returns its path."""
        data = json.dumps(self.as_document(), indent=1, sort_keys=True)
        durable.write_file(directory / RESTORED_NAME, data.encode("utf-8", "surrogateescape"))
        return directory / RESTORED_NAME


def read_restored(directory: Path) -> Restored | None:
    """The marker of a finished restore in ``directory``, None when there is none; raises FormatError."""
    found = read_restored_document(directory)
    return None if found is None else restored_from(found, str(directory / RESTORED_NAME))


def read_restored_document(directory: Path) -> dict[str, Any] | None:
    """Reads the content of that marker; only its format is checked; raises FormatError."""
    return _read(directory / RESTORED_NAME)


def restored_from(found: dict[str, Any], where: str) -> Restored:
    """The marker in the document ``found`` at ``where``; raises FormatError."""
    try:
        return Restored(
            id=_text(found["id"], where),
            manifest_sha256=_text(found["manifest_sha256"], where),
            source=_location(found["source"], where),
            method=_text(found["method"], where),
            finished_at=_text(found["finished_at"], where),
            backup=checked_record(found["backup"], where),
            request=_text(found.get("request", ""), where),
            requests=tuple(carried_out_from(entry, where) for entry in found.get("requests", ())),
            outside=tuple(_path(path, where) for path in found.get("outside", ())),
            pinned=_text(found.get("pinned", ""), where),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{where} is not readable: {error!r}", path=where) from error


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = read_small(path, _MAX_BYTES).data
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = strict_json.parse_object(data, f"{path} is not readable", max_bytes=_MAX_BYTES)
    if found.get("format") != _FORMAT:
        raise FormatError(f"{path} has a format that this version does not know", path=str(path))
    strict_json.require_plain(found, f"{path} is not readable")
    return found


def _text(value: object, where: str) -> str:
    return strict_json.text(value, where, "a name in it", LONGEST_PATH)


def _location(value: object, where: str) -> str:
    """``value`` when it is the location of a source: on this host an absolute path without detours; raises
    FormatError."""
    location = _text(value, where)
    elsewhere = not location.startswith("/") and "\0" not in location and source_at(location).path is None
    return location if elsewhere else _path(value, where)


def _path(value: object, where: str) -> str:
    """``value`` when it is an absolute path without detours; raises FormatError."""
    path = _text(value, where)
    if not path.startswith("/") or "\0" in path or any(part in (".", "..") for part in path.split("/")):
        raise FormatError(f"{where} is not readable: {path!r} is not the path of a file", path=where)
    return path


def _one_of(known: tuple[str, ...], value: object, where: str) -> str:
    if value not in known:
        raise FormatError(f"{where} is not readable: {str(value)[:40]!r} is none of {', '.join(known)}", path=where)
    return str(value)
