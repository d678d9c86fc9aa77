# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that may change one directory, and nothing else.

It runs as an account without any right, without capabilities, and can get none. Where the kernel lets us, it also has
namespaces of its own: no network, every mount read-only but the directory, and nothing of ``/run``, ``/tmp`` and
``/var/tmp``, where other programs' sockets are. Paths stay the same: a parent of the directory that the account must
not enter is covered by an empty file system, in which the rest of the path is made again.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ..errors import BECOME_USER, TARGET_DIR, Clause, StorageError
from . import durable, kernel

_COVERED = ("/run", "/tmp", "/var/tmp")
_COVER_OPTIONS = "mode=0711,size=1m"
_UNPERMITTED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL, errno.ENOSPC, errno.EUSERS, errno.ENODEV}


@dataclass(frozen=True)
class Account:
    """Whom a program runs as."""

    uid: int
    gid: int

    def passes(self, directory: str) -> bool:
        """Returns whether it may go through ``directory``, by the mode. Raises OSError."""
        status = os.stat(directory)
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        return bool(status.st_mode & (stat.S_IXGRP if status.st_gid == self.gid else stat.S_IXOTH))


@dataclass(frozen=True)
class _Bind:
    """Directory that stays visible below a cover, or, the ``directory`` of the program, stays to be written to."""

    path: str
    device: int
    inode: int
    directory: bool


@dataclass(frozen=True)
class _View:
    """The part of the file system that a program sees otherwise than this process."""

    covers: tuple[str, ...]
    binds: tuple[_Bind, ...]


class _Failed(Exception):
    """The child could not get to its program. ``step``: what it was doing."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(f"{step}: {os.strerror(number)}")
        self.step = step
        self.errno = number


def start(
    arguments: Sequence[str],
    *,
    program: Path,
    directory: Path,
    account: Account | None,
    last: Callable[[], None],
    env: Mapping[str, str],
    **pipes: Any,
) -> tuple[subprocess.Popen[bytes], str]:
    """Start ``program`` in ``directory``, a real path, as ``account``, to which the directory belongs; None: as we are,
    who must not be root. ``last`` is what the child does last. The second result says why an account's program has no
    namespaces of its own, "" when it has.

    Raises StorageError: it cannot be started, or cannot get to the directory or to the program.
    """

    executable = Path(os.path.realpath(program))

    def begin(view: _View | None = None) -> subprocess.Popen[bytes]:
        return _begin(arguments, executable, directory, account, view, last, cwd=directory, env=dict(env), **pipes)

    kernel.libc()
    if account is None:
        if os.geteuid() == 0:
            raise ValueError("root's server needs an account")
        return begin(), ""
    with durable.storage_errors("looking at", directory):
        view = _view_of(directory, executable, account)
    try:
        return begin(view), ""
    except _Failed as error:
        if error.step == _ACCOUNT or error.errno not in _UNPERMITTED:
            raise _cannot(directory, account, error) from error
        reason = str(error)
    for path in (directory, executable):
        _require_reachable(path, account, reason)
    try:
        return begin(), reason
    except _Failed as error:
        raise _cannot(directory, account, error) from error


_ACCOUNT = "changing the account"


def _cannot(directory: Path, account: Account, error: _Failed) -> StorageError:
    if error.step != _ACCOUNT:
        return StorageError(f"the server that recovers {directory} cannot be isolated ({error})", path=str(directory))
    return StorageError(
        f"the server cannot be run for {directory} as the uid {account.uid} ({error}), and it is never run as root",
        remedy="Run this where root may change its account (CAP_SETUID, CAP_SETGID), or as the user who owns the "
        f"directory{Clause(f' ({BECOME_USER})')}.",
        path=str(directory),
    )


def _require_reachable(path: Path, account: Account, reason: str) -> None:
    for parent in reversed(path.parents):
        if not account.passes(str(parent)):
            raise StorageError(
                f"{parent} lets nobody else through to {path}, and the server that recovers the backup runs as an "
                f"account of its own, without namespaces, as they are not permitted here ({reason})",
                remedy=f"Let others pass (chmod o+x {parent}), choose a place elsewhere"
                f"{Clause(f' ({TARGET_DIR})')}, or run this "
                "where namespaces are permitted (CAP_SYS_ADMIN).",
                path=str(parent),
            )


# --- what the program sees -----------------------------------------------------------------------


def _view_of(directory: Path, program: Path, account: Account) -> _View:
    """Raises OSError."""
    binds = [_bind_of(str(directory))]
    covers = {path for path in _COVERED if os.path.isdir(path) and not os.path.islink(path)}

    def hides(parent: Path) -> bool:
        return str(parent) in covers or not account.passes(str(parent))

    hidden = [parent for parent in reversed(program.parents) if hides(parent)]
    closed = [parent for parent in reversed(directory.parents) if hides(parent)]
    covers.update(str(parents[0]) for parents in (hidden, closed) if parents)
    covers = {path for path in covers if not any(str(parent) in covers for parent in Path(path).parents)}
    if hidden:
        # with all that was installed with it: the libraries and plugins are beside it
        home = Path(*program.parts[: len(hidden[-1].parts) + 1])
        binds.append(_bind_of(str(home)))
        # what comes to be seen with it may be closed again on the way to the directory
        covers.update(str(parent) for parent in closed if home == parent or home in parent.parents)
    return _View(tuple(sorted(covers)), tuple(sorted(binds, key=lambda bind: bind.path)))


def _bind_of(path: str) -> _Bind:
    status = os.stat(path, follow_symlinks=False)
    return _Bind(path, status.st_dev, status.st_ino, stat.S_ISDIR(status.st_mode))


def _show_only(view: _View, directory: str) -> None:
    """Make ``view`` what this process sees. Raises OSError."""
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC)
    kernel.mount("none", "/", kernel.MS_REC | kernel.MS_PRIVATE)
    os.umask(0o066)  # whoever goes through what is made now sees only what it knows the name of
    sources = [_opened(bind) for bind in view.binds]
    places: list[tuple[str, _Bind | None, int]] = [(path, None, -1) for path in view.covers]
    places += [(bind.path, bind, source) for bind, source in zip(view.binds, sources)]
    # what is further up is there first
    for path, bind, source in sorted(places, key=lambda place: (place[0], place[2])):
        if bind is None:
            flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
            kernel.mount("tmpfs", path, flags, kind="tmpfs", data=_COVER_OPTIONS)
            continue
        if any(path.startswith(f"{cover}/") for cover in view.covers):
            _create_mount_point(bind)
        kernel.mount(f"/proc/self/fd/{source}", path, kernel.MS_BIND | kernel.MS_REC)
    kernel.make_read_only()
    kernel.make_writable(directory)
    os.chdir(directory)


def _opened(bind: _Bind) -> int:
    """A descriptor of what is to be seen; it must be the same that was looked at."""
    descriptor = os.open(bind.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) != (bind.device, bind.inode):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    return descriptor


def _create_mount_point(bind: _Bind) -> None:
    """Make, in the cover, what ``bind`` is to be mounted on."""
    os.makedirs(bind.path if bind.directory else os.path.dirname(bind.path), exist_ok=True)
    if not bind.directory and not os.path.lexists(bind.path):
        os.close(os.open(bind.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


# --- the child -----------------------------------------------------------------------------------


def _become(account: Account) -> None:
    """Run as ``account``, with no right beyond it. Raises OSError."""
    kernel.drop_bounding_set()
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    kernel.drop_capabilities()
    os.umask(0o077)


def _begin(
    arguments: Sequence[str],
    program: Path,
    directory: Path,
    account: Account | None,
    view: _View | None,
    last: Callable[[], None],
    **settings: Any,
) -> subprocess.Popen[bytes]:
    """Raises _Failed, StorageError."""
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def prepare() -> None:
        step = "making namespaces"
        try:
            if view is not None:
                _show_only(view, str(directory))
            step = _ACCOUNT
            if account is not None:
                _become(account)
            kernel.forbid_new_privileges()
            last()
        except OSError as error:
            os.write(writing, f"{error.errno or 0} {step}".encode())
            raise

    try:
        with durable.storage_errors("starting", program):
            return subprocess.Popen(
                arguments,
                executable=program,
                # a group of its own: a Ctrl-C for us must not end it in the middle
                start_new_session=True,
                preexec_fn=prepare,  # pylint: disable=subprocess-popen-preexec-fn  # noqa: PLW1509
                **settings,
            )
    except subprocess.SubprocessError as error:
        os.close(writing)
        writing = -1
        number, _blank, step = os.read(reading, 256).decode().partition(" ")
        raise _Failed(step or "starting", int(number or 0)) from error
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
