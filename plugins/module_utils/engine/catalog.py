# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Description of what is at a path: a backup, an archive, a data directory, nothing, or something else. Only reads."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import manifest
from .errors import BackupError, BackupPartial, FormatError, StorageError, StreamError, TargetUnsafe
from .format import file_kinds, strict_json
from .format.content_digest import OPTIONS
from .format.file_kinds import DATADIR_SIGNS, ENCRYPTED_SUFFIX, MANIFEST_NAME, MOVING_NAME, NOT_CONTENT, RESTORED_NAME
from .host import durable, running
from .host.anchor import followed
from .host.filling import is_unfinished
from .host.small_files import read_object, read_small
from .manifest import MAX_BYTES, PARTIAL, Manifest, digest_of
from .recovery.backup_directory import is_backup_directory, read_backup_directory
from .restore.journal import RestoreJournal
from .restore.markers import read_restored
from .restore.placement import UNPACKED_SUFFIX
from .server.start_position import backup_record
from .server.user_data import ServerObjects, classify, entries_of
from .sources.base import Source
from .sources.registry import source_at
from .stream.listing import list_archive
from .stream.xbstream import MAGIC

_MAX_STATUS = 16 << 20  # bytes
_LARGEST_PID = 1 << 22  # proc(5), pid_max


def describe_path(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Facts about ``path``, and the record of the backup that is there or was restored there (None: no such).

    ``kind`` is backup, archive, datadir, empty, absent or other; ``complete`` and ``problem`` say whether what is there
    can be used, and why not. Raises StorageError when it cannot be read.
    """
    place = Path(path)
    facts: dict[str, Any] = {"kind": "absent", "path": str(place), "partial": _partial(place)}
    source = source_at(path)
    if not os.path.lexists(place) and not source.is_there():
        return facts, None
    if source.directory is not None:
        return _describe_directory(source.directory, facts)
    if source.is_stored and source.is_there():
        return _describe_archive(source, facts)
    return {**facts, "kind": "other"}, None


def _partial(place: Path) -> bool:
    """Returns whether a job has left an unfinished backup or restore of this name."""
    if is_unfinished(place):
        return True
    if not place.name:
        return False
    if place.with_name(place.name + file_kinds.PARTIAL_SUFFIX).exists():
        return True
    return any(entry.name.startswith(place.name + UNPACKED_SUFFIX) for entry in _siblings(place))


def _siblings(place: Path) -> list[Path]:
    try:
        return list(place.parent.iterdir())
    except OSError:
        return []


def _describe_directory(place: Path, facts: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    with durable.storage_errors("looking into", place):
        names = {entry.name for entry in place.iterdir()} - NOT_CONTENT
    if RESTORED_NAME in names or MOVING_NAME in names:
        unfinished = MOVING_NAME in names
        problem = "a restore into it was begun and not ended" if unfinished else None
        facts.update(kind="datadir", restored=RESTORED_NAME in names, complete=not unfinished, problem=problem)
        facts.update(_request_facts(place))
        return facts, backup_record(place) if RESTORED_NAME in names else None
    if is_unfinished(place) or is_backup_directory(place):
        return _describe_backup(place, facts)
    if names.intersection(DATADIR_SIGNS):
        facts.update(kind="datadir", restored=False, complete=True, problem=None, **_request_facts(place))
        return facts, None
    return {**facts, "kind": "other" if names else "empty"}, None


def _real(datadir: Path) -> Path:
    """The directory that a restore would take for ``datadir``; one that it would refuse is what it is."""
    try:
        return followed(datadir)
    except (TargetUnsafe, StorageError):
        return datadir


def _request_facts(datadir: Path) -> dict[str, Any]:
    """Returns the restore request that the data come from, and those that were carried out here; ``proven``: this
    user's own journal says so, and not only the marker in the data directory."""
    known = RestoreJournal(_real(datadir)).restored()
    restored = known or read_restored(datadir)
    done = restored.carried_out if restored else None
    return {
        "proven": known is not None,
        "request": asdict(done) if done else None,
        "requests": [asdict(entry) for entry in restored.requests] if restored else [],
        "source_sha256": restored.manifest_sha256 if restored else None,
    }


def _describe_backup(place: Path, facts: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    facts.update(kind="backup", complete=False, problem=None)
    try:
        backup = read_backup_directory(place)
    except BackupPartial as error:
        found, digest = manifest.read_stored(place)
        facts.update(_manifest_facts(found), state=PARTIAL, manifest_sha256=digest)
        return {**facts, "problem": error.message}, found.record
    except (BackupError, FormatError) as error:
        return {**facts, "problem": error.message}, None
    facts.update(complete=not backup.interrupted, state=backup.state)
    if backup.interrupted:
        facts["problem"] = "its preparation was begun and not ended"
    if backup.manifest is not None:
        digest = digest_of(read_small(place / MANIFEST_NAME, MAX_BYTES).data)
        facts.update(_manifest_facts(backup.manifest), manifest_sha256=digest)
        facts["source_sha256"] = next(iter(backup.pins), "")
    return facts, backup.record


def _describe_archive(source: Source, facts: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    size = source.size()
    if not _begins_as_archive(source):
        return {**facts, "kind": "other"}, None
    facts.update(kind="archive", stored_bytes=size, complete=False, problem=None)
    try:
        listing = list_archive(source)
    except (StreamError, FormatError) as error:
        return {**facts, "problem": error.message}, None
    if listing.manifest is None:
        return {**facts, "problem": f"it has no {MANIFEST_NAME}: made by another tool, or cut off"}, None
    encrypted = any((entry.stored or "").endswith(ENCRYPTED_SUFFIX) for entry in listing.manifest.files)
    state = str(listing.manifest.backup.get("state") or "copied")
    facts.update(_manifest_facts(listing.manifest), complete=state != PARTIAL, state=state, encrypted=encrypted)
    return facts, listing.manifest.record


def _begins_as_archive(source: Source) -> bool:
    """Returns whether the first bytes are those of an archive; nothing else is read."""
    opening = source.ranges()
    if opening is None:
        return True
    with opening as ranges:
        return ranges.size() >= len(MAGIC) and ranges.read_at(None, 0, len(MAGIC)) == MAGIC


def _manifest_facts(found: Manifest) -> dict[str, Any]:
    return {
        "id": found.id,
        "files": len(found.files),
        "bytes": found.total_bytes,
        "source_sha256": found.source_sha256,
        "file_digest": {name: option for option, name in OPTIONS.items()}[found.digest_algorithm],
    }


def describe_user_data(datadir: str | os.PathLike[str], objects: ServerObjects | None) -> dict[str, Any]:
    """Classifies ``datadir``: whether it holds anything that is not its server's own. ``objects``: those that the
    server lists, None when it could not be asked. Raises nothing: what cannot be read is unknown."""
    place = Path(datadir)
    try:
        entries = entries_of(place)
    except StorageError:
        entries = None
    runs = objects is not None or running.user_of(place) is not None
    return classify(entries, running=runs, server=objects).as_dict()


def read_job(progress_file: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The status that a job keeps in ``progress_file``, and whether its process is ``alive``; None when no job does.

    Raises FormatError for a file that is something else, StorageError when it cannot be read.
    """
    path = Path(progress_file)
    try:
        status = read_object(path, _MAX_STATUS)
        pid = strict_json.whole(status.get("pid"), str(path), "pid", _LARGEST_PID)
    except FileNotFoundError:
        return None
    except FormatError as error:
        raise FormatError(f"{path} is not the progress file of a job ({error.message})", path=str(path)) from error
    return {**status, "alive": Path(f"/proc/{pid}").exists()}
