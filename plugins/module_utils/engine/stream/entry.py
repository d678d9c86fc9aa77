# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of a stream while it is unpacked: checked, decrypted, decompressed, digested and written in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from ..errors import DecryptionFailed, Option, StreamCorrupt, UnknownFormat
from ..format.content_digest import XXH128, new_digest
from ..format.file_kinds import DATA_SUFFIX, NEWER_SUFFIX, QUICKLZ_SUFFIX
from ..format.holes import PageSizeOf, PageSplitter, digest_zeros
from ..manifest import FileEntry
from . import cipher, key_proof
from .buffers import DecoderMemory
from .codec import CODECS, Decompressor
from .output import EntryOutput
from .sink import Buffer
from .xbstream import TYPE_SPARSE, Chunk

#: what the writers of archives call tablespaces: ``t.new`` is one that DDL made while they were reading
_TABLESPACES = (DATA_SUFFIX, NEWER_SUFFIX)

Decoder = Union[cipher.Decryptor, Decompressor]


@dataclass(frozen=True)
class Unpacked:
    """Facts about an unpacked entry: ``stored`` its name in the stream, ``name`` without the suffixes of its encoding,
    ``size`` (bytes) and ``digests`` (by algorithm) of the unpacked bytes, ``stored_digest`` of the stored ones (for the
    MAC, if there is a key), ``key_proven``: see key_proof.
    """

    stored: str
    name: str
    size: int
    digests: Mapping[str, str]
    stored_digest: bytes | None
    key_proven: bool | None = None

    def faults(self, file: FileEntry) -> list[str]:
        """In what the unpacked bytes differ from what a manifest says of ``file``."""
        if self.size != file.size:
            return [f"{file.path}: {self.size} bytes instead of {file.size}"]
        # the manifest of a prepared backup does not know the digest of what recovery has changed
        if file.digest and file.digest not in self.digests.values():
            return [f"{file.path}: other content than when the backup was taken"]
        return []


def output_name(stored: str) -> str:
    """``stored`` without the suffixes of encryption and compression. Raises UnknownFormat for quicklz."""
    name = stored[: -len(cipher.SUFFIX)] if stored.endswith(cipher.SUFFIX) else stored
    if name.endswith(QUICKLZ_SUFFIX):
        raise UnknownFormat(
            f"{stored}: compressed with quicklz (.qp), which is not supported",
            remedy="Unpack it with qpress, or take the backup again with zstd.",
            entry=stored,
        )
    for codec in CODECS.values():
        if name.endswith(codec.SUFFIX):
            return name[: -len(codec.SUFFIX)]
    return name


@dataclass(frozen=True)
class Decoding:
    """Encodings that are undone. An entry that is not decrypted is not decompressed either: that comes first."""

    decompress: bool = True
    decrypt: bool = True

    def output_name(self, stored: str) -> str:
        """``stored`` without the suffixes of what is undone. Raises UnknownFormat for quicklz."""
        name = stored
        if name.endswith(cipher.SUFFIX):
            if not self.decrypt:
                return stored
            name = name[: -len(cipher.SUFFIX)]
        return output_name(name) if self.decompress else name

    def keeps(self, stored: str) -> bool:
        """Returns whether the entry ``stored`` stays encoded."""
        return self.output_name(stored).endswith(ENCODED)


EVERYTHING = Decoding()
ENCODED = (cipher.SUFFIX, QUICKLZ_SUFFIX, *(codec.SUFFIX for codec in CODECS.values()))


def bare_name(stored: str) -> str:
    """``stored`` without the suffixes of any encoding, also of one that is not undone or not known here (.qp)."""
    for suffix in ENCODED:
        if stored.endswith(suffix):
            stored = stored[: -len(suffix)]
    return stored


def _decoders(stored: str, decrypt_key: bytes | None, decoding: Decoding) -> list[Decoder]:
    decoders: list[Decoder] = []
    name = stored
    if name.endswith(cipher.SUFFIX):
        if not decoding.decrypt:
            return []
        if decrypt_key is None:
            raise DecryptionFailed(
                f"{stored} is encrypted and no key was given",
                remedy=f"Give {Option('decrypt', '{key_file: ...}')}.",
                entry=stored,
            )
        decoders.append(cipher.Decryptor(decrypt_key, stored))
        name = name[: -len(cipher.SUFFIX)]
    if decoding.decompress:
        decoders.extend(codec.decompressor(stored) for codec in CODECS.values() if name.endswith(codec.SUFFIX))
    return decoders


class EntryWriter:
    """Takes the chunks of one entry, in order. Not thread-safe.

    With ``page_size_of`` the zeros that end the pages of a page_compressed tablespace become holes, as they were in the
    server's data directory, unless the stream has sparse chunks: then its writer has told where holes are. ``memory``
    is what all entries of a stream share. ``algorithms``: of the digests that are computed.
    """

    def __init__(
        self,
        stored: str,
        output: EntryOutput,
        decrypt_key: bytes | None,
        page_size_of: PageSizeOf | None = None,
        decoding: Decoding = EVERYTHING,
        memory: DecoderMemory | None = None,
        algorithms: Sequence[str] = (XXH128,),
    ) -> None:
        self.stored = stored
        self._memory = memory or DecoderMemory()
        self._held = 0
        self._name = decoding.output_name(stored)
        self._output = output
        self._decoders = _decoders(stored, decrypt_key, decoding)
        self._digests = {name: new_digest(name) for name in algorithms}
        self._stored_digest = None if decrypt_key is None else cipher.new_stored_digest()
        self._size = 0
        has_holes = output.keeps_holes and self._name.endswith(_TABLESPACES)
        self._splitter = PageSplitter(page_size_of if has_holes else None)

    def take(self, chunk: Chunk, where: str) -> int:
        """Check and unpack ``chunk``; returns the bytes that were written. Raises StreamError and StorageError."""
        chunk.verify(where)
        if self._stored_digest is not None:
            self._stored_digest.update(chunk.payload)
        before = self._size
        if chunk.kind == TYPE_SPARSE:
            self._take_sparse(chunk)
        else:
            try:
                self._take_payload(chunk)
            except StreamCorrupt:
                self._key_proof()  # noise cannot be decompressed
                raise
            if self._decoders:
                self._hold(sum(decoder.rest() for decoder in self._decoders))
        return self._size - before

    def _hold(self, size: int) -> None:
        before, self._held = self._held, size
        self._memory.change(self.stored, before, size)

    def _take_payload(self, chunk: Chunk) -> None:
        for data in _decode(self._decoders, chunk.payload):
            for digest in self._digests.values():
                digest.update(data)
            self._size += len(data)
            for hole, piece in self._splitter.feed(memoryview(data)):
                if hole:
                    self._output.hole(hole)
                self._output.write(piece)

    def _take_sparse(self, chunk: Chunk) -> None:
        if self._decoders:
            raise StreamCorrupt(f"{self.stored}: a sparse chunk in an encoded entry", entry=self.stored)
        self._output.write(self._splitter.end())
        at = 0
        for hole, length in chunk.ranges:
            if hole:
                self._output.hole(hole)
            data = chunk.payload[at : at + length]
            for digest in self._digests.values():
                digest_zeros(digest, hole)
                digest.update(data)
            self._output.write(data)
            self._size += hole + length
            at += length

    def finish(self) -> Unpacked:
        """The entry is over. Raises StreamTruncated when its encoding is not, StorageError."""
        for decoder in self._decoders:
            decoder.finish()
        self._hold(0)
        self._output.write(self._splitter.end())
        self._output.close()
        stored_digest = None if self._stored_digest is None else self._stored_digest.digest()
        digests = {name: digest.hexdigest() for name, digest in self._digests.items()}
        return Unpacked(self.stored, self._name, self._size, digests, stored_digest, self._key_proof())

    def _key_proof(self) -> bool | None:
        for decoder in self._decoders:
            if isinstance(decoder, cipher.Decryptor):
                return key_proof.proof(self.stored[: -len(cipher.SUFFIX)], decoder)
        return None

    def abandon(self) -> None:
        """Release what is held."""
        self._output.abandon()


class EntrySkipper:
    """Takes the chunks of one entry whose content nobody wants; those that were read count for the MAC."""

    def __init__(self, stored: str, decrypt_key: bytes | None) -> None:
        self.stored = stored
        self._stored_digest = None if decrypt_key is None else cipher.new_stored_digest()

    def take(self, chunk: Chunk, where: str) -> int:
        """Check ``chunk``, unless its payload was left out; nothing is written. Raises StreamCorrupt."""
        if len(chunk.payload) == chunk.length:
            chunk.verify(where)
            if self._stored_digest is not None:
                self._stored_digest.update(chunk.payload)
        return 0

    def finish(self) -> Unpacked:
        """The entry is over; of the unpacked bytes nothing is known."""
        stored_digest = None if self._stored_digest is None else self._stored_digest.digest()
        return Unpacked(self.stored, output_name(self.stored), 0, {}, stored_digest)

    def abandon(self) -> None:
        """Nothing is held."""


def _decode(decoders: list[Decoder], data: Buffer) -> Iterator[Buffer]:
    if not decoders:
        yield data
        return
    for piece in decoders[0].feed(data):
        yield from _decode(decoders[1:], piece)
