# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare a backup: copied -> prepared. In place, or as a prepared copy beside which the backup stays as it is."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import manifest
from ..errors import (
    BackupIncomplete,
    Clause,
    InvalidOption,
    Option,
    Program,
    TargetNotEmpty,
    TargetUnsafe,
    XtrabackupError,
)
from ..format.family import recorded_flavor
from ..format.file_kinds import IN_PROGRESS_NAME, MANIFEST_NAME, NOT_CONTENT
from ..host import durable, running
from ..host.copying import Copier, CopyTask, sync_files
from ..host.handover import handed_over
from ..host.replaceable import always_replaceable, holds_backup, require_replaceable
from ..host.staging import StagedDirectory, is_fillable, require_renamable, staged_directory
from ..innodb.tablespace import compressed_page_size
from ..manifest import FileEntry
from ..progress import Progress
from ..sources.base import Source
from ..sources.registry import source_at
from ..stream.extract import extract_archive
from ..stream.extract_options import ExtractOptions
from ..stream.listing import require_no_key
from ..stream.unpack_directory import apply_manifest_in_place
from . import events
from .backup_directory import (
    PREPARED,
    SCRATCH_NAME,
    BackupDirectory,
    change_message,
    is_backup_directory,
    read_backup_directory,
    require_recoverable_files,
    walk_files,
)
from .backup_source import read_backup
from .families import recovery_family_of
from .foreign_files import is_foreign, require_no_foreign_files
from .mariadb.providers import to_load
from .prepare_marker import PrepareMarker
from .program import find_server, require_version
from .recover_directory import RecoveryJob, recover_directory
from .run import RecoveryReport

_ENDING_SECONDS = 30.0  # a server of a killed run that is just ending
_SPACE_MARGIN = 64 << 20
_ELSEWHERE = Clause(
    f"Give a {Option('target_dir')} to unpack and prepare it in.",
    f"Unpack it into a directory first ({Program('xbstream')}).",
)


@dataclass(frozen=True)
class PrepareOptions:
    """Options of a preparation. ``use_memory``: ``auto``, a size, or a share of what is free (``40%``);
    ``stall_timeout``: seconds that the server may be idle; ``force``: replace the backup that is in the target
    directory; ``own_place``: the target directory is a place of our own, so whatever is there goes; ``keyring_file``:
    the file of a MySQL server's component_keyring_file; ``disable_events``: the data are to become a replica's."""

    use_memory: str = "auto"
    decrypt_key: bytes | None = None
    parallel: int = 2
    server_program: str | None = None
    force: bool = False
    own_place: bool = False
    stall_timeout: float = 600.0
    keyring_file: str | None = None
    disable_events: bool = False


@dataclass(frozen=True)
class PreparePlan:
    """Plan of a preparation: what is there and what is to be done. ``record``: the backup's; ``before`` and ``after``:
    for diff mode."""

    source: Source
    target: Path
    in_place: bool
    changed: bool
    record: dict[str, Any]
    source_sha256: str
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True)
class PrepareResult:
    """``report`` is None when there was nothing to do."""

    changed: bool
    record: dict[str, Any]
    report: RecoveryReport | None
    warnings: list[str] = field(default_factory=list)


# --- what is to be done --------------------------------------------------------------------------


def plan(src: str | os.PathLike[str], target_dir: Path | None, options: PrepareOptions) -> PreparePlan:
    """Look at the backup at ``src`` and at the target; nothing is changed.

    Raises what ``prepare`` would raise before it starts: NotABackup, BackupIncomplete, TargetNotEmpty, TargetUnsafe,
    InvalidOption, UnsupportedServer, UnsupportedTable, MissingProgram, StorageError.
    """
    # files may vanish while they are looked at
    with durable.storage_errors("looking at", os.path.abspath(src)):
        source = source_at(src).absolute()
        target = Path(os.path.abspath(target_dir)) if target_dir is not None else Path(source.location)
        return _plan(source, target, options)


def _plan(source: Source, target: Path, options: PrepareOptions) -> PreparePlan:
    if options.parallel < 1:
        raise InvalidOption(f"{Option('parallel')}: {options.parallel} is not a number of files", option="parallel")
    in_place, directory = target == Path(source.location), source.directory
    backup = read_backup(source)
    record, sha256, state = backup.record, backup.proven_sha256, backup.state
    if in_place:
        if directory is None:
            raise InvalidOption(
                f"{source.location} is an archive, which cannot be prepared in place",
                remedy=str(_ELSEWHERE),
                option="target_dir",
            )
        changed, before = state != PREPARED, {"path": source.location, "id": record["id"], "state": state}
    else:
        _require_apart(source.path, target)
        changed, before = _compare_target(target, record, sha256, options)
    if changed and directory is not None:
        PrepareMarker(backup)  # raises for one that somebody else has put there
    if state == PREPARED and options.disable_events:
        events.require_disabled(_events_disabled(record), Path(source.location))
    if changed:
        require_recoverable(backup, source.location, options)
        if directory is not None and state != PREPARED:
            require_recoverable_files(directory, in_place=in_place)
            require_no_foreign_files(backup)
    return PreparePlan(
        source=source,
        target=target,
        in_place=in_place,
        changed=changed,
        record=record,
        source_sha256=sha256,
        before=before,
        after={"path": str(target), "id": record["id"], "state": PREPARED},
    )


def require_recoverable(backup: BackupDirectory, where: str, options: PrepareOptions) -> None:
    """Raises what is known beforehand to keep ``backup``, at ``where``, from being unpacked and recovered here:
    DecryptionFailed, MissingProgram, UnsupportedServer, InvalidOption."""
    if backup.manifest is not None and options.decrypt_key is None:
        require_no_key(backup.manifest, where)
    program = find_server(options.server_program, backup.family)
    require_version(program, _source_version(backup.record), backup.flavor)
    to_load(program, backup.providers())
    recovery_family_of(backup, None).require_means(options.keyring_file)


def _source_version(record: dict[str, Any]) -> str:
    server = record.get("server") or {}
    return str(server.get("version") or "")


def _require_apart(source: Path | None, target: Path) -> None:
    """Raises TargetUnsafe when the target cannot be a directory of its own; ``source``: None for a backup that is not
    on this host."""
    reason = None
    if target.parent == target:
        reason = "the root directory"
    elif target.is_symlink():
        reason = "a symbolic link"
    elif source is not None and (source in target.parents or target in source.parents):
        reason = "inside the backup, or the backup inside it"
    elif target.exists() and not target.is_dir():
        reason = "not a directory"
    if reason:
        raise TargetUnsafe(f"{Option('target_dir')}: {target} is {reason}", path=str(target))


def _events_disabled(record: dict[str, Any]) -> list[str] | None:
    """Returns the events of a prepared backup that were disabled, None when nobody has looked at them."""
    return (record.get("prepared") or {}).get("events_disabled")


def _compare_target(
    target: Path, record: dict[str, Any], sha256: str, options: PrepareOptions
) -> tuple[bool, dict[str, Any]]:
    """Returns whether the target has to be made, and what is there now (for diff mode)."""
    if not target.exists():
        return True, {"path": str(target), "state": "absent"}
    if is_fillable(target):
        return True, {"path": str(target), "state": "empty"}
    elsewhere = ""
    if is_backup_directory(target):
        with contextlib.suppress(XtrabackupError):
            there = read_backup_directory(target)
            same = there.id == str(record["id"]) and there.proven_sha256 == sha256
            events_too = events.is_as_requested(_events_disabled(there.record), options.disable_events)
            if same and there.state == PREPARED and events_too:
                return False, {"path": str(target), "id": there.id, "state": there.state}
            if options.force:
                require_renamable(target)
                require_replaceable(target)
                return True, {"path": str(target), "id": there.id, "state": there.state}
            if there.changed is not None and there.source_sha256 == sha256:
                elsewhere = f": {change_message(there)}"
            elif there.manifest and sha256 and there.manifest.claimed_sha256 == sha256 != there.source_sha256:
                elsewhere = " (it says that it was prepared from it, which nobody on this host has done)"
    if not options.force:
        raise TargetNotEmpty(
            f"{Option('target_dir')}: {target} holds something else than this backup, prepared{elsewhere}",
            path=str(target),
        )
    require_renamable(target)
    require_replaceable(target, always_replaceable if options.own_place else holds_backup)
    return True, {"path": str(target), "state": "other"}


# --- doing it ------------------------------------------------------------------------------------


def prepare(
    src: str | os.PathLike[str], target_dir: Path | None, options: PrepareOptions, progress: Progress
) -> PrepareResult:
    """Prepare the backup at ``src``, in place or into ``target_dir``; the class of each error tells what can go wrong.

    With a target directory the backup itself is only read, and the target appears complete or not at all. In place,
    an interrupted run is taken up again by the next one.
    """
    planned = plan(src, target_dir, options)
    if not planned.changed:
        return _unchanged(planned, options)
    with contextlib.ExitStack() as held:
        place = None
        if planned.in_place:
            held.enter_context(durable.directory_lock(planned.target, str(planned.target)))
        else:
            replaceable = always_replaceable if options.own_place else holds_backup
            place = held.enter_context(
                staged_directory(planned.target, replace=True, replaceable=replaceable, before=_wait_until_unused)
            )
        # another job may have been here since
        planned = plan(src, target_dir, options)
        if not planned.changed:
            return _unchanged(planned, options)
        flavor = recorded_flavor(planned.record)
        program = find_server(options.server_program, flavor.family)
        warnings = require_version(program, _source_version(planned.record), flavor)
        if not planned.source_sha256:
            warnings.append(
                f"{planned.source.location} has no manifest: another tool made it, and its files cannot be verified"
            )
        warnings += events.warnings_of(
            _events_disabled(planned.record), options.disable_events, Path(planned.source.location)
        )
        keyring_file = Path(os.path.abspath(options.keyring_file)) if options.keyring_file else None
        job = RecoveryJob(
            program,
            options.use_memory,
            options.stall_timeout,
            progress,
            warnings,
            keyring_file,
            options.disable_events,
        )
        report = (
            _prepare_in_place(planned.target, job, options.parallel)
            if place is None
            else _prepare_copy(planned, job, options, place)
        )
    return PrepareResult(True, _record(planned.target), report, warnings)


def _unchanged(planned: PreparePlan, options: PrepareOptions) -> PrepareResult:
    record = _record(planned.target)
    warnings = events.warnings_of(_events_disabled(record), options.disable_events, planned.target)
    return PrepareResult(False, record, None, warnings)


def _record(target: Path) -> dict[str, Any]:
    """Returns the record of the prepared backup in ``target``."""
    found = read_backup_directory(target)
    record = {**found.record, "path": str(target)}
    if found.manifest is not None and found.manifest_is_current:
        record["manifest"] = {"path": str(target / MANIFEST_NAME), "sha256": found.manifest.own_sha256}
    return record


def _prepare_copy(
    planned: PreparePlan, job: RecoveryJob, options: PrepareOptions, place: StagedDirectory
) -> RecoveryReport | None:
    """Make the prepared copy where it is out of the way, then give it its place."""
    staging = place.staging
    if planned.source.directory is not None:
        _copy_backup(read_backup_directory(planned.source.directory), staging, job.progress, options.parallel)
    else:
        _extract(planned, staging, job.progress, options)
    backup = read_backup_directory(staging)
    report = None
    if backup.state != PREPARED:
        require_recoverable_files(staging, in_place=True)
        with handed_over(staging, SCRATCH_NAME) as held:
            report = recover_directory(backup, job, held, disposable=True)
    elif backup.source_sha256 != planned.source_sha256:
        # it was prepared here, and this is a copy of it
        _require_unchanged(planned)
        manifest.note_preparation(staging, planned.source_sha256)
    job.progress.phase("syncing")
    sync_files(staging, options.parallel)
    place.publish()
    if read_backup_directory(planned.target).changed is not None:
        # files that were renamed one by one have other times now
        manifest.note_preparation(planned.target, planned.source_sha256)
    return report


def _require_unchanged(planned: PreparePlan) -> None:
    """Raises BackupIncomplete when files of the prepared source were changed while they were copied."""
    source = read_backup(planned.source)
    if source.proven_sha256 != planned.source_sha256:
        where = planned.source.location
        raise BackupIncomplete(f"{where} was changed while it was copied: {change_message(source)}", path=where)


def _copy_backup(backup: BackupDirectory, staging: Path, progress: Progress, parallel: int) -> None:
    """Copy the files of a backup directory, comparing their digests with the manifest on the way."""
    current = backup.manifest if backup.manifest_is_current else None
    listed = list(current.files) if current else None
    if listed is None:
        listed = [
            FileEntry(name, status.st_size, "")
            for name, status in walk_files(backup.path)
            if name != IN_PROGRESS_NAME and not is_foreign(backup, name)
        ]
    else:
        size = (backup.path / MANIFEST_NAME).stat().st_size
        listed.append(FileEntry(MANIFEST_NAME, size, ""))
    total = sum(entry.size for entry in listed)
    durable.require_space(staging, total + _SPACE_MARGIN, "the prepared copy")
    directories = {Path(entry.path).parent for entry in listed} | {
        Path(entry.name)
        for entry in os.scandir(backup.path)
        if entry.is_dir(follow_symlinks=False) and entry.name not in NOT_CONTENT and not entry.name.startswith(".")
    }
    with durable.storage_errors("creating", staging):
        for directory in sorted(directories | {Path()}):
            durable.make_directories(staging / directory, 0o750)
    progress.phase("copying", total)
    tasks = [
        CopyTask(backup.path / entry.path, staging / entry.path, entry.size, entry.digest or None, backup.path)
        for entry in listed
    ]
    Copier(None, progress, sync=False).copy_all(tasks, parallel)
    if current is None and backup.interrupted:
        PrepareMarker(backup).copy_to(staging)


def _extract(planned: PreparePlan, staging: Path, progress: Progress, options: PrepareOptions) -> None:
    size = int((planned.record.get("bytes") or {}).get("read") or planned.source.size() or 0)
    durable.require_space(staging, size + _SPACE_MARGIN, "the unpacked backup")
    progress.phase("extracting", size)
    wanted = ExtractOptions(options.decrypt_key, options.parallel, page_size_of=compressed_page_size)
    extract_archive(planned.source, staging, wanted, progress=progress)


def _wait_until_unused(directory: Path) -> None:
    running.wait_until_unused(directory, _ENDING_SECONDS)


def _prepare_in_place(directory: Path, job: RecoveryJob, parallel: int) -> RecoveryReport:
    _wait_until_unused(directory)
    # at once: from now on nobody else changes what root is working on
    with handed_over(directory, SCRATCH_NAME) as held:
        # other tools unpack archives, too, and leave it at that
        apply_manifest_in_place(held.own)
        backup = read_backup_directory(held.own)
        require_recoverable_files(held.own, in_place=True)
        if backup.manifest and not backup.interrupted:
            job.progress.phase("verifying", sum(entry.size for entry in backup.manifest.files))
            # sizes first, which takes no time; contents too: recovery changes pages, and sees only what it happens to
            # read
            manifest.verify_directory(held.own, backup.manifest, digests=False)
            manifest.verify_directory(
                held.own, backup.manifest, digests=True, parallel=parallel, verified=job.progress.advance
            )
        return recover_directory(backup, job, held, disposable=False)
