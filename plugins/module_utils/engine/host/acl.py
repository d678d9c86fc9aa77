# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""POSIX access control lists of open directories, as the kernel keeps them (linux/posix_acl_xattr.h): a permission for
one account that nobody else gets. File systems without them have an empty list."""

from __future__ import annotations

import errno
import os
import stat
import struct

_NAME = "system.posix_acl_access"
_HEADER, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")  # version; tag, permissions, uid or gid
_VERSION = 2
_OWNER, _USER, _GROUP_OF_FILE, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF  # the number of an entry that names none
_NONE = (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS)

_Entries = dict[tuple[int, int], int]


def read(descriptor: int) -> bytes:
    """The list of a directory; empty when its mode says all. Raises OSError."""
    try:
        return os.getxattr(descriptor, _NAME)
    except OSError as error:
        if error.errno in _NONE:
            return b""
        raise


def write(descriptor: int, acl: bytes) -> None:
    """Give the directory this list, or none; the mode's bits of the group become the list's mask. Raises OSError."""
    if acl:
        os.setxattr(descriptor, _NAME, acl)
        return
    try:
        os.removexattr(descriptor, _NAME)
    except OSError as error:
        if error.errno not in _NONE:
            raise


def with_account(acl: bytes, mode: int, uid: int, permissions: int) -> bytes | None:
    """The list ``acl`` of a directory with ``mode``, in which the account ``uid`` has these permissions (rwx) and
    nobody else has more than before. None for a list of another version."""
    entries = _parsed(acl or of_mode(mode))
    if entries is None:
        return None
    mask = entries.get((_MASK, _NOBODY), 7)
    for tag, number in entries:
        if tag in (_USER, _GROUP_OF_FILE, _GROUP):
            # what it comes to with the mask of before
            entries[tag, number] &= mask
    entries[_USER, uid] = permissions
    named = [allowed for (tag, _number), allowed in entries.items() if tag in (_USER, _GROUP_OF_FILE, _GROUP)]
    entries[_MASK, _NOBODY] = 0
    for allowed in named:
        entries[_MASK, _NOBODY] |= allowed
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(tag, entries[tag, one], one) for tag, one in sorted(entries))


def of_mode(mode: int) -> bytes:
    """The list that says what ``mode`` says, and no more."""
    numbers = ((_OWNER, mode >> 6 & 7), (_GROUP_OF_FILE, mode >> 3 & 7), (_OTHER, mode & 7))
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(tag, allowed, _NOBODY) for tag, allowed in numbers)


def with_mask_in(mode: int, acl: bytes) -> int:
    """``mode`` as a directory shows it that has this list."""
    mask = (_parsed(acl) or {}).get((_MASK, _NOBODY))
    return mode if mask is None else mode & ~stat.S_IRWXG | mask << 3


def _parsed(acl: bytes) -> _Entries | None:
    if not acl:
        return {}
    body = acl[_HEADER.size :]
    if len(acl) < _HEADER.size or _HEADER.unpack_from(acl)[0] != _VERSION or len(body) % _ENTRY.size:
        return None
    return {(tag, number): allowed for tag, allowed, number in _ENTRY.iter_unpack(body)}
