# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore has to do: what is wanted against what is there, an interrupted run included; changes nothing."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import durable
from ..errors import (
    BackupIncomplete,
    DiskFull,
    InvalidOption,
    MissingProgram,
    NotABackup,
    NotPrepared,
    TargetNotEmpty,
    UnsupportedServer,
    XtrabackupError,
)
from ..recovery.backup_directory import (
    PREPARED,
    BackupDirectory,
    read_archived_backup,
    read_backup_directory,
    walk_files,
)
from ..recovery.prepare import PrepareOptions, require_recoverable
from ..recovery.program import find_server
from ..recovery.providers import require_for_restore
from . import running
from .copying import Ownership
from .layout import Layout
from .markers import FILLING, PUBLISHING, InProgress, Restored, read_in_progress, read_restored
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

COPY = "copy"
MOVE = "move"

_SPACE_MARGIN = 16 << 20
_RECOVERY_MARGIN = 96 << 20  # a new redo log of the smallest size, and pages that recovery adds


@dataclass(frozen=True)
class RestoreOptions:
    """How to restore. ``ownership`` of what is written, ``top_mode`` of the data directory itself; ``force``: replace a
    data directory that holds something else; ``keep_replaced``: keep that under another name. ``recovery``: how an
    archive is decrypted and recovered. ``manifest_sha256``: the backup must be this one; "" for any. ``request`` that
    asks for it. ``origin``: the backup that the source was, or will be, prepared from. ``look_ahead``: only tell; that
    the backup will be prepared, and the server stopped, is taken for granted."""

    method: str = COPY
    ownership: Ownership = field(default_factory=Ownership)
    top_mode: int = 0o700
    force: bool = False
    keep_replaced: bool = False
    parallel: int = 2
    recovery: PrepareOptions = field(default_factory=PrepareOptions)
    manifest_sha256: str = ""
    request: Request | None = None
    origin: Path | None = None
    look_ahead: bool = False


@dataclass(frozen=True)
class RestorePlan:
    """What is there and what is to be done.

    ``source``: the directory that files are taken from, which for an archive is that which it is unpacked into;
    ``unpack``: that has to be done first. ``unfinished``: the marker of an interrupted run of this very restore, which
    is taken up again; ``clearing``: that of another one, whose rest is removed first. ``replaced``: what it takes the
    place of. ``before`` and ``after``: for diff mode.
    """

    source: Path
    layout: Layout
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
    def bytes(self) -> int:
        """Bytes that will be put in place; 0 when an interrupted run has only renames left."""
        return sum(placement.size for placement in self.placements)


def plan_restore(src: Path, layout: Layout, options: RestoreOptions) -> RestorePlan:
    """Look at the backup and at this host; nothing is changed.

    Raises what a restore would raise before it starts: TargetUnsafe, NotABackup, NotPrepared, BackupIncomplete,
    ServerRunning, FileInUse, TargetNotEmpty, InvalidOption, DiskFull, BackupMismatch, RequestError; for an archive
    StreamError, DecryptionFailed, MissingProgram, UnsupportedServer, too.
    """
    staging = choose_staging(layout.datadir)
    restored = read_restored(layout.datadir)
    there = read_in_progress(staging.root) or read_in_progress(layout.datadir)
    wanted_source = Path(os.path.abspath(src))
    source = _chosen_source(wanted_source, there, options)
    for place in dict.fromkeys((source, wanted_source)):
        require_safe(layout.datadir, place, layout)
    if options.parallel < 1:
        raise InvalidOption(f"parallel: {options.parallel} is not a number of files", option="parallel")
    history = restored.requests if restored else ()
    if restored and options.request and (there is None or there.request != options.request):
        done = find_carried_out(options.request, history)
        if done is not None:
            return _plan_carried_out(source, layout, staging, restored, done)
    if restored and (not source.exists() or _is_ending(there, staging, source)):
        return _plan_without_backup(source, layout, staging, restored, there, options)
    archived = source.is_file()
    backup = read_archived_backup(source, staging.unpacked) if archived else _read_source(source)
    wanted = InProgress(
        backup.id,
        backup.source_sha256,
        str(source),
        str(layout.datadir),
        MOVE if archived else options.method,
        FILLING,
        unpacked=str(staging.unpacked) if archived else "",
        request=options.request,
        origin=str(options.origin or ""),
        requests=history,
        pinned=options.manifest_sha256,
    )
    if archived or wanted.method != MOVE or not was_pinned(there, wanted):
        require_expected(backup, options.manifest_sha256, source)
    if not archived:
        _require_usable(backup, wanted, options)
    _require_providers(backup, layout, options)
    after = _state(layout.datadir, backup.id, "restored")
    plan = RestorePlan(backup.path, layout, staging, backup.record, wanted, after)
    same = restored and (restored.id, restored.manifest_sha256) == (backup.id, backup.source_sha256)
    # what a request wants is the backup's state, and the server has written since
    if restored and same and there is None and options.request is None:
        return replace(plan, changed=False, before=plan.after, record=restored.backup if archived else backup.record)
    if not options.look_ahead:
        running.require_unused(layout.datadir, pid_file=layout.pid_file, server_socket=layout.socket)
    plan = replace(plan, before=_before(layout.datadir, restored, there))
    if there is not None and there.same_restore(wanted):
        plan = replace(plan, unfinished=there)
        if there.phase == PUBLISHING:
            recovered = _recovered(plan) if archived else None
            return replace(plan, record=recovered.record) if recovered else plan
    else:
        plan = replace(plan, clearing=there)
    _require_no_other_restore(plan, options)
    require_replaceable(layout, staging, force=options.force)
    if options.look_ahead and (backup.state != PREPARED or wanted_source != source):
        plan = _plan_unprepared(plan, backup, wanted_source, options)
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


def _require_providers(backup: BackupDirectory, layout: Layout, options: RestoreOptions) -> None:
    """Raises MissingProgram when the server of this host cannot read, or does not load what it takes to read, the
    compressed pages of the backup. Where no server is installed yet, nobody can tell."""
    providers = backup.providers()
    program = None
    if providers.needed:
        with contextlib.suppress(MissingProgram, UnsupportedServer):
            program = find_server(options.recovery.server_program, backup.flavor)
    if program is not None:
        require_for_restore(program, providers, None if layout.plugins is None else dict(layout.plugins))


def _chosen_source(source: Path, there: InProgress | None, options: RestoreOptions) -> Path:
    """``source``; when looking ahead, its origin as long as ``source`` is not made from it."""
    if not options.look_ahead or options.origin is None:
        return source
    if there is not None and there.source == str(source) and there.request == options.request:
        return source
    with contextlib.suppress(XtrabackupError):
        found = read_backup_directory(source)
        if found.state == PREPARED and options.manifest_sha256 in ("", *found.pins):
            return source
    return Path(os.path.abspath(options.origin))


def _plan_carried_out(
    source: Path, layout: Layout, staging: Staging, restored: Restored, done: CarriedOut
) -> RestorePlan:
    """Nothing is to be done for a request that was carried out, whether or not its data are still the latest."""
    state = _state(layout.datadir, restored.id, "restored")
    wanted = InProgress(done.id, done.manifest_sha256, str(source), str(layout.datadir), restored.method, FILLING)
    return RestorePlan(
        source, layout, staging, restored.backup, wanted, state, changed=False, before=state, carried_out=done
    )


def _plan_unprepared(plan: RestorePlan, backup: BackupDirectory, src: Path, options: RestoreOptions) -> RestorePlan:
    """What is known of a backup that will be prepared into ``src`` first. Raises what is known to keep it from that."""
    require_recoverable(backup, Path(plan.wanted.source), options.recovery)
    plan = replace(plan, placements=tuple(place_files(backup, backup_files(backup), plan.layout, plan.staging)))
    device = _nearest(plan.layout.datadir).stat().st_dev
    places = {_nearest(src).stat().st_dev: src, device: plan.layout.datadir}
    if str(src) == plan.wanted.source:
        places.pop(_nearest(src).stat().st_dev, None)  # in place
    for place in places.values():
        _require_room(_nearest(place), plan.bytes + _RECOVERY_MARGIN, len(plan.placements))
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
    _require_space(plan)
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
    require_recoverable(archived, Path(plan.wanted.source), options.recovery)
    placements = tuple(place_files(archived, backup_files(archived), plan.layout, plan.staging))
    plan = replace(
        plan,
        unpack=True,
        unfinished=None,
        clearing=plan.unfinished or plan.clearing,
        placements=placements,
    )
    _require_space_to_unpack(plan, archived)
    return plan


def _recovered(plan: RestorePlan) -> BackupDirectory | None:
    """The wanted backup, unpacked and recovered by a run that was interrupted; None when it is not there."""
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


def _state(datadir: Path, backup_id: str, state: str) -> dict[str, Any]:
    return {"datadir": str(datadir), "id": backup_id, "state": state}


def _is_ending(there: InProgress | None, staging: Staging, source: Path) -> bool:
    """Whether everything is in place and only the clean-up of that run is left: the backup may be half removed."""
    published = there is not None and there.phase == PUBLISHING and not staging.root.exists()
    return published and there is not None and there.source == str(source)


def _read_source(source: Path) -> BackupDirectory:
    if not source.exists():
        raise NotABackup(f"{source} does not exist", path=str(source))
    return read_backup_directory(source, being_moved=True)


def _require_usable(backup: BackupDirectory, wanted: InProgress, options: RestoreOptions) -> None:
    moving = read_in_progress(backup.path)
    if moving is not None and not moving.same_restore(wanted):
        raise BackupIncomplete(
            f"{backup.path} is being moved to {moving.datadir}, so it is not whole",
            remedy=f"Run that restore again (method: move, to {moving.datadir}); it goes on where it was.",
            path=str(backup.path),
        )
    if options.look_ahead:
        return
    if backup.state != PREPARED:
        raise NotPrepared(f"{backup.path} is not prepared", path=str(backup.path))
    if wanted.method == MOVE and not backup.manifest_is_current:
        # an interrupted move is taken up again by what the manifest lists
        raise InvalidOption(
            f"method: {backup.path} was prepared by another tool and has no manifest, so it cannot be moved safely",
            remedy="Say method: copy.",
            option="method",
        )


def _plan_without_backup(
    source: Path,
    layout: Layout,
    staging: Staging,
    restored: Restored,
    there: InProgress | None,
    options: RestoreOptions,
) -> RestorePlan:
    """The backup is gone, or going: right when it was moved here, as the marker tells."""
    moved = restored.method == options.method == MOVE and restored.source == str(source)
    if (not moved or (options.request and there is None)) and not source.exists():
        raise NotABackup(f"{source} does not exist", path=str(source))
    require_restored(restored, options.manifest_sha256, source)
    state = _state(layout.datadir, restored.id, "restored")
    wanted = InProgress(
        restored.id, restored.manifest_sha256, str(source), str(layout.datadir), restored.method, FILLING
    )
    taken_from = Path(there.unpacked) if there and there.unpacked else source
    plan = RestorePlan(taken_from, layout, staging, restored.backup, wanted, state, changed=False, before=state)
    if there is None:
        return plan
    return replace(plan, changed=True, unfinished=there, before=_before(layout.datadir, restored, there))


def _before(datadir: Path, restored: Restored | None, unfinished: InProgress | None) -> dict[str, Any]:
    if unfinished is not None:
        return {"datadir": str(datadir), "id": unfinished.id, "state": "unfinished"}
    if restored is not None:
        return {"datadir": str(datadir), "id": restored.id, "state": "restored"}
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
            remedy="Run that restore again to finish it, or say force: true to give up what it has brought.",
            path=str(datadir),
        )


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


def _require_space(plan: RestorePlan) -> None:
    """Raises DiskFull when a file system has not room, or inodes, for what will be written to it."""
    needs: dict[int, tuple[Path, int, int]] = {}
    for placement in plan.placements:
        if not _to_be_written(plan, placement):
            continue
        place = _nearest(placement.staged.parent)
        device = place.stat().st_dev
        _place, size, count = needs.get(device, (place, 0, 0))
        stored = min(placement.size, placement.source.stat().st_blocks * 512)
        needs[device] = place, size + stored, count + 1
    for place, size, count in needs.values():
        _require_room(place, size + _SPACE_MARGIN, count)


def _require_space_to_unpack(plan: RestorePlan, archived: BackupDirectory) -> None:
    """Raises DiskFull when an archive cannot be unpacked and recovered, or what belongs elsewhere has no room there."""
    unpacked = _nearest(plan.source.parent)
    device = unpacked.stat().st_dev
    # what an earlier run has left is removed first
    left = sum(_stored(path) for path in plan.staging.unpacking())
    margin = _SPACE_MARGIN if archived.state == PREPARED else _RECOVERY_MARGIN
    total = sum(entry.size for entry in archived.manifest.files) if archived.manifest else 0
    _require_room(unpacked, total + margin - left, len(plan.placements))
    elsewhere: dict[int, tuple[Path, int, int]] = {}
    for placement in plan.placements:
        place = _nearest(placement.staged.parent)
        if place.stat().st_dev != device:
            _place, size, count = elsewhere.get(place.stat().st_dev, (place, 0, 0))
            elsewhere[place.stat().st_dev] = place, size + placement.size, count + 1
    for place, size, count in elsewhere.values():
        _require_room(place, size + _SPACE_MARGIN, count)


def _stored(path: Path) -> int:
    """Bytes that a file, or all files of a directory, take of their file system."""
    statuses = [status for _name, status in walk_files(path)] if path.is_dir() else [path.lstat()]
    return sum(status.st_blocks * 512 for status in statuses)


def _require_room(place: Path, size: int, count: int) -> None:
    """Raises DiskFull unless the file system of ``place`` has ``size`` bytes and ``count`` inodes to spare."""
    durable.require_space(place, size, "the restored data")
    free = os.statvfs(place)
    if free.f_files and free.f_favail < count:
        raise DiskFull(
            f"the restored data has {count} files, and the file system of {place} has {free.f_favail} free inodes",
            remedy="Choose a file system with more inodes; nothing was written.",
            path=str(place),
        )


def _to_be_written(plan: RestorePlan, placement: Placement) -> bool:
    """Whether the file takes room: not when it is staged already, nor when it only gets another name."""
    if plan.unfinished is not None and file_size(placement.staged) == placement.size:
        return False
    if plan.wanted.method == MOVE:
        return placement.source.stat().st_dev != _nearest(placement.staged.parent).stat().st_dev
    return True


def _nearest(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
