# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Target of a backup that is sent to this host: unpacked into a directory, or as it came into an archive."""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import TargetNotEmpty
from ..format import file_kinds
from ..host import durable
from ..host.staging import staged_file
from ..manifest import Manifest
from ..stream.archive import FileChannel
from ..stream.digests import DigestingSource
from ..stream.extract import Extractor
from ..stream.extract_options import DEFAULTS, ExtractOptions
from ..stream.staging import staging_directory
from ..stream.xbstream import ByteSource, Chunk


@dataclass(frozen=True)
class Received:
    """Result of a transfer: its manifest (None when another tool sent it), the digests of the stream, and whether all
    of it was ``verified`` against the manifest: not what is encrypted in an archive for which no key was given."""

    manifest: Manifest | None
    digests: dict[str, str] = field(default_factory=dict)
    verified: bool = False


class Intake(abc.ABC):
    """A place for one backup.

    ``options`` say how it is unpacked or verified. Within ``opened``, any number of threads ``consume`` one stream
    each, then one calls ``finish``, or ``abort``.
    """

    _extractor: Extractor  # from opened on

    def __init__(
        self,
        dest: str | os.PathLike[str],
        options: ExtractOptions = DEFAULTS,
    ) -> None:
        self.dest = Path(dest)
        self.where = f"the stream to {self.dest}"
        self._options = options

    @abc.abstractmethod
    def opened(self) -> contextlib.AbstractContextManager[None]:
        """The block receives; what has arrived is published at its end, and removed after an error.

        Raises TargetNotEmpty, TargetUnsafe, TargetBusy, StorageError.
        """

    @abc.abstractmethod
    def consume(self, source: ByteSource, where: str) -> None:
        """Take all of the stream ``source``, which ``where`` names; raises what reading or writing it raises."""

    def finish(self) -> Received:
        """All streams have ended: what has arrived is complete and durable, or an error is raised."""
        manifest = self._extractor.finish()
        return Received(manifest, verified=manifest is not None and not self._extractor.left_encrypted)

    def abort(self, error: BaseException) -> None:
        """End all threads that take something, because of ``error``; may be called again."""
        self._extractor.abort(error)

    @contextlib.contextmanager
    def _extracting(self, staging: Path | None) -> Iterator[None]:
        options = replace(self._options, keep_encrypted=staging is None)
        self._extractor = Extractor(staging, options, where=self.where)
        try:
            yield
        except BaseException as error:
            self.abort(error)
            raise


class DirectoryIntake(Intake):
    """Unpacks into the directory ``dest``, which must be empty or absent, with ``force``, too."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        with staging_directory(self.dest) as staging, self._extracting(staging):
            yield

    def consume(self, source: ByteSource, where: str) -> None:
        self._extractor.run([self._extractor.reader(source, where)])


class ArchiveIntake(Intake):
    """Writes the archive ``dest``: the bytes of a single stream as they come, the chunks of several as they arrive.

    All of it is verified meanwhile, as if it were unpacked. Of encrypted files without a key, only that they are
    complete and that their chunks have the right checksums. With ``force`` a file that is there is replaced.
    """

    _channel: FileChannel  # from opened on

    def require_free(self) -> None:
        """Raises TargetNotEmpty when ``dest`` is there, unless it is a file and may be replaced."""
        if self.dest.is_dir():
            raise TargetNotEmpty(
                f"{self.dest} is a directory, an archive cannot take its place",
                remedy="Name the file that is to be written.",
                path=str(self.dest),
            )
        if os.path.lexists(self.dest) and not self._options.force:
            raise TargetNotEmpty(f"{self.dest} exists", path=str(self.dest))

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        with staged_file(self.dest) as final:
            staging = final.with_name(final.name + file_kinds.PARTIAL_SUFFIX)
            self.require_free()
            durable.remove_tree(staging)
            self._channel = FileChannel.create(staging)
            try:
                with self._extracting(None):
                    yield
                durable.publish(staging, final)
            except BaseException:
                self._channel.close()
                durable.remove_tree(staging)
                raise

    def consume(self, source: ByteSource, where: str) -> None:
        self._extractor.run([_RecordedChunks(self._extractor, source, where, self._channel)])

    def finish(self) -> Received:
        received = super().finish()
        self._channel.sync()
        return received


class _RecordedChunks:
    """The chunks of one stream, each of which is written to ``channel``, byte by byte as it came, when it is read.

    Memory: that of one chunk.
    """

    def __init__(self, extractor: Extractor, source: ByteSource, where: str, channel: FileChannel) -> None:
        self.where = where
        self._channel = channel
        self._reader = extractor.reader(DigestingSource(source, self._take), where)
        self._pending = bytearray()  # what was read and is not written yet
        self._written = 0

    def __iter__(self) -> Iterator[Chunk]:
        for chunk in self._reader:
            self._write()
            yield chunk
        self._write()  # there may be chunks at the end that readers are to ignore

    def _take(self, data: memoryview) -> None:
        self._pending += data

    def _write(self) -> None:
        """Write all up to the end of the last chunk; the reader may be some bytes ahead of that."""
        count = self._reader.position - self._written
        data, self._pending = self._pending, self._pending[count:]
        self._channel.write([memoryview(data)[:count]])
        self._written += count
