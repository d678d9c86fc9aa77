# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time at which a file was created, which Linux tells by statx() only, and Python by no call of its own yet.

Where a file system gives the inode number of a file that is gone to the next one and has no generations for ioctl()
(overlay, NFS, FUSE), this is what tells the two apart.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from typing import Any

_STATX_BTIME = 0x800  # linux/stat.h
_AT_EMPTY_PATH = 0x1000
_SIZE = 256
_BTIME = struct.Struct("=qI")  # seconds, nanoseconds
_BTIME_OFFSET = 80


@functools.cache
def _statx() -> Any:
    function = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)  # glibc 2.28, musl 1.2.5
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p]
    return function


def birth_time_ns(descriptor: int) -> int:
    """Returns the time at which the open file ``descriptor`` was created (ns since 1970); 0 where the system or the
    file system cannot tell."""
    function = _statx()
    buffer = ctypes.create_string_buffer(_SIZE)
    if function is None or function(descriptor, os.fsencode(""), _AT_EMPTY_PATH, _STATX_BTIME, buffer):
        return 0
    if not struct.unpack_from("=I", buffer.raw)[0] & _STATX_BTIME:
        return 0
    seconds, nanoseconds = _BTIME.unpack_from(buffer.raw, _BTIME_OFFSET)
    return int(seconds) * 10**9 + int(nanoseconds)
