# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durable changes of the file system: temporary name -> fsync -> rename -> fsync directory; locks.

After a crash at any instant each published name holds either its old or its whole new state.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from ..errors import DiskFull, StorageError, TargetBusy
from ..format.file_kinds import PARTIAL_SUFFIX
from . import below, trees

REPLACED_SUFFIX = ".replaced"
_REPLACED_MARKER = ".xtrabackup-replaced"  # in what was replaced: it is being removed
_TEMPORARY_ROOM = 40  # bytes that a temporary name has more than the name that it is for
_LONGEST_NAME = 255  # bytes of a file's name, on every file system that a server's data are on
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WRITEBACK = 4 << 20  # bytes of a file after which the next part of it is sent to the device
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h


def beside(path: str | os.PathLike[str], suffix: str) -> Path:
    """The path that ends in ``suffix`` of something of ours beside ``path``, always the same one; where the name would
    be too long, with a digest in the place of its end."""
    path = Path(path)
    return path.with_name(shortened(path.name, len(suffix)) + suffix)


def shortened(name: str, room: int) -> str:
    """``name``, or where it leaves less than ``room`` bytes for a suffix, its beginning and a digest."""
    data = os.fsencode(name)
    if len(data) + room <= _LONGEST_NAME:
        return name
    mark = f"~{hashlib.sha256(data).hexdigest()[:16]}"
    return data[: _LONGEST_NAME - room - len(mark)].decode("utf-8", "ignore") + mark


@contextlib.contextmanager
def storage_errors(action: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError of the block into DiskFull or StorageError that says what was done to which path."""
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in _FULL else StorageError
        raise kind(
            f"{action} {os.fspath(path)}: {os.strerror(error.errno or 0)}",
            path=os.fspath(path),
            errno=errno.errorcode.get(error.errno or 0, ""),
        ) from error


def make_directories(path: str | os.PathLike[str], mode: int) -> None:
    """Make the directory ``path``, and those above it that are missing, all with ``mode`` (``Path.mkdir`` lets the
    others be as open as the umask lets it). Raises OSError."""
    try:
        os.mkdir(path, mode)
    except FileNotFoundError:
        parent = os.path.dirname(os.path.abspath(path))
        if parent == os.fspath(path):
            raise
        make_directories(parent, mode)
        make_directories(path, mode)
    except OSError:
        if not os.path.isdir(path):
            raise


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in the directory ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: str | os.PathLike[str]) -> None:
    """Make the content of the file ``path`` durable."""
    with storage_errors("syncing", path):
        descriptor = below.open_file(path)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def fsync_tree(root: str | os.PathLike[str]) -> None:
    """Make every directory below and including ``root`` durable (files are fsynced by who wrote them)."""
    for directory in reversed([directory for directory, _names, _files in trees.walk(root, deepest=None)]):
        fsync_directory(directory)


class WriteBehind:
    """Makes the kernel store the beginning of a file while the rest is being written, so that the fsync at the end has
    little left to wait for. A hint: nothing is durable before that fsync, which also reports what went wrong."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begun = 0
        self._sync_file_range = _sync_file_range()

    def wrote(self, end: int) -> None:
        """The file is written up to the offset ``end``, in bytes; never waits for the device to be done."""
        if end - self._begun < _WRITEBACK:
            return
        if self._sync_file_range is not None:
            self._sync_file_range(self._descriptor, self._begun, end - self._begun, _SYNC_FILE_RANGE_WRITE)
        self._begun = end


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """The C library's function, which Python does not offer; None where there is none."""
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


def write_file(path: str | os.PathLike[str], data: bytes, mode: int = 0o640) -> None:
    """Replace ``path`` by ``data``, atomically and durably. Removes what a killed job has left of the same file."""
    path = Path(path)
    with storage_errors("writing", path):
        own = re.compile(re.escape(_temporary_prefix(path)) + "[0-9a-f]{16}" + re.escape(PARTIAL_SUFFIX))
        for left in path.parent.iterdir():
            if own.fullmatch(left.name):
                left.unlink(missing_ok=True)
        descriptor, temporary = new_beside(path, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_directory(path.parent)


def new_beside(path: Path, mode: int) -> tuple[int, Path]:
    """Descriptor and path of a new file beside ``path``, to be renamed to it; raises OSError.

    Others may be able to write in that directory: no name that they can foresee is used, and none that is there.
    """
    temporary = path.with_name(f"{_temporary_prefix(path)}{secrets.token_hex(8)}{PARTIAL_SUFFIX}")
    return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode), temporary


def _temporary_prefix(path: Path) -> str:
    return f".{shortened(path.name, _TEMPORARY_ROOM)}."


def publish(staging: str | os.PathLike[str], final: str | os.PathLike[str]) -> None:
    """Rename ``staging`` to ``final`` and make the new name durable; the content must be durable already."""
    with storage_errors("publishing", final):
        os.rename(staging, final)
        fsync_directory(Path(final).parent)


def put_aside(final: Path) -> None:
    """Make room at ``final`` for what takes its place: what is there gets the name ``aside_of``, and is to be removed
    with ``remove_replaced`` afterwards. At every instant one of them is complete."""
    if os.path.lexists(final):
        remove_replaced(aside_of(final))
        publish(final, aside_of(final))


def aside_of(final: Path) -> Path:
    """Returns the path at which the content of ``final`` waits while something takes its place."""
    return final.with_name(final.name + REPLACED_SUFFIX)


def is_replaced(path: Path) -> bool:
    """Returns whether ``path`` is what is left of something that was replaced, by a job that was killed while it
    removed it."""
    return (path / _REPLACED_MARKER).is_file() and not path.is_symlink()


def remove_replaced(path: Path) -> None:
    """``remove_tree``, but until all is gone a marker tells what it was."""
    with storage_errors("removing", path):
        if path.is_dir() and not path.is_symlink():
            with below.Root(path.parent) as parent, parent.directory(path.name) as replaced:
                os.close(replaced.open(_REPLACED_MARKER, os.O_WRONLY | os.O_CREAT))
                replaced.fsync()
                for name in replaced.names():
                    if name != _REPLACED_MARKER:
                        remove_below(replaced, Path(name))
        remove_tree(path)


def remove_below(root: below.Root, name: Path) -> None:
    """As ``remove_tree``, of ``name`` below ``root``, whoever may write there."""
    with contextlib.nullcontext(root) if name.parent == Path() else root.directory(name.parent) as parent:
        remove_tree(below.path_of(parent.fileno()) / name.name)


def remove_tree(path: str | os.PathLike[str]) -> None:
    """Remove a file or directory tree of our own, if it is there, however deep; symbolic links are not followed."""
    path = Path(path)
    with storage_errors("removing", path):
        if path.is_dir() and not path.is_symlink():
            trees.remove(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


@contextlib.contextmanager
def exclusive_lock(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Hold the lock file ``path`` for the block; raises TargetBusy at once when another process holds it.

    The kernel drops the lock with the process, so a killed job never blocks the next one. The file is removed
    at the end by its holder.
    """
    with storage_errors("locking", path):
        while True:
            descriptor = _open_lock(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner, whose = process_in(os.read(descriptor, 64)), os.fstat(descriptor).st_uid
                os.close(descriptor)
                foreign = whose not in (0, os.geteuid())
                raise TargetBusy(
                    f"{what} is in use by another job (process {owner})",
                    remedy=f"Wait for the other job to end. The lock file {os.fspath(path)} belongs to uid {whose}: if "
                    "that is none of your jobs, remove it."
                    if foreign
                    else None,
                    path=os.fspath(path),
                ) from None
            # the holder before us may have removed the name between our open and our lock
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                    break
            os.close(descriptor)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.close(descriptor)


def process_in(content: bytes) -> str:
    """The process that a lock file names, whose text can be anybody's."""
    text = content.partition(b"\n")[0].strip()
    return text.decode("ascii") if re.fullmatch(rb"[0-9]{1,10}", text) else "unknown"


def _open_lock(path: str | os.PathLike[str]) -> int:
    """A descriptor of the lock file, which is written to: never one that is another file as well."""
    with below.Root(Path(path).parent) as directory:
        descriptor = directory.open(Path(path).name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        below.require_no_other_name(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def directory_lock(path: str | os.PathLike[str], what: str, *, beside: bool = True) -> Iterator[None]:
    """Hold the lock of the directory ``path`` for the block, as ``exclusive_lock``; nothing is written for it, so that
    the directory's parents need not be writable.

    Where the file system has no locks of directories (NFS), it is that of the lock file beside the directory, which
    the caller holds already unless ``beside``.
    """
    path = Path(os.path.abspath(path))
    with contextlib.ExitStack() as held:
        with storage_errors("locking", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _holder(os.fstat(descriptor).st_ino)
            raise TargetBusy(
                f"{what} is in use by another job (process {owner or 'unknown'})", path=os.fspath(path)
            ) from None
        except OSError:
            if beside:
                held.enter_context(exclusive_lock(path.with_name(path.name + ".lock"), what))
        yield


def _holder(inode: int) -> str:
    """The process that holds a lock of ``inode``, as proc(5) tells; "" when it does not."""
    with contextlib.suppress(OSError), open("/proc/locks", encoding="ascii", errors="replace") as locks:
        for line in locks:
            fields = line.split()
            if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
                return fields[4]
    return ""


def free_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes that an unprivileged writer can still put on the file system of ``path`` (or its nearest parent)."""
    probe = Path(path)
    while not probe.exists():
        probe = probe.parent
    return shutil.disk_usage(probe).free


def require_space(path: str | os.PathLike[str], needed: int, what: str) -> None:
    """Raises DiskFull when the file system of ``path`` has fewer than ``needed`` free bytes for ``what``."""
    free = free_bytes(path)
    if free < needed:
        raise DiskFull(
            f"{what} needs {needed} bytes on the file system of {os.fspath(path)}, which has {free} bytes free",
            remedy="Free space or choose another place; nothing was written.",
            path=os.fspath(path),
            needed=needed,
            free=free,
        )
