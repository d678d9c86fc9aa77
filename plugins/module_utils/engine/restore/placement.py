# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement of a backup's files on this host, through a staging directory. Only reads; changes nothing."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidOption, TargetUnsafe
from ..format import file_kinds
from ..format.file_kinds import (
    DATADIR_SIGNS,
    INDEX_SUFFIX,
    MARIADB_REDO,
    MOVING_NAME,
    NOT_CONTENT,
    REDO_DIRECTORY,
    RESTORED_NAME,
    STAGED_SUFFIX,
    is_left_behind,
)
from ..host import durable
from ..recovery.backup_directory import BackupDirectory, walk_files
from ..recovery.families import recovery_family_of
from ..recovery.foreign_files import is_foreign, require_no_foreign_files
from .layout import HostLayout

INNER_STAGING_NAME = ".xtrabackup-restore"
INNER_LOCK_NAME = ".xtrabackup-restore.lock"
"""Of a lock that earlier versions had in a data directory."""
UNPACKED_SUFFIX = ".xtrabackup-unpacked"
"""Of the directory of ours in which an archive is unpacked and recovered; in a data directory, its name."""
ASIDE_NAME = ".xtrabackup"
"""Of the directory in a mount point that takes what is replaced; a suffix follows."""

_UNPACKED_NAME = "backup"

#: entries of a data directory that are nobody's data
IGNORED_ENTRIES = NOT_CONTENT | {INNER_LOCK_NAME}

# signs of a data directory, or of a restore into one: only what has one of them is ever replaced
_SIGNS = DATADIR_SIGNS | {RESTORED_NAME, MOVING_NAME}

# directories that hold other things than one server's data
_SYSTEM = {
    f"/{name}"
    for name in (
        "", "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run", "sbin",
        "srv", "sys", "tmp", "usr", "usr/bin", "usr/lib", "usr/lib64", "usr/local", "usr/sbin", "usr/share", "var",
        "var/backups", "var/cache", "var/lib", "var/log", "var/run", "var/spool", "var/tmp",
    )
}  # fmt: skip


@dataclass(frozen=True)
class Placement:
    """One file: its path in the backup, where it is staged, where it belongs. ``size`` in bytes; ``digest`` may be "".

    ``outside``: it belongs outside the data directory, so it is renamed on its own at the end.
    """

    name: str
    source: Path
    staged: Path
    final: Path
    size: int
    digest: str
    outside: bool

    @property
    def root(self) -> Path:
        """The directory of the backup, below which the source is."""
        return self.source.parents[self.name.count("/")]


@dataclass(frozen=True)
class Staging:
    """Staging directory, in which files wait until all are there. ``beside``: next to the data directory, which it then
    becomes with one rename; otherwise in it, and each entry is renamed (a mount point cannot be replaced).
    ``unpacked``: where archives are unpacked and recovered before, with staging places and locks of its own beside it,
    so in a directory of ours."""

    root: Path
    beside: bool
    unpacked: Path

    @property
    def unpacking_place(self) -> Path:
        """The directory of ours that ``unpacked`` is in."""
        return self.unpacked.parent

    def unpacking(self) -> list[Path]:
        """All that unpacking has left, by earlier versions too."""
        place = self.unpacking_place
        return sorted(place.parent.glob(f"{glob.escape(place.name)}*"))


def choose_staging(datadir: Path) -> Staging:
    """Beside the data directory where that is possible, else inside."""
    parent = datadir.parent
    while not parent.exists():
        parent = parent.parent
    if is_mount_point(datadir) or not os.access(parent, os.W_OK | os.X_OK):
        return Staging(datadir / INNER_STAGING_NAME, beside=False, unpacked=datadir / UNPACKED_SUFFIX / _UNPACKED_NAME)

    def sibling(suffix: str) -> Path:
        return datadir.with_name(datadir.name + suffix)

    unpacked = sibling(UNPACKED_SUFFIX) / _UNPACKED_NAME
    return Staging(sibling(file_kinds.PARTIAL_SUFFIX), beside=True, unpacked=unpacked)


def is_mount_point(path: Path) -> bool:
    """Returns whether something is mounted at ``path``, bind mounts of the same file system included."""
    return os.path.ismount(path) or os.path.realpath(path) in _mount_points()


def _mount_points() -> set[str]:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            return {_unescape(line.split()[4]) for line in mounts}
    except OSError:
        return set()


def _unescape(text: str) -> str:
    """A path of mountinfo: blanks and the like are octal there."""
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), text)


def require_safe(datadir: Path, source: Path, layout: HostLayout) -> None:
    """Raises TargetUnsafe for places that a restore must never touch."""
    reason = None
    if str(datadir) in _SYSTEM or datadir.parent == datadir:
        reason = "a directory of the system"
    elif datadir.is_symlink():
        # one of root's is not here any more: it was followed as the option files were read
        reason = f"a symbolic link to {os.path.realpath(datadir)}; name that directory instead"
    elif datadir.exists() and not datadir.is_dir():
        reason = "not a directory"
    elif datadir == source or datadir in source.parents or source in datadir.parents:
        reason = "the backup itself, inside it, or around it"
    if reason:
        raise TargetUnsafe(f"the data directory {datadir} is {reason}", path=str(datadir))
    inner = sorted(point for point in _mount_points() if point.startswith(os.path.realpath(datadir) + os.sep))
    if inner:
        raise TargetUnsafe(
            f"{inner[0]} is a mount point in the data directory {datadir}, which a restore cannot replace as one",
            remedy="Mount it outside the data directory, and name that place in the server's option file.",
            path=inner[0],
        )
    for path in [*(path for path, _definition in layout.data_files), layout.log_group_home_dir, layout.undo_directory]:
        if source == path or source in path.parents:
            raise TargetUnsafe(f"{path}, where this server wants its files, is inside the backup", path=str(path))


def looks_like_datadir(datadir: Path) -> bool:
    """Returns whether ``datadir`` holds what only a server's data directory (or a restore) has."""
    return any(os.path.lexists(datadir / sign) for sign in _SIGNS)


def foreign_entries(datadir: Path, staging: Staging) -> list[str]:
    """Names in the data directory that are not our own staging, sorted."""
    if not datadir.is_dir():
        return []
    own: set[str] = set()
    if not staging.beside:
        own = {staging.root.name, MOVING_NAME, *(path.name for path in staging.unpacking())}
    return sorted(set(os.listdir(datadir)) - IGNORED_ENTRIES - own)


def backup_files(backup: BackupDirectory) -> list[tuple[str, int, str]]:
    """(path, size in bytes, digest or "") of every file that a restore carries over.

    Raises BackupError when its manifest lists one that no server's backup has.
    """
    if backup.manifest is not None and backup.manifest_is_current:
        require_no_foreign_files(backup, lambda name: not is_left_behind(name))
        listed: Iterable[tuple[str, int, str]] = ((file.path, file.size, file.digest) for file in backup.manifest.files)
    else:
        found = ((name, status.st_size, "") for name, status in walk_files(backup.path))
        listed = (item for item in found if not is_foreign(backup, item[0]))
    family = recovery_family_of(backup, None)
    consumed = set()
    if backup.binary_log:
        consumed = {backup.binary_log, f"{Path(backup.binary_log).stem}{INDEX_SUFFIX}"}
    return [
        item
        for item in listed
        if not is_left_behind(item[0]) and item[0] not in consumed and not family.is_consumed(item[0])
    ]


def place_files(
    backup: BackupDirectory, files: list[tuple[str, int, str]], layout: HostLayout, staging: Staging
) -> list[Placement]:
    """Returns where each of ``files`` is staged and where it belongs. Raises InvalidOption when the layouts do not
    fit."""
    require_fit(backup, {name: size for name, size, _digest in files}, layout)
    external = layout.external_places(backup.tablespaces)
    placements = []
    for name, size, digest in files:
        final = external.get(name, layout.datadir / name)
        if "/" not in name and name not in external:
            final = layout.place_of(name, backup.configuration.data_files)
        outside = layout.datadir not in final.parents
        staged = durable.beside(final, STAGED_SUFFIX) if outside else staging.root / final.relative_to(layout.datadir)
        placements.append(Placement(name, backup.path / name, staged, final, size, digest, outside))
    finals = {placement.final for placement in placements}
    if len(finals) != len(placements):
        raise InvalidOption("the server's option files put two files of the backup at the same place")
    return placements


def directories(backup: BackupDirectory, files: list[tuple[str, int, str]]) -> list[str]:
    """Directories below the data directory, parents first: those of the files, and empty databases."""
    found = {name.rpartition("/")[0] for name, _size, _digest in files if "/" in name}
    found |= {entry.name for entry in os.scandir(backup.path) if entry.is_dir(follow_symlinks=False)}
    for name in list(found):
        parts = name.split("/")
        found |= {"/".join(parts[:count]) for count in range(1, len(parts))}
    # an empty one for the redo log is made where this host wants it
    # and what is called like a hidden one is no database, as no file is in it
    return sorted(name for name in found if not name.startswith((".", REDO_DIRECTORY)))


def require_fit(backup: BackupDirectory, sizes: dict[str, int], layout: HostLayout) -> None:
    """Raises InvalidOption when a server with this layout could not open the backup's files."""
    configuration = backup.configuration
    _compare("innodb_page_size", configuration.page_size, layout.page_size)
    # the stock tool does not note this one, so only a record can tell
    noted = (backup.record.get("layout") or {}).get("lower_case_table_names")
    if noted is None and configuration.names_noted:
        noted = configuration.lower_case_table_names
    if noted is not None:
        _compare("lower_case_table_names", noted, layout.lower_case_table_names)
    mine, theirs = configuration.data_files, [definition for _path, definition in layout.data_files]
    wanted = ";".join(":".join([file.name, f"{file.size >> 20}M", *file.attributes]) for file in mine)
    faults = []
    if len(mine) != len(theirs):
        faults.append(f"{len(theirs)} files instead of {len(mine)}")
    for number, (here, there) in enumerate(zip(mine, theirs)):
        size = sizes.get(here.name, here.size)
        last = number == len(mine) - 1
        if (there.size > size) if (last and there.autoextend) else (there.size != size):
            faults.append(f"{there.name} is to have {there.size} bytes, and the backup's has {size}")
    if faults:
        raise InvalidOption(
            f"innodb_data_file_path of this host does not fit the backup: {'; '.join(faults)}",
            remedy=f"Set innodb_data_file_path={wanted} in the server's option file.",
            wanted=wanted,
        )


def _compare(name: str, backup: int, host: int | None) -> None:
    if host is not None and host != backup:
        raise InvalidOption(
            f"{name} is {backup} in the backup and {host} in this host's option files",
            remedy=f"Set {name}={backup} in the server's option file.",
            option=name,
        )


def publishing_order(name: str, data_files: frozenset[str]) -> tuple[int, str]:
    """Sort key for names: the redo log first, the system tablespace (``data_files``) last. A server that is started in
    between refuses a log without a system tablespace, but would take the lack of both for a new directory. MySQL's
    starts on no directory without one for its redo log."""
    if MARIADB_REDO.matches(name):
        return 0, name
    if name == REDO_DIRECTORY:
        return 3, name
    return (2, name) if name in data_files else (1, name)


def file_size(path: Path) -> int | None:
    """Size of a file in bytes, None when it is not there."""
    try:
        return path.lstat().st_size
    except OSError:
        return None
