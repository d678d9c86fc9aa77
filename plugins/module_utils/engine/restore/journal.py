# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journal of the restores into a data directory, kept by this user where nobody else writes.

The same is written into the data directory and the staging directory, for people and for other hosts; that is a hint.
Paths of a journal are those that this code makes for this data directory, or the journal is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FORCE, Clause, FormatError, RequestError, RequestExpired, RequestUnproven, TargetNotEmpty
from ..format.file_kinds import MOVING_NAME, RESTORED_NAME, STAGED_SUFFIX
from ..host import durable
from ..host.journal import ACCEPTED, IN_PROGRESS, RESTORED, Identity, Journal
from .markers import (
    MOVE,
    PUBLISHING,
    InProgress,
    Restored,
    in_progress_from,
    read_in_progress,
    read_restored_document,
    restored_from,
)
from .placement import ASIDE_NAME, Staging
from .request import CarriedOut, Request, find_carried_out

_ASIDE_SUFFIX = rf"{re.escape(durable.REPLACED_SUFFIX)}-\d{{8}}T\d{{6}}(?:-\d+)?"
_KEEP_NAME = re.compile(re.escape(ASIDE_NAME) + _ASIDE_SUFFIX)
_ANY_SUFFIX = re.compile(rf".*({_ASIDE_SUFFIX})", re.DOTALL)


@dataclass(frozen=True)
class Known:
    """Restores that are known of a data directory: ``restored``: the one that its data come from; ``unfinished``: the
    one that was interrupted."""

    restored: Restored | None
    unfinished: InProgress | None

    @property
    def requests(self) -> tuple[CarriedOut, ...]:
        """Those that were carried out here, oldest first."""
        if self.restored is not None:
            return self.restored.requests
        return self.unfinished.requests if self.unfinished is not None else ()


class RestoreJournal(Journal):
    """The journal of one data directory, with the two markers as its notes."""

    def known(self, staging: Staging) -> Known:
        """Returns what is known, as far as it is about the directories that are there. Raises FormatError,
        StorageError."""
        unfinished = self._unfinished(staging)
        if unfinished is None or unfinished.phase != PUBLISHING:
            return Known(self.restored(), unfinished)
        if not os.path.lexists(staging.root):
            return Known(self.being_published() or self.restored(), unfinished)
        # in a directory that stays the same one, the old note would be believed of half a restore
        return Known(self.restored() if staging.beside else None, unfinished)

    def restored(self) -> Restored | None:
        """The restore that the data come from, when this user knows of it; raises FormatError, StorageError."""
        hint = self._hint()
        if hint is None:
            return None
        where = str(self.datadir / RESTORED_NAME)
        known = self.proven(hint)
        if known is not None:
            return restored_from(known, where)
        return restored_from(hint, where) if self._is_own(self.datadir, RESTORED_NAME) else None

    def unproven(self) -> Restored | None:
        """Returns what the marker in the data directory says, None where this user's journal knows the restore; raises
        FormatError."""
        hint = self._hint()
        if hint is None or self.restored() is not None:
            return None
        return restored_from(hint, str(self.datadir / RESTORED_NAME))

    def _hint(self) -> dict[str, Any] | None:
        try:
            return read_restored_document(self.datadir)
        except FormatError as error:
            marker = shlex.quote(str(self.datadir / RESTORED_NAME))
            error.remedy = f"Remove it (rm -r {marker}): then the data count as data that nobody has restored here."
            raise

    def _unfinished(self, staging: Staging) -> InProgress | None:
        note = self.read(IN_PROGRESS)
        if note is None:
            own = [place for place in (staging.root, self.datadir) if self._is_own(place, MOVING_NAME)]
            return read_in_progress(own[0]) if own else None
        marker = self._marker_of(note)
        root, datadir = Identity.of(staging.root), Identity.of(self.datadir)
        if root is not None:
            # numbers of inodes are used again, and those of devices change; nobody else writes a marker in it
            same = root.ours and root.inode == note.get("inode")
            moved_on = marker.phase == PUBLISHING and not staging.beside and _says(self.datadir, marker)
            return marker if same and (moved_on or _says(staging.root, marker)) else None
        if marker.phase != PUBLISHING or datadir is None or not _says(self.datadir, marker):
            return None
        published = note.get("inode") if staging.beside else (note.get("target") or {}).get("inode")
        return marker if datadir.inode == published else None

    def note_progress(self, marker: InProgress, staging: Staging, restored: Restored | None = None) -> None:
        """Note, durably, how far the restore is whose staging directory is there; ``restored``: what it becomes.
        Raises StorageError."""
        root, datadir = Identity.of(staging.root), Identity.of(self.datadir)
        self.write(
            IN_PROGRESS,
            {
                **(root.as_dict() if root else {}),
                "target": datadir.as_dict() if datadir else None,
                "restore": marker.as_document(),
                "restored": restored.as_document() if restored else None,
            },
        )

    def being_published(self) -> Restored | None:
        """Returns what the restore that is being published becomes; raises FormatError."""
        note = self.read(IN_PROGRESS)
        found = note.get("restored") if note else None
        return restored_from(found, str(self.directory / IN_PROGRESS)) if found else None

    def note_restored(self, restored: Restored) -> None:
        """Note, durably, that the data directory holds what was restored. Raises StorageError."""
        place = Identity.of(self.datadir)
        self.write(RESTORED, {**(place.as_dict() if place else {}), "restored": restored.as_document()})
        self.remove(ACCEPTED)

    def end_progress(self) -> None:
        """The restore has ended, or was undone. Raises StorageError."""
        self.remove(IN_PROGRESS)

    def require_proven(self, request: Request) -> None:
        """Raises RequestUnproven when the marker in the data directory, of which this user knows nothing, speaks
        against carrying out ``request``."""
        hint = self.unproven()
        if hint is None:
            return
        marker = self.datadir / RESTORED_NAME
        try:
            done = find_carried_out(request, hint.requests)
            said = f"the request {request.id} was carried out here at {done.finished_at}" if done else ""
        except RequestExpired:
            raise
        except RequestError as error:
            said = error.message
        if said:
            raise RequestUnproven(
                f"{marker} says that {said}, and uid {os.geteuid()} knows nothing of that restore on this host",
                remedy=f"If the data did not come from that restore, remove the marker: rm {shlex.quote(str(marker))}. "
                f"If they did, vouch for it: {self._vouching(marker)}",
                path=str(marker),
                request=request.id,
            )

    def require_no_remains(self, staging: Staging) -> None:
        """Raises TargetNotEmpty when files that were moved away from a backup may be in a staging directory that this
        user knows nothing of."""
        try:
            hint = read_in_progress(staging.root)
            precious = hint is not None and hint.method == MOVE and not hint.unpacked
        except FormatError:
            precious = True
        if precious:
            raise TargetNotEmpty(
                f"{staging.root} may hold files that an interrupted restore moved there from a backup, and uid "
                f"{os.geteuid()} knows nothing of that restore on this host",
                remedy="Move what is needed back into that backup, or "
                f"{Clause(f'say {FORCE} to remove it', 'remove it yourself')}.",
                path=str(staging.root),
            )

    def _vouching(self, marker: Path) -> str:
        place = shlex.quote(str(self.directory))
        return f"mkdir -p -m 700 {place} && install -m 600 {shlex.quote(str(marker))} {place}/{ACCEPTED}"

    def _marker_of(self, note: dict[str, object]) -> InProgress:
        """The marker in a note, with the paths that this code gives to this data directory; raises FormatError."""
        where = str(self.directory / IN_PROGRESS)
        found = note.get("restore")
        marker = in_progress_from(found if isinstance(found, dict) else {}, where)
        right = marker.datadir == str(self.datadir)
        right = right and all(Path(staged) == durable.beside(final, STAGED_SUFFIX) for staged, final in marker.outside)
        if not right or not all(self._is_aside(Path(old), Path(new)) for old, new in marker.aside):
            raise FormatError(
                f"{where} names places that no restore into {self.datadir} makes",
                remedy="Find out who wrote it, and remove it.",
                path=where,
            )
        return marker

    def _is_aside(self, source: Path, target: Path) -> bool:
        """Returns whether a restore puts ``source`` aside as ``target``."""
        if source.parent == self.datadir:
            keep = target.parent
            return keep.parent == self.datadir and bool(_KEEP_NAME.fullmatch(keep.name)) and target.name == source.name
        suffix = _ANY_SUFFIX.fullmatch(target.name)
        if suffix is None:
            return False
        plain = source == self.datadir and str(target) == f"{source}{suffix[1]}"
        return plain or target == durable.beside(source, suffix[1])

    def _is_own(self, directory: Path, name: str) -> bool:
        """Returns whether the marker was written by this user, who is not root, into a directory of his own: what he
        says of his own data he may believe."""
        if os.geteuid() == 0:
            return False
        with contextlib.suppress(OSError):
            owners = {os.lstat(directory).st_uid, os.lstat(directory / name).st_uid}
            return owners == {os.geteuid()}
        return False


def _says(directory: Path, marker: InProgress) -> bool:
    """Returns whether the marker in ``directory`` is of that restore."""
    try:
        hint = read_in_progress(directory)
    except FormatError:
        return False
    return hint is not None and hint.same_restore(marker)
