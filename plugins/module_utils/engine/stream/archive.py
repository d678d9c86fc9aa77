# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stream sinks: a backup as xbstream chunks, through one or several channels; and the sink that is a file.

Each file goes through: blocks -> compress -> encrypt (in a pool shared by all files) -> chunks, in order, on the one
channel that the file was bound to when it was opened. The manifest is the last entry, on the first channel.
"""

from __future__ import annotations

import abc
import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from ..errors import Cancelled, StreamError, XtrabackupError
from ..format import file_kinds
from ..format.family import Family
from ..format.file_kinds import MANIFEST_NAME, OVERRIDES
from ..host import durable
from ..host.staging import staged_file
from ..manifest import Manifest
from . import cipher, xbstream
from .codec import Compression
from .digests import StreamDigests, combine
from .sink import Buffer, Sink, SinkFile
from .stream_file import MAX_CHUNK_SIZE, EntryChunks, SparseStreamFile, StreamFile, Transform

IOV_MAX = 1024


class Channel(abc.ABC):
    """One ordered way for chunks to the reader. StreamSink calls it under a lock of its own."""

    @abc.abstractmethod
    def write(self, buffers: Sequence[Buffer]) -> None:
        """Send all of ``buffers``, a whole chunk; it is consumed on return. Raises StreamError or StorageError."""


class _ChannelState:
    """A channel, its lock, how many open files are bound to it, and the digests of what went through it."""

    def __init__(self, channel: Channel, digests: Sequence[str]) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self.files = 0
        self.digests = StreamDigests(digests)

    def write(self, buffers: Sequence[Buffer], check: Callable[[], None]) -> None:
        """Send a chunk, if ``check`` does not raise when its turn has come."""
        with self._lock:
            check()
            self._channel.write(buffers)
            for buffer in buffers:
                self.digests.update(buffer)


class StreamSink(Sink):
    """The common part of every stream sink.

    A subclass passes its ``channels`` and implements ``_finish`` (all is written: flush, wait for the other end,
    publish) and ``_abort``. ``encrypt_key`` is the raw key; the key's length says which AES. ``digests`` names those of
    the stream that publish() returns (see the module digests). With ``sparse`` the holes of entries that are stored as
    they are go as sparse chunks, which mbstream does not know.
    """

    can_rewrite = False

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        compress: Compression | None = None,
        encrypt_key: bytes | None = None,
        digests: Sequence[str] = (),
        sparse: bool = False,
    ) -> None:
        self._channel_states = [_ChannelState(channel, digests) for channel in channels]
        self._transform = Transform(compress, encrypt_key)
        self._encrypt_key = encrypt_key
        self._sparse = sparse
        self._lock = threading.Lock()
        self._stored: dict[str, str] = {}
        self._names: set[str] = set()
        self._discarded: list[str] = []
        self._stored_digests: dict[str, bytes] = {}
        self._open_files = 0
        self._failure: BaseException | None = None

    # -- what a subclass does

    @abc.abstractmethod
    def _finish(self) -> dict[str, Any]:
        """Every chunk is written: make them durable at the reading end. Returns additions to publish()'s result;
        must hold ``path``."""

    @abc.abstractmethod
    def _abort(self, reason: BaseException) -> None:
        """Remove what was written, tell the other end."""

    # -- Sink

    def open(self, path: str, *, compress: bool = True) -> SinkFile:
        return self._open(path, path, compress)

    def replace(self, path: str) -> SinkFile:
        name = _override_name(path, OVERRIDES[self.family].newer, self.family)
        self._supersede(path)
        return self._open(path, name, True)

    def discard(self, path: str) -> None:
        marker = _override_name(path, OVERRIDES[self.family].void, self.family)
        self._supersede(path)
        with self._open(path, marker, False) as file:
            file.close()
        with self._lock:
            self._discarded.append(marker)

    def publish(self, manifest: Manifest) -> dict[str, Any]:
        with self._lock:
            if self._open_files:
                raise StreamError(f"{self._open_files} files of the stream were not closed before its manifest")
            discarded = {*manifest.discarded, *self._discarded}
        stored = replace(manifest, discarded=tuple(sorted(discarded)), mac=None)
        if self._encrypt_key is not None:
            mac = cipher.manifest_mac(self._encrypt_key, stored.render(), self._stored_digests)
            stored = replace(stored, mac=mac)
        with self._failing():
            self._write_manifest(stored.render())
            answer = self._finish()
        self._transform.close()
        # the digest of the manifest that the unpacked directory will hold: one backup, one digest, in any form
        return {"sha256": manifest.own_sha256, "digests": combine(self._channel_digests()), **answer}

    def abort(self, reason: BaseException) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = reason
        # the reason is what the caller must see
        with contextlib.suppress(Exception):
            self._abort(reason)
        with contextlib.suppress(Exception):
            self._transform.close()

    def _channel_digests(self) -> list[dict[str, str]]:
        """The digests of what was written to each channel; for ``_finish``."""
        return [channel.digests.hexdigests() for channel in self._channel_states]

    # -- for the files

    def _open(self, path: str, name: str, compress: bool) -> SinkFile:
        with self._lock:
            self._raise_failure()
            stored = name + (self._transform.suffix if compress else "")
            encoded = xbstream.encode_path(stored)
            if stored in self._names:
                raise StreamError(f"{stored}: written to the stream twice", entry=stored)
            self._names.add(stored)
            self._stored[path] = stored
            channel = min(self._channel_states, key=lambda candidate: candidate.files)
            channel.files += 1
            self._open_files += 1

        def ended(digest: bytes) -> None:
            self._closed(channel, stored, digest)

        digest = cipher.new_stored_digest() if self._encrypt_key is not None else None
        entry = self._entry(stored, encoded, channel, ended, digest)
        if compress and self._transform.active:
            return StreamFile(path, stored, entry, self._transform, digest_algorithm=self.digest_algorithm)
        kind = SparseStreamFile if self._sparse else StreamFile
        return kind(path, stored, entry, digest_algorithm=self.digest_algorithm)

    def _entry(
        self, _stored: str, encoded: bytes, channel: _ChannelState, ended: Callable[[bytes], None], digest: Any
    ) -> EntryChunks:
        """Returns the sink for the bytes of the new entry ``_stored``: as chunks onto its channel."""
        return EntryChunks(encoded, lambda buffers: self._write(channel, buffers), ended, digest)

    def _supersede(self, path: str) -> None:
        with self._lock:
            superseded = self._stored.pop(path, None)
            if superseded is None:
                raise StreamError(f"{path}: cannot be replaced in the stream, it was not written before", entry=path)
            self._discarded.append(superseded)

    def _closed(self, channel: _ChannelState, stored: str, digest: bytes) -> None:
        with self._lock:
            self._stored_digests[stored] = digest
            channel.files -= 1
            self._open_files -= 1

    def _write(self, channel: _ChannelState, buffers: Sequence[Buffer]) -> None:
        with self._failing():
            channel.write(buffers, self._raise_failure)

    def _write_manifest(self, data: bytes) -> None:
        name, offset = xbstream.encode_path(MANIFEST_NAME), 0
        while offset < len(data):
            piece = data[offset : offset + MAX_CHUNK_SIZE]
            self._write(self._channel_states[0], xbstream.render_payload(name, offset, [piece]))
            offset += len(piece)
        self._write(self._channel_states[0], [xbstream.render_end(name)])

    def _raise_failure(self) -> None:
        if isinstance(self._failure, XtrabackupError):
            # whichever thread comes next says what really happened, not that something did
            raise self._failure
        if self._failure is not None:
            raise Cancelled(f"the stream has failed before: {self._failure}")

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """The first error of the block stays: nothing may be written behind a gap."""
        try:
            yield
        except BaseException as error:
            with self._lock:
                if self._failure is None:
                    self._failure = error
            raise


def _override_name(path: str, suffix: str, family: Family) -> str:
    """The entry by which the stock tool of ``family`` overrides the tablespace ``path``."""
    replaced = OVERRIDES[family].replaced
    if not path.endswith(replaced):
        raise StreamError(f"{path}: only {replaced} files can be replaced or dropped in a stream", entry=path)
    return path[: len(path) - len(replaced)] + suffix


# --- a file --------------------------------------------------------------------------------------


def write_all(descriptor: int, buffers: Sequence[Buffer]) -> None:
    """Write all of ``buffers`` with as few system calls as the kernel allows; raises OSError."""
    views = [memoryview(buffer) for buffer in buffers if len(buffer)]
    while views:
        drop_written(views, os.writev(descriptor, views[:IOV_MAX]))


def drop_written(views: list[memoryview], written: int) -> None:
    """Take the first ``written`` bytes off ``views``."""
    while views and written >= len(views[0]):
        written -= len(views.pop(0))
    if written:
        views[0] = views[0][written:]


class FileChannel(Channel):
    """An open file (``descriptor``, which this object owns)."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._lock = threading.Lock()
        self._written = 0
        self._behind = durable.WriteBehind(descriptor)

    def write(self, buffers: Sequence[Buffer]) -> None:
        with self._lock, durable.storage_errors("writing", self._path):
            if self._descriptor < 0:
                raise Cancelled(f"{self._path} was closed")
            write_all(self._descriptor, buffers)
            self._written += sum(map(len, buffers))
            self._behind.wrote(self._written)

    @classmethod
    def create(cls, path: Path) -> FileChannel:
        """A channel into the new file ``path``. Raises StorageError."""
        with durable.storage_errors("creating", path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return cls(os.open(path, flags, 0o640), path)

    def sync(self) -> None:
        """Make the content durable and close the file."""
        with durable.storage_errors("writing", self._path):
            os.fsync(self._descriptor)
        self.close()

    def close(self) -> None:
        """Close the file, once; never while another thread writes to it."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)


class ArchiveSink(StreamSink):
    """An archive file: written as ``<dest>.partial``, fsynced, renamed to ``<dest>`` when it is complete. The place is
    locked until then.

    ``digests`` names those of the whole archive that publish() returns. Raises what ``staged_file`` does.
    """

    def __init__(
        self,
        dest: str | os.PathLike[str],
        *,
        compress: Compression | None = None,
        encrypt_key: bytes | None = None,
        digests: Sequence[str] = (),
        sparse: bool = False,
    ) -> None:
        self.dest = self.location = Path(dest)
        StreamDigests(digests)  # refuses unknown ones before anything is made
        with contextlib.ExitStack() as held:
            self._final = held.enter_context(staged_file(dest))
            self.staging = self._final.with_name(self._final.name + file_kinds.PARTIAL_SUFFIX)
            durable.remove_tree(self.staging)
            self._channel = FileChannel.create(self.staging)
            self._held = held.pop_all()
        super().__init__([self._channel], compress=compress, encrypt_key=encrypt_key, digests=digests, sparse=sparse)

    def _finish(self) -> dict[str, Any]:
        self._channel.sync()
        durable.publish(self.staging, self._final)
        self._held.close()
        return {"path": str(self.dest)}

    def _abort(self, reason: BaseException) -> None:
        with self._held:
            self._channel.close()
            durable.remove_tree(self.staging)
