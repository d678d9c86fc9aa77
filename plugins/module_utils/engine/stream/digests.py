# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of a stream's bytes as they travel or stand in an archive, and the comparison with one that is expected.

The digest of a stream that travels over several connections is that of the connections' raw (binary) digests, one
after the other in the order of the connections' index; with one connection it is simply that of its bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from .. import libraries
from ..errors import InvalidOption, Option, StreamCorrupt
from .sink import Buffer
from .xbstream import ByteSource

#: for each digest its length in bytes; xxh3 is XXH3 with 64 bits, as ``xxhsum -H3`` computes it, xxh128 with 128 bits
ALGORITHMS = {"sha256": 32, "sha512": 64, "sha1": 20, "md5": 16, "xxh3": 8, "xxh128": 16}


def _hash(name: str) -> Any:
    """A fresh hash object; raises InvalidOption for a digest that this host does not know, MissingLibrary."""
    if name not in ALGORITHMS:
        raise InvalidOption(f"{Option('digests')}: {name!r} is not one of {', '.join(ALGORITHMS)}", option="digests")
    if name.startswith("xxh"):
        xxhash = libraries.require("xxhash")
        return xxhash.xxh3_64() if name == "xxh3" else xxhash.xxh3_128()
    try:
        return hashlib.new(name, usedforsecurity=False)
    except ValueError as error:
        raise InvalidOption(
            f"{Option('digests')}: this host's OpenSSL does not offer {name}", option="digests"
        ) from error


@dataclass(frozen=True)
class Checksum:
    """Expected digest of a stream, in lower-case hexadecimal."""

    algorithm: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """``text`` is ``sha256:<hex>``; raises InvalidOption."""
        algorithm, _colon, value = text.strip().partition(":")
        length = ALGORITHMS.get(algorithm)
        if length is None or not re.fullmatch(f"[0-9a-fA-F]{{{2 * length}}}", value):
            wanted = f"{2 * length} hexadecimal digits follow {algorithm}:" if length else f"{', '.join(ALGORITHMS)}"
            raise InvalidOption(
                f"{Option('checksum')}: {text!r} is no checksum ({wanted})",
                remedy="Write the algorithm, a colon and the digest in hexadecimal, as in sha1:da39a3ee5e6b4b0d....",
                option="checksum",
            )
        return cls(algorithm, value.lower())

    def compare(self, found: Mapping[str, str], where: str) -> None:
        """Raises StreamCorrupt unless the stream ``where``, which has the digests ``found``, is the expected one."""
        actual = found[self.algorithm]
        if actual != self.value:
            raise StreamCorrupt(
                f"{where}: its {self.algorithm} is {actual}, and {self.value} was expected",
                where=where,
                algorithm=self.algorithm,
                found=actual,
                expected=self.value,
            )


class StreamDigests:
    """The digests ``names`` of bytes that come in order, and perhaps what one more must be. Not thread-safe."""

    def __init__(self, names: Sequence[str] = (), checksum: Checksum | None = None) -> None:
        self._checksum = checksum
        self._hashes = {name: _hash(name) for name in (*names, *([checksum.algorithm] if checksum else ()))}

    def update(self, data: Buffer) -> None:
        """Take the next bytes."""
        for digest in self._hashes.values():
            digest.update(data)

    def hexdigests(self) -> dict[str, str]:
        """The digests of all bytes so far, in hexadecimal."""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}

    def check(self, where: str) -> None:
        """All bytes of the stream ``where`` have come: raises StreamCorrupt when they are not the expected ones."""
        if self._checksum is not None:
            self._checksum.compare(self.hexdigests(), where)


class DigestingSource:
    """``source`` (see ByteSource), of which each byte that is read goes through ``take`` too."""

    def __init__(self, source: ByteSource, take: Callable[[memoryview], None]) -> None:
        self._source = source
        self._take = take

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of ``buffer``; returns the count of bytes, 0 at the end."""
        count = self._source.readinto(buffer) or 0
        self._take(buffer[:count])
        return count


def combine(connections: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The digests of a stream whose ``connections``, in the order of their index, have these ones."""
    if len(connections) == 1:
        return dict(connections[0])
    combined = {}
    for name in connections[0]:
        digest = _hash(name)
        for connection in connections:
            digest.update(bytes.fromhex(connection[name]))
        combined[name] = digest.hexdigest()
    return combined
