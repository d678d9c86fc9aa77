# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources at a path of this host: a directory of files, an archive, or a pipe."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from .. import manifest
from ..errors import NotABackup
from ..host import below, durable
from ..host.trees import files_below
from ..manifest import MANIFEST_NAME, Manifest
from ..stream.listing import list_archive
from .base import FileReading, Ranges, Source, SourceKind, pread


@dataclass(frozen=True)
class _PlaceSource(Source):
    """Source at ``path``."""

    path: Path

    @property
    def location(self) -> str:
        return str(self.path)

    def absolute(self) -> Source:
        return replace(self, path=Path(os.path.abspath(self.path)))

    def is_there(self) -> bool:
        return self.path.exists()

    @contextlib.contextmanager
    def reading(self) -> Iterator[FileReading]:
        """See Source. Waits for the writer of a pipe."""
        with durable.storage_errors("opening", self.path):
            file = io.FileIO(os.fspath(self.path))
        with file:
            with contextlib.suppress(OSError):  # pipes have no such hint
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            yield FileReading(file)


@dataclass(frozen=True)
class DirectorySource(_PlaceSource):
    """A directory with the files of a backup."""

    kind: ClassVar[SourceKind] = SourceKind.DIRECTORY

    @classmethod
    def at(cls, location: str) -> Source | None:
        return cls(Path(location)) if os.path.isdir(location) else None

    def is_there(self) -> bool:
        return self.path.is_dir()

    def require_there(self) -> None:
        """Raises NotABackup unless there is a directory."""
        if not self.is_there():
            raise NotABackup(f"{self.path} is not a directory", path=self.location)

    @contextlib.contextmanager
    def ranges(self) -> Iterator[Ranges]:
        with durable.storage_errors("opening", self.path):
            root = below.Root(self.path)
        with root:
            yield _DirectoryRanges(root, self.location)

    def require_complete(self) -> Manifest:
        found = manifest.read(self.path)
        manifest.verify_directory(self.path, found, digests=False)
        return found

    @property
    def manifest_location(self) -> str:
        return str(self.path / MANIFEST_NAME)


class _DirectoryRanges(Ranges):
    """The files below an open directory; each is opened below it when it is read."""

    def __init__(self, root: below.Root, location: str) -> None:
        super().__init__(location)
        self._root = root

    def names(self) -> list[str]:
        return sorted(files_below(below.path_of(self._root.fileno())))

    def size(self, name: str | None = None) -> int:
        with self._opened(name) as descriptor:
            return os.fstat(descriptor).st_size

    def _read(self, name: str | None, offset: int, length: int) -> bytes:
        with self._opened(name) as descriptor:
            return pread(descriptor, offset, length)

    @contextlib.contextmanager
    def _opened(self, name: str | None) -> Iterator[int]:
        if name is None:
            raise NotABackup(f"{self._location} is a directory, whose files have to be named", path=self._location)
        with durable.storage_errors("reading", f"{self._location}/{name}"):
            descriptor = self._root.open(name)
            try:
                below.require_one_name(os.fstat(descriptor), self._root.path / name, self._root.status().st_uid)
                yield descriptor
            finally:
                os.close(descriptor)


@dataclass(frozen=True)
class PipeSource(_PlaceSource):
    """A stream that arrives at a path: a FIFO, or another file that is neither a directory nor a regular one."""

    kind: ClassVar[SourceKind] = SourceKind.STREAM

    @classmethod
    def at(cls, location: str) -> Source | None:
        return cls(Path(location)) if os.path.exists(location) and not os.path.isfile(location) else None

    def require_complete(self) -> Manifest:
        raise NotABackup(f"{self.path} is neither a file nor a directory", path=self.location)


@dataclass(frozen=True)
class ArchiveSource(_PlaceSource):
    """A file in the xbstream format; also the place where none is yet."""

    kind: ClassVar[SourceKind] = SourceKind.ARCHIVE

    @classmethod
    def at(cls, location: str) -> Source | None:
        return cls(Path(location))

    @contextlib.contextmanager
    def ranges(self) -> Iterator[Ranges]:
        with durable.storage_errors("reading", self.path):
            descriptor = below.open_file(os.path.realpath(self.path))
        try:
            yield _FileRanges(descriptor, self.location)
        finally:
            os.close(descriptor)

    def size(self) -> int:
        return self.path.stat().st_size

    def require_complete(self) -> Manifest:
        found = list_archive(self).manifest
        if found is None:
            raise NotABackup(f"{self.path} holds no {MANIFEST_NAME}", path=self.location)
        return found


class _FileRanges(Ranges):
    """One open file."""

    def __init__(self, descriptor: int, location: str) -> None:
        super().__init__(location)
        self._descriptor = descriptor

    def names(self) -> list[str]:
        return []

    def size(self, name: str | None = None) -> int:
        self._require_no_name(name)
        with durable.storage_errors("reading", self._location):
            return os.fstat(self._descriptor).st_size

    def _read(self, name: str | None, offset: int, length: int) -> bytes:
        self._require_no_name(name)
        with durable.storage_errors("reading", self._location):
            return pread(self._descriptor, offset, length)

    def _require_no_name(self, name: str | None) -> None:
        if name is not None:
            raise NotABackup(f"{self._location} is one file, not a directory with {name}", path=self._location)
