# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The xbstream container: many files in one stream of chunks, as the tools xbstream and mbstream have it.

A stream is nothing but chunks, all integers little-endian. Every chunk begins with magic (8 bytes), flags (1),
type (1), path length (u32) and path; an ``E`` chunk ends there. A ``P`` chunk goes on with payload length (u64),
offset of the payload in its file (u64), CRC-32 of the payload (u32) and the payload. Chunks of different files
interleave; those of one file are contiguous from offset 0 and end with an ``E``.

An ``S`` chunk (Percona XtraBackup's sparse payload) goes on with count of ranges (u32), payload length (u64), offset
(u64), CRC-32 of ranges and payload (u32), the ranges, each the length of a hole and that of the data behind it (both
u32), and the payload. MariaDB's chunks of that letter (seek), ``R`` (rename) and ``D`` (remove) mean other things,
and are refused by name. What is written here is ``P`` and ``E`` with flags 0, the only chunks that both families of
tools understand, and ``S`` for those who ask for it. Sources: docs/internals/formats-stream.md#xbstream.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Callable, Protocol

from ..errors import Option, StreamCorrupt, StreamTruncated, UnknownFormat
from ..format.names import fault_of
from ..host.durable import storage_errors
from .checksum import crc32
from .sink import Buffer

MAGIC = b"XBSTCK01"
MAX_PATH = 511  # bytes; readers refuse 512 and more (FN_REFLEN)
MAX_PAYLOAD = 64 << 20  # bytes; the format knows no limit, a reader's memory does
MAX_SPARSE_RANGES = 1 << 16
MAX_SPARSE_LENGTH = (1 << 32) - 1  # bytes of a hole, or of the data behind it
MAX_OFFSET = (1 << 63) - 1
MAX_OPEN = 1000  # entries that may be incomplete at once
MAX_ENTRIES = 1 << 21  # of a stream: more than a manifest of the size that is read can name
# Of InnoDB's files, at least every page that describes extents has data: one block of two in page_size ** 2 bytes. The
# rest is for what was just made longer.
MAX_HOLES = 8 << 30  # bytes of holes in a stream, beside those that its data allow
MAX_HOLES_PER_BYTE = (64 << 10) ** 2 // 8192

TYPE_PAYLOAD = "P"
TYPE_END = "E"
TYPE_SPARSE = "S"

FLAG_IGNORABLE = 0x01
FLAG_REWRITE = 0x02  # MariaDB: the file may replace an earlier one of its name; only ever the first one is taken here

_PREFIX = struct.Struct("<8sBcI")
_PAYLOAD_HEADER = struct.Struct("<QQI")
_SPARSE_HEADER = struct.Struct("<IQQI")
_SPARSE_RANGE = struct.Struct("<II")
_WINDOW = 64 << 10
_NOTHING = memoryview(b"")


class ByteSource(Protocol):
    """Source of a stream's bytes: a file opened without buffering, a socket's or pipe's raw reader."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill some of ``buffer``; returns the count of bytes, 0 at the end."""


@dataclass(frozen=True)
class Chunk:
    """One chunk of a stream.

    ``kind`` is TYPE_PAYLOAD, TYPE_END or TYPE_SPARSE; ``position`` is where in the stream it begins (bytes),
    ``offset`` where in its file its payload belongs. ``ranges`` of a sparse chunk are (hole, data) lengths in
    bytes: a hole of the one, then so many bytes of the payload, and so on. ``length`` is the payload's, which is
    empty itself when the reader was told to skip it.
    """

    path: str
    kind: str
    position: int = 0
    offset: int = 0
    payload: memoryview = _NOTHING
    checksum: int = 0
    ranges: tuple[tuple[int, int], ...] = ()
    length: int = 0

    @property
    def span(self) -> int:
        """Bytes by which this chunk makes its file longer: payload and holes."""
        return self.length + sum(hole for hole, _data in self.ranges)

    def verify(self, where: str) -> None:
        """Compare the payload with its checksum; raises StreamCorrupt naming the stream ``where`` and the place."""
        running = 0
        for hole, data in self.ranges:
            running = crc32(_SPARSE_RANGE.pack(hole, data), running)
        if crc32(self.payload, running) != self.checksum:
            raise corrupt(where, self.position, self.path, "the payload does not match its checksum")


def corrupt(where: str, position: int, path: str | None, what: str) -> StreamCorrupt:
    """The error for a chunk of the stream ``where`` that begins at ``position`` (bytes) and belongs to ``path``."""
    entry = f" (entry {path})" if path else ""
    return StreamCorrupt(f"{where}: at offset {position}{entry}: {what}", where=where, offset=position, entry=path)


# --- writing -------------------------------------------------------------------------------------


def encode_path(path: str) -> bytes:
    """``path`` as it stands in a chunk; raises StreamCorrupt when no reader would take it."""
    encoded = os.fsencode(path)
    if not 0 < len(encoded) <= MAX_PATH:
        raise StreamCorrupt(
            f"{path}: a name of {len(encoded)} bytes cannot be stored in an xbstream archive, which allows {MAX_PATH}",
            remedy=f"Back up into a directory instead ({Option('format', 'directory')}).",
            entry=path,
        )
    return encoded


def render_payload(path: bytes, offset: int, payload: Sequence[Buffer]) -> list[Buffer]:
    """A ``P`` chunk for the bytes in ``payload``: its header followed by those same buffers, nothing copied."""
    length, checksum = _measure(payload)
    header = b"".join(
        (_PREFIX.pack(MAGIC, 0, b"P", len(path)), path, _PAYLOAD_HEADER.pack(length, offset, checksum)),
    )
    return [header, *payload]


def render_sparse(
    path: bytes, offset: int, ranges: Sequence[tuple[int, int]], payload: Sequence[Buffer]
) -> list[Buffer]:
    """An ``S`` chunk: at ``offset`` of its file the ``ranges``, each (hole, data) in bytes, whose data is ``payload``.

    Raises ValueError for ranges that no reader would take.
    """
    if not 0 < len(ranges) <= MAX_SPARSE_RANGES or max(map(max, ranges)) > MAX_SPARSE_LENGTH:
        raise ValueError(f"{len(ranges)} ranges, or too long ones")
    sparse_map = b"".join(itertools.starmap(_SPARSE_RANGE.pack, ranges))
    length, checksum = _measure(payload, crc32(sparse_map))
    if sum(data for _hole, data in ranges) != length:
        raise ValueError(f"ranges that do not add up to the {length} bytes of the payload")
    header = _SPARSE_HEADER.pack(len(ranges), length, offset, checksum)
    return [b"".join((_PREFIX.pack(MAGIC, 0, b"S", len(path)), path, header, sparse_map)), *payload]


def _measure(payload: Sequence[Buffer], checksum: int = 0) -> tuple[int, int]:
    """Length and CRC-32 of ``payload``, the latter going on from ``checksum``."""
    length = 0
    for part in payload:
        checksum = crc32(part, checksum)
        length += len(part)
    return length, checksum


def render_end(path: bytes) -> bytes:
    """The ``E`` chunk that ends the file ``path``."""
    return _PREFIX.pack(MAGIC, 0, b"E", len(path)) + path


# --- reading -------------------------------------------------------------------------------------


class _Window:
    """Small reads of a source through one buffer; large ones go straight into the caller's memory."""

    def __init__(self, source: ByteSource, where: str) -> None:
        self._source = source
        self._where = where
        self._buffer = memoryview(bytearray(_WINDOW))
        self._start = self._end = 0
        self.position = 0

    def _fetch(self, target: memoryview) -> int:
        with storage_errors("reading", self._where):
            return self._source.readinto(target) or 0

    def read_into(self, target: memoryview) -> int:
        """Fill ``target``; returns how much of it was filled, less only at the end of the source."""
        filled = min(self._end - self._start, len(target))
        target[:filled] = self._buffer[self._start : self._start + filled]
        self._start += filled
        while filled < len(target):
            if len(target) - filled >= _WINDOW:
                count = self._fetch(target[filled:])
            else:
                self._start, self._end = 0, self._fetch(self._buffer)
                count = min(self._end, len(target) - filled)
                target[filled : filled + count] = self._buffer[:count]
                self._start = count
            if not count:
                break
            filled += count
        self.position += filled
        return filled

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end of the source."""
        if self._end - self._start >= size:
            data = bytes(self._buffer[self._start : self._start + size])
            self._start += size
            self.position += size
            return data
        target = bytearray(size)
        filled = self.read_into(memoryview(target))
        return bytes(target[:filled])

    def skip(self, size: int, seek: Callable[[int], object]) -> None:
        """Leave out ``size`` bytes; ``seek`` moves the source forward by a count of bytes."""
        buffered = min(size, self._end - self._start)
        self._start += buffered
        if size > buffered:
            with storage_errors("reading", self._where):
                seek(size - buffered)
        self.position += size


def _new_buffer(size: int) -> memoryview:
    return memoryview(bytearray(size))


class ChunkReader:
    """The chunks of one stream, in order; memory is bounded by one chunk.

    ``where`` names the stream in errors. ``allocate`` returns writable memory of exactly a size for a payload
    (to pool buffers or to wait for room); with ``verify=False`` the caller calls ``Chunk.verify`` itself, in a
    thread of its choice. ``skip`` moves the source forward by so many bytes: payloads of entries that are not
    ``wanted`` are then left out, unread and unchecked, to list an archive quickly.

    A stream that ends between two chunks just ends: completeness is for the caller to check (see EntryLedger and
    the manifest).
    """

    def __init__(
        self,
        source: ByteSource,
        where: str,
        *,
        allocate: Callable[[int], memoryview] = _new_buffer,
        verify: bool = True,
        skip: Callable[[int], object] | None = None,
        wanted: Callable[[str], bool] = lambda _path: True,
    ) -> None:
        self._window = _Window(source, where)
        self._allocate = allocate
        self._verify = verify
        self._skip = skip
        self._wanted = wanted
        self.where = where

    @property
    def position(self) -> int:
        """Bytes of the stream behind the last chunk."""
        return self._window.position

    def __iter__(self) -> Iterator[Chunk]:
        while True:
            chunk = self.read()
            if chunk is None:
                return
            yield chunk

    def read(self) -> Chunk | None:
        """The next chunk, or None at the end. Raises StreamCorrupt, StreamTruncated, UnknownFormat, StorageError."""
        while True:
            position = self._window.position
            head = self._read_head(position)
            if head is None:
                return None
            kind, path = head
            if kind == TYPE_END:
                return Chunk(path, TYPE_END, position)
            if kind == TYPE_SPARSE:
                return self._checked(self._read_sparse(position, path))
            chunk = self._checked(self._read_payload(position, path, kind))
            if kind == TYPE_PAYLOAD:
                return chunk
            # an unknown chunk that its writer marked as ignorable: framed like a payload, and ignored

    def _checked(self, chunk: Chunk) -> Chunk:
        if self._verify and len(chunk.payload) == chunk.length:
            chunk.verify(self.where)
        return chunk

    def _read_head(self, position: int) -> tuple[str, str] | None:
        prefix = self._window.read(_PREFIX.size)
        if not prefix:
            return None
        if prefix[: len(MAGIC)] != MAGIC[: len(prefix)]:
            raise corrupt(self.where, position, None, "no chunk begins here (wrong magic)")
        if len(prefix) < _PREFIX.size:
            raise self._truncated(position, None)
        _magic, flags, letter, path_length = _PREFIX.unpack(prefix)
        if not 0 < path_length <= MAX_PATH:
            raise corrupt(self.where, position, None, f"a file name of {path_length} bytes (1 to {MAX_PATH} allowed)")
        encoded = self._window.read(path_length)
        if len(encoded) < path_length:
            raise self._truncated(position, None)
        path = self._safe(os.fsdecode(encoded), position)
        kind = letter.decode("latin-1")
        if flags & ~(FLAG_IGNORABLE | FLAG_REWRITE):
            raise corrupt(self.where, position, path, f"unknown chunk flags 0x{flags:02x}")
        if kind not in (TYPE_PAYLOAD, TYPE_END, TYPE_SPARSE):
            self._accept_unknown(kind, flags, path, position)
        return kind, path

    def _safe(self, path: str, position: int) -> str:
        # mbstream -c records names as they were typed, and people type ./
        while path.startswith("./"):
            path = path[2:].lstrip("/")
        if fault := fault_of(path):
            raise corrupt(self.where, position, path, fault)
        return path

    def _accept_unknown(self, kind: str, flags: int, path: str, position: int) -> None:
        if kind in ("R", "D"):
            raise UnknownFormat(
                f"{self.where}: at offset {position} (entry {path}): a MariaDB "
                f"{'rename' if kind == 'R' else 'remove'} chunk, which this reader does not support",
                remedy="Unpack this archive with the mbstream of the server's version.",
                where=self.where,
                offset=position,
                entry=path,
            )
        if not flags & FLAG_IGNORABLE:
            raise corrupt(self.where, position, path, f"unknown chunk type {kind!r}")

    def _read_payload(self, position: int, path: str, kind: str) -> Chunk:
        header = self._exactly(_PAYLOAD_HEADER.size, position, path)
        length, offset, checksum = _PAYLOAD_HEADER.unpack(header)
        payload = self._read_data(length, offset, position, path)
        return Chunk(path, kind, position, offset, payload, checksum, length=length)

    def _read_sparse(self, position: int, path: str) -> Chunk:
        header = self._exactly(_SPARSE_HEADER.size, position, path)
        if header[8 : 8 + len(MAGIC)] == MAGIC:
            raise UnknownFormat(
                f"{self.where}: at offset {position} (entry {path}): a MariaDB seek chunk, which this reader "
                "does not support",
                remedy="Unpack this archive with the mbstream of the server's version.",
                where=self.where,
                offset=position,
                entry=path,
            )
        count, length, offset, checksum = _SPARSE_HEADER.unpack(header)
        if not 0 < count <= MAX_SPARSE_RANGES:
            raise corrupt(self.where, position, path, f"a sparse map of {count} ranges")
        encoded = self._exactly(count * _SPARSE_RANGE.size, position, path)
        ranges = tuple(_SPARSE_RANGE.iter_unpack(encoded))
        if sum(data for _hole, data in ranges) != length:
            raise corrupt(self.where, position, path, "a sparse map that does not add up to its payload")
        if offset + sum(map(sum, ranges)) > MAX_OFFSET:
            raise corrupt(self.where, position, path, f"holes from offset {offset} on, beyond the end of any file")
        payload = self._read_data(length, offset, position, path)
        return Chunk(path, TYPE_SPARSE, position, offset, payload, checksum, ranges, length)

    def _read_data(self, length: int, offset: int, position: int, path: str) -> memoryview:
        if length > MAX_PAYLOAD:
            raise corrupt(self.where, position, path, f"a chunk of {length} bytes (at most {MAX_PAYLOAD} are read)")
        if offset + length > MAX_OFFSET:
            raise corrupt(self.where, position, path, f"a payload at offset {offset}, beyond the end of any file")
        if self._skip is not None and not self._wanted(path):
            self._window.skip(length, self._skip)
            return _NOTHING
        payload = self._allocate(length)
        if self._window.read_into(payload) < length:
            raise self._truncated(position, path)
        return payload

    def _exactly(self, size: int, position: int, path: str) -> bytes:
        data = self._window.read(size)
        if len(data) < size:
            raise self._truncated(position, path)
        return data

    def _truncated(self, position: int, path: str | None) -> StreamTruncated:
        entry = f" (entry {path})" if path else ""
        return StreamTruncated(
            f"{self.where}: ends at offset {self._window.position}, in the chunk that begins at {position}{entry}",
            where=self.where,
            offset=self._window.position,
            entry=path,
        )


class EntryLedger:
    """Record of what a set of streams has delivered so far: contiguous offsets, no name twice, an end for each file.

    Thread-safe. One ledger serves all connections of a transfer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._data = self._holes = 0

    def accept(self, chunk: Chunk, where: str) -> None:
        """Take note of ``chunk`` of the stream ``where``; raises StreamCorrupt when it breaks the order."""
        with self._lock:
            if chunk.path in self._ended:
                raise corrupt(where, chunk.position, chunk.path, "the entry occurs twice")
            delivered = self._open.get(chunk.path, 0)
            if chunk.kind == TYPE_END:
                if self._open.pop(chunk.path, None) is None:
                    self._require_space(chunk, where)
                self._ended[chunk.path] = delivered
                return
            if chunk.offset != delivered:
                raise corrupt(
                    where,
                    chunk.position,
                    chunk.path,
                    f"a payload for offset {chunk.offset} where {delivered} comes next (chunks lost or reordered)",
                )
            if not delivered and chunk.path not in self._open:
                self._require_space(chunk, where)
            self._require_data(chunk, where)
            self._open[chunk.path] = delivered + chunk.span

    def _require_space(self, chunk: Chunk, where: str) -> None:
        """One more entry: raises StreamCorrupt for more than any backup has, in all or at once; each takes memory."""
        if len(self._open) >= MAX_OPEN:
            what = f"more than {MAX_OPEN} entries are incomplete at once"
            raise corrupt(where, chunk.position, chunk.path, what)
        if len(self._open) + len(self._ended) >= MAX_ENTRIES:
            raise corrupt(where, chunk.position, chunk.path, f"more than {MAX_ENTRIES} entries")

    def _require_data(self, chunk: Chunk, where: str) -> None:
        """Raises StreamCorrupt for holes that the files of no server have: a few bytes would cost hours of digests."""
        self._data += chunk.length
        self._holes += chunk.span - chunk.length
        if self._holes > MAX_HOLES + MAX_HOLES_PER_BYTE * self._data:
            what = f"holes of {self._holes} bytes with {self._data} bytes of data, which no server's files have"
            raise corrupt(where, chunk.position, chunk.path, what)

    def finish(self, where: str) -> dict[str, int]:
        """The names and stored sizes (bytes) of all entries; raises StreamTruncated when some have not ended."""
        with self._lock:
            if self._open:
                names = sorted(self._open)
                raise StreamTruncated(
                    f"{where}: ends before {len(names)} of its entries are complete: {', '.join(names[:5])}",
                    where=where,
                    entries=names[:100],
                )
            return dict(self._ended)
