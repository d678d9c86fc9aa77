# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The digests by which a manifest names the content of files."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from .. import libraries
from ..errors import FormatError

XXH128 = "xxh3_128"  # XXH3 with 128 bits: finds damage
SHA256 = "sha256"  # withstands who looks for other content with the same digest, too
#: what options call them
OPTIONS = {"xxh128": XXH128, "sha256": SHA256}
_DIGITS = {XXH128: 32, SHA256: 64}


def new_digest(algorithm: str = XXH128) -> Any:
    """A fresh hash object (update, hexdigest); needs the library xxhash for XXH128."""
    return hashlib.sha256() if algorithm == SHA256 else libraries.require("xxhash").xxh3_128()


def algorithm_of(digest: str) -> str:
    """The algorithm of a ``checked_digest``: their lengths differ."""
    return SHA256 if len(digest) == _DIGITS[SHA256] else XXH128


def checked_digest(digest: object, algorithm: str, where: str) -> str:
    """``digest`` when it can be one of ``algorithm``, in hexadecimal, or "" where none is known; raises FormatError."""
    if not isinstance(digest, str) or (digest and not re.fullmatch(f"[0-9a-f]{{{_DIGITS[algorithm]}}}", digest)):
        raise FormatError(f"{where}: {str(digest)[:80]!r} is no {algorithm} digest of a file", where=where)
    return digest
