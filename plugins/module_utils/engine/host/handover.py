# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that root hands over to an account for a job, and gives back afterwards.

The account is one that nobody has (``accounts``). From the first moment on nobody but it and root gets into the
directory, so that root can work there by name: nobody puts a link where a file is expected. What was there is looked at
first, through descriptors and without following links; only regular files of one name and directories are accepted.
Somebody may be able to rename the directory itself, so root gets to it by its descriptor.

Whose the directory was is noted where only root writes, before anything is changed. So a run after a kill knows it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Callable

from ..errors import BECOME_USER, TARGET_DIR, BackupError, Clause, FormatError, StorageError, XtrabackupError
from ..format import strict_json
from ..format.file_kinds import NOT_CONTENT
from ..format.names import DEEPEST
from ..format.state_names import is_state_name
from . import accounts, below, durable, state
from .anchor import open_path
from .confinement import Account
from .small_files import read_small

_PLACE = "handovers"
_LOCK_NAME = "lock"
_MAX_NOTE = 16 << 20  # bytes
_MOST_NOTES = 1000  # of directories that nobody has come back to; the oldest go first
_MOST_OF_OTHERS = 1 << 20  # characters of their paths, each of at most 6 bytes in a note
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_UNPERMITTED = (errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP)

_Visit = Callable[[int, str, os.stat_result], None]


@dataclass(frozen=True)
class _Note:
    """Owner that a directory had that belongs to ``uid`` now, which no other directory does. ``others``: owner, group
    and mode of what in it does not get the directory's owner or keep its mode, by its path there."""

    path: str
    uid: int
    owner: int
    group: int
    mode: int
    others: dict[str, list[int]] = field(default_factory=dict)


class Handover:
    """``directory`` (a real path), which belongs to ``account`` for now; for None, to whoever runs us. ``own`` is the
    path by which we get to it."""

    account: Account | None = None

    def __init__(self, directory: Path, own: Path | None = None) -> None:
        self.directory = directory
        self.own = own or directory

    def shown(self, value: Any) -> Any:
        """``value``, a text or a list or a dictionary of such, with the directory's path for our own way to it."""
        if isinstance(value, str):
            return re.sub(re.escape(str(self.own)) + r"(?!\d)", lambda _match: str(self.directory), value)
        if isinstance(value, (list, tuple)):
            return [self.shown(item) for item in value]
        if isinstance(value, dict):
            return {self.shown(key): self.shown(item) for key, item in value.items()}
        return value

    def hand_over(self) -> None:
        """Let the account have what root has made in the directory since."""

    def end_processes(self) -> None:
        """Leave no process of the account."""

    def reclaim(self) -> None:
        """Make sure, once the account's program has ended, that it left nothing but files and directories."""

    def give_back(self) -> None:
        """Let the directory and all in it belong to whom the directory belonged; done once."""


@contextlib.contextmanager
def handed_over(directory: Path, disposable: str) -> Iterator[Handover]:
    """Hand ``directory`` over for the block; nothing is done unless we are root. ``disposable``: the name of what a
    killed run has left in it, which is removed.

    Raises BackupError for what must not be in it, with nothing changed; StorageError.
    """
    if os.geteuid() != 0:
        yield Handover(Path(os.path.realpath(directory)))
        return
    with durable.storage_errors("opening", directory):
        descriptor = open_path(Path(os.path.abspath(directory)))
    try:
        real = Path(os.readlink(below.path_of(descriptor)))
        held = _taken(real, descriptor, disposable)
        try:
            yield held
        except BaseException:
            # what has happened is told, and the next run gives back what is left
            with contextlib.suppress(XtrabackupError):
                held.give_back()
            raise
        held.give_back()
    finally:
        os.close(descriptor)


def _taken(directory: Path, descriptor: int, disposable: str) -> Handover:
    with durable.storage_errors("looking at", directory):
        others, owners = _inspect(directory, descriptor, disposable)
        owner = os.fstat(descriptor).st_uid
    try:
        note = _begin(directory, descriptor, others)
    except OSError as error:
        if error.errno not in _UNPERMITTED:
            raise StorageError(f"changing the owner of {directory}: {os.strerror(error.errno or 0)}") from error
        if owner == 0 or owners != {owner}:
            raise _unchangeable(directory, error) from error
        return _OwnerHandover(directory, descriptor, Account(owner, os.fstat(descriptor).st_gid))
    taken = _UnprivilegedHandover(directory, descriptor, note)
    try:
        with durable.storage_errors("changing the owner of files in", directory):
            durable.remove_tree(taken.own / disposable)
            taken.take()
    except BaseException:
        with contextlib.suppress(XtrabackupError):
            taken.give_back()
        raise
    return taken


def _unchangeable(directory: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the owner of {directory} cannot be changed ({os.strerror(error.errno or 0)}), and no server is run as root "
        "on it",
        remedy=f"Run this as the user who owns the directory and all in it{Clause(f' ({BECOME_USER})')}, or "
        f"{Clause(f'give a {TARGET_DIR} on', 'use a copy of the backup on')} a local file system, in an environment "
        "with CAP_CHOWN.",
        path=str(directory),
    )


# --- whose it was --------------------------------------------------------------------------------


def _begin(directory: Path, descriptor: int, others: dict[str, list[int]]) -> _Note:
    """Choose an account, note whose ``directory`` is, and give it to that account alone. Raises OSError."""
    place = state.own_directory(_PLACE)
    # one job at a time chooses an account; the note reserves it
    with state.locked(place / _LOCK_NAME):
        notes = _notes(place)
        status = os.fstat(descriptor)
        number = accounts.free_account(notes)
        left = notes.get(status.st_uid)
        if left is not None:
            # a run was killed; what it noted was true
            note = replace(left, path=str(directory), uid=number)
        else:
            note = _Note(str(directory), number, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode), others)
        durable.write_file(place / str(number), json.dumps(asdict(note)).encode(), 0o600)
        try:
            os.fchown(descriptor, number, number)
            os.fchmod(descriptor, 0o700)
            os.fsync(descriptor)
        except OSError:
            if os.fstat(descriptor).st_uid != number:
                (place / str(number)).unlink()
            raise
        if left is not None:
            (place / str(left.uid)).unlink()
    return note


def _notes(place: Path) -> dict[int, _Note]:
    """The notes that are there, by their uids; those that nobody comes back to are removed."""
    found = {}
    entries = [entry for entry in os.scandir(place) if entry.name != _LOCK_NAME]
    entries.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
    for entry in entries[_MOST_NOTES:]:
        os.unlink(entry.path)
    for entry in entries[:_MOST_NOTES]:
        # what a power cut has left of one is of a directory that had not changed hands
        with contextlib.suppress(FormatError, FileNotFoundError, TypeError):
            data = read_small(Path(entry.path), _MAX_NOTE).data
            note = _Note(**strict_json.parse_object(data, entry.path, max_bytes=_MAX_NOTE))
            found[note.uid] = note
    return found


# --- what is there -------------------------------------------------------------------------------


def _inspect(directory: Path, descriptor: int, disposable: str) -> tuple[dict[str, list[int]], set[int]]:
    """Returns the entries that have another owner or group than the directory, or are a directory that others can write
    to; and the owners of all that is there, but for our own state. Raises BackupError for what is neither a directory
    nor a file of one name; OSError."""
    top = os.fstat(descriptor)
    others: dict[str, list[int]] = {}
    owners = {top.st_uid}
    room = [_MOST_OF_OTHERS]

    def look(_folder: int, path: str, status: os.stat_result) -> None:
        require_plain(directory / path, status)
        if not is_state_name(path):
            owners.add(status.st_uid)
        shared = stat.S_ISDIR(status.st_mode) and status.st_mode & _OTHERS_WRITE
        if shared or (status.st_uid, status.st_gid) != (top.st_uid, top.st_gid):
            room[0] -= len(path)
            if room[0] < 0:
                return  # it gets the directory's owner; a note must be of a size that is read again
            others[path] = [status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)]

    _walk(descriptor, look, skipped={disposable})
    return others, owners


def require_plain(path: Path, status: os.stat_result) -> None:
    """Raises BackupError for anything but a directory and a regular file that has no other name."""
    if stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1):
        return
    what = "a file of more than one name (hard links)" if stat.S_ISREG(status.st_mode) else "neither file nor directory"
    raise BackupError(
        f"{path} is {what}: recovery would change something outside the backup, or wait for it",
        remedy="Copy the backup without links, pipes and devices, or remove this one.",
        path=str(path),
    )


def _walk(
    folder: int, visit: _Visit, *, last: bool = False, skipped: frozenset[str] | set[str] = frozenset(), path: str = ""
) -> None:
    """Call ``visit`` with the directory (a descriptor), the path and the status of everything below ``folder``; with a
    directory before what is in it, or ``last``, after that. Links are not followed. Raises OSError, BackupError."""
    if path.count("/") >= DEEPEST:
        top = path.partition("/")[0]
        raise BackupError(
            f"{top}: directories in it are nested too deeply for a backup (more than {DEEPEST})",
            remedy=f"No backup has such directories: remove {top} from it, or use another copy of the backup.",
            path=path,
        )
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        if not path and (name in skipped or name in NOT_CONTENT):
            continue
        inner = f"{path}/{name}" if path else name
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not last:
            visit(folder, inner, status)
        if stat.S_ISDIR(status.st_mode):
            child = below.open_directory(name, folder)
            try:
                _walk(child, visit, last=last, path=inner)
            finally:
                os.close(child)
        if last:
            visit(folder, inner, status)


# --- in our hands --------------------------------------------------------------------------------


class _UnprivilegedHandover(Handover):
    """It belongs to an account that nobody has: whatever that owns is what we gave it, or what its program has made."""

    def __init__(self, directory: Path, descriptor: int, note: _Note) -> None:
        super().__init__(directory, below.path_of(descriptor))
        self.account: Account = Account(note.uid, note.uid)
        self._descriptor = descriptor
        self._note = note
        self._back = False

    def take(self) -> None:
        """Take all that is there. Raises OSError, BackupError for what was put there since it was looked at."""
        _walk(self._descriptor, self._take)

    def _take(self, folder: int, path: str, status: os.stat_result) -> None:
        # from the top down: nobody else writes to ``folder`` any more
        require_plain(self.directory / path, status)
        name = os.path.basename(path)
        os.chown(name, self.account.uid, self.account.gid, dir_fd=folder, follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        wanted = (mode & ~_OTHERS_WRITE) | stat.S_IRWXU if stat.S_ISDIR(status.st_mode) else mode & 0o777 | 0o600
        if wanted != mode:
            _change_mode(name, folder, wanted)

    def hand_over(self) -> None:
        """See ``Handover``; links are root's own, for the program to follow."""

        def give(folder: int, path: str, status: os.stat_result) -> None:
            if status.st_uid != self.account.uid and not stat.S_ISLNK(status.st_mode):
                os.chown(
                    os.path.basename(path), self.account.uid, self.account.gid, dir_fd=folder, follow_symlinks=False
                )

        with durable.storage_errors("changing the owner of files in", self.directory):
            self._require_place()
            _walk(self._descriptor, give)

    def end_processes(self) -> None:
        """See ``Handover``."""
        accounts.end_processes(self.account.uid)

    def reclaim(self) -> None:
        """See ``Handover``. Raises BackupError for hard links."""

        def check(folder: int, path: str, status: os.stat_result) -> None:
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                require_plain(self.directory / path, status)
            else:
                os.unlink(os.path.basename(path), dir_fd=folder)

        with durable.storage_errors("looking at", self.directory):
            _walk(self._descriptor, check)

    def give_back(self) -> None:
        """See ``Handover``; a directory after what is in it, for from then on its owner can change it."""
        if self._back:
            return
        with durable.storage_errors("changing the owner of files in", self.directory):
            _walk(self._descriptor, self._give_back, last=True)
            os.fchown(self._descriptor, self._note.owner, self._note.group)
            os.fchmod(self._descriptor, self._note.mode)
            os.fsync(self._descriptor)
            place = state.own_directory(_PLACE)
            (place / str(self._note.uid)).unlink(missing_ok=True)
            durable.fsync_directory(place)
        self._back = True

    def _give_back(self, folder: int, path: str, status: os.stat_result) -> None:
        name = os.path.basename(path)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=folder)
            return
        if status.st_uid not in (self.account.uid, 0) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
            return  # none of what we gave away, or made
        owner, group, mode = self._note.others.get(path, (self._note.owner, self._note.group, None))
        if mode is not None and stat.S_ISDIR(status.st_mode):
            _change_mode(name, folder, mode)
        # takes the bits setuid and setgid away from files, too
        os.chown(name, owner, group, dir_fd=folder, follow_symlinks=False)

    def _require_place(self) -> None:
        """Raises StorageError when something else has got the directory's name, by which the program is told of it."""
        if not os.path.samestat(os.lstat(self.directory), os.fstat(self._descriptor)):
            raise StorageError(
                f"{self.directory} is not the directory any more that it was when this began",
                remedy="Somebody else can write to a directory above it; choose a place where only root can.",
                path=str(self.directory),
            )


class _OwnerHandover(Handover):
    """It stays its owner's, who is not root: the owner of files cannot be changed to any account here."""

    def __init__(self, directory: Path, descriptor: int, account: Account) -> None:
        super().__init__(directory, below.path_of(descriptor))
        self.account: Account = account
        self._descriptor = descriptor

    def hand_over(self) -> None:
        """See ``Handover``. Raises StorageError when the owner cannot have them."""
        try:
            _walk(self._descriptor, self._give)
        except OSError as error:
            raise _unchangeable(self.directory, error) from error

    def give_back(self) -> None:
        """See ``Handover``."""
        self.hand_over()

    def _give(self, folder: int, path: str, status: os.stat_result) -> None:
        if status.st_uid != 0 or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return
        with _opened(os.path.basename(path), folder) as descriptor:
            # the owner can change what is there at any time
            found = os.fstat(descriptor)
            if found.st_uid == 0 and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
                os.fchown(descriptor, self.account.uid, self.account.gid)


@contextlib.contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _change_mode(name: str, folder: int, mode: int) -> None:
    with _opened(name, folder) as descriptor:
        os.fchmod(descriptor, mode)
