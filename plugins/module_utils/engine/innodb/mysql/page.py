# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed and encrypted pages of MySQL, made what they are in the buffer pool, where their checksum is valid; and
checks of all its pages (tested on MySQL 9.7). Without the key, only the numbers of an encrypted page can be verified.

The header of each page stays readable, with its type replaced. Sources:
docs/internals/formats-innodb.md#mysql-compressed-pages and docs/internals/formats-innodb.md#mysql-encrypted-pages. All
integers are big endian::

    type 14 (compressed), 16 (compressed, then encrypted)
        26 version (1, 2)   27 algorithm (1 zlib, 2 lz4 as a raw block)   28 type   30 size of the body, as it was
        32 size, compressed   38 compressed data; of type 16 that many bytes (at least 32) are encrypted
    type 15 (encrypted)
        28 type   38 everything to the page's end, trailer included, encrypted
    type 17 (an encrypted page of a spatial index: as 15, but the type is always the same, and 26 is in use)
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Callable

from ... import libraries
from ..page_checks import (
    CHECKSUM_MISMATCH,
    NO_CHECKSUM_MAGIC,
    U32,
    Check,
    PageChecks,
    is_zip_checksum,
    page_type,
)
from ..tablespace_values import FIL_PAGE_DATA, Buffer, ChecksumKind
from .keyring import FileKey
from .tablespace import COMPRESSED, COMPRESSED_ENCRYPTED, ENCRYPTED, ENCRYPTED_RTREE

ENCRYPTED_TYPES = frozenset({ENCRYPTED, COMPRESSED_ENCRYPTED, ENCRYPTED_RTREE})
_CODED_TYPES = ENCRYPTED_TYPES | {COMPRESSED}

_TYPE_AT, _ORIGINAL_TYPE_AT, _COMPRESSED_SIZE_AT = 24, 28, 32
_COMPRESSION = struct.Struct(">BBHHH")  # at 26
_VERSIONS = (1, 2)
_ZLIB, _LZ4 = 1, 2
_SMALLEST_ENCRYPTED = 32
_RTREE = 17854

CANNOT_DECOMPRESS = "it cannot be decompressed"


class PageUnreadable(Exception):
    """A compressed or encrypted page whose own fields contradict each other; the message says how."""


def plain_page(page: memoryview, key: FileKey | None) -> memoryview | None:
    """The page as it is in the buffer pool, None when it is encrypted and there is no ``key``.

    Raises PageUnreadable.
    """
    stored = page_type(page)
    if stored not in _CODED_TYPES:
        return page
    if stored in ENCRYPTED_TYPES:
        if key is None:
            return None
        page = _decrypted(page, stored, key)
    if page_type(page) == COMPRESSED:
        page = _decompressed(page)
    return page


def _decrypted(page: memoryview, stored: int, key: FileKey) -> memoryview:
    size = len(page) - FIL_PAGE_DATA
    original = bytes(page[_ORIGINAL_TYPE_AT : _ORIGINAL_TYPE_AT + 2])
    if stored == ENCRYPTED_RTREE:
        original = _RTREE.to_bytes(2, "big")
    if stored == COMPRESSED_ENCRYPTED:
        size = int.from_bytes(page[_COMPRESSED_SIZE_AT : _COMPRESSED_SIZE_AT + 2], "big")
        original = COMPRESSED.to_bytes(2, "big")
        if not 0 < size <= len(page) - FIL_PAGE_DATA:
            raise PageUnreadable(f"its compressed size is {size} bytes")
        size = max(size, _SMALLEST_ENCRYPTED)
    end = FIL_PAGE_DATA + size
    return memoryview(
        b"".join(
            (
                page[:_TYPE_AT],
                original,
                page[_TYPE_AT + 2 : FIL_PAGE_DATA],
                key.decrypt(page[FIL_PAGE_DATA:end]),
                page[end:],
            )
        )
    )


def _decompressed(page: memoryview) -> memoryview:
    version, algorithm, original, body_size, size = _COMPRESSION.unpack_from(page, 26)
    if version not in _VERSIONS or body_size != len(page) - FIL_PAGE_DATA or not 0 < size <= body_size:
        raise PageUnreadable(f"it is compressed as version {version}, from {body_size} to {size} bytes")
    data = page[FIL_PAGE_DATA : FIL_PAGE_DATA + size]
    if algorithm == _ZLIB:
        body = _inflated(data, body_size)
    elif algorithm == _LZ4:
        body = _from_lz4(data, body_size)
    else:
        raise PageUnreadable(f"it is compressed by the unknown algorithm {algorithm}")
    if len(body) != body_size:
        raise PageUnreadable(CANNOT_DECOMPRESS)
    header = page[:_TYPE_AT], original.to_bytes(2, "big"), page[_TYPE_AT + 2 : FIL_PAGE_DATA]
    return memoryview(b"".join((*header, body)))


def _inflated(data: memoryview, size: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(data, size)
        # the last bytes of a stream may hold no data
        body += stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise PageUnreadable(CANNOT_DECOMPRESS) from error
    if not stream.eof:
        raise PageUnreadable(CANNOT_DECOMPRESS)
    return body


def _from_lz4(data: memoryview, size: int) -> bytes:
    block: Any = libraries.require("lz4.block")
    try:
        return bytes(block.decompress(data, uncompressed_size=size))
    except block.LZ4BlockError as error:
        raise PageUnreadable(CANNOT_DECOMPRESS) from error


class MysqlPageChecks(PageChecks):
    """Checks of the pages of one file of MySQL's."""

    def check(self) -> Check:
        """The check for pages with the file's kind of checksum; any kind will do while page 0 is not written."""
        return {
            ChecksumKind.CRC32: self._crc32_fault,
            ChecksumKind.ZIP: self._zip_fault,
            ChecksumKind.UNKNOWN: self._any_fault,
        }[self.header.checksum]

    def is_opaque(self, page: Buffer) -> bool:
        """Returns whether ``page`` is of an encrypted tablespace without its key, or was written without a checksum."""
        if page_type(page) in ENCRYPTED_TYPES and self.key is None:
            return True
        return bool(U32(page, 0)[0] == NO_CHECKSUM_MAGIC)

    def _crc32_fault(self, page: memoryview, number: int) -> str | None:
        return self._page_fault(page, number, lambda plain: self.plain_crc32_fault(plain, self.crc32_of(plain)))

    def _zip_fault(self, page: memoryview, number: int) -> str | None:
        def fault(plain: memoryview) -> str | None:
            return None if is_zip_checksum(plain, self.zip_crc32_of(plain)) else CHECKSUM_MISMATCH

        return self._page_fault(page, number, fault)

    def _page_fault(self, page: memoryview, number: int, fault: Callable[[memoryview], str | None]) -> str | None:
        if self.is_zero(page):
            return None
        try:
            plain = plain_page(page, self.key)
        except PageUnreadable as error:
            return str(error)
        if plain is not page and _was_empty(page) and (plain is None or self.is_zero(plain[FIL_PAGE_DATA:])):
            return None
        reason = self._opaque_fault(page) if plain is None else fault(plain)
        return reason or self.wrong_place(page, number)

    def _opaque_fault(self, page: memoryview) -> str | None:
        """Of an encrypted page without its key."""
        if self.header.checksum is ChecksumKind.UNKNOWN:
            return None
        return None if self.header.encrypted else "it is encrypted, and page 0 names no key"

    def _any_fault(self, page: memoryview, number: int) -> str | None:
        reason = self._crc32_fault(page, number)
        return None if reason is None or self.any_zip(page, number, self._zip_fault) else reason


def _was_empty(page: memoryview) -> bool:
    """Returns whether a compressed or encrypted page's header has nothing but what compression and encryption put
    there.

    ALTER TABLE ... IMPORT TABLESPACE does that to empty pages; otherwise they stay as they are.
    """
    return not any(page[:24]) and not any(page[28:30]) and not any(page[34:FIL_PAGE_DATA])
