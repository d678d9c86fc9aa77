# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages as they are when nobody writes them, read while the server does.

A page that is read while it is written is torn. Where a checksum can be verified, that is seen, and the page is read
again. Some pages have none that can be: MySQL's encrypted ones without their key, those written without a checksum
(innodb_checksum_algorithm=none), and page_compressed ones of older MariaDB files whose algorithm only the server has.
These are read twice, with a time between that is longer than a slow write takes, until both readings are the same.

A reading that is to tell something new must come from the device: a server that writes with O_DIRECT goes past the
kernel's page cache, in which a torn page stays as it was read.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable

from .. import libraries
from ..errors import Cancelled, Option, PageCorrupt
from ..host import durable
from ..innodb.page import PageFault, PageVerifier

_log = logging.getLogger(__name__)

#: a write can be stalled for as long as a kernel waits for a device, but no longer
_STALLED_SECONDS = 30.0
_PAUSE = 0.1
#: of a file that was not written for so long: a damaged page stays damaged
_QUIET_ATTEMPTS = 10
_BUSY_ATTEMPTS = int(_STALLED_SECONDS / _PAUSE)

#: between the first two readings of pages whose checksum cannot be verified (s)
SLOW_WRITE_SECONDS = 2.0
#: between the others of a page that changed meanwhile, and when it is written more often than that
_CHANGED_PAUSE, _CHANGED_ATTEMPTS = 0.5, 30
_BRIEF_ATTEMPTS = 50

#: how much is read a first time before it is read a second time
_WINDOW_BYTES = 1 << 30
_WINDOW_PAGES = 1 << 16

_BLOCK = 4096  # bytes that O_DIRECT wants offsets, sizes and memory aligned to, on any device


class TruncatedFile(Exception):
    """The file ends before pages that had been read from it."""


class UnstablePages(Exception):
    """Pages that stay faulty however long one waits."""

    def __init__(self, faults: list[PageFault]) -> None:
        super().__init__(f"{len(faults)} faulty pages")
        self.faults = faults


def attempts_for(descriptor: int) -> int:
    """Returns how often, every tenth of a second, a faulty page of the open file is read before it is called
    damaged."""
    quiet = time.time() - os.fstat(descriptor).st_mtime > _STALLED_SECONDS
    return _QUIET_ATTEMPTS if quiet else _BUSY_ATTEMPTS


def pause(cancelled: threading.Event) -> None:
    """Wait until a faulty page may be whole; raises Cancelled when another worker failed."""
    if cancelled.is_set():
        raise Cancelled("another part of the job failed first")
    time.sleep(_PAUSE)


class FreshReader:
    """Readings of the open file ``descriptor`` that do not come from the page cache; by one thread at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = memoryview(b"")
        self._direct: int | None = None
        with contextlib.suppress(OSError):  # a file system without O_DIRECT
            # the same file, whatever its path leads to now
            self._direct = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)

    def close(self) -> None:
        """End it; ``descriptor`` stays open."""
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None

    def read(self, target: memoryview, offset: int) -> int:
        """Fill ``target`` from ``offset`` (bytes) as far as the file goes; returns the bytes read."""
        if self._direct is not None:
            try:
                return self._read_direct(self._direct, target, offset)
            except OSError:  # not that way, then; what is wrong with the file, the other one tells
                self.close()
        os.posix_fadvise(self._descriptor, offset, len(target), os.POSIX_FADV_DONTNEED)
        return read_into(self._descriptor, target, offset)

    def _read_direct(self, direct: int, target: memoryview, offset: int) -> int:
        start = offset - offset % _BLOCK
        wanted = -(-(offset + len(target) - start) // _BLOCK) * _BLOCK
        if len(self._memory) < wanted:
            self._memory = memoryview(mmap.mmap(-1, wanted))
        done = 0
        while done < wanted and not done % _BLOCK:  # the file's end need not be aligned
            count = os.preadv(direct, [self._memory[done:wanted]], start + done)
            if not count:
                break
            done += count
        count = max(min(start + done - offset, len(target)), 0)
        target[:count] = self._memory[offset - start :][:count]
        return count


def read_into(descriptor: int, target: memoryview, offset: int) -> int:
    """Fill ``target`` from ``offset`` (bytes) of the open file as far as it goes; returns the bytes read."""
    done = 0
    while done < len(target):
        count = os.preadv(descriptor, [target[done:]], offset + done)
        if not count:
            break
        done += count
    return done


class PageReader:
    """The pages of one open file, whole. ``retried``: how many were not at their first reading; ``unverified``: of how
    many no checksum could be verified, so that they were read twice instead."""

    def __init__(
        self,
        descriptor: int,
        path: Path,
        verifier: PageVerifier,
        cancelled: threading.Event,
        as_it_was: Callable[[], bool] = lambda: True,
    ) -> None:
        self._descriptor, self._path, self._verifier, self._cancelled = descriptor, path, verifier, cancelled
        self._as_it_was = as_it_was
        self._digest: Callable[[memoryview], bytes] = libraries.require("xxhash").xxh3_128_digest
        self._fresh: FreshReader | None = None
        self.retried = 0
        self.unverified = 0

    def close(self) -> None:
        """End it; the descriptor stays open."""
        if self._fresh is not None:
            self._fresh.close()

    def batches(self, buffer: memoryview, size: int, before_read: Callable[[int], None]) -> Iterator[memoryview]:
        """All pages of the first ``size`` bytes of the file in their order, in parts of ``buffer``; less when the file
        is truncated meanwhile. ``before_read`` is called with the number of bytes that are read next.

        Raises UnstablePages, TruncatedFile, and PageCorrupt for a page that differs at each reading.
        """
        offset = 0
        while offset < size:
            pages = self._read(buffer, offset, size, before_read)
            if not pages:  # what is gone now is no longer part of the data
                return
            if not self._reread_faulty_pages(pages, offset):
                yield pages
                offset += len(pages)
                continue
            end = min(size, offset + min(_WINDOW_BYTES, _WINDOW_PAGES * self._verifier.page_size))
            yield from self._read_twice(buffer, offset, end, before_read)
            offset = end

    def _read(self, buffer: memoryview, offset: int, end: int, before_read: Callable[[int], None]) -> memoryview:
        wanted = min(len(buffer), end - offset)
        before_read(wanted)
        with durable.storage_errors("reading", self._path):
            count = read_into(self._descriptor, buffer[:wanted], offset)
        return buffer[: count - count % self._verifier.page_size]

    def _read_fresh(self, target: memoryview, offset: int) -> None:
        """Fill ``target`` from the device; raises TruncatedFile."""
        if self._fresh is None:
            self._fresh = FreshReader(self._descriptor)
        with durable.storage_errors("reading", self._path):
            if self._fresh.read(target, offset) < len(target):
                raise TruncatedFile(f"{self._path}: truncated while it was copied")

    # --- pages with a checksum

    def _reread_faulty_pages(self, pages: memoryview, offset: int) -> list[int]:
        """Read the faulty pages in ``pages`` (at ``offset`` of the file) again until all are good; the offsets of those
        that cannot be verified."""
        size, opaque = self._verifier.page_size, list[int]()
        faults = self._verifier.faults(pages, offset // size, opaque)
        self.retried += len(faults)
        left = attempts_for(self._descriptor) if faults else 0
        if faults:
            _log.debug("%s: reading %d pages at offset %d again", self._path, len(faults), offset)
        while faults:
            if not left or (left % _QUIET_ATTEMPTS == 0 and not self._as_it_was()):
                _log.info("%s: %d pages stay faulty, the first at offset %d", self._path, len(faults), faults[0].offset)
                raise UnstablePages(faults)
            left -= 1
            pause(self._cancelled)
            remaining = []
            for fault in faults:
                page = pages[fault.offset - offset :][:size]
                self._read_fresh(page, fault.offset)
                remaining += self._verifier.faults(page, fault.offset // size, opaque)
            faults = remaining
        return opaque

    # --- pages without one

    def _read_twice(
        self, buffer: memoryview, offset: int, end: int, before_read: Callable[[int], None]
    ) -> Iterator[memoryview]:
        """The pages from ``offset`` to ``end``, those that cannot be verified read twice."""
        size = self._verifier.page_size
        began, seen, at = time.time(), dict[int, bytes](), offset
        while at < end and (pages := self._read(buffer, at, end, before_read)):
            opaque = list[int]()
            self._verifier.faults(pages, at // size, opaque)
            seen.update((position, self._digest(pages[position - at :][:size])) for position in opaque)
            at += len(pages)
        self._wait_for_writes(began)
        end, at = at, offset
        while at < end:
            pages = buffer[: min(len(buffer), end - at)]
            before_read(len(pages))
            self._read_fresh(pages, at)
            opaque = self._reread_faulty_pages(pages, at)
            self.unverified += len(opaque)
            parts = {position: pages[position - at :][:size] for position in opaque}
            changed = {key: page for key, page in parts.items() if self._digest(page) != seen.get(key)}
            if changed:
                self._read_until_same(changed)
                self._reread_faulty_pages(pages, at)
            yield pages
            at += len(pages)

    def _wait_for_writes(self, since: float) -> None:
        """Let writes end that began before the first reading, at ``since``; a file knows when its last one began."""
        if since - os.fstat(self._descriptor).st_mtime < SLOW_WRITE_SECONDS:
            time.sleep(SLOW_WRITE_SECONDS)

    def _read_until_same(self, pages: Mapping[int, memoryview]) -> None:
        """Read ``pages``, by their offset, until two readings of each are the same: all of them in each round, since
        of a table that is written all the time there may be many."""
        self.retried += len(pages)
        for seconds in (*(_CHANGED_PAUSE,) * _CHANGED_ATTEMPTS, *(_PAUSE,) * _BRIEF_ATTEMPTS):
            if not pages:
                return
            if self._cancelled.is_set():
                raise Cancelled("another part of the job failed first")
            time.sleep(seconds)
            changed = {}
            for offset, page in pages.items():
                before = bytes(page)
                self._read_fresh(page, offset)
                if page != before:
                    changed[offset] = page
            pages = changed
        if not pages:
            return
        offset = min(pages)
        raise PageCorrupt(
            f"{self._path}: the page at offset {offset}, of which no checksum can be verified, differed at each of "
            f"{_CHANGED_ATTEMPTS + _BRIEF_ATTEMPTS} readings",
            remedy=f"Make its checksum visible: give {Option('keyring_file')} where the table is encrypted (MySQL); "
            "else "
            "write the table anew with checksums (innodb_checksum_algorithm=crc32, ALTER TABLE ... FORCE).",
            path=str(self._path),
            offset=offset,
        )
