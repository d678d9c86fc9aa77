# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of encrypted MySQL files."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import crc32c
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DecryptionFailed,
    FormatError,
    StorageError,
    UnknownFormat,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import (
    INFO_SIZE,
    EncryptionInfo,
    FileKey,
    Keyring,
)

UUID = "ca5bdca7-e59b-11f1-aa95-02fc00000001"
MASTER = bytes(range(50, 82))
PLAIN = bytes(range(64))  # key and initialisation vector of the file


def info_of(key_id: int = 1, master: bytes = MASTER, magic: bytes = b"lCC") -> bytes:
    wrapped = Cipher(algorithms.AES(master), modes.ECB()).encryptor().update(PLAIN)
    return magic + key_id.to_bytes(4, "big") + UUID.encode() + wrapped + crc32c.crc32c(PLAIN).to_bytes(4, "big")


def parsed(**options: Any) -> EncryptionInfo:
    info = EncryptionInfo.parse(info_of(**options), "t.ibd")
    assert info is not None
    return info


def element(key_id: int = 1, data: str = MASTER.hex().upper(), **other: Any) -> dict[str, Any]:
    return {"user": "", "data_id": f"INNODBKey-{UUID}-{key_id}", "data_type": "AES", "data": data, **other}


def write(path: Path, *elements: Any, version: str = "1.0") -> Path:
    path.write_text(json.dumps({"version": version, "elements": list(elements)}), encoding="utf-8")
    return path


def test_the_key_of_a_file_is_unwrapped_by_its_master_key(tmp_path: Path) -> None:
    other = {"user": "u@h", "data_id": "somebody's", "data_type": "SECRET", "data": "00"}
    keyring = Keyring.read(write(tmp_path / "keyring", other, element(), element(2, "11" * 32, extension=[])))
    assert len(info_of()) == INFO_SIZE == 111
    assert parsed().master_key_name == f"INNODBKey-{UUID}-1"
    assert keyring.unwrap(parsed(), "t.ibd") == FileKey(PLAIN[:32], PLAIN[32:48])
    with pytest.raises(DecryptionFailed, match=r"db/t\.ibd: the master key INNODBKey-.*-2 .* does not fit"):
        keyring.unwrap(parsed(key_id=2), "db/t.ibd")


def test_a_master_key_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "keyring", element())
    with pytest.raises(
        DecryptionFailed, match=r"db/t\.ibd: it is encrypted, and the keyring .* has no master key"
    ) as e:
        Keyring.read(path).unwrap(parsed(key_id=3), "db/t.ibd")
    assert e.value.details["master_key"] == f"INNODBKey-{UUID}-3"
    # the component makes its file before it has a key
    path.write_bytes(b"")
    with pytest.raises(DecryptionFailed):
        Keyring.read(path).unwrap(parsed(), "db/t.ibd")


def test_a_master_key_that_was_made_meanwhile_is_found(tmp_path: Path) -> None:
    keyring = Keyring.read(write(tmp_path / "keyring", element()))
    write(tmp_path / "keyring", element(), element(2))
    assert keyring.unwrap(parsed(key_id=2), "t.ibd").key == PLAIN[:32]


def test_what_is_no_encryption_information() -> None:
    assert EncryptionInfo.parse(bytes(INFO_SIZE), "t.ibd") is None
    for magic in (b"lCA", b"lCB"):
        with pytest.raises(UnknownFormat, match=r"t\.ibd"):
            EncryptionInfo.parse(info_of(magic=magic), "t.ibd")


def test_no_key_is_shown(tmp_path: Path) -> None:
    keyring = Keyring.read(write(tmp_path / "keyring", element()))
    key = keyring.unwrap(parsed(), "t.ibd")
    shown = f"{keyring!r} {key!r} {parsed()!r}"
    for secret in (MASTER, PLAIN[:32], parsed().wrapped):
        assert repr(secret)[2:20] not in shown
        assert secret.hex()[:16].lower() not in shown.lower()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("not json", UnknownFormat),
        ("[]", UnknownFormat),
        ("{}", UnknownFormat),
        ('{"version": "2.0", "elements": []}', UnknownFormat),
        ('{"version": "1.0", "elements": 3}', FormatError),
        ('{"version": "1.0", "elements": [3]}', FormatError),
        ('{"version": "1.0", "elements": [{"data_id": "INNODBKey-x-1"}]}', FormatError),
        ('{"version": "1.0", "elements": [{"data_id": "INNODBKey-x-1", "data_type": "AES", "data": 5}]}', FormatError),
        (json.dumps({"version": "1.0", "elements": [element(data="5ec4e7" * 3)]}), FormatError),
        (json.dumps({"version": "1.0", "elements": [element(data="5ec4e7zz" * 8)]}), FormatError),
        (json.dumps({"version": "1.0", "elements": [element(data_type="RSA")]}), FormatError),
    ],
)
def test_a_file_that_is_no_keyring_is_refused_without_showing_it(
    tmp_path: Path, text: str, error: type[Exception]
) -> None:
    (tmp_path / "keyring").write_text(text, encoding="utf-8")
    with pytest.raises(error, match="keyring") as caught:
        Keyring.read(tmp_path / "keyring")
    shown = "".join(traceback.format_exception(caught.type, caught.value, caught.tb, chain=True))
    assert "5ec4e7" not in shown.replace(text, "")


def test_a_keyring_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="keyring"):
        Keyring.read(tmp_path / "keyring")


@pytest.mark.parametrize("size", [32, 33, 40, 47, 48, 500, 16346])
def test_regions_of_any_length_are_decrypted(size: int) -> None:
    """Against the definition: the whole blocks are encrypted, then the last 32 bytes once more if there is a rest."""
    key, data = FileKey(PLAIN[:32], PLAIN[32:48]), bytes(value % 251 for value in range(size))

    def encrypt(region: bytes) -> bytes:
        return bytes(Cipher(algorithms.AES(key.key), modes.CBC(key.iv)).encryptor().update(region))

    whole = size // 16 * 16
    region = encrypt(data[:whole]) + data[whole:]
    if whole != size:
        region = region[:-32] + encrypt(region[-32:])
    assert key.decrypt(region) == data
    assert key.decrypt(memoryview(region)) == data
