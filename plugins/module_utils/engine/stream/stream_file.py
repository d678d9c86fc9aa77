# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file on its way into a stream: cut into blocks, transformed in a pool that all files share, cut into chunks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Callable

from ..errors import Cancelled, InvalidOption, Option
from ..format.content_digest import XXH128
from ..format.holes import BLOCK
from . import cipher, xbstream
from .codec import BLOCK_SIZE, Compression
from .sink import Buffer, SinkFile

CHUNK_SIZE = 1 << 20  # bytes of payload that are collected before a chunk is written
MAX_CHUNK_SIZE = 10 << 20  # bytes of payload in one chunk, as the stock tools write at most by default


def require_sparse_possible(*, sparse: bool, encoded: bool) -> None:
    """Raises InvalidOption when sparse chunks are wanted in a stream that is compressed or encrypted."""
    if sparse and encoded:
        raise InvalidOption(
            f"{Option('sparse')}: what is compressed or encrypted has no holes",
            remedy=f"Leave {Option('sparse')} out; compression makes holes vanish, and unpacking makes them again.",
            option="sparse",
        )


class Transform:
    """Changes each block of a file, in a pool of threads: compresses, then encrypts."""

    def __init__(self, compress: Compression | None, encrypt_key: bytes | None) -> None:
        self._compressor = compress.compressor() if compress else None
        self._encryptor = cipher.Encryptor(encrypt_key) if encrypt_key is not None else None
        self.suffix = (compress.suffix if compress else "") + (cipher.SUFFIX if self._encryptor else "")
        self.active = bool(self.suffix)
        threads = compress.threads if compress else 2
        self.window = threads + 1  # blocks of one file that may be in the pool at once
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compress")  # threads start when they are needed

    def submit(self, block: Buffer) -> Future[list[Buffer]]:
        """Have ``block`` transformed; raises Cancelled when the sink was closed meanwhile."""
        try:
            return self._pool.submit(self._apply, block)
        except RuntimeError as error:
            raise Cancelled("the stream is closed") from error

    def empty(self) -> list[Buffer]:
        """Returns what a file without any byte becomes: compressed, an empty frame; just encrypted, still nothing."""
        return self._apply(b"") if self._compressor else []

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _apply(self, block: Buffer) -> list[Buffer]:
        data: Buffer = self._compressor.compress(block) if self._compressor else block
        return self._encryptor.encrypt(data) if self._encryptor else [data]


class EntryChunks:
    """One entry of the stream: its chunks, its offset. ``write`` sends a chunk, ``ended`` is told of the end and what
    ``digest`` (if there is one) made of the entry's bytes."""

    def __init__(
        self,
        name: bytes,
        write: Callable[[Sequence[Buffer]], None],
        ended: Callable[[bytes], None],
        digest: Any,
    ) -> None:
        self._name = name
        self._write = write
        self._ended = ended
        self._digest = digest
        self._offset = 0

    def chunk(self, buffers: Sequence[Buffer], ranges: Sequence[tuple[int, int]] = ()) -> None:
        """Write one chunk of ``buffers``, a sparse one when there are ``ranges`` (see render_sparse)."""
        if ranges:
            self._write(xbstream.render_sparse(self._name, self._offset, ranges, buffers))
            self._offset += sum(hole for hole, _data in ranges)
        else:
            self._write(xbstream.render_payload(self._name, self._offset, buffers))
        for buffer in buffers:
            self._offset += len(buffer)
            if self._digest is not None:
                self._digest.update(buffer)

    def end(self) -> None:
        """Write the end of the entry."""
        self._write([xbstream.render_end(self._name)])
        self._ended(self._digest.digest() if self._digest is not None else b"")


class StreamFile(SinkFile):
    """Collects what is written into blocks (to transform) or chunks (as it is)."""

    def __init__(
        self,
        path: str,
        stored: str,
        entry: EntryChunks,
        transform: Transform | None = None,
        digest_algorithm: str = XXH128,
    ) -> None:
        super().__init__(path, digest_algorithm)
        self._stored = stored
        self._entry = entry
        self._transform = transform
        self._block = bytearray()
        self._pending: deque[Future[list[Buffer]]] = deque()
        self._ready: list[Buffer] = []
        self._ready_size = 0

    def _stored_name(self) -> str | None:
        return None if self._stored == self.path else self._stored

    def _write(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        if self._transform is None:
            self._write_plain(view)
        else:
            self._write_transformed(view, self._transform)

    def _write_plain(self, view: memoryview) -> None:
        if self._block and len(self._block) + len(view) < CHUNK_SIZE:
            self._block += view
            return
        if self._block:
            buffers: list[Buffer] = [self._block, view] if view else [self._block]
            self._emit_plain(buffers)
            self._block = bytearray()
            return
        while len(view) >= CHUNK_SIZE:
            self._entry.chunk([view[:MAX_CHUNK_SIZE]])
            view = view[MAX_CHUNK_SIZE:]
        self._block += view

    def _emit_plain(self, buffers: list[Buffer]) -> None:
        room = MAX_CHUNK_SIZE - len(buffers[0])
        rest = memoryview(b"")
        if len(buffers) > 1:
            view = memoryview(buffers[1])
            buffers[1], rest = view[:room], view[room:]
        self._entry.chunk(buffers)
        while rest:
            self._entry.chunk([rest[:MAX_CHUNK_SIZE]])
            rest = rest[MAX_CHUNK_SIZE:]

    def _write_transformed(self, view: memoryview, transform: Transform) -> None:
        while view:
            if not self._block and len(view) >= BLOCK_SIZE:
                # the caller may reuse its buffer, the pool works on a copy
                self._submit(bytes(view[:BLOCK_SIZE]), transform)
                view = view[BLOCK_SIZE:]
                continue
            room = BLOCK_SIZE - len(self._block)
            self._block += view[:room]
            view = view[room:]
            if len(self._block) == BLOCK_SIZE:
                self._submit(self._block, transform)
                self._block = bytearray()

    def _submit(self, block: Buffer, transform: Transform) -> None:
        self._pending.append(transform.submit(block))
        while len(self._pending) > transform.window or (self._pending and self._pending[0].done()):
            self._collect(_result(self._pending.popleft()))

    def _collect(self, buffers: Iterable[Buffer]) -> None:
        for buffer in buffers:
            self._ready.append(buffer)
            self._ready_size += len(buffer)
        if self._ready_size >= CHUNK_SIZE:
            self._flush_ready()

    def _flush_ready(self) -> None:
        if self._ready:
            self._entry.chunk(self._ready)
        self._ready, self._ready_size = [], 0

    def _close(self) -> None:
        if self._transform is None:
            if self._block:
                self._emit_plain([self._block])
        else:
            if self._block:
                self._submit(self._block, self._transform)
            elif not self.size:
                self._collect(self._transform.empty())
            while self._pending:
                self._collect(_result(self._pending.popleft()))
            self._flush_ready()
        self._block = bytearray()
        self._entry.end()

    def abandon(self) -> None:
        for future in self._pending:
            future.cancel()
        self._pending.clear()
        self._block = bytearray()


class SparseStreamFile(StreamFile):
    """Stored as it is, its holes as sparse chunks; without a hole it is written as any other file.

    Ranges are collected from the first hole on until their chunk is large enough; ``_block`` holds their data.
    """

    keeps_holes = True

    def __init__(self, path: str, stored: str, entry: EntryChunks, digest_algorithm: str = XXH128) -> None:
        super().__init__(path, stored, entry, digest_algorithm=digest_algorithm)
        self._ranges: list[tuple[int, int]] = []

    def _write(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        while view and self._ranges:
            piece, view = view[:CHUNK_SIZE], view[CHUNK_SIZE:]
            self._block += piece
            hole, length = self._ranges[-1]
            self._ranges[-1] = (hole, length + len(piece))
            if len(self._block) >= CHUNK_SIZE:
                self._emit_sparse()
        super()._write(view)

    def _hole(self, size: int) -> None:
        if size and not self._ranges:
            self._ranges.append((0, len(self._block)))
        while size:
            hole, length = self._ranges[-1]
            if length or hole == xbstream.MAX_SPARSE_LENGTH:
                if len(self._ranges) == xbstream.MAX_SPARSE_RANGES:
                    self._emit_sparse()
                self._ranges.append((0, 0))
                hole = 0
            added = min(size, xbstream.MAX_SPARSE_LENGTH - hole)
            self._ranges[-1] = (hole + added, 0)
            size -= added

    def _emit_sparse(self) -> None:
        block, self._block = self._block, bytearray()
        ranges, self._ranges = self._ranges, []
        self._entry.chunk([block], ranges)

    def _close(self) -> None:
        if self._ranges:
            if not self._block:
                # a chunk without any payload is nothing that the stock tools write, so nothing to surprise readers with
                hole, _length = self._ranges[-1]
                kept = min(hole, BLOCK)
                self._ranges[-1] = (hole - kept, kept)
                self._block += bytes(kept)
            self._emit_sparse()
        super()._close()


def _result(future: Future[list[Buffer]]) -> list[Buffer]:
    try:
        return future.result()
    except CancelledError as error:
        raise Cancelled("the stream is closed") from error
