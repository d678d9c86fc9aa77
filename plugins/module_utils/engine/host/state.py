# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State of this host, kept where only the user who runs us can write: root's is ``/var/lib/xtrabackup``.

A backup's directory may belong to the server's account, and its files may come from anywhere: what they say of
themselves proves nothing. What is remembered: which preparations were made here, a key that seals the state of those
that are not done, and for each data directory what was restored there (see ``journal``).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import Clause, Keyword, StorageError
from . import durable
from .file_states import FileStates

ROOT = Path("/var/lib/xtrabackup")
"""Of root; other users have a directory of their own, see ``state_directory``."""

_KEY_NAME = "key"
_KEY_BYTES = 32
_PREPARATIONS = "preparations"
_ENVIRONMENT = Keyword("environment")
_MOST_PREPARATIONS = 10000  # small files; the oldest go first
_CONTENT = re.compile(rb"([0-9a-f]{64})?\n([0-9a-f]{64}) ([0-9]{1,20})\n")


@dataclass(frozen=True)
class Preparation:
    """A preparation that was made here: ``source_sha256`` names the backup that was prepared ("": one without a
    manifest), ``files`` are as that has left them."""

    source_sha256: str
    files: FileStates


def state_directory() -> Path:
    """Returns the path of the state of the user who runs this process: of root in /var/lib/xtrabackup, of others below
    their XDG_STATE_HOME, or in /var/tmp when they have none."""
    if os.geteuid() == 0:
        return ROOT
    home = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(home):
        return Path(home) / "xtrabackup"
    return Path(f"/var/tmp/xtrabackup-{os.geteuid()}")


def note_preparation(manifest_sha256: str, device: int, inode: int, done: Preparation) -> None:
    """Remember, durably, that the prepared backup of the manifest with this digest, which is the file ``inode`` of
    ``device``, was made here."""
    place = own_directory(_PREPARATIONS)
    data = f"{done.source_sha256}\n{done.files.sha256} {done.files.newest}\n".encode()
    durable.write_file(place / _preparation(manifest_sha256, device, inode), data, 0o600)
    entries = list(os.scandir(place))
    if len(entries) > _MOST_PREPARATIONS:
        for entry in sorted(entries, key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)[:100]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)


def find_preparation(manifest_sha256: str, device: int, inode: int) -> Preparation | None:
    """Returns what ``note_preparation`` has noted; None when that was not of this very file with this content."""
    place = existing_directory(_PREPARATIONS)
    if place is None:
        return None
    with durable.storage_errors("reading", place):
        try:
            data = (place / _preparation(manifest_sha256, device, inode)).read_bytes()
        except FileNotFoundError:
            return None
    match = _CONTENT.fullmatch(data)
    if match is None:
        return None
    return Preparation((match[1] or b"").decode(), FileStates(match[2].decode(), int(match[3])))


def sign(directory: Path, data: bytes) -> str:
    """Returns a MAC that proves that this user wrote ``data`` on this host about ``directory``, which it names by
    device and inode."""
    place = own_directory()
    with durable.storage_errors("reading", place / _KEY_NAME):
        key = _read_key(place) or _make_key(place)
    return _sign(key, directory, data)


def is_signed(directory: Path, data: bytes, found: str) -> bool:
    """Returns whether ``found`` is what ``sign`` answered. Nothing is made: without a key nothing was signed."""
    place = state_directory()
    if not is_ours(place):
        return False
    with durable.storage_errors("reading", place / _KEY_NAME):
        key = _read_key(place)
    return key is not None and hmac.compare_digest(
        _sign(key, directory, data).encode(), found.encode("utf-8", "surrogatepass")
    )


def _sign(key: bytes, directory: Path, data: bytes) -> str:
    status = os.stat(directory)
    message = f"{status.st_dev} {status.st_ino}\n".encode() + data
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def _preparation(manifest_sha256: str, device: int, inode: int) -> str:
    return f"{manifest_sha256}-{device}-{inode}"


def _read_key(place: Path) -> bytes | None:
    """The key in ``place``, None when there is none; raises OSError, StorageError."""
    path = place / _KEY_NAME
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(key) != _KEY_BYTES:
        raise StorageError(
            f"{path} is not a key of {_KEY_BYTES} bytes",
            remedy="Remove it; preparations that were interrupted have to begin again.",
            path=str(path),
        )
    return key


def _make_key(place: Path) -> bytes:
    fresh = place / f"{_KEY_NAME}.{os.getpid()}.{secrets.token_hex(4)}"
    durable.write_file(fresh, secrets.token_bytes(_KEY_BYTES), 0o600)
    # the first one stays, whoever it is of
    with contextlib.suppress(FileExistsError):
        os.link(fresh, place / _KEY_NAME)
    os.unlink(fresh)
    durable.fsync_directory(place)
    return (place / _KEY_NAME).read_bytes()


def own_directory(name: str = "") -> Path:
    """The state directory, or the directory ``name`` in it (with slashes: one in another), made when it is not there.
    Raises StorageError when it cannot be written or is not only this user's."""
    places = _levels(name)
    for place in places:
        if not os.path.lexists(place):
            with durable.storage_errors("creating", place), contextlib.suppress(FileExistsError):
                durable.make_directories(place, 0o700)
                durable.fsync_directory(place.parent)
        if not is_ours(place):
            raise StorageError(
                f"{place}, which holds what we rely on, is no directory that only uid {os.geteuid()} can write to",
                remedy=_remedy(place),
                path=str(place),
            )
    return places[-1]


def _remedy(place: Path) -> str:
    """Returns the remedy of the user who runs this process for a ``place`` that is not only his."""
    status, uid = os.lstat(place), os.geteuid()
    if stat.S_ISDIR(status.st_mode) and uid in (0, status.st_uid):
        return f"Give it to that user and to nobody else: chown {uid} {place}; chmod 700 {place}"
    return (
        f"It was made by uid {status.st_uid}. Have it removed by root, or choose a place for this user's state where "
        'nobody else can write: export XDG_STATE_HOME="$HOME/.local/state"'
        f"{Clause(f' (with Ansible, {_ENVIRONMENT}: of the task)')}."
    )


def existing_directory(name: str = "") -> Path | None:
    """As ``own_directory``, but nothing is made: None when it is not there or is not only this user's."""
    places = _levels(name)
    return places[-1] if all(map(is_ours, places)) else None


def _levels(name: str) -> list[Path]:
    """The state directory and each directory of ``name`` in it."""
    places = [state_directory()]
    for part in Path(name).parts:
        places.append(places[-1] / part)
    return places


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, in a directory of ``own_directory``, for the block; waits for others. Raises
    OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_ours(place: Path) -> bool:
    """Returns whether ``place`` is a directory that only this user can write to."""
    try:
        status = os.lstat(place)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
