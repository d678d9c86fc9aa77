# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a prepared backup in place: into staging, all of it, and only then to where the server looks for it.

filling: copy or move every file into its staging place -> make durable -> publishing: put aside what is replaced,
rename files outside the data directory, rename the data directory -> finishing: remove what was replaced, and what is
left of a moved backup -> take the marker of progress away.
A kill at any instant leaves a journal from which the next run goes on. Directories of other accounts in which this
works by path are held for that time.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import BackupIncomplete, StorageError
from ..format.file_kinds import MOVING_NAME, NOT_CONTENT, PART_SUFFIX, RESTORED_NAME
from ..host import below, durable, running, state
from ..host.copying import Copier, CopyTask, run_all
from ..host.held import Holding, Owner, holding, owner_of
from ..progress import Progress
from ..recovery.prepare import PrepareResult, prepare
from ..recovery.run import RecoveryReport
from .events import event_warnings
from .holders import require_unheld
from .host_files import carry_over, make_like
from .labels import relabel
from .markers import COPY, FILLING, MOVE, PUBLISHING, InProgress, Restored, remove_in_progress
from .moved_backup import remove_moved
from .pinned import proven_origin, require_expected_still, restore_origin
from .placement import ASIDE_NAME, Placement, file_size, foreign_entries, publishing_order
from .plan import RestoreOptions, RestorePlan, plan_restore
from .request import CarriedOut, utc_now
from .unpacking import make_unpacking_place, remove_unpacked

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestoreResult:
    """Result of a restore. ``bytes`` that were put in place, ``replaced``: where what was there before is kept,
    ``recovery``: what that of an archive did. ``kept`` and ``dropped``: the host's own files in the data directory."""

    changed: bool
    record: dict[str, Any]
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    replaced: list[str] = field(default_factory=list)
    recovery: RecoveryReport | None = None
    warnings: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def restore(plan: RestorePlan, options: RestoreOptions, progress: Progress) -> RestoreResult:
    """Do what ``plan`` says; returns when the server may be started. See the errors of ``plan_restore``; an error
    while files are brought removes what was brought, one while they are published leaves what the next run needs."""
    if not plan.changed:
        return RestoreResult(False, plan.record)
    started = time.monotonic()
    journal = plan.journal
    restoring = durable.storage_errors("restoring into", plan.layout.datadir)
    with restoring, journal.locked(), holding(journal) as held:
        _hold(plan, held)
        # another job may have been here since the plan was made
        plan = plan_restore(plan.wanted.source, plan.layout, options)
        if not plan.changed:
            return RestoreResult(False, plan.record)
        _hold(plan, held)
        prepared = None
        if plan.unpack:
            prepared = _unpack(plan, options, progress, held)
            plan = _plan_unpacked(plan, options)
            _hold(plan, held)
        elif not plan.wanted.unpacked:
            remove_unpacked(plan.staging)
        _log.info(
            "restoring %s into %s, %d files, %d bytes",
            plan.source,
            plan.layout.datadir,
            len(plan.placements),
            plan.bytes,
        )
        run = _Restore(plan, options, progress, held)
        run.warnings.extend([*plan.replaced.warnings, *event_warnings(plan.record, plan.placements)])
        if prepared is not None:
            run.warnings.extend(prepared.warnings)
        marker = plan.unfinished if plan.unfinished and plan.unfinished.phase == PUBLISHING else run.fill()
        run.publish(marker)
        replaced = run.finish(marker)
    return RestoreResult(
        changed=True,
        record=plan.record,
        files=len(plan.placements),
        bytes=plan.bytes,
        seconds=round(time.monotonic() - started, 3),
        replaced=replaced,
        recovery=prepared.report if prepared else None,
        warnings=run.warnings,
        kept=list(marker.kept),
        dropped=list(marker.dropped),
    )


def _hold(plan: RestorePlan, held: Holding) -> None:
    """Hold every directory in which names are made, changed or removed, and make that of the staging directory."""
    staging, redo = plan.staging, plan.layout.redo_directory
    touched = {staging.root, *(one.final for one in plan.placements if one.outside), *plan.replaced.outside}
    touched |= {redo} if redo is not None and plan.layout.datadir not in redo.parents else set()
    for marker in (plan.unfinished, plan.clearing):
        if marker is not None:
            touched |= {Path(path) for pair in (*marker.aside, *marker.outside) for path in pair}
    directories = {path.parent for path in touched}
    held.hold(directories)
    with durable.storage_errors("creating", staging.root.parent):
        durable.make_directories(staging.root.parent, 0o755)
    held.hold({staging.root.parent})


# --- archives ------------------------------------------------------------------------------------


def _unpack(plan: RestorePlan, options: RestoreOptions, progress: Progress, held: Holding) -> PrepareResult:
    """Unpack and recover an archive on the data directory's file system; an error leaves nothing of it."""
    if plan.clearing is not None:
        # files of another time that it was unpacked must not be mixed with those of this time
        _Restore(plan, options, progress, held).clear(plan.clearing)
    make_unpacking_place(plan.staging)
    wanted = replace(options.recovery, parallel=options.parallel, force=True, own_place=True)
    try:
        return prepare(plan.wanted.source, plan.staging.unpacked, wanted, progress)
    except BaseException:
        with contextlib.suppress(OSError):
            plan.staging.unpacking_place.rmdir()
        raise


def _plan_unpacked(plan: RestorePlan, options: RestoreOptions) -> RestorePlan:
    """Plans the rest of a restore once its archive is unpacked: that may have taken hours, so everything is read
    again."""
    try:
        again = plan_restore(plan.wanted.source, plan.layout, options)
        if again.unpack:
            raise BackupIncomplete(
                f"{plan.source} is not what was unpacked into it",
                remedy="Find out which other program works there, and run the restore again.",
                path=str(plan.source),
            )
    except BaseException:
        remove_unpacked(plan.staging)
        raise
    return again


# --- one run -------------------------------------------------------------------------------------


class _Restore:
    """One run of a restore, in its three steps: fill, publish, finish."""

    def __init__(self, plan: RestorePlan, options: RestoreOptions, progress: Progress, held: Holding) -> None:
        self._plan = plan
        self._options = options
        self._progress = progress
        self._held = held
        self._journal = plan.journal
        self._datadir = plan.layout.datadir
        self._root = plan.staging.root
        self.warnings: list[str] = []

    # -- filling

    def fill(self) -> InProgress:
        """Bring every file into its staging place and make all durable; returns the marker for publishing."""
        plan = self._plan
        if plan.clearing is not None:
            self.clear(plan.clearing)
        elif plan.unfinished is None:
            # what the journal does not know is rubbish: of a run that was killed as it began, or of somebody else
            self._remove_staged()
        outside = tuple((str(one.staged), str(one.final)) for one in self._by_order() if one.outside)
        marker = replace(plan.wanted, outside=outside)
        origin = proven_origin(plan.source)
        try:
            if plan.unfinished is None:
                with durable.storage_errors("creating", self._root):
                    self._root.mkdir(mode=0o700)
            self._journal.note_progress(marker, plan.staging)
            marker.write(self._root)
            if plan.wanted.method == MOVE:
                marker.write(plan.source)
            self._make_directories()
            self._bring_files()
            if plan.wanted.method == COPY:
                require_expected_still(plan.source, plan.wanted.pinned)
            carry_over(marker.kept, self._old_places(), self._root, self._options.ownership)
            with durable.storage_errors("syncing", self._root):
                durable.fsync_tree(self._root)
                for directory in {Path(staged).parent for staged, _final in outside}:
                    durable.fsync_directory(directory)
        except BaseException:
            self._undo(marker, origin)
            raise
        marker = replace(marker, phase=PUBLISHING, aside=tuple(self._asides()))
        marker.write(self._root)
        self._journal.note_progress(marker, plan.staging)
        return marker

    def _old_places(self) -> list[Path]:
        """The data directory, and where an interrupted restore that is given up has put aside what was in it."""
        places = [self._datadir]
        for source, target in self._plan.clearing.aside if self._plan.clearing else ():
            if source == str(self._datadir):
                places.append(Path(target))
            elif Path(source).parent == self._datadir:
                places.append(Path(target).parent)
        return list(dict.fromkeys(places))

    def _by_order(self) -> list[Placement]:
        names = frozenset(path.name for path, _definition in self._plan.layout.data_files)
        return sorted(self._plan.placements, key=lambda one: publishing_order(one.final.name, names))

    def _make_directories(self) -> None:
        ownership = self._options.ownership
        named: set[str] = set()
        for directory in self._plan.layout.named.directories:
            # a server does not make directories for its logs and temporary files itself
            place = directory.relative_to(self._datadir)
            for one in (*reversed(place.parents[:-1]), place):
                named.add(str(one))
                make_like(self._datadir / one, self._root / one, ownership)
        for name in self._plan.folders:
            if name not in named:
                ownership.make_directory(self._root / name)
        redo = self._plan.layout.redo_directory
        if redo is not None and self._datadir in redo.parents:
            self._make_redo_directory(self._root / redo.relative_to(self._datadir))
        for placement in self._plan.placements:
            parent = placement.staged.parent
            if not parent.exists():
                # a directory of this host's layout, inside or outside, that is not there yet
                with durable.storage_errors("creating", parent.parent):
                    durable.make_directories(parent.parent, 0o755)
                ownership.make_directory(parent)
                if placement.outside:
                    self._held.hold({parent})

    def _make_redo_directory(self, path: Path) -> None:
        """MySQL begins a new redo log in an empty directory, and does not start without one."""
        with durable.storage_errors("creating", path.parent):
            durable.make_directories(path.parent, 0o755)
        self._options.ownership.make_directory(path)
        durable.fsync_directory(path.parent)

    def _bring_files(self) -> None:
        placements = self._plan.placements
        waiting = [one for one in placements if file_size(one.staged) != one.size]
        method = self._plan.wanted.method
        self._progress.phase("copying" if method == COPY else "moving", sum(one.size for one in waiting))
        if method == MOVE:
            waiting = [one for one in waiting if not self._renamed(one)]
            staged = [one for one in placements if one not in set(waiting)]
            jobs = [lambda path=one.staged: self._own(path) for one in staged]
            run_all(jobs, self._options.parallel, threading.Event())
        for one in waiting:
            durable.remove_tree(durable.beside(one.staged, PART_SUFFIX))
        copier = Copier(self._options.ownership, self._progress, sync=True)
        tasks = [CopyTask(one.source, one.staged, one.size, one.digest or None, one.root) for one in waiting]
        copier.copy_all(tasks, self._options.parallel)

    def _renamed(self, placement: Placement) -> bool:
        """Move a file by a rename; False when it has to be copied: to another file system, or because it has other
        names, which would be of a file that is the server's now."""
        with durable.storage_errors("moving", placement.source), below.Root(placement.root) as source:
            if source.status(placement.name).st_nlink > 1:
                return False
            try:
                source.move_out(placement.name, placement.staged)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    return False
                raise
        self._progress.advance(placement.size)
        return True

    def _own(self, path: Path) -> None:
        with durable.storage_errors("changing the owner of", path):
            descriptor = below.open_file(path)
            try:
                below.require_no_other_name(os.fstat(descriptor), path)
                self._options.ownership.apply_to_file(descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _undo(self, marker: InProgress, origin: str | None) -> None:
        """Give back what was moved and remove what was copied; what cannot be undone is left for the next run."""
        _log.info("undoing what was brought into %s", self._root)
        with contextlib.suppress(Exception):
            for placement in self._plan.placements:
                moved = marker.method == MOVE and not marker.unpacked
                if moved and not placement.source.exists() and placement.staged.exists():
                    with below.Root(placement.root) as source:
                        source.move_in(placement.staged, placement.name)
                durable.beside(placement.staged, PART_SUFFIX).unlink(missing_ok=True)
                if placement.outside:
                    placement.staged.unlink(missing_ok=True)
            durable.remove_tree(self._root)
            if marker.unpacked:
                remove_unpacked(self._plan.staging)
            elif marker.method == MOVE:
                remove_in_progress(self._plan.source)
                restore_origin(self._plan.source, origin)
            self._journal.end_progress()

    def clear(self, other: InProgress) -> None:
        """Remove what an interrupted restore of something else staged. From now on it is not taken for whole."""
        _log.info("removing what an interrupted restore of %s has left", other.source)
        done = self._journal.being_published()
        if other.phase == PUBLISHING and not os.path.lexists(self._root) and done is not None:
            self._journal.note_restored(done)
        self._journal.note_progress(replace(other, phase=FILLING), self._plan.staging)
        if self._datadir.is_dir():
            remove_in_progress(self._datadir)
        for staged, _final in other.outside:
            for path in (Path(staged), durable.beside(staged, PART_SUFFIX)):
                durable.remove_tree(path)
        self._remove_staged()

    def _remove_staged(self) -> None:
        for placement in self._plan.placements:
            if placement.outside:
                durable.remove_tree(placement.staged)
        durable.remove_tree(self._root)

    def _asides(self) -> list[tuple[str, str]]:
        """(from, to) of everything that is replaced; nothing is where it goes to."""
        suffix = f"{durable.REPLACED_SUFFIX}-{time.strftime('%Y%m%dT%H%M%S')}"
        suffixes = itertools.chain([suffix], (f"{suffix}-{number}" for number in itertools.count(2)))
        found = map(self._asides_named, suffixes)
        return next(one for one in found if not any(map(os.path.lexists, self._aside_places(one))))

    def _aside_places(self, asides: list[tuple[str, str]]) -> set[Path]:
        """Names that come into being when things are put aside."""
        places = {Path(target) for _source, target in asides}
        return places | {place.parent for place in places if place.parent.parent == self._datadir}

    def _asides_named(self, suffix: str) -> list[tuple[str, str]]:
        found = [(str(path), str(durable.beside(path, suffix))) for path in self._plan.replaced.outside]
        names = foreign_entries(self._datadir, self._plan.staging)
        if not names:
            return found
        if self._plan.staging.beside:
            return [*found, (str(self._datadir), f"{self._datadir}{suffix}")]
        keep = self._datadir / f"{ASIDE_NAME}{suffix}"
        return [*found, *((str(self._datadir / name), str(keep / name)) for name in names)]

    # -- publishing: every step may have been done already by a run that was killed

    def publish(self, marker: InProgress) -> None:
        """Give everything its final name. Once staging is gone all this has been done."""
        self._progress.phase("publishing")
        layout = self._plan.layout
        running.require_unused(self._datadir, pid_file=layout.pid_file, server_socket=layout.socket)
        # files were brought for a good while
        require_unheld([Path(source) for source, _target in marker.aside], self._datadir)
        if self._root.exists():
            with durable.storage_errors("publishing", self._datadir):
                for source, target in marker.aside:
                    self._put_aside(Path(source), Path(target))
                for staged, final in marker.outside:
                    if os.path.lexists(staged):
                        os.rename(staged, final)
                for directory in {Path(final).parent for _staged, final in marker.outside}:
                    durable.fsync_directory(directory)
                if layout.redo_directory is not None and self._datadir not in layout.redo_directory.parents:
                    self._make_redo_directory(layout.redo_directory)
                restored = self._restored(marker)
                self._journal.note_progress(marker, self._plan.staging, restored)
                self._own(restored.write(self._root))
                if self._plan.staging.beside:
                    self._publish_beside()
                else:
                    self._publish_inside(marker)
        paths = [self._datadir, *(Path(final) for _staged, final in marker.outside)]
        self.warnings += relabel([*paths, *([layout.redo_directory] if layout.redo_directory else [])])
        self._hand_over()
        done = self._journal.being_published()
        if done is not None:
            self._journal.note_restored(done)

    def _put_aside(self, source: Path, target: Path) -> None:
        # what is at ``source`` once ``target`` exists is ours, from a run that was killed
        if os.path.lexists(source) and not os.path.lexists(target):
            if target.parent != source.parent:
                target.parent.mkdir(mode=0o700, exist_ok=True)
                if not state.is_ours(target.parent):
                    raise StorageError(f"{target.parent} was made by somebody else meanwhile", path=str(target.parent))
            _log.info("putting %s aside as %s", source, target)
            os.rename(source, target)
            durable.fsync_directory(target.parent)

    def _publish_beside(self) -> None:
        """One rename: staging, with the marker of progress in it, becomes the data directory."""
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            # what is in the way was put aside; who owns the directory may have put a link there since
            descriptor = below.open_directory(self._datadir)
            opened.callback(os.close, descriptor)
            for name in NOT_CONTENT:
                os.rmdir(name, dir_fd=descriptor)
        durable.publish(self._root, self._datadir)

    def _publish_inside(self, marker: InProgress) -> None:
        """Entry by entry, the marker of the finished restore last; that of progress is there all the time."""
        marker.write(self._root)
        if (self._datadir / MOVING_NAME).is_dir():
            durable.remove_tree(self._datadir / MOVING_NAME)
        os.rename(self._root / MOVING_NAME, self._datadir / MOVING_NAME)
        names = frozenset(path.name for path, _definition in self._plan.layout.data_files)
        entries = [name for name in os.listdir(self._root) if name not in (RESTORED_NAME, MOVING_NAME)]
        for name in [*sorted(entries, key=lambda name: publishing_order(name, names)), RESTORED_NAME]:
            os.rename(self._root / name, self._datadir / name)
        durable.fsync_directory(self._datadir)
        durable.remove_tree(self._root)
        durable.fsync_directory(self._datadir)

    def _hand_over(self) -> None:
        """Give the data directory itself to its owner: where things are still done in it by path, at the end."""
        ownership, there = self._options.ownership, owner_of(self._datadir)
        uid = there.uid if ownership.uid is None else ownership.uid
        gid = there.gid if ownership.gid is None else ownership.gid
        owner = Owner(uid, gid, self._options.top_mode)
        self._held.leave_as(self._datadir, owner, at_once=self._plan.staging.beside)

    def _restored(self, marker: InProgress) -> Restored:
        plan, now, request = self._plan, utc_now(), marker.request
        requests = marker.requests
        if request is not None:
            backup = marker.origin or marker.source
            done = CarriedOut(request.id, request.sha256, request.created, backup, marker.source_sha256, now)
            requests = (*requests, done)
        return Restored(
            id=plan.wanted.id,
            manifest_sha256=plan.wanted.source_sha256,
            source=plan.wanted.source,
            # an archive stays where it is, as if it had been copied
            method=COPY if plan.wanted.unpacked else plan.wanted.method,
            finished_at=now,
            backup={**plan.record, "path": str(self._datadir)},
            request=request.id if request else "",
            requests=requests,
            outside=tuple(final for _staged, final in marker.outside),
            pinned=marker.pinned,
        )

    # -- the end

    def finish(self, marker: InProgress) -> list[str]:
        """Remove what was replaced and the rest of a moved backup; returns where replaced data is kept."""
        self._progress.phase("finishing")
        kept = []
        for _source, target in marker.aside:
            if self._options.keep_replaced:
                kept.append(target)
            else:
                durable.remove_tree(target)
        for directory in {Path(target).parent for _source, target in marker.aside}:
            if directory.name.startswith(ASIDE_NAME):
                with contextlib.suppress(OSError):
                    directory.rmdir()
        if marker.unpacked:
            remove_unpacked(self._plan.staging)
        elif marker.method == MOVE and self._plan.source.is_dir():
            self.warnings += remove_moved(self._plan.source)
        remove_in_progress(self._datadir)
        self._journal.end_progress()
        return kept
