# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compression of stream entries: zstd and lz4, as concatenations of independent frames.

Each frame carries its content's checksum and size and can be unpacked on its own; the programs ``zstd`` and ``lz4``
unpack a whole entry. Decoders take their input cut anywhere and bound the output of each step, so that a small
hostile input cannot fill the memory.
"""

from __future__ import annotations

import abc
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Callable, ClassVar

from .. import libraries
from ..errors import InvalidOption, Option, StreamCorrupt, StreamTruncated
from ..format.file_kinds import LZ4_SUFFIX, ZSTD_SUFFIX
from .sink import Buffer

BLOCK_SIZE = 1 << 20  # bytes of a file that make one frame
MAX_WINDOW = 32 << 20  # bytes of history that a foreign zstd frame may ask for
OUTPUT_STEP = 256 << 10  # bytes, about the most that one step of a decoder returns; larger ones cost page faults


@dataclass(frozen=True)
class Compression:
    """Parameters of compression: ``algorithm`` (a key of CODECS), ``level``, and the number of ``threads`` for all
    files.

    Raises InvalidOption when the codec does not know the level.
    """

    algorithm: str = "zstd"
    level: int = 1
    threads: int = 2

    def __post_init__(self) -> None:
        codec = CODECS.get(self.algorithm)
        if codec is None:
            raise InvalidOption(
                f"{Option('compress.algorithm')}: {self.algorithm!r} is not one of {', '.join(sorted(CODECS))}",
                option="compress",
            )
        lowest, highest = codec.LEVELS
        if not lowest <= self.level <= highest:
            raise InvalidOption(
                f"{Option('compress.level')}: {self.algorithm} has levels {lowest} to {highest}, not {self.level}",
                option="compress",
            )
        if not 1 <= self.threads <= 256:
            raise InvalidOption(
                f"{Option('compress.threads')}: {self.threads} is not between 1 and 256", option="compress"
            )

    @property
    def suffix(self) -> str:
        """Suffix that an entry's name gets."""
        return CODECS[self.algorithm].SUFFIX

    def compressor(self) -> Compressor:
        """A thread-safe compressor; raises MissingLibrary."""
        return CODECS[self.algorithm](self.level)


class Decompressor(abc.ABC):
    """Unpacks one entry. Not thread-safe; fed in order."""

    @abc.abstractmethod
    def feed(self, data: Buffer) -> Iterator[Buffer]:
        """The bytes that ``data``, the next piece of the entry, unpacks to, in bounded steps. Raises StreamCorrupt."""

    @abc.abstractmethod
    def rest(self) -> int:
        """No more input is at hand: releases what can be made anew; returns about how many bytes are held."""

    @abc.abstractmethod
    def finish(self) -> None:
        """The entry is over; raises StreamTruncated in the middle of a frame."""


class Compressor(abc.ABC):
    """Packs blocks into frames. Thread-safe."""

    NAME: ClassVar[str]
    SUFFIX: ClassVar[str]
    LEVELS: ClassVar[tuple[int, int]]

    @abc.abstractmethod
    def __init__(self, level: int) -> None: ...

    @abc.abstractmethod
    def compress(self, block: Buffer) -> bytes:
        """``block`` as one frame."""

    @staticmethod
    @abc.abstractmethod
    def decompressor(entry: str) -> Decompressor:
        """A decoder for the entry of that name; raises MissingLibrary."""


# --- zstd ----------------------------------------------------------------------------------------

_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_BLOCK = 128 << 10  # bytes, the most that one block of a frame unpacks to
_ZSTD_FIXED = 384 << 10  # bytes of a decoder beside its window: tables, and a block or two
_ZSTD_RUN, _ZSTD_RESERVED = 1, 3  # block types
_SKIPPABLE_MAGICS = range(0x184D2A50, 0x184D2A60)


class Zstd(Compressor):
    """Zstandard (RFC 8878)."""

    NAME = "zstd"
    SUFFIX = ZSTD_SUFFIX
    LEVELS = (1, 19)

    def __init__(self, level: int) -> None:
        self._library = libraries.require("zstandard")
        self._level = level
        self._contexts = threading.local()

    def compress(self, block: Buffer) -> bytes:
        # a context must not be shared by threads, and is expensive enough to be kept
        context = getattr(self._contexts, "value", None)
        if context is None:
            context = self._library.ZstdCompressor(level=self._level, write_checksum=True, write_content_size=True)
            self._contexts.value = context
        frame: bytes = context.compress(block)
        return frame

    @staticmethod
    def decompressor(entry: str) -> Decompressor:
        return _ZstdDecompressor(entry)


class _ZstdDecompressor(Decompressor):
    """Walks the frame structure itself, to know where frames end and how much each piece can unpack to.

    The library's decoder of a frame returns at once all that its input unpacks to; four bytes can be 128 KiB of zeros.
    """

    _BLOCKS_A_STEP = OUTPUT_STEP // _ZSTD_BLOCK

    def __init__(self, entry: str) -> None:
        self._library = libraries.require("zstandard")
        self._decoder: Any = None  # keeps its window for the next frame
        self._frame: Any = None
        self._entry = entry
        self._window = self._produced = 0  # of the frame, in bytes
        self._structure = _zstd_structure(entry, self._begin_frame)
        self._part, self._left = next(self._structure)
        self._field = bytearray()
        self._inside = False

    def feed(self, data: Buffer) -> Iterator[Buffer]:
        view = memoryview(data)
        while view:
            length, frame_ended = self._next_piece(view)
            output = self._decode(view[:length])
            self._produced += len(output)
            if frame_ended:
                self._frame = None
            if output:
                yield output
            view = view[length:]

    def rest(self) -> int:
        if not self._inside:
            self._decoder = self._frame = None
            return 0
        # pages of a window take no room before something is written to them
        return _ZSTD_FIXED + min(self._window, self._produced)

    def finish(self) -> None:
        if self._inside:
            raise StreamTruncated(f"{self._entry}: ends in the middle of a zstd frame", entry=self._entry)

    def _begin_frame(self, window: int) -> None:
        self._window, self._produced = window, 0

    def _next_piece(self, view: memoryview) -> tuple[int, bool]:
        """Returns how many bytes of ``view`` to decode next (to the end of a frame, or some blocks), and whether a
        frame ends."""
        at = blocks = 0
        while at < len(view):
            step = min(self._left, len(view) - at)
            if self._part == _FIELD:
                self._field += view[at : at + step]
            at += step
            self._left -= step
            self._inside = True
            while not self._left:
                blocks += self._part == _BLOCK
                value = int.from_bytes(self._field, "little")
                self._field.clear()
                self._part, self._left = self._structure.send(value)
                if self._part == _FRAME_END:
                    self._part, self._left = next(self._structure)
                    self._inside = False
                    return at, True
            if blocks == self._BLOCKS_A_STEP:
                break
        return at, False

    def _decode(self, piece: memoryview) -> bytes:
        try:
            if self._decoder is None:
                self._decoder = self._library.ZstdDecompressor(max_window_size=MAX_WINDOW)
            if self._frame is None:
                self._frame = self._decoder.decompressobj(write_size=OUTPUT_STEP)
            output: bytes = self._frame.decompress(piece)
            return output
        except (self._library.ZstdError, MemoryError) as error:
            raise StreamCorrupt(f"{self._entry}: zstd data is damaged: {error}", entry=self._entry) from error


_FIELD, _SKIPPED, _BLOCK, _FRAME_END = "field", "skipped", "block", "frame end"


def _zstd_structure(entry: str, begun: Callable[[int], None]) -> Generator[tuple[str, int], int, None]:
    """The parts of zstd data, in order, as (part, size in bytes): RFC 8878, section 3.1.

    It is sent the little-endian value of each _FIELD, after its bytes went by; ``begun`` is told the window (bytes) of
    each frame. Raises StreamCorrupt.
    """
    while True:
        magic = yield _FIELD, 4
        if magic in _SKIPPABLE_MAGICS:
            yield _SKIPPED, (yield _FIELD, 4)
        elif magic != _ZSTD_MAGIC:
            raise StreamCorrupt(f"{entry}: no zstd frame begins where one must", entry=entry)
        else:
            descriptor = yield _FIELD, 1
            single_segment, checksum = descriptor & 0x20, descriptor & 0x04
            content_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
            dictionary = (0, 1, 2, 4)[descriptor & 3]
            if single_segment:
                yield _SKIPPED, dictionary
                size = yield _FIELD, content_size
                begun(size + (256 if content_size == 2 else 0))
            else:
                window = yield _FIELD, 1
                base = 1 << 10 + (window >> 3)
                begun(base + base // 8 * (window & 7))
                yield _SKIPPED, dictionary + content_size
            last = 0
            while not last:
                header = yield _FIELD, 3
                last, kind, size = header & 1, header >> 1 & 3, header >> 3
                if kind == _ZSTD_RESERVED or size > _ZSTD_BLOCK:
                    raise StreamCorrupt(f"{entry}: a damaged zstd block header", entry=entry)
                yield _BLOCK, 1 if kind == _ZSTD_RUN else size
            yield _SKIPPED, 4 if checksum else 0
        yield _FRAME_END, 0


# --- lz4 -----------------------------------------------------------------------------------------


class Lz4(Compressor):
    """LZ4 frames with independent blocks; levels above 2 are its slow, high-compression kind."""

    NAME = "lz4"
    SUFFIX = LZ4_SUFFIX
    LEVELS = (0, 16)

    def __init__(self, level: int) -> None:
        self._library = libraries.require("lz4.frame")
        self._level = level

    def compress(self, block: Buffer) -> bytes:
        frame: bytes = self._library.compress(
            block,
            compression_level=self._level,
            block_size=self._library.BLOCKSIZE_MAX256KB,
            block_linked=False,
            content_checksum=True,
            store_size=True,
        )
        return frame

    @staticmethod
    def decompressor(entry: str) -> Decompressor:
        return _Lz4Decompressor(entry)


_LZ4_MAGIC = b"\x04\x22\x4d\x18"
_LZ4_HEAD = 6  # bytes of a frame up to what tells how large its blocks are
_LZ4_BLOCKS = {4: 64 << 10, 5: 256 << 10, 6: 1 << 20, 7: 4 << 20}  # bytes
_LZ4_FIXED = 192 << 10  # bytes of a decoder beside its blocks


class _Lz4Decompressor(Decompressor):
    _INPUT_STEP = 128 << 10  # bytes; the library copies at each step what it has not looked at yet

    def __init__(self, entry: str) -> None:
        self._library = libraries.require("lz4.frame")
        self._decoder: Any = None  # one for many frames: its buffers are large
        self._head = b""  # of the frame
        self._entry = entry
        self._inside = False

    def feed(self, data: Buffer) -> Iterator[Buffer]:
        view = memoryview(data)
        for start in range(0, len(view), self._INPUT_STEP):
            yield from self._feed_piece(view[start : start + self._INPUT_STEP])

    def _feed_piece(self, piece: Buffer) -> Iterator[Buffer]:
        rest: Buffer | None = piece
        if self._decoder is None:
            self._decoder = self._library.LZ4FrameDecompressor()
        while rest is not None:
            self._inside = True
            self._head += bytes(rest[: _LZ4_HEAD - len(self._head)])
            output = self._decode(rest)
            if output:
                yield output
            if self._decoder.eof:
                rest = self._decoder.unused_data
                self._decoder.reset()
                self._inside = False
                self._head = b""
            else:
                # until it needs input, the decoder has some of the last one left
                rest = None if self._decoder.needs_input else b""

    def rest(self) -> int:
        if not self._inside:
            self._decoder = None
            return 0
        if len(self._head) < _LZ4_HEAD or self._head[:4] != _LZ4_MAGIC:
            return _LZ4_FIXED
        # one block as it is stored, and one unpacked
        return _LZ4_FIXED + 2 * _LZ4_BLOCKS.get(self._head[5] >> 4 & 7, 0)

    def finish(self) -> None:
        if self._inside:
            raise StreamTruncated(f"{self._entry}: ends in the middle of an lz4 frame", entry=self._entry)

    def _decode(self, piece: Buffer) -> bytes:
        try:
            output: bytes = self._decoder.decompress(piece, max_length=OUTPUT_STEP)
            return output
        except (RuntimeError, MemoryError, EOFError) as error:
            raise StreamCorrupt(f"{self._entry}: lz4 data is damaged: {error}", entry=self._entry) from error


CODECS: dict[str, type[Compressor]] = {codec.NAME: codec for codec in (Zstd, Lz4)}
