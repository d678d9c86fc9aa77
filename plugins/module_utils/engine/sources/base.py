# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface of the sources of a backup: a location, a kind, one reading of its bytes, and where it can, ranges of
them."""

from __future__ import annotations

import abc
import enum
import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Callable, ClassVar

from ..errors import BackupIncomplete
from ..manifest import Manifest

if TYPE_CHECKING:
    import io

    from ..stream.readable import Reading


class SourceKind(enum.Enum):
    """Form in which a source holds a backup, wherever that is."""

    #: the files of the backup, which can be used where they are
    DIRECTORY = "directory"
    #: a stream that is kept: it is read from its beginning as often as it is opened
    ARCHIVE = "archive"
    #: a stream that arrives once
    STREAM = "stream"


class Ranges(abc.ABC):
    """An open source of which any bytes can be read, by descriptors that stay the same while it is open."""

    def __init__(self, location: str) -> None:
        self._location = location

    @abc.abstractmethod
    def names(self) -> list[str]:
        """The files that can be named, sorted; none where the source is a single file."""

    @abc.abstractmethod
    def size(self, name: str | None = None) -> int:
        """Bytes of the file ``name``; without a name, of the source, which is a single file. Raises StorageError."""

    def read_at(self, name: str | None, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on of the file ``name`` (None: the source is a single file). Raises
        BackupIncomplete when it ends before, StorageError, UnsafeFile."""
        data = self._read(name, offset, length)
        if len(data) < length:
            where = self._location if name is None else f"{self._location}/{name}"
            raise BackupIncomplete(
                f"{where} ends at byte {offset + len(data)}, {length - len(data)} bytes too early", path=where
            )
        return data

    @abc.abstractmethod
    def _read(self, name: str | None, offset: int, length: int) -> bytes:
        """As ``read_at``; less only at the end of the file."""


def pread(descriptor: int, offset: int, length: int) -> bytes:
    """``length`` bytes from ``offset`` on of an open file, less only at its end. Raises OSError."""
    parts = bytearray()
    while len(parts) < length and (data := os.pread(descriptor, length - len(parts), offset + len(parts))):
        parts += data
    return bytes(parts)


class Source(abc.ABC):
    """Source of one backup. A frozen value; nothing is opened before it is read."""

    kind: ClassVar[SourceKind]
    #: where it is on this host, None when it is elsewhere
    path: Path | None = None

    @classmethod
    def at(cls, _location: str) -> Source | None:
        """The source of this class at ``location``, None when that is of another class. Raises OSError."""
        return None

    @property
    @abc.abstractmethod
    def location(self) -> str:
        """Its name in messages and records: of a source on this host, its path."""

    @property
    def is_stored(self) -> bool:
        """Returns whether it is an archive: a stream that can be listed first, and then read from its beginning
        again."""
        return self.kind is SourceKind.ARCHIVE

    @property
    def directory(self) -> Path | None:
        """The directory whose files can be used where they are; None when they have to be unpacked first."""
        return self.path if self.kind is SourceKind.DIRECTORY else None

    def absolute(self) -> Source:
        """The same source by a name that is the same in every working directory."""
        return self

    @abc.abstractmethod
    def is_there(self) -> bool:
        """Returns whether something is at that location. Raises OSError."""

    @abc.abstractmethod
    def reading(self) -> AbstractContextManager[Reading]:
        """Open its stream for one reading. Raises StorageError, also when it holds no stream."""

    def ranges(self) -> AbstractContextManager[Ranges] | None:
        """Open it to read ranges; None for one that can only be read from its beginning to its end. Raises
        StorageError, UnsafeFile."""
        return None

    def size(self) -> int | None:
        """Bytes of its stream; None when nobody knows them yet. Raises OSError."""
        return None

    @abc.abstractmethod
    def require_complete(self) -> Manifest:
        """The manifest of the backup that is there, once every file or entry of it is known to be there. Raises
        NotABackup, BackupIncomplete, FormatError, StreamError, StorageError."""

    @property
    def manifest_location(self) -> str:
        """Location of the manifest: a file of its own, or the archive that it is in."""
        return self.location


class FileReading:
    """A reading of the open ``file``, without buffering."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        self.skip: Callable[[int], object] | None = self._skip if regular else None

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of ``buffer``; returns the count of bytes, 0 at the end. Raises OSError."""
        return self._file.readinto(buffer) or 0

    def _skip(self, count: int) -> int:
        return self._file.seek(count, os.SEEK_CUR)
