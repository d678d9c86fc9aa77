# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory: for payloads on their way from readers to workers, reused; for decoders of entries. Limited in sum."""

from __future__ import annotations

import threading

from ..errors import Cancelled, StreamCorrupt

MAX_DECODERS = 256 << 20  # bytes
_GRAIN = 64 << 10  # bytes; sizes are rounded up to it, so that buffers fit again


class BufferPool:
    """Lends buffers of at most ``limit`` bytes in sum; who asks for more waits until some are given back.

    A single buffer larger than the limit is lent when nothing else is.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._lent: dict[int, int] = {}
        self._lent_size = 0
        self._free: list[bytearray] = []
        self._free_size = 0
        self._closed = False

    def take(self, size: int) -> memoryview:
        """Writable memory of ``size`` bytes, its content arbitrary. Raises Cancelled when the pool is closed."""
        rounded = max(-(-size // _GRAIN), 1) * _GRAIN
        with self._changed:
            while self._lent_size and self._lent_size + rounded > self._limit and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Cancelled("unpacking has ended")
            buffer = self._reuse(rounded)
            self._lent[id(buffer)] = len(buffer)
            self._lent_size += len(buffer)
        return memoryview(buffer)[:size]

    def give(self, view: memoryview) -> None:
        """Give back what ``take`` returned; anything else is ignored."""
        buffer = view.obj
        with self._changed:
            size = self._lent.pop(id(buffer), None)
            if size is None or not isinstance(buffer, bytearray):
                return
            self._lent_size -= size
            self._free.append(buffer)
            self._free_size += size
            self._changed.notify_all()

    def close(self) -> None:
        """Lend nothing any more; whoever waits gets Cancelled."""
        with self._changed:
            self._closed = True
            self._free.clear()
            self._changed.notify_all()

    def _reuse(self, size: int) -> bytearray:
        fitting = [index for index, buffer in enumerate(self._free) if size <= len(buffer) <= 2 * size]
        if fitting:
            buffer = self._free.pop(min(fitting, key=lambda index: len(self._free[index])))
            self._free_size -= len(buffer)
            return buffer
        while self._free and self._lent_size + self._free_size + size > self._limit:
            self._free_size -= len(self._free.pop(0))
        return bytearray(size)


class DecoderMemory:
    """Memory that the decoders of incomplete entries hold between two chunks: at most ``limit`` bytes in sum.
    Thread-safe.

    A few bytes of a stream can ask for a window of megabytes, and each entry has one of its own. Backups begin a frame
    for each block, and have as many incomplete entries as their writer had threads. While a chunk is decoded, each
    worker needs room for one more window, which is not counted.
    """

    def __init__(self, limit: int = MAX_DECODERS) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held = 0

    def change(self, entry: str, before: int, now: int) -> None:
        """``entry`` holds ``now`` bytes, and did hold ``before``. Raises StreamCorrupt when all hold too much."""
        with self._lock:
            self._held += now - before
            held = self._held
        if now > before and held > self._limit:
            raise StreamCorrupt(
                f"{entry}: the entries that are incomplete at once need {held} bytes of memory to be unpacked, and "
                f"{self._limit} are allowed",
                remedy="No backup needs that much: use another copy. If it is a right one, unpack it with the tool "
                "that made it.",
                entry=entry,
            )
