# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of other accounts in which root works by path: for that time they are root's, with the sticky bit.

Who owns a directory can rename what is in it and put a link in its place. While a directory is held, its account lists
it, passes it and creates files in it as before, for another server of that account may be at work there; but it cannot
rename or remove what is not its own. It gets that by the directory's group, if that is the account's own, else by an
access control list. Where the file system has none it can pass, and no more: with the group that it is in, else with
all others, who then get to what is in the directory as far as the modes of that let them.

What was changed is noted durably before, and given back when the last restore that needs it has ended. What restores
hold that were killed is given back by the next one, of whatever data directory.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import FormatError, TargetUnsafe
from ..format import strict_json
from . import acl, below, durable, state
from .anchor import open_path
from .journal import RESTORES, Journal, is_at_work
from .small_files import read_small

_NAME = "held.json"
_LOCK = "held.lock"
_MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Owner:
    """Owner, group and permissions of a directory."""

    uid: int
    gid: int
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Owner:
        """Those in ``status``."""
        return cls(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))

    def give(self, descriptor: int) -> None:
        """Apply them to an open directory; the owner first, for it clears bits."""
        os.fchown(descriptor, self.uid, self.gid)
        os.fchmod(descriptor, self.mode)


@dataclass(frozen=True)
class _Held:
    """A directory: whose it is to be afterwards, whose it is now, and the journals of the restores that hold it; its
    access control lists then and now, in hexadecimal."""

    path: str
    inode: int
    owner: Owner
    held: Owner
    holders: tuple[str, ...]
    acl: str = ""
    held_acl: str = ""

    def is_held(self, status: os.stat_result) -> bool:
        """Returns whether a directory with ``status`` is as it was made to be held; a kill may have come in between."""
        now, known = Owner.of(status), (self.held, self.owner)
        return (
            now.uid in [one.uid for one in known]
            and now.gid in [one.gid for one in known]
            and now.mode & ~stat.S_ISVTX in [one.mode & ~stat.S_ISVTX for one in known]
        )

    def take(self, descriptor: int) -> None:
        """Hold the open directory. Who owns it has its permissions at every instant. Raises OSError."""
        if self.held_acl != self.acl:
            acl.write(descriptor, bytes.fromhex(self.held_acl))
        os.fchmod(descriptor, self.held.mode)
        # the owner can have changed it until now
        self.held.give(descriptor)

    def give_back(self, descriptor: int) -> None:
        """Let it be as it is to be afterwards. Raises OSError."""
        os.fchown(descriptor, self.owner.uid, self.owner.gid)
        if self.held_acl != self.acl:
            acl.write(descriptor, bytes.fromhex(self.acl))
        os.fchmod(descriptor, self.owner.mode)
        os.fsync(descriptor)


class Holding:
    """The directories that one restore holds."""

    def __init__(self, journal: Journal) -> None:
        self._id = journal.id

    def hold(self, directories: Iterable[Path]) -> None:
        """Make each directory, and all on the way to it, safe to work in by path, as far as they are there.

        Nothing is done for a user who is not root. Raises TargetUnsafe when it is not possible, StorageError.
        """
        if os.geteuid() != 0:
            return
        with _registry() as held:
            for directory in sorted(set(directories)):
                with durable.storage_errors("holding", directory):
                    self._hold(directory, held)

    def leave_as(self, directory: Path, owner: Owner, *, at_once: bool) -> None:
        """Let ``directory`` have this owner and these permissions, ``at_once`` or when nothing is held any more. A user
        who is not root holds nothing."""
        with durable.storage_errors("changing the owner of", directory), contextlib.ExitStack() as opened:
            descriptor = _opened(opened, below.open_directory(directory))
            if at_once or os.geteuid() != 0:
                owner.give(descriptor)
                return
            status = os.fstat(descriptor)
            with _registry() as held:
                found = _find(held, status)
                if found is not None:
                    held.remove(found)
                now, holders = Owner.of(status), found.holders if found is not None else ()
                path = os.path.realpath(directory)
                lists = (found.acl, found.held_acl) if found is not None else ("", "")
                held.append(_Held(path, status.st_ino, owner, now, tuple(dict.fromkeys((*holders, self._id))), *lists))

    def give_back(self) -> None:
        """End it: each directory that no other running restore needs gets its owner and permissions back."""
        if state.existing_directory(RESTORES) is None:
            return
        with _registry() as held:
            for one in _inner_first(held):
                if self._id not in one.holders:
                    continue
                others = tuple(holder for holder in one.holders if holder != self._id)
                if others:
                    held[held.index(one)] = replace(one, holders=others)
                    continue
                with durable.storage_errors("giving back", one.path):
                    _give_back(one)
                held.remove(one)

    def _hold(self, directory: Path, held: list[_Held]) -> None:
        """Walk down to ``directory`` and make each step safe before the next one is taken."""

        def reached(descriptor: int, path: Path, parent: int | None) -> None:
            self._make_safe(descriptor, path, held)
            if parent is not None:
                _require_same(descriptor, path, parent)

        with contextlib.suppress(FileNotFoundError):
            os.close(open_path(directory, reached=reached))

    def _make_safe(self, descriptor: int, path: Path, held: list[_Held]) -> None:
        status = os.fstat(descriptor)
        found = _find(held, status)
        if found is not None and found.is_held(status):
            # by another restore, or by a run that was killed
            held[held.index(found)] = replace(found, holders=tuple(dict.fromkeys((*found.holders, self._id))))
            found.take(descriptor)
            return
        if found is not None:
            held.remove(found)
        if _is_safe(status):
            return
        before = acl.read(descriptor)
        safe, list_of_safe = _made_safe(descriptor, status, before)
        one = _Held(str(path), status.st_ino, Owner.of(status), safe, (self._id,), before.hex(), list_of_safe.hex())
        held.append(one)
        _write(held)
        try:
            one.take(descriptor)
        except PermissionError as error:
            with contextlib.suppress(OSError):
                one.give_back(descriptor)
            raise TargetUnsafe(
                f"{path} belongs to uid {status.st_uid} (mode {one.owner.mode:04o}), which could replace what a "
                "restore works on there, and root is not allowed to take it for that time",
                remedy=f"Give it to root yourself (chown root {path}; chmod +t {path}), choose another data "
                "directory, or run the restore as that user.",
                path=str(path),
            ) from error


@contextlib.contextmanager
def holding(journal: Journal) -> Iterator[Holding]:
    """Gives back after the block all that was held in it, also after an error."""
    held = Holding(journal)
    try:
        yield held
    finally:
        held.give_back()


def give_back_after_kill() -> None:
    """Give back what restores hold that were killed. Raises StorageError."""
    if os.geteuid() == 0 and any(not is_at_work(holder) for one in _read() for holder in one.holders):
        with _registry():
            pass


def owner_of(directory: Path) -> Owner:
    """Owner and permissions of ``directory``, or, while it is held, what it has otherwise. Raises FileNotFoundError."""
    status = os.stat(directory)
    found = _find(_read(), status) if status.st_uid == 0 == os.geteuid() else None
    return found.owner if found is not None and found.is_held(status) else Owner.of(status)


def _opened(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _is_safe(status: os.stat_result) -> bool:
    """Returns whether only root can rename and remove what is root's in a directory."""
    return status.st_uid == 0 and (not status.st_mode & 0o022 or bool(status.st_mode & stat.S_ISVTX))


def _made_safe(descriptor: int, status: os.stat_result, before: bytes) -> tuple[Owner, bytes]:
    """Returns the owner that a directory with ``status`` and the access control list ``before`` gets while it is held,
    and which list."""
    mode, uid, gid = stat.S_IMODE(status.st_mode) | stat.S_ISVTX, status.st_uid, status.st_gid
    own = mode >> 6 & 7
    if uid == 0 or not own:
        return Owner(0, gid, mode), before
    if not before and _is_private(gid, uid):
        return Owner(0, gid, mode | own << 3), before
    wanted = acl.with_account(before, mode, uid, own)
    if wanted is not None and _has_lists(descriptor, before):
        return Owner(0, gid, acl.with_mask_in(mode, wanted)), wanted
    return Owner(0, gid, mode | (own & 1) << (3 if _is_member(gid, uid) else 0)), before


def _has_lists(descriptor: int, before: bytes) -> bool:
    """Returns whether the file system of a directory with the list ``before`` has such lists."""
    try:
        # the same list again changes nothing, nor does one that says what the mode says
        acl.write(descriptor, before or acl.of_mode(stat.S_IMODE(os.fstat(descriptor).st_mode)))
    except OSError:
        return False
    return True


def _is_member(gid: int, uid: int) -> bool:
    """Returns whether the account ``uid`` is in the group."""
    try:
        account = pwd.getpwuid(uid)
        return account.pw_gid == gid or account.pw_name in grp.getgrgid(gid).gr_mem
    except KeyError:
        return False


def _is_private(gid: int, uid: int) -> bool:
    """Returns whether nobody but the account ``uid`` is known to be in the group."""
    try:
        members, account = grp.getgrgid(gid).gr_mem, pwd.getpwuid(uid)
    except KeyError:
        return False
    if set(members) - {account.pw_name} or (account.pw_gid != gid and account.pw_name not in members):
        return False
    return all(one.pw_uid == uid for one in pwd.getpwall() if one.pw_gid == gid)


def _require_same(descriptor: int, path: Path, parent: int) -> None:
    there, ours = os.stat(path.name, dir_fd=parent, follow_symlinks=False), os.fstat(descriptor)
    if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
        raise TargetUnsafe(
            f"{path} was replaced by another one while it was being secured for the restore",
            remedy="Find out which process does that, end it, and run the restore again.",
            path=str(path),
        )


def _give_back(one: _Held) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        descriptor = below.open_directory(one.path)
        try:
            status = os.fstat(descriptor)
            # whoever has changed it since has had a reason
            if status.st_ino == one.inode and one.is_held(status):
                one.give_back(descriptor)
        finally:
            os.close(descriptor)


def _inner_first(held: list[_Held]) -> list[_Held]:
    """In the order in which they are given back: the way to the inner ones is safe until then."""
    return sorted(held, key=lambda one: one.path.count("/"), reverse=True)


def _give_back_all_after_kill(held: list[_Held]) -> None:
    """Give back what only restores hold that were killed; what cannot be given back now stays in the list."""
    for one in _inner_first(held):
        alive = tuple(holder for holder in one.holders if is_at_work(holder))
        if alive == one.holders:
            continue
        if alive:
            held[held.index(one)] = replace(one, holders=alive)
            continue
        with contextlib.suppress(OSError):
            _give_back(one)
            held.remove(one)


@contextlib.contextmanager
def _registry() -> Iterator[list[_Held]]:
    """Yields what all restores of this user hold, to be changed in the block; written after it, durably."""
    place = state.own_directory(RESTORES)
    with state.locked(place / _LOCK):
        held = _read()
        before = list(held)
        try:
            _give_back_all_after_kill(held)
            yield held
        finally:
            if held != before:
                _write(held)


def _find(held: list[_Held], status: os.stat_result) -> _Held | None:
    """The entry of a directory; numbers of devices may have changed since."""
    return next((one for one in held if one.inode == status.st_ino and _leads_to(one.path, status)), None)


def _leads_to(path: str, status: os.stat_result) -> bool:
    try:
        there = os.lstat(path)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)


def _write(held: list[_Held]) -> None:
    place = state.own_directory(RESTORES) / _NAME
    if held:
        data = json.dumps({"held": [asdict(one) for one in held]}, indent=1)
        durable.write_file(place, data.encode("utf-8", "surrogateescape"), 0o600)
        return
    with durable.storage_errors("removing", place):
        place.unlink(missing_ok=True)
        durable.fsync_directory(place.parent)


def _read() -> list[_Held]:
    place = state.existing_directory(RESTORES)
    if place is None:
        return []
    where = str(place / _NAME)
    try:
        data = read_small(place / _NAME, _MAX_BYTES).data
    except FileNotFoundError:
        return []
    found = strict_json.parse_object(data, where, max_bytes=_MAX_BYTES)
    try:
        return [_parsed(entry) for entry in found["held"]]
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{where} is not readable: {error!r}", path=where) from error


def _parsed(entry: dict[str, Any]) -> _Held:
    owner, held = Owner(**entry["owner"]), Owner(**entry["held"])
    lists = [bytes.fromhex(entry.get(name, "")).hex() for name in ("acl", "held_acl")]
    return _Held(entry["path"], entry["inode"], owner, held, tuple(entry["holders"]), *lists)
