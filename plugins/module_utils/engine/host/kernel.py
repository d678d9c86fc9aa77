# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the Linux kernel that Python does not offer in all versions that we run on. Each raises OSError."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import re
from collections.abc import Iterator

# linux/sched.h
CLONE_NEWNS = 0x0002_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWNET = 0x4000_0000

# linux/mount.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
_MS_REMOUNT = 32
_MS_BY_OPTION = {
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "noatime": 1024,
    "nodiratime": 2048,
    "relatime": 1 << 21,
}
# struct mount_attr; its bits for read-only, nosuid, nodev and noexec are those of mount(2)
_MOUNT_SETATTR = 442  # the number of the system call, the same on every architecture since Linux 5.12
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR = ctypes.c_uint64 * 4  # attr_set, attr_clr, propagation, userns_fd

# linux/prctl.h, linux/capability.h
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x2008_0522
_CAP_CHOWN = 0
_MOST_CAPABILITIES = 64

# linux/openat2.h, asm-generic/unistd.h; these machines have the system call under this number
_OPENAT2 = 437
_RESOLVE = 0x08 | 0x04 | 0x02  # RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS
_OPENAT2_MACHINES = ("x86_64", "aarch64", "ppc64le", "s390x", "riscv64", "loongarch64")
_HAS_OPENAT2 = os.uname().machine in _OPENAT2_MACHINES

_OCTAL = re.compile(rb"\\([0-7]{3})")


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library; to be loaded before a fork whose child calls anything of this."""
    return ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    """``struct open_how``."""

    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def openat2(directory: int, name: str, flags: int, mode: int) -> int:
    """A descriptor of ``name`` below the open ``directory``, which is reached over no link; ENOSYS where the system
    call is not known."""
    if not _HAS_OPENAT2:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    how = _How(flags, mode if flags & os.O_CREAT else 0, _RESOLVE)
    while True:
        descriptor = libc().syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(directory),
            ctypes.c_char_p(os.fsencode(name)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), name)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(flags: int) -> None:
    """Give this process namespaces of its own."""
    _check(libc().unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, flags: int, *, kind: str = "", data: str = "") -> None:
    """See mount(2)."""
    _check(
        libc().mount(
            os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode() or None
        )
    )


def make_read_only(place: str = "/") -> None:
    """Make the mount at ``place`` and all below it read-only, in this process's namespace."""
    try:
        _set_attributes(place, MS_RDONLY, 0)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        _remount_below(place, MS_RDONLY, 0)


def make_writable(place: str) -> None:
    """Make the mount at ``place`` and all below it writable again; no program, device or setuid file there counts."""
    no_programs = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        _set_attributes(place, no_programs, MS_RDONLY)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        _remount_below(place, no_programs, MS_RDONLY)


def _set_attributes(place: str, added: int, removed: int) -> None:
    attributes = _MOUNT_ATTR(added, removed, 0, 0)
    _check(
        libc().syscall(
            ctypes.c_long(_MOUNT_SETATTR),
            ctypes.c_int(_AT_FDCWD),
            os.fsencode(place),
            ctypes.c_uint(_AT_RECURSIVE),
            ctypes.byref(attributes),
            ctypes.c_size_t(ctypes.sizeof(attributes)),
        )
    )


def _remount_below(place: str, added: int, removed: int) -> None:
    """The same before Linux 5.12: mount by mount."""
    prefix = place.rstrip("/") + "/"
    for path, flags in list(_mounts()):
        if path != place and not path.startswith(prefix):
            continue
        wanted = (flags | added) & ~removed
        try:
            mount("none", path, wanted | _MS_REMOUNT | MS_BIND)
        except OSError as error:
            # one that lies below another one, where nobody gets to
            if error.errno not in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
                raise


def _mounts() -> Iterator[tuple[str, int]]:
    """Place and flags of each mount of this process, as proc(5) tells them."""
    with open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            fields = line.split(b" ")
            path = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
            options = fields[5].decode().split(",")
            flags = MS_RDONLY if "ro" in options else 0
            for option in options:
                flags |= _MS_BY_OPTION.get(option, 0)
            yield os.fsdecode(path), flags


def may_change_owners() -> bool:
    """Returns whether this process may give files to other accounts (CAP_CHOWN)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & 1 << _CAP_CHOWN)
    return True


def drop_bounding_set() -> None:
    """Give up the capabilities that a program could get; the process needs CAP_SETPCAP to do it."""
    with contextlib.suppress(OSError):
        for capability in range(_MOST_CAPABILITIES):
            _prctl(_PR_CAPBSET_DROP, capability)  # EINVAL: there are no more


def drop_capabilities() -> None:
    """Give up all capabilities of this process."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _check(libc().capset(ctypes.byref(header), ctypes.byref(none)))


def forbid_new_privileges() -> None:
    """No program that this process starts gets more rights than it has."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def signal_when_parent_dies(number: int) -> None:
    """Have the kernel send this process the signal ``number`` when the thread that forked it ends. A change of its uid
    takes that back."""
    _prctl(_PR_SET_PDEATHSIG, number)


def _prctl(option: int, argument: int) -> None:
    zero = ctypes.c_ulong(0)
    _check(libc().prctl(ctypes.c_int(option), ctypes.c_ulong(argument), zero, zero, zero))
