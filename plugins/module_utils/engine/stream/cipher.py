# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption of stream entries: the xbcrypt container (AES in CTR mode), key files, and the manifest's keyed MAC.

An encrypted entry is a sequence of chunks, integers little-endian: magic ``XBCRYP03`` (8 bytes), reserved (u64),
size before encryption (u64), size after it (u64), CRC-32 of the encrypted bytes (u32), IV size (u64), IV, data. In
version 3 what is encrypted is the plain bytes followed by their SHA-256, and the IV is the first counter block. In
version 2 there is an IV that the cipher never used, in version 1 there is none: their counter begins at zero, and
they have no hash. Nothing marks the end of an entry but the end of the stream's. Sources:
docs/internals/formats-stream.md#xbcrypt; the MAC is docs/internals/formats-stream.md#manifest-mac.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from .. import libraries
from ..errors import DecryptionFailed, InvalidOption, StreamCorrupt, StreamTruncated
from ..format.file_kinds import ENCRYPTED_SUFFIX
from ..host.durable import storage_errors
from .checksum import crc32
from .sink import Buffer

SUFFIX = ENCRYPTED_SUFFIX
ALGORITHMS = {"AES128": 16, "AES192": 24, "AES256": 32}  # name: bytes of the key
MAX_CHUNK = 64 << 20  # bytes of one encrypted chunk that are read
HEAD_SIZE = 64  # plain bytes of an entry that are kept: what its kind can be told by

_MAGIC_1, _MAGIC_2, _MAGIC_3 = b"XBCRYP01", b"XBCRYP02", b"XBCRYP03"
_HEADER = struct.Struct("<8sQQQI")
_IV_SIZE = struct.Struct("<Q")
_IV = 16  # bytes, the block size of AES
_HASH = 32  # bytes of SHA-256
_MAC_LABEL = b"innodb.xtrabackup manifest mac 1"


# --- keys ----------------------------------------------------------------------------------------


def read_key_file(path: str | os.PathLike[str], algorithm: str | None = None, *, option: str = "key_file") -> bytes:
    """The key in ``path``: 16, 24 or 32 raw bytes, as ``algorithm`` (of ALGORITHMS) needs if it is given.

    Raises InvalidOption naming ``option`` when it has another length or when others than its owner may read or
    change it, StorageError.
    """
    with storage_errors("reading the key file", path), open(path, "rb", buffering=0) as source:
        mode = os.fstat(source.fileno()).st_mode
        key = source.read(max(ALGORITHMS.values()) + 2)
    whom = "everybody" if mode & stat.S_IRWXO else "its group"
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidOption(
            f"{option}: {os.fspath(path)} is open to {whom} on this host (mode {stat.S_IMODE(mode):04o})",
            remedy="chmod 0600 the key file, and consider whether the key is still a secret.",
            option=option,
        )
    wanted = _sizes(algorithm)
    if len(key) not in wanted:
        raise InvalidOption(
            f"{option}: {os.fspath(path)} does not hold a key of {' or '.join(map(str, wanted))} raw bytes"
            + (f" for {algorithm}" if algorithm else "")
            + (", it has a line feed at its end" if key.endswith(b"\n") and len(key) - 1 in wanted else ""),
            remedy="Make one with: openssl rand -out KEYFILE 32 (for AES256); nothing else may be in the file.",
            option=option,
        )
    return key


def key_of(text: bytes, algorithm: str | None = None, *, option: str = "key") -> bytes:
    """The key that was given itself, not in a file; raises InvalidOption, which never shows it, for a wrong length."""
    wanted = _sizes(algorithm)
    if len(text) not in wanted:
        raise InvalidOption(
            f"{option}: a key of {len(text)} bytes, where {' or '.join(map(str, wanted))} are needed"
            + (f" for {algorithm}" if algorithm else ""),
            option=option,
        )
    return text


def _sizes(algorithm: str | None) -> list[int]:
    """Returns the sizes (bytes) that a key for ``algorithm``, or for any, may have."""
    return sorted(ALGORITHMS.values()) if algorithm is None else [ALGORITHMS[algorithm]]


def new_stored_digest() -> Any:
    """A hash of an entry's bytes as they are stored, for the MAC; it must withstand who wants to forge an entry, which
    the manifest's own digests are not made for."""
    return hashlib.sha256()


def manifest_mac(key: bytes, manifest: bytes, stored: Mapping[str, bytes]) -> str:
    """The MAC (HMAC-SHA256, hexadecimal, under a key derived from ``key``) of a manifest rendered without one and of
    all other entries: ``stored`` has their names in the stream and the digests of their bytes as stored there."""
    derived = hmac.new(key, _MAC_LABEL, hashlib.sha256).digest()
    authenticated = hmac.new(derived, manifest, hashlib.sha256)
    for name, digest in sorted(stored.items()):
        # a digest has a fixed length and a name no NUL: nothing can be moved from one field into another
        authenticated.update(b"\0" + os.fsencode(name) + b"\0" + digest)
    return authenticated.hexdigest()


def verify_manifest_mac(key: bytes, manifest: bytes, stored: Mapping[str, bytes], mac: str | None, where: str) -> None:
    """Raises DecryptionFailed unless ``mac`` is that of ``manifest`` and ``stored`` under ``key``."""
    if mac is None:
        raise DecryptionFailed(
            f"{where}: a key was given, but the manifest is not authenticated by one",
            remedy="Leave the key out if this archive was never encrypted; otherwise it is not the one you made.",
            where=where,
        )
    if not hmac.compare_digest(manifest_mac(key, manifest, stored).encode(), mac.encode("utf-8", "surrogateescape")):
        raise DecryptionFailed(
            f"{where}: the archive was made with another key, or was changed since",
            where=where,
        )


def _aes_ctr(key: bytes, counter: bytes) -> Any:
    libraries.require("cryptography")
    ciphers = importlib.import_module("cryptography.hazmat.primitives.ciphers")
    return ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.CTR(counter))


# --- writing -------------------------------------------------------------------------------------


class Encryptor:
    """Seals blocks into xbcrypt chunks (version 3), each with a random IV. Thread-safe."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        _aes_ctr(key, bytes(_IV))  # a missing library or a wrong key shows before any work is done

    def encrypt(self, plain: Buffer) -> list[Buffer]:
        """One chunk that holds ``plain``."""
        iv = os.urandom(_IV)
        encryptor = _aes_ctr(self._key, iv).encryptor()
        data = encryptor.update(plain)
        tail = encryptor.update(hashlib.sha256(plain).digest()) + encryptor.finalize()
        size = len(data) + len(tail)
        checksum = crc32(tail, crc32(data))
        header = _HEADER.pack(_MAGIC_3, 0, size, size, checksum) + _IV_SIZE.pack(_IV) + iv
        return [header, data, tail]


# --- reading -------------------------------------------------------------------------------------


class Decryptor:
    """Opens the xbcrypt chunks of one entry. Not thread-safe; fed in order, with pieces cut anywhere."""

    def __init__(self, key: bytes, entry: str) -> None:
        self._key = key
        self._entry = entry
        self._held = bytearray()
        self._needed = _HEADER.size
        self._offset = 0
        self.head = b""  # the first plain bytes
        self.hashed: bool | None = None  # whether hashes have proven the key; None: there is nothing to prove

    def feed(self, data: Buffer) -> Iterator[Buffer]:
        """The plain bytes of the chunks that ``data`` completes. Raises StreamCorrupt, DecryptionFailed."""
        view = memoryview(data)
        while view:
            if self._held:
                taken = min(len(view), self._needed - len(self._held))
                self._held += view[:taken]
                view = view[taken:]
                if len(self._held) < self._needed:
                    return
                self._needed = self._chunk_size(self._held)
                if len(self._held) < self._needed:
                    continue
                chunk, self._held = memoryview(self._held), bytearray()
            else:
                self._needed = self._chunk_size(view)
                if len(view) < self._needed:
                    self._held += view
                    return
                chunk, view = view[: self._needed], view[self._needed :]
            self._offset += self._needed
            self._needed = _HEADER.size
            yield self._open(chunk)

    def rest(self) -> int:
        """No more input is at hand: returns the bytes that are held until there is."""
        return len(self._held)

    def finish(self) -> None:
        """The entry is over; raises StreamTruncated in the middle of a chunk."""
        if self._held:
            raise StreamTruncated(f"{self._entry}: ends in the middle of an encrypted chunk", entry=self._entry)

    def _chunk_size(self, head: memoryview | bytearray) -> int:
        """Bytes of the chunk that begins with ``head``, or of as much of its header as tells more."""
        if len(head) < _HEADER.size:
            return _HEADER.size
        magic, _reserved, plain_size, size, _checksum = _HEADER.unpack_from(head)
        if magic not in (_MAGIC_1, _MAGIC_2, _MAGIC_3):
            raise self._corrupt("no encrypted chunk begins here (wrong magic)")
        if size > MAX_CHUNK or not plain_size <= size <= plain_size + _HASH:
            raise self._corrupt(f"an encrypted chunk of {size} bytes for {plain_size} (at most {MAX_CHUNK} are read)")
        if magic == _MAGIC_1:
            return _HEADER.size + int(size)
        prefix = _HEADER.size + _IV_SIZE.size
        if len(head) < prefix:
            return prefix
        (iv_size,) = _IV_SIZE.unpack_from(head, _HEADER.size)
        if iv_size != _IV or (magic == _MAGIC_3 and size < _HASH):
            raise self._corrupt(f"an encrypted chunk of {size} bytes with an IV of {iv_size}")
        return prefix + int(iv_size) + int(size)

    def _open(self, chunk: memoryview) -> Buffer:
        magic, _reserved, _plain_size, size, checksum = _HEADER.unpack_from(chunk)
        data = chunk[len(chunk) - size :]
        if crc32(data) != checksum:
            raise self._corrupt("an encrypted chunk does not match its checksum", len(chunk))
        counter = bytes(chunk[len(chunk) - size - _IV : len(chunk) - size]) if magic == _MAGIC_3 else bytes(_IV)
        decryptor = _aes_ctr(self._key, counter).decryptor()
        plain = memoryview(decryptor.update(data) + decryptor.finalize())
        if len(self.head) < HEAD_SIZE:
            self.head += bytes(plain[: HEAD_SIZE - len(self.head)])
        if magic != _MAGIC_3:
            if plain:
                self.hashed = False
            return plain
        plain, stored_hash = plain[:-_HASH], plain[-_HASH:]
        if hashlib.sha256(plain).digest() != stored_hash:
            raise DecryptionFailed(
                f"{self._entry}: at offset {self._offset - len(chunk)}: the decrypted data does not match its hash",
                entry=self._entry,
            )
        if self.hashed is None:
            self.hashed = True
        return plain

    def _corrupt(self, what: str, back: int = 0) -> StreamCorrupt:
        offset = self._offset - back
        return StreamCorrupt(f"{self._entry}: at offset {offset}: {what}", entry=self._entry, offset=offset)
