# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zeros that need no room: the ends of compressed pages, which the server punches out.

MariaDB says of a whole tablespace that its pages are compressed, and then empty pages are holes too. In MySQL's files
each page says it of itself, and empty pages are allocated.

They are found in bytes that were read, never by asking the file system where a file has holes: a file that is being
backed up changes while it is read. A hole reads as zeros, so that no content and no digest depends on what is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Union

BLOCK = 4096  # bytes; what most file systems can leave out, and a divisor of every page size
_ZERO_BLOCK = bytes(BLOCK)
_ZEROS = bytes(1 << 20)

_TYPE_AT = 24  # where each InnoDB page has its type (two bytes)


@dataclass(frozen=True)
class HolePages:
    """Pages whose ends can be holes: of ``size`` bytes; ``types``: only pages of these types, None: all pages."""

    size: int
    types: frozenset[int] | None = None

    def can_end_in_hole(self, pages: memoryview, at: int) -> bool:
        """Returns whether the page at ``at`` of ``pages`` can end in a hole."""
        return self.types is None or pages[at + _TYPE_AT] << 8 | pages[at + _TYPE_AT + 1] in self.types


#: The pages of a file that begins with these bytes whose ends can be holes: an int (their size in bytes) means all of
#: them; None: it has none. Those who know tablespaces give it to those who move bytes.
PageSizeOf = Callable[[memoryview], Union[int, HolePages, None]]


def hole_pages(found: int | HolePages | None) -> HolePages | None:
    """Returns what a PageSizeOf has found, in one form."""
    return HolePages(found) if isinstance(found, int) else found


def zeros(size: int) -> Iterator[memoryview]:
    """``size`` zero bytes, in pieces."""
    for start in range(0, size, len(_ZEROS)):
        yield memoryview(_ZEROS)[: size - start]


def digest_zeros(digest: Any, size: int) -> None:
    """Have ``digest`` take ``size`` zero bytes."""
    for piece in zeros(size):
        digest.update(piece)


def split_pages(pages: memoryview, kind: int | HolePages) -> Iterator[tuple[int, memoryview]]:
    """Whole ``pages`` as pairs: so many zero bytes that can be a hole, then data (empty at the end, maybe).

    ``kind`` says which pages count (an int: all, of that size). Zeros count in whole blocks at the end of a page; those
    within it are data.
    """
    kind = HolePages(kind) if isinstance(kind, int) else kind
    page_size = kind.size
    hole = start = 0
    for page in range(0, len(pages), page_size):
        kept = end = page + page_size
        # the last byte tells most blocks apart; the rest is a copy and one memcmp
        while kept > page and not pages[kept - 1] and bytes(pages[kept - BLOCK : kept]) == _ZERO_BLOCK:
            kept -= BLOCK
        if kept == end or not kind.can_end_in_hole(pages, page):
            continue
        if kept > start:
            yield hole, pages[start:kept]
            hole = 0
        hole += end - kept
        start = end
    if hole or start < len(pages):
        yield hole, pages[start:]


class PageSplitter:
    """``split_pages`` for a file that comes in pieces of any size, from its beginning on.

    ``page_size_of`` tells by the first piece which pages of this file have such holes; None: it has none.
    """

    def __init__(self, page_size_of: PageSizeOf | None) -> None:
        self._page_size_of = page_size_of
        self._kind: HolePages | None = None
        self._page = bytearray()

    def feed(self, view: memoryview) -> Iterator[tuple[int, memoryview]]:
        """The pairs that the bytes in ``view`` complete; each is to be used before the next is asked for."""
        if self._page_size_of is not None and view:
            self._kind, self._page_size_of = hole_pages(self._page_size_of(view)), None
        if self._kind is None:
            yield 0, view
            return
        page_size = self._kind.size
        if self._page:
            missing = page_size - len(self._page)
            self._page += view[:missing]
            view = view[missing:]
            if len(self._page) < page_size:
                return
            page, self._page = self._page, bytearray()
            yield from split_pages(memoryview(page), self._kind)
        whole = len(view) - len(view) % page_size
        yield from split_pages(view[:whole], self._kind)
        self._page += view[whole:]

    def end(self) -> bytearray:
        """The beginning of a page that did not come whole; what is fed from now on is data."""
        self._page_size_of = self._kind = None
        page, self._page = self._page, bytearray()
        return page
