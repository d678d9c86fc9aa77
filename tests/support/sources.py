# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up kind of source, to show what a new one takes: archives in a vault that is on no file system."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable, ClassVar

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import NotABackup, StorageError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.base import Ranges, Source, SourceKind
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive

_SCHEME = "vault:"


class _Reading:
    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.skip: Callable[[int], object] | None = lambda count: self._file.seek(count, io.SEEK_CUR)

    def readinto(self, buffer: memoryview, /) -> int:
        return self._file.readinto(buffer)


class _VaultRanges(Ranges):
    def __init__(self, location: str, data: bytes) -> None:
        super().__init__(location)
        self._data = data

    def names(self) -> list[str]:
        return []

    def size(self, name: str | None = None) -> int:
        return len(self._data)

    def _read(self, name: str | None, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


@dataclass(frozen=True)
class VaultSource(Source):
    """The archive ``name`` in the vault; its location is ``vault:name``."""

    name: str

    kind: ClassVar[SourceKind] = SourceKind.ARCHIVE
    #: what is in the vault
    content: ClassVar[dict[str, bytes]] = {}

    @classmethod
    def at(cls, location: str) -> Source | None:
        return cls(location[len(_SCHEME) :]) if location.startswith(_SCHEME) else None

    @classmethod
    def put(cls, data: bytes) -> str:
        """Put an archive there; returns its location."""
        name = hashlib.sha256(data).hexdigest()[:12]
        cls.content[name] = data
        return _SCHEME + name

    @property
    def location(self) -> str:
        return _SCHEME + self.name

    def is_there(self) -> bool:
        return self.name in self.content

    @contextlib.contextmanager
    def reading(self) -> Iterator[_Reading]:
        yield _Reading(self._data())

    @contextlib.contextmanager
    def ranges(self) -> Iterator[Ranges]:
        yield _VaultRanges(self.location, self._data())

    def size(self) -> int:
        return len(self._data())

    def require_complete(self) -> Manifest:
        found = list_archive(self).manifest
        if found is None:
            raise NotABackup(f"{self.location} holds no manifest", path=self.location)
        return found

    def _data(self) -> bytes:
        if not self.is_there():
            raise StorageError(f"opening {self.location}: nothing of this name is in the vault", path=self.location)
        return self.content[self.name]
