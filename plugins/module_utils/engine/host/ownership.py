# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owner, group and permissions of restored files: as asked for, else as the host's server needs them."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from ..errors import BECOME, BECOME_USER, Clause, InvalidOption, Option
from ..units import is_digits
from . import kernel
from .copying import Ownership, carried_mode
from .held import owner_of

_PACKAGED_USER = "mysql"  # whom the packages of all distributions run the server as
_DEFAULT_DIRECTORY_MODE = 0o700  # the server's own defaults (UMASK_DIR, UMASK)
_DEFAULT_FILE_MODE = 0o660
_LARGEST_ID = (1 << 32) - 2


def resolve_ownership(
    datadir: Path, user: str | None, owner: str | None, group: str | None, mode: str | int | None
) -> tuple[Ownership, int]:
    """Owner and permissions of files and directories, and the permissions of the data directory itself.

    Without ``owner``: ``user``, that of the option files, else who owns the data directory ``datadir``, else the
    packages' account if root asks. Without ``group``: the owner's own. Without ``mode``: an existing data directory
    keeps its permissions, but setuid and setgid with another owner or group; what is in it is 0700 and 0660. Raises
    InvalidOption for unknown names, and when only root could do it.
    """
    there = owner_of(datadir) if datadir.is_dir() else None
    account = _account(owner) if owner else _default_account(user, None if there is None else there.uid)
    uid = account[0]
    gid = _group(group) if group else account[1]
    if group is None and not owner and there is not None and uid == there.uid:
        gid = there.gid
    _require_allowed(uid, gid)
    directory_mode = _DEFAULT_DIRECTORY_MODE if mode is None else _mode(mode)
    file_mode = _DEFAULT_FILE_MODE if mode is None else directory_mode & 0o666
    top_mode = directory_mode
    if mode is None and there is not None:
        top_mode = carried_mode(there.mode, directory=True, same_owner=(uid, gid) == (there.uid, there.gid))
    return Ownership(uid, gid, file_mode, directory_mode), top_mode


def _account(name: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwuid(int(name)) if _is_id(name) else pwd.getpwnam(name)
    except KeyError:
        if _is_id(name):
            return int(name), int(name)
        raise InvalidOption(f"owner: there is no user {name} on this host", option="owner") from None
    return entry.pw_uid, entry.pw_gid


def _is_id(name: str) -> bool:
    return is_digits(name) and int(name) <= _LARGEST_ID


def _group(name: str) -> int:
    try:
        return int(name) if _is_id(name) else grp.getgrnam(name).gr_gid
    except KeyError:
        raise InvalidOption(f"{Option('group')}: there is no group {name} on this host", option="group") from None


def _default_account(user: str | None, uid_there: int | None) -> tuple[int, int]:
    if user:
        return _account(user)
    if uid_there is not None:
        return _account(str(uid_there))
    if os.geteuid() == 0:
        try:
            return _account(_PACKAGED_USER)
        except InvalidOption:
            return 0, 0
    return os.geteuid(), os.getegid()


def _require_allowed(uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        if (uid, gid) != (0, os.getegid()) and not kernel.may_change_owners():
            raise InvalidOption(
                f"files cannot be given to user {uid} and group {gid}: root has no right here to change their owner",
                remedy="Run this with CAP_CHOWN (docker run --cap-add CHOWN, AmbientCapabilities= and "
                f"CapabilityBoundingSet= of systemd), or as uid {uid} "
                f"itself{Clause(f' ({BECOME_USER})')}.",
                option="owner",
            )
        return
    if uid != os.geteuid() or gid not in {os.getegid(), *os.getgroups()}:
        raise InvalidOption(
            f"only root can give files to user {uid} and group {gid}",
            remedy=str(
                Clause(
                    f"Run with {BECOME}, or give an {Option('owner')} and {Option('group')} of our own.",
                    "Run this as root.",
                )
            ),
            option="owner",
        )


def _mode(mode: str | int) -> int:
    text = f"{mode:o}" if isinstance(mode, int) else mode
    try:
        value = int(text, 8)
    except ValueError:
        value = -1
    if not 0o500 <= value <= 0o777:
        raise InvalidOption(
            f"{Option('mode')}: {mode!r} are not permissions of a directory that its owner can use",
            remedy="Write an octal number in quotes, such as '0750'.",
            option="mode",
        )
    return value
