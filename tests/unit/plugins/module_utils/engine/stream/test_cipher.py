# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xbcrypt: its three versions, keys and their files, the MAC of the manifest."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DecryptionFailed,
    InvalidOption,
    StorageError,
    StreamCorrupt,
    StreamError,
    StreamTruncated,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import cipher
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.cipher import Decryptor, Encryptor

KEY = bytes(range(32))


def encrypt(plain: bytes, key: bytes = KEY) -> bytes:
    return b"".join(Encryptor(key).encrypt(plain))


def unseal(data: bytes, key: bytes = KEY, step: int | None = None) -> bytes:
    decryptor = Decryptor(key, "t.ibd.xbcrypt")
    step = step or max(len(data), 1)
    parts = [bytes(part) for at in range(0, len(data), step) for part in decryptor.feed(data[at : at + step])]
    decryptor.finish()
    return b"".join(parts)


def ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    context = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return context.update(data) + context.finalize()


def old_chunk(version: int, plain: bytes, iv: bytes = b"") -> bytes:
    """A chunk of version 1 or 2, laid out by hand: both count from zero, whatever the IV says."""
    data = ctr(KEY, bytes(16), plain)
    header = b"XBCRYP%02d" % version + struct.pack("<QQQI", 0, len(plain), len(data), zlib.crc32(data))
    return header + (struct.pack("<Q", len(iv)) + iv if version == 2 else b"") + data


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_chunk_has_the_documented_layout(size: int) -> None:
    key, plain = KEY[:size], b"forty-two bytes or so of a tablespace page"
    chunk = encrypt(plain, key)
    magic, reserved, original, encrypted, checksum, iv_size = struct.unpack_from("<8sQQQIQ", chunk)
    iv, data = chunk[44:60], chunk[60:]
    assert (magic, reserved, iv_size) == (b"XBCRYP03", 0, 16)
    assert original == encrypted == len(data) == len(plain) + 32
    assert checksum == zlib.crc32(data)
    assert ctr(key, iv, data) == plain + hashlib.sha256(plain).digest()


def test_the_counter_runs_over_all_128_bits() -> None:
    # NIST SP 800-38A, F.5.5: AES-256 in CTR mode, first block
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counter = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    assert (
        ctr(key, counter, bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")).hex() == "601ec313775789a5b7a7f504bbf3d228"
    )


@settings(max_examples=50, deadline=None)
@given(blocks=st.lists(st.binary(max_size=2000), max_size=5), step=st.sampled_from([1, 13, 60, 1000, None]))
def test_chunks_cut_anywhere_decrypt_to_what_was_encrypted(blocks: list[bytes], step: int | None) -> None:
    assert unseal(b"".join(encrypt(block) for block in blocks), step=step) == b"".join(blocks)


def test_no_two_chunks_share_an_iv() -> None:
    assert len({encrypt(b"the same")[44:60] for _repeat in range(100)}) == 100


@pytest.mark.parametrize("step", [1, 50, None])
def test_chunks_of_version_1_and_2_are_read(step: int | None) -> None:
    data = old_chunk(1, b"from 2013, ") + old_chunk(2, b"from 2014, ", os.urandom(16)) + encrypt(b"and from now")
    assert unseal(data, step=step) == b"from 2013, from 2014, and from now"


def test_another_key_is_detected() -> None:
    with pytest.raises(DecryptionFailed, match=r"t\.ibd\.xbcrypt"):
        unseal(encrypt(b"secret"), bytes(32))
    with pytest.raises(DecryptionFailed):
        unseal(encrypt(b"secret"), KEY[:16])


def test_every_flipped_bit_is_detected_or_means_nothing() -> None:
    chunk = encrypt(b"some secret data")
    for bit in range(8 * len(chunk)):
        damaged = bytearray(chunk)
        damaged[bit // 8] ^= 1 << bit % 8
        if 8 <= bit // 8 < 16:  # reserved
            assert unseal(bytes(damaged)) == b"some secret data"
            continue
        try:
            output = unseal(bytes(damaged))
        except StreamError:
            continue
        if bit // 8 == 7:  # an older version, without a hash: that is for the manifest's digests to tell
            assert output != b"some secret data"
            continue
        # the size before encryption is there twice; readers take a smaller one
        assert 16 <= bit // 8 < 24
        assert output == b"some secret data"


def test_truncation_is_detected_everywhere_but_between_chunks() -> None:
    first = encrypt(b"first")
    data = first + encrypt(b"second")
    for length in range(1, len(data)):
        if length == len(first):
            assert unseal(data[:length]) == b"first"
            continue
        with pytest.raises(StreamTruncated):
            unseal(data[:length], step=7)


@pytest.mark.parametrize("size", [cipher.MAX_CHUNK + 1, 1 << 63])
def test_a_huge_length_is_refused(size: int) -> None:
    header = b"XBCRYP03" + struct.pack("<QQQIQ", 0, size, size, 0, 16)
    with pytest.raises(StreamCorrupt, match="at most"):
        unseal(header)


@pytest.mark.parametrize("iv_size", [0, 8, 17, 1 << 60])
def test_an_iv_of_another_size_is_refused(iv_size: int) -> None:
    header = b"XBCRYP03" + struct.pack("<QQQIQ", 0, 40, 40, 0, iv_size)
    with pytest.raises(StreamCorrupt, match="IV"):
        unseal(header + bytes(100))


# --- key files


def key_file(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    path = directory / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("algorithm", "size"), [("AES128", 16), ("AES192", 24), ("AES256", 32), (None, 24)])
def test_a_key_file_holds_raw_bytes_of_the_right_length(tmp_path: Path, algorithm: str | None, size: int) -> None:
    key = random.Random(1).randbytes(size)
    assert cipher.read_key_file(key_file(tmp_path, key), algorithm) == key


@pytest.mark.parametrize("size", [0, 1, 15, 17, 31, 33, 5000])
def test_a_key_of_another_length_is_refused_without_being_shown(tmp_path: Path, size: int) -> None:
    path = key_file(tmp_path, b"K" * size)
    with pytest.raises(InvalidOption, match=r"encrypt\.key_file: .*/key does not hold a key of 32 raw bytes") as caught:
        cipher.read_key_file(path, "AES256", option="encrypt.key_file")
    assert "KKK" not in str(caught.value.as_dict())


def test_a_line_feed_behind_the_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="line feed"):
        cipher.read_key_file(key_file(tmp_path, bytes(32) + b"\n"), "AES256")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o777])
def test_a_key_file_that_is_open_to_everybody_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InvalidOption, match="open to everybody"):
        cipher.read_key_file(key_file(tmp_path, bytes(32), mode))


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610])
def test_a_key_file_that_is_open_to_its_group_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InvalidOption, match="open to its group"):
        cipher.read_key_file(key_file(tmp_path, bytes(32), mode))


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no-key: No such file"):
        cipher.read_key_file(tmp_path / "no-key")


# --- MAC


STORED = {"ibdata1.xbcrypt": bytes(32), "db/t.ibd.xbcrypt": bytes([1]) * 32}


@pytest.mark.parametrize(
    ("key", "manifest", "stored"),
    [
        (bytes(32), b"{}", STORED),
        (KEY, b"{} ", STORED),
        (KEY, b"{}", {}),
        (KEY, b"{}", {**STORED, "more": bytes(32)}),
        (KEY, b"{}", {**STORED, "ibdata1.xbcrypt": bytes([2]) * 32}),
        (KEY, b"{}", dict(zip(STORED, reversed(list(STORED.values()))))),
    ],
)
def test_the_mac_depends_on_the_key_and_on_every_byte(key: bytes, manifest: bytes, stored: dict[str, bytes]) -> None:
    mac = cipher.manifest_mac(KEY, b"{}", STORED)
    cipher.verify_manifest_mac(KEY, b"{}", dict(reversed(list(STORED.items()))), mac, "the archive")
    with pytest.raises(DecryptionFailed, match="the archive"):
        cipher.verify_manifest_mac(key, manifest, stored, mac, "the archive")


@pytest.mark.parametrize("mac", [None, "", "00" * 32, "\udcff", "x"])
def test_a_wrong_or_missing_mac_is_refused(mac: str | None) -> None:
    with pytest.raises(DecryptionFailed, match="the archive"):
        cipher.verify_manifest_mac(KEY, b"{}", {}, mac, "the archive")
