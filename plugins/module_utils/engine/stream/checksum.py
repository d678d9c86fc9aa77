# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRC-32 (as in zlib) of payloads: by the library isal where it is installed, otherwise by zlib.

Many distributions' zlib computes it at 2 to 3 GB/s, which is then the largest part of unpacking; isal uses the
processor's carry-less multiplication and needs a tenth of that time.
"""

from __future__ import annotations

import importlib
import zlib
from typing import Callable


def _fastest() -> Callable[..., int]:
    try:
        crc32: Callable[..., int] = importlib.import_module("isal.isal_zlib").crc32
        if crc32(b"123456789") == zlib.crc32(b"123456789"):
            return crc32
    except (ImportError, AttributeError):
        pass
    return zlib.crc32


#: ``crc32(data, value=0)``: the running CRC-32 of ``data`` after ``value``
crc32 = _fastest()
