# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan of a restore: compares what is wanted with what is there, an interrupted run included; changes nothing."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import (
    FORCE,
    BackupIncomplete,
    Clause,
    InvalidOption,
    MissingProgram,
    NotABackup,
    NotPrepared,
    Option,
    TargetNotEmpty,
    UnsupportedServer,
    XtrabackupError,
)
from ..host import durable, running, state
from ..host.copying import Ownership
from ..recovery.backup_directory import (
    PREPARED,
    BackupDirectory,
    read_backup_directory,
)
from ..recovery.backup_source import read_backup
from ..recovery.mariadb.providers import require_for_restore
from ..recovery.prepare import PrepareOptions, require_recoverable
from ..recovery.program import find_server
from ..sources.base import Source
from ..sources.registry import source_at
from .journal import Known, RestoreJournal
from .layout import HostLayout
from .markers import COPY, FILLING, MOVE, PUBLISHING, InProgress, Restored, read_in_progress
from .pinned import require_expected, require_restored, was_pinned
from .placement import (
    Placement,
    Staging,
    backup_files,
    choose_staging,
    directories,
    file_size,
    place_files,
    require_safe,
)
from .replaced import Replaced, find_replaced, require_replaceable
from .request import CarriedOut, Request, find_carried_out
from .space import require_space, require_space_to_unpack, require_space_unprepared


@dataclass(frozen=True)
class RestoreOptions:
    """Options of a restore. ``ownership`` of what is written, ``top_mode`` of the data directory itself; ``force``:
    replace a data directory that holds something else; ``keep_replaced``: keep that under another name. ``recovery``:
    how an archive is decrypted and recovered. ``manifest_sha256``: the backup must be this one; "" for any. ``request``
    that asks for it. ``origin``: the backup that the source was, or will be, prepared from. ``preview``: only tell;
    that the backup will be prepared, and the server stopped, is taken for granted."""

    method: str = COPY
    ownership: Ownership = field(default_factory=Ownership)
    top_mode: int = 0o700
    force: bool = False
    keep_replaced: bool = False
    parallel: int = 2
    recovery: PrepareOptions = field(default_factory=PrepareOptions)
    manifest_sha256: str = ""
    request: Request | None = None
    origin: str | os.PathLike[str] | None = None
    preview: bool = False


@dataclass(frozen=True)
class RestorePlan:
    """Plan of a restore: what is there and what is to be done.

    ``source``: the directory that files are taken from, which for an archive is that which it is unpacked into;
    ``unpack``: that has to be done first. ``unfinished``: an interrupted run of this very restore, as the journal has
    it, which is taken up again; ``clearing``: one of another restore, whose rest is removed first. ``replaced``: what
    it takes the place of. ``before`` and ``after``: for diff mode.
    """

    source: Path
    layout: HostLayout
    staging: Staging
    record: dict[str, Any]
    wanted: InProgress
    after: dict[str, Any]
    changed: bool = True
    unpack: bool = False
    unfinished: InProgress | None = None
    clearing: InProgress | None = None
    placements: tuple[Placement, ...] = ()
    folders: tuple[str, ...] = ()
    replaced: Replaced = field(default_factory=Replaced)
    before: dict[str, Any] = field(default_factory=dict)
    carried_out: CarriedOut | None = None

    @property
    def journal(self) -> RestoreJournal:
        """Journal of this restore."""
        return RestoreJournal(self.layout.datadir)

    @property
    def bytes(self) -> int:
        """Bytes that will be put in place; 0 when an interrupted run has only renames left."""
        return sum(placement.size for placement in self.placements)


def plan_restore(src: str | os.PathLike[str], layout: HostLayout, options: RestoreOptions) -> RestorePlan:
    """Look at the backup at ``src`` and at this host; nothing is changed.

    Raises what a restore would raise before it starts: TargetUnsafe, NotABackup, NotPrepared, BackupIncomplete,
    ServerRunning, FileInUse, TargetNotEmpty, InvalidOption, DiskFull, BackupMismatch, RequestError; for an archive
    StreamError, DecryptionFailed, MissingProgram, UnsupportedServer, too.
    """
    # what is looked at may change at any time, as long as it is not held
    with durable.storage_errors("looking at", layout.datadir):
        return _plan(src, layout, options)


def _plan(src: str | os.PathLike[str], layout: HostLayout, options: RestoreOptions) -> RestorePlan:
    staging = choose_staging(layout.datadir)
    journal = RestoreJournal(layout.datadir)
    known = journal.known(staging)
    restored, there = known.restored, known.unfinished
    wanted_source = source_at(src).absolute()
    source = _chosen_source(wanted_source, there, options)
    for place in dict.fromkeys((source, wanted_source)):
        if place.path is not None:
            require_safe(layout.datadir, place.path, layout)
    if options.parallel < 1:
        raise InvalidOption(f"{Option('parallel')}: {options.parallel} is not a number of files", option="parallel")
    if options.request and (there is None or there.request != options.request):
        if there is None:
            journal.require_proven(options.request)
        done = find_carried_out(options.request, known.requests)
        if done is not None:
            return _plan_carried_out(source, layout, staging, known, done)
    if restored and (not source.is_there() or _is_ending(there, staging, source)):
        return _plan_without_backup(source, layout, staging, restored, there, options)
    archived = source.directory is None
    backup = read_backup(source, staging.unpacked, being_moved=True)
    wanted = InProgress(
        backup.id,
        backup.source_sha256,
        source.location,
        str(layout.datadir),
        MOVE if archived else options.method,
        FILLING,
        unpacked=str(staging.unpacked) if archived else "",
        request=options.request,
        origin=str(options.origin or ""),
        requests=known.requests,
        pinned=options.manifest_sha256,
    )
    if archived or wanted.method != MOVE or not was_pinned(there, wanted):
        require_expected(backup, options.manifest_sha256, Path(source.location))
    if not archived:
        _require_usable(backup, wanted, options)
    _require_providers(backup, layout, options)
    after = _state(layout.datadir, backup.id, "restored")
    plan = RestorePlan(backup.path, layout, staging, backup.record, wanted, after)
    same = restored and (restored.id, restored.manifest_sha256) == (backup.id, backup.source_sha256)
    # what a request wants is the backup's state, and the server has written since
    if restored and same and there is None and options.request is None:
        return replace(plan, changed=False, before=plan.after, record=restored.backup if archived else backup.record)
    if not options.preview:
        running.require_unused(layout.datadir, pid_file=layout.pid_file, server_socket=layout.socket)
    plan = replace(plan, before=_before(layout.datadir, known))
    if there is not None and there.same_restore(wanted):
        plan = replace(plan, unfinished=there)
        if there.phase == PUBLISHING:
            recovered = _recovered(plan) if archived else None
            return replace(plan, record=recovered.record) if recovered else plan
    else:
        plan = replace(plan, clearing=there)
    _require_no_other_restore(plan, options)
    unproven = journal.unproven() if there is None else None
    require_replaceable(layout, staging, unproven, begun=there is not None, force=options.force)
    if options.preview and (backup.state != PREPARED or wanted_source != source):
        plan = _plan_unprepared(plan, backup, Path(wanted_source.location), options)
    else:
        plan = _plan_archive(plan, backup, options) if archived else _plan_files(plan, backup)
    return _plan_replaced(plan, restored, there, options)


def _plan_replaced(
    plan: RestorePlan, restored: Restored | None, there: InProgress | None, options: RestoreOptions
) -> RestorePlan:
    """The plan with what it takes the place of; raises what ``find_replaced`` does."""
    known = [*(restored.outside if restored else ()), *(final for _staged, final in (there.outside if there else ()))]
    kept = plan.clearing.kept if plan.clearing else ()
    replaced = find_replaced(plan.layout, plan.staging, plan.placements, known, kept, force=options.force)
    return replace(
        plan,
        replaced=replaced,
        before={**plan.before, **replaced.before},
        after={**plan.after, **replaced.after},
        wanted=replace(plan.wanted, kept=replaced.kept, dropped=replaced.dropped),
    )


def _require_providers(backup: BackupDirectory, layout: HostLayout, options: RestoreOptions) -> None:
    """Raises MissingProgram when the server of this host cannot read, or does not load what it takes to read, the
    compressed pages of the backup. Where no server is installed yet, nobody can tell."""
    providers = backup.providers()
    program = None
    if providers.needed:
        with contextlib.suppress(MissingProgram, UnsupportedServer):
            program = find_server(options.recovery.server_program, backup.family)
    if program is not None:
        require_for_restore(program, providers, None if layout.plugins is None else dict(layout.plugins))


def _chosen_source(source: Source, there: InProgress | None, options: RestoreOptions) -> Source:
    """``source``; when looking ahead, its origin as long as ``source`` is not made from it."""
    if not options.preview or options.origin is None:
        return source
    if there is not None and there.source == source.location and there.request == options.request:
        return source
    if source.directory is not None:
        with contextlib.suppress(XtrabackupError):
            found = read_backup_directory(source.directory)
            if found.state == PREPARED and options.manifest_sha256 in ("", *found.pins):
                return source
    return source_at(options.origin).absolute()


def _plan_carried_out(
    source: Source, layout: HostLayout, staging: Staging, known: Known, done: CarriedOut
) -> RestorePlan:
    """Nothing is to be done for a request that was carried out, whether or not its data are still the latest."""
    restored = known.restored
    state = _state(layout.datadir, restored.id, "restored") if restored else _before(layout.datadir, known)
    method, record = (restored.method, restored.backup) if restored else (COPY, {})
    wanted = InProgress(done.id, done.manifest_sha256, source.location, str(layout.datadir), method, FILLING)
    place = Path(source.location)
    return RestorePlan(place, layout, staging, record, wanted, state, changed=False, before=state, carried_out=done)


def _plan_unprepared(plan: RestorePlan, backup: BackupDirectory, src: Path, options: RestoreOptions) -> RestorePlan:
    """Returns the plan for a backup that will be prepared into ``src`` first. Raises what is known to prevent that."""
    require_recoverable(backup, plan.wanted.source, options.recovery)
    plan = replace(plan, placements=tuple(place_files(backup, backup_files(backup), plan.layout, plan.staging)))
    require_space_unprepared(plan, src)
    return plan


def _plan_files(plan: RestorePlan, backup: BackupDirectory) -> RestorePlan:
    """The plan with each file's place. Raises InvalidOption, BackupIncomplete, DiskFull."""
    files = backup_files(backup)
    plan = replace(
        plan,
        placements=tuple(place_files(backup, files, plan.layout, plan.staging)),
        folders=tuple(directories(backup, files)),
    )
    _require_whole(plan)
    require_space(plan)
    return plan


def _plan_archive(plan: RestorePlan, archived: BackupDirectory, options: RestoreOptions) -> RestorePlan:
    """The plan for an archive: what an interrupted run has unpacked and recovered is used, or all of it is done."""
    recovered = _recovered(plan)
    if recovered is not None:
        if read_in_progress(plan.source) is None:
            # nothing has left it, so what is staged is of another time that it was unpacked
            plan = replace(plan, unfinished=None, clearing=plan.unfinished or plan.clearing)
        with contextlib.suppress(BackupIncomplete):
            return _plan_files(replace(plan, record=recovered.record), recovered)
    require_recoverable(archived, plan.wanted.source, options.recovery)
    placements = tuple(place_files(archived, backup_files(archived), plan.layout, plan.staging))
    plan = replace(
        plan,
        unpack=True,
        unfinished=None,
        clearing=plan.unfinished or plan.clearing,
        placements=placements,
    )
    require_space_to_unpack(plan, archived)
    return plan


def _recovered(plan: RestorePlan) -> BackupDirectory | None:
    """The wanted backup, unpacked and recovered by a run that was interrupted; None when it is not there."""
    if not state.is_ours(plan.staging.unpacking_place):
        return None
    with contextlib.suppress(XtrabackupError):
        found = read_backup_directory(plan.source, being_moved=True)
        moving = read_in_progress(plan.source)
        same = (found.id, found.source_sha256) == (plan.wanted.id, plan.wanted.source_sha256)
        # files that have left it for a staging place that is gone are lost
        lost = moving is not None and (plan.unfinished is None or not moving.same_restore(plan.wanted))
        unchanged = found.changed is None or moving is not None
        if same and found.state == PREPARED and found.manifest_is_current and unchanged and not lost:
            return found
    return None


def _state(datadir: Path, backup_id: str, now: str) -> dict[str, Any]:
    return {"datadir": str(datadir), "id": backup_id, "state": now}


def _is_ending(there: InProgress | None, staging: Staging, source: Source) -> bool:
    """Returns whether everything is in place and only the clean-up of that run is left: the backup may be half
    removed."""
    published = there is not None and there.phase == PUBLISHING and not staging.root.exists()
    return published and there is not None and there.source == source.location


def _require_usable(backup: BackupDirectory, wanted: InProgress, options: RestoreOptions) -> None:
    moving = read_in_progress(backup.path)
    if moving is not None and not moving.same_restore(wanted):
        raise BackupIncomplete(
            f"{backup.path} is being moved to {moving.datadir}, so it is not whole",
            remedy=f"Run that restore again ({Option('method', 'move')}, to {moving.datadir}); it goes on where "
            "it was.",
            path=str(backup.path),
        )
    if options.preview:
        return
    if backup.state != PREPARED:
        raise NotPrepared(f"{backup.path} is not prepared", path=str(backup.path))
    if wanted.method == MOVE and not backup.manifest_is_current:
        # an interrupted move is taken up again by what the manifest lists
        raise InvalidOption(
            f"{Option('method')}: {backup.path} was prepared by another tool and has no manifest, so it cannot "
            "be moved safely",
            remedy=f"Say {Option('method', 'copy')}.",
            option="method",
        )


def _plan_without_backup(
    source: Source,
    layout: HostLayout,
    staging: Staging,
    restored: Restored,
    there: InProgress | None,
    options: RestoreOptions,
) -> RestorePlan:
    """The backup is gone, or going: right when it was moved here, as the journal tells."""
    moved = restored.method == options.method == MOVE and restored.source == source.location
    if (not moved or (options.request and there is None)) and not source.is_there():
        raise NotABackup(f"{source.location} does not exist", path=source.location)
    require_restored(restored, options.manifest_sha256, Path(source.location))
    after = _state(layout.datadir, restored.id, "restored")
    wanted = InProgress(
        restored.id, restored.manifest_sha256, source.location, str(layout.datadir), restored.method, FILLING
    )
    taken_from = staging.unpacked if there and there.unpacked else Path(source.location)
    plan = RestorePlan(taken_from, layout, staging, restored.backup, wanted, after, changed=False, before=after)
    if not _is_ending(there, staging, source):
        return plan
    return replace(plan, changed=True, unfinished=there, before=_before(layout.datadir, Known(restored, there)))


def _before(datadir: Path, known: Known) -> dict[str, Any]:
    if known.unfinished is not None:
        return _state(datadir, known.unfinished.id, "unfinished")
    if known.restored is not None:
        return _state(datadir, known.restored.id, "restored")
    if not datadir.exists():
        return {"datadir": str(datadir), "state": "absent"}
    return {"datadir": str(datadir), "state": "other" if os.listdir(datadir) else "empty"}


def _require_no_other_restore(plan: RestorePlan, options: RestoreOptions) -> None:
    """Raises TargetNotEmpty when what another restore has brought may not be given up."""
    datadir, unfinished = plan.layout.datadir, plan.clearing
    # what was moved out of an unpacked archive can be had again
    precious = unfinished is not None and unfinished.method == MOVE and not unfinished.unpacked
    if unfinished is not None and (precious or unfinished.phase == PUBLISHING) and not options.force:
        raise TargetNotEmpty(
            f"{datadir}: a restore of the backup {unfinished.id} from {unfinished.source} was interrupted (method "
            f"{unfinished.method}, phase {unfinished.phase})",
            remedy=f"Run that restore again to finish it{Clause(f', or say {FORCE} to give up what it has brought')}.",
            path=str(datadir),
        )
    if plan.unfinished is None and unfinished is None and not options.force:
        plan.journal.require_no_remains(plan.staging)


def _require_whole(plan: RestorePlan) -> None:
    """Raises BackupIncomplete unless every file is there, at its source or already staged, with its size."""
    faults = []
    for placement in plan.placements:
        size = file_size(placement.source)
        if size is None and plan.unfinished is not None:
            size = file_size(placement.staged)
        if size != placement.size:
            faults.append(
                f"{placement.name}: " + ("missing" if size is None else f"{size} bytes instead of {placement.size}")
            )
    if faults:
        raise BackupIncomplete(
            f"{plan.source} is not what its manifest says: {'; '.join(faults[:5])}",
            path=str(plan.source),
            files=faults[:100],
        )
