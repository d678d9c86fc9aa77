# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams as Percona XtraBackup 8 writes them, laid out here byte by byte from the descriptions of the formats.

Nothing of the writers under test is used: frames hold stored blocks, so that each byte can be told.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path
from typing import Callable

import pytest
import xxhash
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DecryptionFailed, StreamError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.tests.support.streams import end, payload, sparse, tree

KEY = b"0123456789abcdef0123456789abcdef"
FILES = {
    "ibdata1": bytes(range(256)) * 700,
    "mysql.ibd": b"dictionary " * 9000,
    "shop/orders.ibd": b"order " * 30000,
    "shop/empty.ibd": b"",
    "xtrabackup_logfile": b"redo" * 20000,
    "xtrabackup_info": b"uuid = 1\ntool_name = xtrabackup\n",
    "backup-my.cnf": b"[mysqld]\ninnodb_page_size=16384\n",
    "xtrabackup_checkpoints": b"backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\n",
}
PLAIN = "xtrabackup_checkpoints"


def lz4_frame(data: bytes) -> bytes:
    """One write of ds_compress_lz4: FLG 0x6C (independent blocks, content size and checksum), blocks of 64 KiB."""
    descriptor = bytes([0x6C, 4 << 4]) + struct.pack("<Q", len(data))
    header = struct.pack("<I", 0x184D2204) + descriptor + bytes([xxhash.xxh32(descriptor).intdigest() >> 8 & 0xFF])
    blocks = b""
    for start in range(0, len(data), 64 << 10):
        block = data[start : start + (64 << 10)]
        blocks += struct.pack("<I", 0x80000000 | len(block)) + block
    return header + blocks + struct.pack("<II", 0, xxhash.xxh32(data).intdigest())


def zstd_frame(data: bytes) -> bytes:
    """One write of ds_compress_zstd: content checksum, no content size, a window of 128 KiB."""
    header = struct.pack("<IBB", 0xFD2FB528, 0x04, 7 << 3)
    pieces = [data[start : start + (128 << 10)] for start in range(0, len(data), 128 << 10)] or [b""]
    blocks = b""
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        blocks += struct.pack("<I", len(piece) << 3 | last)[:3] + piece
    return header + blocks + struct.pack("<I", xxhash.xxh64(data).intdigest() & 0xFFFFFFFF)


def xbcrypt(data: bytes, size: int = 64 << 10) -> bytes:
    """The encrypt stage: each write cut at 64 KiB, SHA-256 behind the plain bytes, AES-256 in CTR mode."""
    chunks = b""
    for start in range(0, len(data), size):
        plain = data[start : start + size]
        plain += hashlib.sha256(plain).digest()
        iv = os.urandom(16)
        encrypted = Cipher(algorithms.AES(KEY), modes.CTR(iv)).encryptor().update(plain)
        fields = struct.pack("<QQQI", 0, len(plain), len(encrypted), zlib.crc32(encrypted))
        chunks += b"XBCRYP03" + fields + struct.pack("<Q", 16) + iv + encrypted
    return chunks


def written(data: bytes, size: int = 50_000) -> list[bytes]:
    """``data`` as the copy thread hands it on, in several writes; an empty file is one empty write."""
    return [data[start : start + size] for start in range(0, len(data), size)] or [b""]


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".lz4": lambda data: b"".join(lz4_frame(piece) for piece in written(data)),
    ".zst": lambda data: b"".join(zstd_frame(piece) for piece in written(data)),
}


def stream(suffix: str, *, encrypted: bool) -> bytes:
    """A whole backup; entries interleave, as those of several copy threads do."""
    bodies = {}
    for name, data in FILES.items():
        if name == PLAIN:
            bodies[name] = data
            continue
        body = ENCODINGS[suffix](data)
        bodies[name + suffix + (".xbcrypt" if encrypted else "")] = xbcrypt(body) if encrypted else body
    chunks, at = b"", dict.fromkeys(bodies, 0)
    while any(at[name] < len(body) for name, body in bodies.items()):
        for name, body in bodies.items():
            piece = body[at[name] : at[name] + 70_000]
            if piece:
                chunks += payload(name.encode(), at[name], piece)
                at[name] += len(piece)
    return chunks + b"".join(end(name.encode()) for name in bodies)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("suffix", ENCODINGS)
def test_a_percona_stream_unpacks_to_its_files(tmp_path: Path, suffix: str, encrypted: bool) -> None:
    (tmp_path / "archive").write_bytes(stream(suffix, encrypted=encrypted))
    key = KEY if encrypted else None
    extract_archive(
        source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(decrypt_key=key, require_manifest=False)
    )
    assert tree(tmp_path / "dest") == FILES


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_a_percona_stream_is_listed_without_the_key(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "archive").write_bytes(stream(suffix, encrypted=True))
    names = set(list_archive(source_at(tmp_path / "archive")).entries)
    assert names == {name if name == PLAIN else f"{name}{suffix}.xbcrypt" for name in FILES}


def test_another_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(stream(".zst", encrypted=True))
    with pytest.raises(DecryptionFailed):
        extract_archive(
            source_at(tmp_path / "archive"),
            tmp_path / "dest",
            ExtractOptions(decrypt_key=bytes(32), require_manifest=False),
        )
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("suffix", [".lz4", ".zst"])
def test_a_flipped_bit_in_any_field_of_an_encoding_is_detected(tmp_path: Path, suffix: str, encrypted: bool) -> None:
    """The xbstream checksum is made right again: the encoding must notice by itself."""
    name = f"t.ibd{suffix}" + (".xbcrypt" if encrypted else "")
    body = ENCODINGS[suffix](b"row " * 60)
    body = xbcrypt(body) if encrypted else body
    required = b"".join(payload(other.encode(), 0, b"x") + end(other.encode()) for other in (PLAIN, "xtrabackup_info"))
    undetected = []
    for position in range(len(body)):
        damaged = bytearray(body)
        damaged[position] ^= 0x10
        archive = tmp_path / "archive"
        archive.write_bytes(payload(name.encode(), 0, bytes(damaged)) + end(name.encode()) + required)
        dest = tmp_path / f"dest-{position}"
        try:
            extract_archive(
                source_at(archive),
                dest,
                ExtractOptions(decrypt_key=KEY if encrypted else None, parallel=1, require_manifest=False),
            )
        except (StreamError, DecryptionFailed):
            continue
        if (dest / "t.ibd").read_bytes() != b"row " * 60:
            undetected.append(position)
    assert undetected == []


def test_a_sparse_percona_stream_keeps_its_holes(tmp_path: Path) -> None:
    page = b"p" * 4096
    chunks = sparse(b"t.ibd", 0, [(0, 4096), (12288, 4096), (12288, 0)], page + page) + end(b"t.ibd")
    chunks += b"".join(payload(name, 0, b"x") + end(name) for name in (b"xtrabackup_checkpoints", b"xtrabackup_info"))
    (tmp_path / "archive").write_bytes(chunks)
    extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(require_manifest=False))
    found = tmp_path / "dest" / "t.ibd"
    assert found.read_bytes() == page + bytes(12288) + page + bytes(12288)
    assert found.stat().st_blocks * 512 <= 3 * 4096
