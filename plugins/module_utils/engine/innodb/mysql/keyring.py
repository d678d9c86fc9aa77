# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of encrypted MySQL files: master keys from a keyring file, and the keys that they wrap.

Each encrypted tablespace has a key of its own on its page 0, an encrypted redo log one in its header, wrapped by the
master key that the server has in its keyring. Keys are never part of a repr, a message or the details of an error.

Layouts: docs/internals/formats-innodb.md#mysql-encryption-record and
docs/internals/formats-innodb.md#mysql-keyring-file.
"""

from __future__ import annotations

import functools
import importlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

from ... import libraries
from ...errors import DecryptionFailed, FormatError, UnknownFormat
from ...format import strict_json
from ...host import durable
from ...host.small_files import read_small

Buffer = Union[bytes, bytearray, memoryview]

KEY_SIZE = 32  # bytes, of keys and of the stored initialisation vectors
_IV_SIZE = 16
_AES_BLOCK = 16
_MAX_BYTES = 64 << 20  # of a keyring

#: magic, master key id, server uuid, wrapped key and iv, crc32c of them unwrapped
_INFO = struct.Struct(">3sI36s64sI")
INFO_SIZE = _INFO.size
_MAGIC = b"lCC"
_OLDER_MAGICS = (b"lCA", b"lCB")


@dataclass(frozen=True)
class EncryptionInfo:
    """The record that names the master key of a file and holds the file's own key, wrapped by it."""

    master_key_id: int
    server_uuid: str
    wrapped: bytes = field(repr=False)
    checksum: int  # crc32c of what is wrapped

    @property
    def master_key_name(self) -> str:
        """Name of the master key in the keyring."""
        return f"INNODBKey-{self.server_uuid}-{self.master_key_id}"

    @classmethod
    def parse(cls, data: Buffer, where: str) -> EncryptionInfo | None:
        """The record that begins ``data`` (INFO_SIZE bytes); None when there is none.

        Raises UnknownFormat for the records of servers before MySQL 5.7.12.
        """
        magic, key_id, uuid, wrapped, checksum = _INFO.unpack_from(data)
        if magic in _OLDER_MAGICS:
            raise UnknownFormat(f"{where}: encryption information of an unknown version", where=where)
        if magic != _MAGIC:
            return None
        return cls(key_id, uuid.decode("latin-1"), wrapped, checksum)


@dataclass(frozen=True)
class FileKey:
    """The key of one tablespace or redo log: AES-256 in CBC mode, always from the same initialisation vector."""

    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)

    def decrypt(self, data: Buffer) -> bytes:
        """The plain bytes of a region (of at least two AES blocks).

        The server encrypts the whole blocks and then, where a part of a block is left, the last two blocks' length
        once more, from the same initialisation vector; here that is undone in the other order.
        """
        region = bytes(data)
        whole = len(region) - len(region) % _AES_BLOCK
        if whole != len(region):
            region = region[: -2 * _AES_BLOCK] + self._cbc(region[-2 * _AES_BLOCK :])
        return self._cbc(region[:whole]) + region[whole:]

    def _cbc(self, data: bytes) -> bytes:
        return bytes(self._cipher.decryptor().update(data))

    @functools.cached_property
    def _cipher(self) -> Any:
        ciphers = _ciphers()
        return ciphers.Cipher(ciphers.algorithms.AES(self.key), ciphers.modes.CBC(self.iv))


@dataclass(frozen=True)
class Keyring:
    """The master keys of a server, by name. ``path`` is the file that they were read from."""

    path: Path
    master_keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def read(cls, path: str | Path) -> Keyring:
        """The keyring in the data file ``path`` of MySQL's component_keyring_file.

        Raises StorageError when it cannot be read, UnknownFormat or FormatError when it is something else.
        """
        path = Path(path)
        with durable.storage_errors("reading", path):
            data = read_small(path, _MAX_BYTES, follow=True).data
        return cls(path, parse_keyring(data, str(path)) if data else {})

    def unwrap(self, info: EncryptionInfo, where: str) -> FileKey:
        """The key of the file ``where`` (for errors), whose record is ``info``.

        Raises DecryptionFailed when the keyring lacks the master key, or has another one under its name.
        """
        # the server may have got a new master key since the file was read
        master = self.master_keys.get(info.master_key_name) or self.read(self.path).master_keys.get(
            info.master_key_name
        )
        if master is None:
            raise DecryptionFailed(
                f"{where}: it is encrypted, and the keyring {self.path} has no master key {info.master_key_name}",
                remedy="Give the keyring file of the server that wrote it, with all its keys.",
                path=where,
                keyring=str(self.path),
                master_key=info.master_key_name,
            )
        ciphers = _ciphers()
        decryptor = ciphers.Cipher(ciphers.algorithms.AES(master), ciphers.modes.ECB()).decryptor()
        plain = decryptor.update(info.wrapped)
        if libraries.require("crc32c").crc32c(plain) != info.checksum:
            raise DecryptionFailed(
                f"{where}: the master key {info.master_key_name} of the keyring {self.path} does not fit",
                remedy="Give the keyring file of the server that wrote it.",
                path=where,
                keyring=str(self.path),
                master_key=info.master_key_name,
            )
        return FileKey(plain[:KEY_SIZE], plain[KEY_SIZE : KEY_SIZE + _IV_SIZE])


def _ciphers() -> Any:
    libraries.require("cryptography")
    return importlib.import_module("cryptography.hazmat.primitives.ciphers")


def parse_keyring(data: bytes, path: str) -> dict[str, bytes]:
    """InnoDB's master keys in a keyring file: JSON, version 1.0, each key's bytes in hexadecimal digits.

    Raises UnknownFormat, FormatError; ``path`` is for them.
    """
    try:
        content = strict_json.parse_object(data, path, max_bytes=_MAX_BYTES)
        version, elements = content["version"], content["elements"]
    except (FormatError, KeyError):
        # the error itself may quote what it could not parse
        raise UnknownFormat(
            f"{path} is no keyring of component_keyring_file: it is not the JSON that this component writes",
            remedy="Give the data file that component_keyring_file.cnf names; other keyrings are not supported yet.",
            path=path,
        ) from None
    if version != "1.0":
        raise UnknownFormat(f"{path}: a keyring of the unknown version {version!r}", path=path)
    try:
        return {
            element["data_id"]: _master_key(element, path)
            for element in elements
            if element["data_id"].startswith("INNODBKey-")
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        # the error itself may quote what it could not parse
        raise FormatError(f"{path}: a key of this keyring is damaged", path=path) from type(error)()


def _master_key(element: Mapping[str, Any], path: str) -> bytes:
    key = bytes.fromhex(element["data"])
    if element["data_type"] != "AES" or len(key) != KEY_SIZE:
        raise FormatError(f"{path}: the master key {element['data_id']} is not an AES-256 key", path=path)
    return key
