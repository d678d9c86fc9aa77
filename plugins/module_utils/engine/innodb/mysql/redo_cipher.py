# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of an encrypted MySQL redo log: docs/internals/formats-redo.md#mysql-encrypted-redo-blocks.

The first 12 bytes of a block stay in clear. The other 500 are AES-256-CBC, each block from the same initialisation
vector: the first 496 of them, then the last 32 of the result once more. The checksum in them is the plain block's.
"""

from __future__ import annotations

import importlib
import struct
from typing import Any

from ... import libraries
from .keyring import EncryptionInfo, FileKey, Keyring

_BLOCK_SIZE = 512
_CLEAR = 12
_MAIN = 496  # bytes that are encrypted first
_TAIL = 32  # bytes at the end that are encrypted once more
_AES_BLOCK = 16
_DATA_LEN = struct.Struct(">H")
_DATA_LEN_OFFSET = 4
_ENCRYPTED = 0x80  # in the first byte of that word


class RedoCipher:
    """Decrypts and encrypts blocks with the log's own key."""

    def __init__(self, key: FileKey) -> None:
        self._key = key

    @classmethod
    def unwrap(cls, info: bytes, keyring: Keyring, where: str) -> RedoCipher:
        """The cipher of the log ``where`` (for errors), whose header holds ``info``. Raises DecryptionFailed."""
        parsed = EncryptionInfo.parse(info, where)
        if parsed is None:
            raise ValueError(f"{where}: no encryption information")
        return cls(keyring.unwrap(parsed, where))

    def decrypt(self, blocks: bytes) -> bytes:
        """``blocks`` (whole ones) with plain data and checksums; the bit that says encrypted is off. Plain blocks among
        them stay as they are."""
        starts = [
            offset for offset in range(0, len(blocks), _BLOCK_SIZE) if blocks[offset + _DATA_LEN_OFFSET] & _ENCRYPTED
        ]
        if not starts:
            return blocks
        # all blocks at once: ECB by the library, and CBC's xor of all of it as one large integer
        tails = self._undo([blocks[start + _BLOCK_SIZE - _TAIL : start + _BLOCK_SIZE] for start in starts], _TAIL)
        mains = self._undo(
            [
                blocks[start + _CLEAR : start + _BLOCK_SIZE - _TAIL] + tails[at : at + _TAIL - 4]
                for at, start in zip(range(0, len(tails), _TAIL), starts)
            ],
            _MAIN,
        )
        plain = bytearray(blocks)
        for number, start in enumerate(starts):
            plain[start + _DATA_LEN_OFFSET] &= ~_ENCRYPTED & 0xFF
            plain[start + _CLEAR : start + _CLEAR + _MAIN] = mains[number * _MAIN : (number + 1) * _MAIN]
            plain[start + _CLEAR + _MAIN : start + _BLOCK_SIZE] = tails[(number + 1) * _TAIL - 4 : (number + 1) * _TAIL]
        return bytes(plain)

    def encrypt(self, block: bytes) -> bytes:
        """One plain block as the log holds it; the bit is on."""
        data_len = _DATA_LEN.unpack_from(block, _DATA_LEN_OFFSET)[0] | _ENCRYPTED << 8
        clear = block[:_DATA_LEN_OFFSET] + _DATA_LEN.pack(data_len) + block[_DATA_LEN_OFFSET + 2 : _CLEAR]
        region = self._encrypt_cbc(block[_CLEAR : _CLEAR + _MAIN]) + block[_CLEAR + _MAIN :]
        return clear + region[:-_TAIL] + self._encrypt_cbc(region[-_TAIL:])

    def _undo(self, pieces: list[bytes], size: int) -> bytes:
        """CBC undone on ``pieces`` of ``size`` bytes each, which all start from the initialisation vector."""
        cipher = b"".join(pieces)
        decryptor = self._cipher("ECB").decryptor()
        before = b"".join(self._key.iv + piece[: size - _AES_BLOCK] for piece in pieces)
        mixed = int.from_bytes(decryptor.update(cipher), "little") ^ int.from_bytes(before, "little")
        return mixed.to_bytes(len(cipher), "little")

    def _encrypt_cbc(self, data: bytes) -> bytes:
        return bytes(self._cipher("CBC").encryptor().update(data))

    def _cipher(self, mode: str) -> Any:
        libraries.require("cryptography")
        ciphers = importlib.import_module("cryptography.hazmat.primitives.ciphers")
        chosen = ciphers.modes.CBC(self._key.iv) if mode == "CBC" else ciphers.modes.ECB()
        return ciphers.Cipher(ciphers.algorithms.AES(self._key.key), chosen)
