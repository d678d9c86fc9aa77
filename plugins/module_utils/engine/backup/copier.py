# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of single files: InnoDB files page-verified, all others as they are.

Memory: one buffer of READ_SIZE bytes for each worker, however large the data is; two, and some MiB more, where pages
are copied whose checksum cannot be verified.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Protocol

from ..errors import Cancelled, FormatError, PageCorrupt
from ..format.family import Family
from ..host import below, durable
from ..host.birth_time import birth_time_ns
from ..innodb.mysql.keyring import Keyring
from ..innodb.page import PageFault, PageVerifier
from ..innodb.tablespace import TablespaceHeader, is_unwritten, parse_tablespace_header, unwritten_tablespace
from ..innodb.tablespace_values import ChecksumKind
from ..manifest import FileEntry
from ..progress import Progress
from ..stream.sink import SinkFile
from .inventory import InnodbFile, OpenSource
from .torn_pages import PageReader, TruncatedFile, UnstablePages, attempts_for, pause, read_into

_log = logging.getLogger(__name__)

READ_SIZE = 4 << 20
_LARGEST_PAGE = 64 << 10

_FS_IOC_GETVERSION = 0x80087601  # linux/fs.h: an inode's generation, different after its number was used again


class UnstableFile(Exception):
    """The file changed shape while it was copied (DDL, truncation): it has to be copied again under the lock.

    ``written``: an entry of that name, void now, has gone to the sink.
    """

    def __init__(self, message: str, *, written: bool = False) -> None:
        super().__init__(message)
        self.written = written


class RateLimit(Protocol):
    """Limit of the rate of reading: the copier asks it before each read."""

    def take(self, count: int, cancelled: threading.Event) -> None: ...


@dataclass(frozen=True)
class FileIdentity:
    """The identity of a file: device, inode number, its generation and when it was made (ns); 0 where the file system
    has none."""

    device: int
    inode: int
    generation: int
    born: int = 0

    @classmethod
    def of(cls, descriptor: int) -> FileIdentity:
        """The identity of the open file ``descriptor``."""
        status = os.fstat(descriptor)
        generation = bytearray(8)
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, _FS_IOC_GETVERSION, generation)
        number = struct.unpack_from("=i", generation)[0]
        return cls(status.st_dev, status.st_ino, number, birth_time_ns(descriptor))


@dataclass(frozen=True)
class CopiedTablespace:
    """A copied tablespace: the file, its file identity, its tablespace id, and its manifest entry.

    ``unverified`` of its ``pages`` have no checksum that could be verified; they were read twice instead.
    ``encrypted``: its pages may be.
    """

    file: InnodbFile
    identity: FileIdentity
    space_id: int
    entry: FileEntry
    retried_pages: int
    pages: int
    unverified: int = 0
    encrypted: bool = False


@dataclass(frozen=True)
class _Source:
    """A data file while it is read."""

    descriptor: int
    file: InnodbFile
    identity: FileIdentity
    verifier: PageVerifier
    open_source: OpenSource


@dataclass(frozen=True)
class CopierContext:
    """Values that all copies of one job share; ``page_size`` (bytes) is the server's innodb_page_size, ``family`` whose
    tablespaces they are, ``keyring`` the keys of those that are encrypted; ``open_source`` opens what is copied."""

    page_size: int
    open_file: Callable[[str], SinkFile]
    cancelled: threading.Event
    progress: Progress
    throttle: RateLimit | None = None
    family: Family = Family.MARIADB
    keyring: Keyring | None = None
    open_source: OpenSource = below.open_file

    def verifier(self, file: InnodbFile, header: TablespaceHeader, first_page_no: int) -> PageVerifier:
        """Returns the verifier of the pages of ``file``; raises DecryptionFailed when the keyring lacks its key."""
        key = None
        if self.keyring is not None and header.encryption_info is not None:
            key = self.keyring.unwrap(header.encryption_info, str(file.source))
        return PageVerifier(header, first_page_no=first_page_no, has_doublewrite=file.system_index == 0, key=key)

    def before_read(self, count: int) -> None:
        """Wait for the throttle; raises Cancelled when another worker failed."""
        if self.cancelled.is_set():
            raise Cancelled("another part of the job failed first")
        if self.throttle is not None:
            self.throttle.take(count, self.cancelled)


def copy_tablespace(
    file: InnodbFile,
    context: CopierContext,
    buffer: memoryview,
    *,
    first_page_no: int = 0,
    header: TablespaceHeader | None = None,
) -> CopiedTablespace:
    """Copy one InnoDB data file, every page verified.

    ``buffer`` (READ_SIZE bytes) belongs to the calling worker. ``first_page_no`` and ``header`` describe a
    second or later file of the system tablespace, which has no header of its own. A page that does not verify
    is read again; raises PageCorrupt when that does not help and UnstableFile when the file is no longer the
    one at its path.
    """
    with opened_source(file.source, context.open_source) as descriptor:
        identity = FileIdentity.of(descriptor)
        size = os.fstat(descriptor).st_size
        if header is None:
            header = read_header(file, descriptor, context)
        verifier = context.verifier(file, header, first_page_no)
        source = _Source(descriptor, file, identity, verifier, context.open_source)
        page_size, hole_pages = header.physical_size, header.hole_pages
        size -= size % page_size
        _log.debug("copying %s, %d bytes, tablespace %d", file.source, size, header.space_id)
        unstable: UnstableFile | None = None
        copied = 0
        reader = PageReader(
            descriptor,
            file.source,
            source.verifier,
            context.cancelled,
            lambda: not file.replaceable or _as_it_was(source),
        )
        with context.open_file(file.path) as target, contextlib.closing(reader):
            try:
                for pages in reader.batches(buffer, size, context.before_read):
                    if hole_pages is not None:
                        target.write_pages(pages, hole_pages)
                    else:
                        target.write(pages)
                    context.progress.advance(len(pages))
                    copied += len(pages)
            except UnstablePages as error:
                fault = _damaged(source, error.faults)
                if not isinstance(fault, UnstableFile):
                    raise fault from None
                unstable = fault
            except TruncatedFile as error:
                unstable = UnstableFile(str(error))
            if unstable is not None and not file.replaceable:
                # an undo tablespace was truncated: all that its pages hold from then on is in the redo log
                unstable = None
                left = max(os.fstat(descriptor).st_size // page_size * page_size - copied, 0)
                target.hole(left)
                copied += left
            entry = target.close()
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    _log.debug("copied %s, %d bytes, %d pages read again", file.source, copied, reader.retried)
    if unstable is not None:
        _log.info("%s", unstable)
        raise UnstableFile(str(unstable), written=True)
    return CopiedTablespace(
        file,
        identity,
        header.space_id,
        entry,
        reader.retried,
        copied // page_size,
        unverified=reader.unverified,
        encrypted=header.encrypted,
    )


def copy_plain(path: str, source: Path, context: CopierContext, buffer: memoryview) -> FileEntry:
    """Copy a file byte by byte up to the size that it has when it is opened."""
    with opened_source(source, context.open_source) as descriptor, context.open_file(path) as target:
        offset = 0
        size = os.fstat(descriptor).st_size
        _log.debug("copying %s, %d bytes", source, size)
        while offset < size:
            wanted = min(len(buffer), size - offset)
            context.before_read(wanted)
            count = read_source(descriptor, source, buffer[:wanted], offset)
            if not count:
                break
            target.write(buffer[:count])
            context.progress.advance(count)
            offset += count
        _log.debug("copied %s, %d bytes", source, offset)
        return target.close()


def append_growth(
    source: Path, offset: int, target: SinkFile, buffer: memoryview, open_source: OpenSource = below.open_file
) -> int:
    """Write to ``target`` what ``source`` holds from ``offset`` (bytes) to its end; returns the new offset."""
    with opened_source(source, open_source) as descriptor:
        while count := read_source(descriptor, source, buffer, offset):
            target.write(buffer[:count])
            offset += count
    return offset


def read_identity(file: InnodbFile, context: CopierContext) -> tuple[FileIdentity, int]:
    """Identity and tablespace id of the file that is at ``file.source`` now; raises UnstableFile."""
    with opened_source(file.source, context.open_source) as descriptor:
        return FileIdentity.of(descriptor), read_header(file, descriptor, context).space_id


def read_header(file: InnodbFile, descriptor: int, context: CopierContext) -> TablespaceHeader:
    """The header on page 0.

    A new table's page 0 can be all zero as long as it is only in the buffer pool; recovery makes it from the redo
    log. Its header is then that of an unwritten tablespace (id 0).
    """
    fault: Exception | None = None
    for attempt in range(attempts_for(descriptor)):
        if attempt:
            pause(context.cancelled)
            # a page that was torn when the kernel read it stays so in its cache
            os.posix_fadvise(descriptor, 0, _LARGEST_PAGE, os.POSIX_FADV_DONTNEED)
        page = os.pread(descriptor, _LARGEST_PAGE, 0)
        if file.replaceable and is_unwritten(page[: context.page_size]):
            return unwritten_tablespace(context.page_size, context.family)
        try:
            header = parse_tablespace_header(page, str(file.source), context.family)
        except FormatError as error:
            fault = error
            continue
        first = memoryview(page)[: header.physical_size]
        verifier = PageVerifier(header, has_doublewrite=file.system_index == 0)
        if len(first) == header.physical_size and not verifier.faults(first, 0):
            return header
    if file.replaceable and not _still_there(file.source, FileIdentity.of(descriptor), context.open_source):
        raise UnstableFile(f"{file.source}: replaced while it was looked at")
    raise PageCorrupt(
        f"{file.source}: page 0 (offset 0) is damaged: {fault or 'bad checksum'}", path=str(file.source), pages=[0]
    )


def _damaged(source: _Source, faults: list[PageFault]) -> Exception:
    """Returns the error for pages that stay faulty."""
    file, worst = source.file, faults[0]
    if file.replaceable and not _as_it_was(source):
        return UnstableFile(f"{file.source}: replaced or altered while it was copied")
    return PageCorrupt(
        f"{file.source}: page {worst.page_no} (offset {worst.offset}) is damaged: {worst.reason}"
        + (f"; {len(faults) - 1} more pages near it" if len(faults) > 1 else ""),
        path=str(file.source),
        pages=[fault.page_no for fault in faults[:100]],
        offset=worst.offset,
        reason=worst.reason,
    )


def _as_it_was(source: _Source) -> bool:
    """Returns whether the path still leads to this file, and page 0 says the same of all pages as when it was
    opened."""
    header, file = source.verifier.header, source.file
    try:
        page = os.pread(source.descriptor, _LARGEST_PAGE, 0)
        now = parse_tablespace_header(page, str(file.source), header.family)
        same = (now.flags, now.encryption_info) == (header.flags, header.encryption_info)
    except FormatError:
        same = True  # no answer: the damaged page is what counts
    there = _still_there(file.source, source.identity, source.open_source)
    return (same or header.checksum is ChecksumKind.UNKNOWN) and there


def _still_there(source: Path, identity: FileIdentity, open_source: OpenSource) -> bool:
    try:
        with opened_source(source, open_source) as descriptor:
            return FileIdentity.of(descriptor) == identity
    except UnstableFile:
        return False


def read_source(descriptor: int, source: Path, buffer: memoryview, offset: int) -> int:
    """Fill ``buffer`` from ``offset`` as far as the file goes; returns the bytes read."""
    with durable.storage_errors("reading", source):
        return read_into(descriptor, buffer, offset)


@contextlib.contextmanager
def opened_source(source: Path, open_source: OpenSource) -> Iterator[int]:
    """A descriptor of ``source``; raises UnstableFile when it is gone, UnsafeFile when it must not be read."""
    try:
        descriptor = open_source(source)
    except FileNotFoundError:
        raise UnstableFile(f"{source}: vanished") from None
    except OSError:
        with durable.storage_errors("opening", source):
            raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)
