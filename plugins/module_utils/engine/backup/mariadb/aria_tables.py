# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of transactional Aria tables: every page verified, since the server writes to them meanwhile.

What the log cannot tell of such a table are changes that it does not hold: rows loaded into an empty table by one
statement, a repair. Newer servers hold these up from stage BLOCK_DDL on; each leaves its LSN in the index file's head.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ...errors import PageCorrupt, UnsupportedTable
from ...format.aria import HEADER_SIZE, LSN_SIZE, AriaTable, Horizon, Lsn, create_rename_lsn, with_horizon
from ...format.file_kinds import ARIA, ARIA_INDEX_SUFFIX
from ...host import below, durable
from ...manifest import FileEntry
from ..copier import CopierContext, opened_source, read_source
from ..inventory import Kind, OpenSource, PlainFile
from .inventory import read_head

#: A page reads torn while the server writes it. On a busy device that can take seconds; a damaged page is so for ever.
_PAGE_ATTEMPTS = 30
_PAGE_PAUSE = 0.1
_HEAD_PAUSE = 0.002


@dataclass(frozen=True)
class OnlineCopy:
    """A table of which both files were, or are to be, copied: its index file, and as AriaTable says."""

    file: PlainFile
    create_rename_lsn: Lsn


def online_table(file: PlainFile, open_source: OpenSource = below.open_file) -> AriaTable | None:
    """The transactional Aria table that ``file`` belongs to; None when it is of no such table.

    Raises UnsupportedTable when the table is encrypted.
    """
    if file.kind is not Kind.TABLE or file.source.suffix not in ARIA.suffixes:
        return None
    table = AriaTable.parse(read_head(file.source.with_suffix(ARIA_INDEX_SUFFIX), HEADER_SIZE, open_source))
    if table is not None and table.encrypted:
        raise UnsupportedTable(
            f"{file.source} is an encrypted Aria table, which is not supported yet",
            remedy="Rebuild the table with aria_encrypt_tables=OFF (ALTER TABLE ... FORCE).",
            path=str(file.source),
        )
    return table if table is not None and table.online else None


def copy_online(
    file: PlainFile, table: AriaTable, horizon: Horizon | None, context: CopierContext, buffer: memoryview
) -> FileEntry:
    """Copy one file of a transactional table, up to the size that it has when it is opened.

    ``horizon`` is that of the checkpoint at which recovery begins (see ``with_horizon``).

    A part of a page at the end is one that the server is just adding: it is in the log. Raises PageCorrupt.
    """
    index = file.source.suffix == ARIA_INDEX_SUFFIX
    with opened_source(file.source, context.open_source) as descriptor, context.open_file(file.path) as target:
        offset, size = 0, os.fstat(descriptor).st_size
        size -= size % table.block_size
        if index:
            head = _stable_head(file.source, descriptor, min(table.header_size, size))
            target.write(with_horizon(head, horizon))
            offset = len(head)
        while offset < size:
            wanted = min(len(buffer), size - offset)
            context.before_read(wanted)
            count = read_source(descriptor, file.source, buffer[:wanted], offset)
            count -= count % table.block_size
            if not count:  # emptied meanwhile, which is in the log
                break
            _reread_bad_pages(file.source, descriptor, table, buffer[:count], offset, index=index)
            target.write(buffer[:count])
            context.progress.advance(count)
            offset += count
        return target.close()


def changed_outside_the_log(copy: OnlineCopy, open_source: OpenSource = below.open_file) -> bool:
    """Returns whether a change that the log does not hold has been made in the table since it was copied."""
    return create_rename_lsn(read_head(copy.file.source, LSN_SIZE, open_source)) != copy.create_rename_lsn


def _reread_bad_pages(
    source: Path, descriptor: int, table: AriaTable, pages: memoryview, offset: int, *, index: bool
) -> None:
    """Read the bad pages in ``pages`` (at ``offset`` of the file) again until all are good."""
    bad = list(table.bad_pages(pages, offset, index=index))
    for _attempt in range(_PAGE_ATTEMPTS):
        if not bad:
            return
        time.sleep(_PAGE_PAUSE)
        for at in bad:
            page = pages[at : at + table.block_size]
            if read_source(descriptor, source, page, offset + at) < len(page):
                page[:] = bytes(len(page))  # emptied meanwhile: as a page that is not written yet
        bad = [at for at in bad if not _good(table, pages[at : at + table.block_size], offset + at, index=index)]
    numbers = [(offset + at) // table.block_size for at in bad]
    raise PageCorrupt(
        f"{source}: page {numbers[0]} (offset {offset + bad[0]}) is damaged: bad checksum"
        + (f"; {len(bad) - 1} more pages near it" if len(bad) > 1 else ""),
        path=str(source),
        pages=numbers[:100],
        offset=offset + bad[0],
        reason="bad checksum",
    )


def _good(table: AriaTable, page: memoryview, offset: int, *, index: bool) -> bool:
    return not any(True for _at in table.bad_pages(page, offset, index=index))


def _stable_head(source: Path, descriptor: int, size: int) -> bytes:
    """The head of an index file, which has no checksum: read until two readings are the same."""
    before = b""
    for _attempt in range(_PAGE_ATTEMPTS * 30):
        with durable.storage_errors("reading", source):
            head = os.pread(descriptor, size, 0)
        if head == before and len(head) == size:
            return head
        before = head
        time.sleep(_HEAD_PAUSE)
    raise PageCorrupt(f"{source}: its head differed at each reading", path=str(source), offset=0)
