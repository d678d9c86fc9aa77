# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams for tests: chunks laid out by hand, sources that read short, small backups as archives."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import (
    FileEntry,
    Manifest,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import Sink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.xbstream import ChunkReader

MAGIC = b"XBSTCK01"


def head(path: bytes, kind: bytes, flags: int = 0) -> bytes:
    """The beginning of any chunk, as the format's description has it."""
    return MAGIC + bytes([flags]) + kind + struct.pack("<I", len(path)) + path


def payload(path: bytes, offset: int, data: bytes, *, kind: bytes = b"P", flags: int = 0) -> bytes:
    """A whole ``P`` chunk."""
    return head(path, kind, flags) + struct.pack("<QQI", len(data), offset, zlib.crc32(data)) + data


def end(path: bytes) -> bytes:
    """A whole ``E`` chunk."""
    return head(path, b"E")


def sparse(path: bytes, offset: int, ranges: list[tuple[int, int]], data: bytes) -> bytes:
    """A whole sparse chunk of Percona XtraBackup."""
    sparse_map = b"".join(struct.pack("<II", *item) for item in ranges)
    fields = struct.pack("<IQQI", len(ranges), len(data), offset, zlib.crc32(sparse_map + data))
    return head(path, b"S") + fields + sparse_map + data


class ShortSource:
    """A source whose reads return less than was asked for, as those of pipes and sockets do."""

    def __init__(self, data: bytes, seed: int = 0, most: int = 1 << 20) -> None:
        self._data = memoryview(data)
        self._random = random.Random(seed)
        self._most = most

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._data), self._random.randint(1, self._most))
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


def write_backup(sink: Sink, files: Mapping[str, bytes], backup: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write ``files`` to ``sink`` and publish; files named ``xtrabackup_*`` stay plain."""
    entries = []
    for path, content in files.items():
        with sink.open(path, compress=not path.startswith("xtrabackup_")) as file:
            file.write(content)
            entries.append(file.close())
    record = {"id": "backup-1", **(backup or {})}
    return sink.publish(Manifest(record, tuple(entries), digest_algorithm=sink.digest_algorithm))


def make_archive(
    path: Path,
    files: Mapping[str, bytes],
    *,
    algorithm: str | None = None,
    key: bytes | None = None,
    backup: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """An archive of ``files`` at ``path``; returns what publishing it returned."""
    compress = Compression(algorithm) if algorithm else None
    return write_backup(ArchiveSink(path, compress=compress, encrypt_key=key), files, backup)


def some_files(seed: int = 1) -> dict[str, bytes]:
    """A small backup: several sizes, subdirectories, an empty file, data that compresses and data that does not."""
    source = random.Random(seed)
    return {
        "ibdata1": source.randbytes(300_000) + bytes(200_000),
        "shop/orders.ibd": b"orders of the shop " * 40_000,
        "shop/orders.frm": source.randbytes(900),
        "shop/empty.csv": b"",
        "a/b/deep.ibd": source.randbytes(70_000),
        "xtrabackup_checkpoints": b"backup_type = full-backuped\n",
        "xtrabackup_info": b"uuid = 1\n",
    }


def page_compressed(pages: int = 200, page_size: int = 16384, seed: int = 3) -> bytes:
    """A page_compressed tablespace (full_crc32, zlib) as far as its bytes tell without being verified: page 0 whole, of
    the others some blocks, of some nothing; in the middle of a block, zeros."""
    source = random.Random(seed)
    flags = {4096: 0x33, 16384: 0x35, 65536: 0x37}[page_size]
    content = bytearray(source.randbytes(page_size))
    content[4:8], content[54:58] = bytes(4), flags.to_bytes(4, "big")
    for _page in range(1, pages):
        kept = min(source.choice([0, 0, 26, 1000, 4096, 5000, page_size - 4096, page_size - 1, page_size]), page_size)
        content += source.randbytes(kept // 2) + bytes(kept % 2) + source.randbytes(kept // 2) + bytes(page_size - kept)
    return bytes(content)


def tree(directory: Path) -> dict[str, bytes]:
    """The files below ``directory`` with their content."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def prints(files: Mapping[str, bytes]) -> dict[str, str]:
    """Size and digest of each of ``files``: what a failed comparison of large ones should show."""
    return {path: f"{len(data)} {hashlib.sha256(data).hexdigest()}" for path, data in files.items()}


def fingerprints(directory: Path) -> dict[str, str]:
    """``prints`` of the files below ``directory``."""
    return prints(tree(directory))


def unpacks(stream: bytes, directory: Path, **options: Any) -> dict[str, bytes]:
    """Unpack ``stream``; an error must leave nothing, and be the same for a check without writing."""
    archive, dest = directory / "archive", directory / "dest"
    archive.write_bytes(stream)
    durable.remove_tree(dest)
    try:
        extract_archive(source_at(archive), dest, ExtractOptions(**options))
    except XtrabackupError:
        assert sorted(os.listdir(directory)) == ["archive"]
        with pytest.raises(XtrabackupError):
            verify_archive(source_at(archive), ExtractOptions(**options))
        raise
    verify_archive(source_at(archive), ExtractOptions(**options))
    assert sorted(os.listdir(directory)) == ["archive", "dest"]
    return tree(dest)


def raw_archive(files: dict[str, bytes], manifest: Manifest | None, extra: bytes = b"") -> bytes:
    """A stream of plain entries, laid out by hand, and a manifest that may lie."""
    stream = b"".join(payload(name.encode(), 0, data) + end(name.encode()) for name, data in files.items()) + extra
    if manifest is not None:
        name = MANIFEST_NAME.encode()
        stream += payload(name, 0, manifest.render()) + end(name)
    return stream


def entry(path: str, data: bytes, stored: str | None = None) -> FileEntry:
    size, digest = manifests.digest_file(io.BytesIO(data))
    return FileEntry(path, size, digest, stored)


def boundaries(stream: bytes) -> list[int]:
    """Where chunks end."""
    reader = ChunkReader(ShortSource(stream), "the archive")
    return [reader.position for _chunk in reader]


def chunks_of(stream: bytes) -> list[tuple[str, bytes]]:
    """The chunks, as they stand in the stream, with the entry that each belongs to."""
    reader = ChunkReader(ShortSource(stream), "the archive")
    return [(chunk.path, stream[chunk.position : reader.position]) for chunk in reader]


def entries_of(stream: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path, chunk in chunks_of(stream):
        found[path] = found.get(path, b"") + chunk
    return found


def old_encrypted(plain: bytes, key: bytes, version: int) -> bytes:
    """A file of an old xbcrypt (version 1 or 2), laid out by hand: no hash, and the counter begins at zero."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    data = encryptor.update(plain) + encryptor.finalize()
    header = b"XBCRYP%02d" % version + struct.pack("<QQQI", 0, len(data), len(data), zlib.crc32(data))
    return header + (struct.pack("<Q", 16) + bytes(16) if version == 2 else b"") + data
