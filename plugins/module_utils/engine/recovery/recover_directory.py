# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recover one backup directory where it is, and write down its new state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import RecoveryFailed, RecoveryIncomplete, XtrabackupError
from ..format.content_digest import XXH128
from ..format.family import Family
from ..format.file_kinds import IN_PROGRESS_NAME, MANIFEST_NAME
from ..host import durable
from ..host.handover import Handover
from ..manifest import FileEntry, Manifest, note_preparation
from ..progress import Progress
from ..server.data_files import render_names
from ..server.mysql.gtid_sets import GtidSet
from ..units import format_size, some_of
from . import events, memory
from . import run as native
from .backup_directory import PREPARED, BackupDirectory, walk_files
from .families import recovery_family_of
from .family import LEFTOVER_SUFFIXES, RecoveryFamily
from .foreign_files import is_foreign, require_no_foreign_files
from .mariadb.ddl_files import apply_ddl_files
from .mariadb.providers import to_load
from .mysql.recovered_coordinates import inexact_channels, recovered_record, write_coordinates
from .prepare_marker import PrepareMarker
from .program import ServerProgram
from .recovery_server import scratch_of
from .server_messages import OTHER_COPY

_SPACE_MARGIN = 64 << 20


@dataclass(frozen=True)
class RecoveryJob:
    """Recovery of a directory: the server for it, its memory (see memory.choose_buffer_pool), and how many seconds it
    may be idle. ``warnings`` are added to. ``keyring_file``: the keys of a MySQL server's encrypted data.
    ``disable_events``: no event may fire on the server that gets the data."""

    program: ServerProgram
    use_memory: str
    stall_timeout: float
    progress: Progress
    warnings: list[str]
    keyring_file: Path | None = None
    disable_events: bool = False


def recover_directory(
    backup: BackupDirectory, job: RecoveryJob, held: Handover, *, disposable: bool
) -> native.RecoveryReport:
    """Recover ``backup``, whose directory is ``held``, where it is, write down its new state, and give it back."""
    backup = replace(backup, path=held.own, record=held.shown(backup.record))
    family = recovery_family_of(backup, job.keyring_file)
    marker = PrepareMarker(backup)
    if marker.lost:
        raise RecoveryFailed(
            f"{backup.path}: an earlier run has found that data are lost: {' | '.join(marker.lost[:3])}",
            remedy=f"This directory cannot be used any more. {OTHER_COPY}",
            path=str(backup.path),
            lost=marker.lost,
        )
    require_no_foreign_files(backup)
    family.require_whole_redo(backup, marker)
    buffer_pool, log_file_size = _sizes(backup, job, family)
    marker.begin()
    applied = apply_ddl_files(backup.path) if backup.family is Family.MARIADB else []
    if applied:
        job.warnings.append(f"schema changes during the backup were applied: {', '.join(applied[:10])}")
    before = {name: (status.st_size, status.st_mtime_ns) for name, status in walk_files(backup.path)}
    settings = native.RecoverySettings(
        page_size=backup.configuration.page_size,
        data_file_path=render_names(backup.configuration.data_files),
        undo_tablespaces=backup.configuration.undo_tablespaces,
        buffer_pool_size=buffer_pool,
        log_file_size=log_file_size,
        lower_case_table_names=backup.configuration.lower_case_table_names,
        disposable=disposable,
        binary_log=family.binary_log(backup),
        gtid_mode=_has_gtids(backup),
        keyring_file=job.keyring_file,
        note_positions=marker.note_positions,
        providers=to_load(job.program, backup.providers()),
        disable_events=job.disable_events,
        missing_tables=tuple(map(str, backup.record.get("missing_tables") or ())),
        resumed=backup.interrupted,
    )
    if marker.recovered is None:
        family.prepare(backup, marker)
        report = _run_server(backup, job, held, settings, marker)
        if report.gtid_executed is not None:
            # what follows takes away what another run would need
            marker.note(recovered=asdict(report))
    else:
        report = native.RecoveryReport(**marker.recovered)
        if job.disable_events:
            events.require_disabled(report.events_disabled, backup.path)
        job.warnings.extend(events.warnings_of(report.events_disabled, job.disable_events, backup.path))
    job.warnings.extend(report.warnings)
    job.warnings.extend(_gtid_warnings(backup, report))
    job.progress.phase("finishing")
    family.clean(backup)
    _remove_leftovers(backup.path, set(before), family)
    record = _record_state(backup, held, marker, before, settings, report)
    job.warnings.extend(_position_warnings(record))
    job.warnings[:] = held.shown(job.warnings)
    return report


def _run_server(
    backup: BackupDirectory,
    job: RecoveryJob,
    held: Handover,
    settings: native.RecoverySettings,
    marker: PrepareMarker,
) -> native.RecoveryReport:
    try:
        with scratch_of(held) as scratch:
            report = native.recover(
                held,
                settings,
                job.program,
                last_lsn=backup.checkpoints.last_lsn,
                scratch=scratch,
                progress=job.progress,
                stall_timeout=job.stall_timeout,
                redo_proven=marker.redo_proven,
            )
        held.reclaim()
    except RecoveryIncomplete:
        if marker.log_in_place and marker.proven_lsn is None:
            marker.note(incomplete=True)
        raise
    except XtrabackupError as error:
        if error.details.get("lost"):
            marker.note(lost=error.details["lost"])
        raise
    return replace(report, recovered_lsn=marker.proven_lsn or report.recovered_lsn)


def _has_gtids(backup: BackupDirectory) -> bool:
    return bool((backup.record.get("binlog") or {}).get("gtid"))


def _position_warnings(record: dict[str, Any]) -> list[str]:
    inexact = inexact_channels(record)
    if not inexact:
        return []
    return [
        (
            f"where the replica channels {some_of([repr(name) for name in inexact])} stood in the binary log of "
            "their source is not known exactly, so no replica can be started there from this backup"
        )
    ]


def _gtid_warnings(backup: BackupDirectory, report: native.RecoveryReport) -> list[str]:
    noted = str((backup.record.get("binlog") or {}).get("gtid") or "")
    if report.gtid_executed is None or not noted or _same_gtids(noted, report.gtid_executed):
        return []
    return [
        (
            f"the recovered data holds the GTIDs {report.gtid_executed or '(none)'}, the backup's coordinates name "
            f"{noted}; a replica has to start from those of the data"
        )
    ]


def _sizes(backup: BackupDirectory, job: RecoveryJob, family: RecoveryFamily) -> tuple[int, int]:
    """Bytes of the buffer pool and of the log that the recovering server makes."""
    redo = family.redo_bytes(backup)
    pool = memory.choose_buffer_pool(redo, job.use_memory, memory.available_memory())
    log_file_size = min(max(backup.configuration.log_file_size, family.min_log_size), family.max_log_size)
    free = durable.free_bytes(backup.path)
    if free < log_file_size + _SPACE_MARGIN:
        durable.require_space(
            backup.path, family.min_log_size + _SPACE_MARGIN, "recovery (a new redo log and its pages)"
        )
        log_file_size = family.min_log_size
    return pool, log_file_size


def _same_gtids(one: str, other: str) -> bool:
    try:
        return GtidSet.parse(one) == GtidSet.parse(other)
    except ValueError:
        return one == other


def _remove_leftovers(directory: Path, before: set[str], family: RecoveryFamily) -> None:
    """Remove what the server's run left in the top directory that is nobody's data."""
    with durable.storage_errors("cleaning", directory):
        for entry in list(os.scandir(directory)):
            named = family.is_leftover(entry.name)
            of_the_backup = entry.name in before and entry.name.endswith(LEFTOVER_SUFFIXES)
            if named and not of_the_backup and entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)


# --- the new state -------------------------------------------------------------------------------


def _record_state(
    backup: BackupDirectory,
    held: Handover,
    marker: PrepareMarker,
    before: dict[str, tuple[int, int]],
    settings: native.RecoverySettings,
    report: native.RecoveryReport,
) -> dict[str, Any]:
    """Write checkpoints and manifest of the prepared directory, then take away the marker; returns its record."""
    record: dict[str, Any] = {
        **backup.record,
        "state": PREPARED,
        "prepared": {
            "server_version": report.server_version,
            "recovered_lsn": report.recovered_lsn,
            "rolled_back": report.rolled_back,
            "prepared_transactions": report.prepared_transactions,
            "use_memory": format_size(settings.buffer_pool_size),
            "seconds": report.seconds,
            "source_sha256": backup.source_sha256,
        },
    }
    if report.enabled_events is not None:
        record["prepared"]["enabled_events"] = report.enabled_events
    if report.events_disabled is not None:
        record["prepared"]["events_disabled"] = report.events_disabled
    if report.gtid_executed is not None:
        record["prepared"]["gtid_executed"] = report.gtid_executed
        record.update(recovered_record(record, report.gtid_executed, marker.positions))
    checkpoints = replace(backup.checkpoints, backup_type=backup.family.facts.prepared_type)
    if report.gtid_executed is not None:
        write_coordinates(backup.path, record)
    durable.write_file(backup.path / backup.checkpoints_name, checkpoints.render())
    algorithm = backup.manifest.digest_algorithm if backup.manifest else XXH128
    prepared = Manifest(record, tuple(_entries(backup, before)), digest_algorithm=algorithm)
    durable.write_file(backup.path / MANIFEST_NAME, prepared.render())
    durable.fsync_tree(backup.path)
    # until the marker goes, a run that was killed is taken up again, and gives back what is left
    held.give_back()
    # no file is changed after that
    note_preparation(backup.path, backup.source_sha256)
    marker.end()
    return record


def _entries(backup: BackupDirectory, before: dict[str, tuple[int, int]]) -> Iterator[FileEntry]:
    """Every file of the prepared backup. A digest is kept for what recovery did not touch; for the rest it is left
    out, since it would take another read of all data. What a run that was interrupted has touched is not known."""
    known = {entry.path: entry for entry in backup.manifest.files} if backup.manifest and not backup.interrupted else {}
    for name, status in walk_files(backup.path):
        if name in (MANIFEST_NAME, IN_PROGRESS_NAME) or is_foreign(backup, name):
            continue
        same = name in known and before.get(name) == (status.st_size, status.st_mtime_ns)
        yield FileEntry(name, status.st_size, known[name].digest if same else "")
