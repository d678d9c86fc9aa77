# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a restore replaces, files that it leaves where they are, and host files, which outlive the data.

Outside the data directory a MySQL server looks for tablespaces in places that may hold those of other servers, too. A
file there is replaced when the replaced server knows it; whether another one uses it is asked of processes and of the
dictionaries of running servers.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Clause, Option, TargetNotEmpty, TargetUnsafe, UnsafeFile
from ..format.file_kinds import DATA_SUFFIX, DICTIONARY_NAME, MYSQL_UNDO_SUFFIX, RESTORED_NAME
from ..host import below
from .holders import dictionary_of, named_in, require_unclaimed, require_unheld
from .host_files import dropped_identity, host_files, require_no_clash
from .layout import HostLayout
from .markers import Restored
from .placement import Placement, Staging, foreign_entries, looks_like_datadir

_WHATEVER_FORCE = Clause(f", {Option('force')} or not")
_SPACE_ID = struct.Struct(">I")
_SPACE_ID_OFFSET = 34  # in the header of page 0


@dataclass(frozen=True)
class Replaced:
    """``outside``: files and directories elsewhere that are replaced; ``unknown``: tablespaces that this host's
    server would look at, which are not those of the replaced data, and stay. ``kept`` and ``dropped``: the host's own
    files in the data directory, by their paths in it."""

    outside: tuple[Path, ...] = ()
    unknown: tuple[Path, ...] = ()
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def before(self) -> dict[str, Any]:
        """The host's own files before the restore, for diff mode; nothing when there are none."""
        return {"configuration": sorted((*self.kept, *self.dropped))} if self.kept or self.dropped else {}

    @property
    def after(self) -> dict[str, Any]:
        """Those after it."""
        return {"configuration": list(self.kept)} if self.kept or self.dropped else {}

    @property
    def warnings(self) -> list[str]:
        """Warnings for the operator."""
        if not self.unknown:
            return []
        named = ", ".join(map(str, self.unknown[:5]))
        more = f" and {len(self.unknown) - 5} more" if len(self.unknown) > 5 else ""
        why = "tablespaces where this server looks for its own, which the replaced data did not know"
        return [f"{named}{more}: {why}; they stay where they are"]


def require_replaceable(
    layout: HostLayout, staging: Staging, unproven: Restored | None, *, begun: bool, force: bool
) -> None:
    """Raises TargetNotEmpty or TargetUnsafe when something is in the way that may not be replaced. What is the host's
    own is in nobody's way. ``unproven``: what the data directory's marker says and this host does not know; ``begun``:
    this host knows of a restore that was interrupted there."""
    datadir = layout.datadir
    in_the_way = _in_the_way(layout, staging)
    outside = [str(path) for path in layout.existing_outside()]
    if not in_the_way and not outside:
        return
    if not force:
        _raise_not_empty(datadir, [*in_the_way, *outside], unproven)
    unlike = unlike_a_datadir(layout, staging, begun=begun)
    if unlike:
        raise TargetUnsafe(
            f"{datadir} does not look like a data directory ({', '.join(unlike[:5])}), so it is not replaced"
            f"{_WHATEVER_FORCE}",
            remedy="Remove by hand what is in it, if it may go, or name another directory.",
            path=str(datadir),
        )


def unlike_a_datadir(layout: HostLayout, staging: Staging, *, begun: bool) -> list[str]:
    """Returns names of what is in the way in a directory that is no data directory, and so is never replaced."""
    in_the_way = _in_the_way(layout, staging)
    return [] if begun or looks_like_datadir(layout.datadir) else in_the_way


def find_replaced(
    layout: HostLayout,
    staging: Staging,
    placements: Collection[Placement],
    known: Iterable[str],
    rescued: Iterable[str],
    *,
    force: bool,
) -> Replaced:
    """Returns what the restore of ``placements`` replaces. ``known``: files outside that earlier restores have put
    there; ``rescued``: the host's own files that a restore which is given up was to keep.

    Raises TargetNotEmpty, TargetUnsafe, FileInUse and InvalidOption when it must not; changes nothing.
    """
    datadir = layout.datadir
    finals = {one.final for one in placements if one.outside}
    shared = layout.shared_outside()
    existing = set(layout.existing_outside())
    # where a directory holds the data directory, only what has its place there is looked at
    more = {path for path in finals - existing if os.path.lexists(path)}
    if more and not force:
        _raise_not_empty(datadir, sorted(map(str, more)))
    ours = _ours(layout, shared | more, finals, known)
    unknown = (shared | more) - ours
    outside = sorted((existing | more) - unknown)
    foreign = foreign_entries(datadir, staging)
    require_unheld([*outside, *unknown, *(datadir / name for name in foreign)], datadir)
    require_unclaimed(outside, datadir)
    _require_no_conflict(unknown, finals, placements, datadir)
    kept = sorted({*(host_files(layout) if foreign else ()), *rescued})
    require_no_clash(kept, {one.final: one.name for one in placements}, datadir)
    dropped = dropped_identity(layout) if foreign else []
    return Replaced(tuple(outside), tuple(sorted(unknown)), tuple(kept), tuple(dropped))


def _raise_not_empty(datadir: Path, named: list[str], unproven: Restored | None = None) -> None:
    why = ""
    if unproven is not None:
        why = (
            f". {datadir / RESTORED_NAME} says that they were restored from {unproven.source}, and is not believed: "
            "this host has no record of that restore"
        )
    raise TargetNotEmpty(
        f"{datadir} holds data that is not this backup: {', '.join(named[:5])}"
        + (f" and {len(named) - 5} more" if len(named) > 5 else "")
        + why,
        path=str(datadir),
        entries=named[:100],
    )


def _in_the_way(layout: HostLayout, staging: Staging) -> list[str]:
    """Names in the data directory of what is neither the host's own nor an empty directory that it wants there."""
    datadir = layout.datadir
    names = foreign_entries(datadir, staging)
    if not names:
        return []
    kept = {datadir / name for name in host_files(layout)}
    passable = {parent for path in (*layout.named.directories, *kept) for parent in (path, *path.parents)}

    def harmless(path: Path) -> bool:
        if path in kept:
            return True
        if path not in passable or path.is_symlink() or not path.is_dir():
            return False
        return all(harmless(Path(entry.path)) for entry in os.scandir(path))

    return [name for name in names if not harmless(datadir / name)]


def _ours(layout: HostLayout, shared: set[Path], finals: set[Path], known: Iterable[str]) -> set[Path]:
    """Those of the tablespaces ``shared`` that are the replaced server's."""
    if not shared:
        return set()
    dictionary = dictionary_of(layout.datadir, layout.log_group_home_dir)
    ours = named_in(dictionary, shared) | (shared & {Path(name) for name in known})
    # with the dictionary gone nobody can tell: what is at the very place of a table of the backup was that table
    gone = layout.datadir / DICTIONARY_NAME not in dictionary
    return ours | (shared & finals) if gone else ours


def _require_no_conflict(
    unknown: set[Path], finals: set[Path], placements: Collection[Placement], datadir: Path
) -> None:
    """Raises TargetUnsafe, or FileInUse where a server is known to need it, for a file of another server with the place
    or the tablespace id of a file of the backup: MySQL does not start when it finds two files with one id."""
    found = {path: f"it is where {path.name} of the backup belongs" for path in unknown & finals}
    ids = {_space_id(path): path for path in unknown}
    ids.pop(None, None)
    for one in placements if ids else ():
        if one.name.endswith((DATA_SUFFIX, MYSQL_UNDO_SUFFIX)):
            path = ids.get(_space_id(one.source) or _space_id(one.staged))
            if path is not None:
                found.setdefault(path, f"it has the tablespace id of {one.name} of the backup")
    require_unclaimed(found, datadir)
    if found:
        path, reason = min(found.items())
        raise TargetUnsafe(
            f"{path} is in the way: {reason}, and the data in {datadir}, which are to be replaced, do not know it",
            remedy="Move it away by hand if nobody needs it; or take its directory out of innodb_directories, and give "
            "each server directories of its own.",
            path=str(path),
            files=sorted(map(str, found)),
        )


def _space_id(path: Path) -> int | None:
    """The tablespace id in page 0 of a file, None when there is none, as in the undo tablespace of a dead server."""
    with contextlib.suppress(OSError, UnsafeFile):
        descriptor = below.open_file(path)
        try:
            data = os.pread(descriptor, _SPACE_ID.size, _SPACE_ID_OFFSET)
        finally:
            os.close(descriptor)
        if len(data) == _SPACE_ID.size:
            return int(_SPACE_ID.unpack(data)[0]) or None
    return None
