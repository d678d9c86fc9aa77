# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fuzzed: readers of bytes that come from outside, each as a function of one input.

A target returns, or raises an AssertionError or anything that is no XtrabackupError: that is a finding. The first byte
of an input chooses variants. Checksums would stop nearly every mutation at the door, so half of the variants have them
switched off: what is behind them must hold as well, for whoever writes a stream on purpose can compute a checksum.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable
from unittest import mock

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import tablespaces
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.content_digest import SHA256, XXH128
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.holes import HolePages, split_pages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb import tablespace
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import redo as mariadb_redo
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import redo_10_8
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb.redo_format import (
    LogHeader,
    MariadbCheckpoint,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import redo as mysql_redo
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import redo_8_0_30
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import (
    FileKey,
    parse_keyring,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_format import (
    BLOCK_SIZE,
    MysqlCheckpoint,
    MysqlWalkEnd,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page import PageVerifier
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace_values import ChecksumKind
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import cipher
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import CODECS, Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import Extractor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.xbstream import (
    Chunk,
    ChunkReader,
    EntryLedger,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import tls_framing
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    end,
    page_compressed,
    payload,
    sparse,
    write_backup,
)

KEY = bytes(range(32))
_MAX_OUTPUT = 64 << 20  # bytes that one small input may unpack to while a decoder is tried
_UNCHECKED, _WRITING, _FOREIGN, _KEYED = 1, 2, 4, 8  # bits of the first byte


@dataclass(frozen=True)
class Target:
    """One reader. ``seeds``: valid inputs to start from."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


# --- archives ------------------------------------------------------------------------------------

_FILES = {
    "shop/orders.ibd": b"orders of the shop " * 20,
    "shop/empty.frm": b"",
    "ibdata1": bytes(range(200)),
    "xtrabackup_checkpoints": b"backup_type = full-backuped\n",
    "xtrabackup_info": b"uuid = 1\n",
}


def _archive(algorithm: str | None, key: bytes | None, files: Mapping[str, bytes], file_digest: str = XXH128) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "archive"
        compress = Compression(algorithm) if algorithm else None
        sink = ArchiveSink(path, compress=compress, encrypt_key=key)
        sink.digest_algorithm = file_digest
        write_backup(sink, files)
        return path.read_bytes()


def _archives() -> list[bytes]:
    foreign = b"".join(payload(name.encode(), 0, data) + end(name.encode()) for name, data in _FILES.items())
    holes = payload(b"t.ibd", 0, b"x") + sparse(b"t.ibd", 1, [(4096, 3), (8192, 0)], b"abc") + end(b"t.ibd")
    pages = page_compressed(4, 4096)
    whole = payload(b"t.ibd", 0, pages[:5000]) + payload(b"t.ibd", 5000, pages[5000:]) + end(b"t.ibd")
    seeds = [bytes([_FOREIGN | _WRITING]) + part + foreign for part in (holes, whole)]
    seeds.append(bytes([_FOREIGN]) + foreign)
    seeds += [bytes([flags]) + _archive(None, None, _FILES, SHA256) for flags in (0, _WRITING)]
    for algorithm in (None, *CODECS):
        for key in (None, KEY):
            for flags in (0, _WRITING, _UNCHECKED, _UNCHECKED | _WRITING):
                variant = flags | (_KEYED if key else 0)
                seeds.append(bytes([variant]) + _archive(algorithm, key, _FILES))
    return seeds


@contextlib.contextmanager
def _checksums(*, kept: bool) -> Iterator[None]:
    if kept:
        yield
        return
    with mock.patch.object(Chunk, "verify", return_value=None):
        yield


def _read_archive(data: bytes) -> None:
    """A whole archive, unpacked or only checked: nothing outside of staging, and no other kind of error."""
    flags, stream = data[0], data[1:]
    parent = Path(tempfile.mkdtemp(prefix="xtrabackup-fuzz-", dir="/dev/shm"))
    staging = parent / "staging"
    staging.mkdir()
    try:
        with _checksums(kept=not flags & _UNCHECKED):
            extractor = Extractor(
                staging if flags & _WRITING else None,
                ExtractOptions(
                    decrypt_key=KEY if flags & _KEYED else None,
                    parallel=1,
                    require_manifest=not flags & _FOREIGN,
                    page_size_of=tablespace.compressed_page_size,
                ),
            )
            try:
                extractor.run([extractor.reader(io.BytesIO(stream), "the archive")])
                extractor.finish()
            except XtrabackupError as error:
                extractor.abort(error)
                _require_telling(error)
            except BaseException as error:
                extractor.abort(error)
                raise
        assert os.listdir(parent) == ["staging"], "something was written beside the target"
        for directory, names, files in os.walk(staging):
            for name in (*names, *files):
                assert not os.path.islink(os.path.join(directory, name)), "a link was made"
    finally:
        shutil.rmtree(parent)


def _require_telling(error: XtrabackupError) -> None:
    assert error.message.strip(), "an error that says nothing"
    assert error.code, "an error without a code"


def _require_inside(path: str) -> None:
    assert not os.path.isabs(path), f"{path!r} leaves the directory"
    assert ".." not in path.split("/"), f"{path!r} leaves the directory"
    assert "\0" not in path


def _read_chunks(data: bytes) -> None:
    """Framing alone, which is much faster to explore."""
    reader = ChunkReader(io.BytesIO(data[1:]), "the stream", verify=not data[0] & _UNCHECKED)
    ledger = EntryLedger()
    with contextlib.suppress(XtrabackupError):
        for chunk in reader:
            _require_inside(chunk.path)
            assert len(chunk.payload) <= len(data), "more than there was"
            ledger.accept(chunk, reader.where)
        ledger.finish(reader.where)


# --- encodings of entries ------------------------------------------------------------------------


def _pieces(data: bytes, seed: int) -> Iterator[bytes]:
    """``data`` cut into pieces, in a way that depends on ``seed``."""
    step = (1, 7, 64, 4096)[seed % 4]
    for start in range(0, len(data), step):
        yield data[start : start + step]


def _decode_codec(name: str, data: bytes) -> None:
    decoder = CODECS[name].decompressor("t.ibd")
    written = 0
    with contextlib.suppress(XtrabackupError):
        for piece in _pieces(data[1:], data[0]):
            for output in decoder.feed(piece):
                written += len(output)
                if written > _MAX_OUTPUT:
                    return
        decoder.finish()


def _frames(name: str) -> list[bytes]:
    compressor = CODECS[name](1)
    frames = [compressor.compress(block) for block in (b"", b"orders " * 30, bytes(5000), os.urandom(300))]
    return [bytes([seed]) + b"".join(frames[:count]) for seed in range(4) for count in (1, 2, 4)]


def _decrypt(data: bytes) -> None:
    """xbcrypt; without checksums, the length fields and versions are reached."""
    decryptor = cipher.Decryptor(KEY, "t.ibd.xbcrypt")
    with contextlib.suppress(XtrabackupError), _crc32_of_cipher(kept=not data[0] & _UNCHECKED):
        for piece in _pieces(data[1:], data[0] >> 1):
            for output in decryptor.feed(piece):
                assert len(output) <= len(data)
        decryptor.finish()


@contextlib.contextmanager
def _crc32_of_cipher(*, kept: bool) -> Iterator[None]:
    if kept:
        yield
        return

    class Anything(int):
        """Equal to whatever a chunk says."""

        def __eq__(self, _other: object) -> bool:
            return True

        def __ne__(self, _other: object) -> bool:
            return False

        __hash__ = int.__hash__

    with mock.patch.object(cipher, "crc32", return_value=Anything()):
        yield


def _encrypted() -> list[bytes]:
    chunks = _archive(None, KEY, {"t.ibd": b"x" * 100})
    at = chunks.index(b"XBCRYP03")
    one = chunks[at : at + 8 + 8 + 8 + 8 + 4 + 8 + 16 + 132]
    old = b"XBCRYP01" + struct.pack("<QQQI", 0, 5, 5, 0) + b"abcde"
    return [bytes([seed]) + chunk for seed in range(8) for chunk in (one, one + one, old)]


# --- what describes ------------------------------------------------------------------------------


def _parse_manifest(data: bytes) -> None:
    with contextlib.suppress(XtrabackupError):
        parsed = manifest.parse(data, "the manifest")
        for file in parsed.files:
            for path in (file.path, file.stored or file.path):
                _require_inside(path)
        parsed.plain().render()


def _manifests() -> list[bytes]:
    entries = (
        manifest.FileEntry("shop/orders.ibd", 16384, "0" * 32, "shop/orders.ibd.zst"),
        manifest.FileEntry("ibdata1", 0, ""),
    )
    return [
        manifest.Manifest({"id": "backup-1", "last_lsn": 1}, entries).render(),
        manifest.Manifest({"id": "backup-1"}, entries, discarded=("shop/t.ibd",), mac="00").render(),
        manifest.Manifest(
            {"id": "backup-1"}, (manifest.FileEntry("ibdata1", 0, "0" * 64),), digest_algorithm=SHA256
        ).render(),
    ]


def _parse_frames(data: bytes) -> None:
    """Frames of the TLS transport, as either end would read them."""
    parsers = {
        tls_framing.FrameType.HELLO: tls_framing.parse_hello,
        tls_framing.FrameType.WELCOME: tls_framing.parse_welcome,
        tls_framing.FrameType.ACK: tls_framing.parse_ack,
        tls_framing.FrameType.END: tls_framing.parse_end,
        tls_framing.FrameType.TAKEN: tls_framing.parse_taken,
        tls_framing.FrameType.ERROR: tls_framing.parse_error,
    }
    with contextlib.suppress(XtrabackupError):
        while len(data) >= tls_framing.HEADER_LENGTH:
            kind, length = tls_framing.parse_header(data[: tls_framing.HEADER_LENGTH], "the peer")
            content = data[tls_framing.HEADER_LENGTH : tls_framing.HEADER_LENGTH + length]
            data = data[tls_framing.HEADER_LENGTH + length :]
            parser = parsers.get(kind)
            if parser is not None:
                parser(content, "the peer")


def _tls_frames() -> list[bytes]:
    messages = [
        (tls_framing.FrameType.HELLO, tls_framing.render_message(tls_framing.Hello("s", 0, 2, 60.0, "token"))),
        (tls_framing.FrameType.WELCOME, tls_framing.render_message(tls_framing.Welcome(60.0))),
        (tls_framing.FrameType.END, tls_framing.render_message(tls_framing.End(7, {"sha1": "0" * 40}))),
        (tls_framing.FrameType.ACK, tls_framing.render_message(tls_framing.Ack("/srv/b", "0" * 64))),
        (tls_framing.FrameType.ERROR, tls_framing.render_error(XtrabackupError("it failed"))),
        (tls_framing.FrameType.DATA, b"data"),
        (tls_framing.FrameType.HEARTBEAT, b""),
        (tls_framing.FrameType.TAKEN, tls_framing.render_taken(7)),
        (tls_framing.FrameType.GOODBYE, b""),
    ]
    frames = [tls_framing.render_header(kind, len(content)) + content for kind, content in messages]
    return [*frames, b"".join(frames)]


# --- what a server wrote -------------------------------------------------------------------------


def _parse_redo(data: bytes) -> None:
    """Header, checkpoints and mini-transactions of a redo log."""
    with contextlib.suppress(XtrabackupError):
        try:
            header = mariadb_redo.parse_header(data, 1 << 20, "ib_logfile0")
        except XtrabackupError:
            header = LogHeader(12288, "Fuzz", 1 << 20)
        head = bytes(4096) + data[4096:4160].ljust(4096, b"\0") + data[:64].ljust(4096, b"\0")
        redo_10_8.newest_checkpoint(head, header)
        window = bytearray(data)
        walked = redo_10_8.walk(window, header.first_lsn, header)
        assert 0 <= walked.size <= len(data)


def _redo_logs() -> list[bytes]:
    header = redo_10_8.render_backup_header(MariadbCheckpoint(12288, 12288), "10.11.19")
    return [header[:600], b"\x23abc\x01\0\0\0\0", b"\x30\x05" + b"x" * 20 + b"\x01\0\0\0\0"]


def _parse_mysql_redo(data: bytes) -> None:
    """Header, checkpoints and blocks of a MySQL redo log."""
    with contextlib.suppress(XtrabackupError):
        redo_8_0_30.newest_checkpoint(data)
        walked = redo_8_0_30.walk(data, 8192)
        assert 0 <= walked.size <= len(data)
        if walked.end is MysqlWalkEnd.INCOMPLETE:
            redo_8_0_30.cut_block(data[walked.size : walked.size + BLOCK_SIZE], walked.used)
        mysql_redo.parse_header(data, "#ib_redo0")


def _mysql_redo_logs() -> list[bytes]:
    header = redo_8_0_30.render_header(MysqlCheckpoint(8200), 1)
    return [header, header[:512], redo_8_0_30.render_block(8192), redo_8_0_30.render_block(8192, 512) * 2]


def _parse_tablespace(data: bytes) -> None:
    with contextlib.suppress(XtrabackupError):
        tablespace.parse_tablespace_header(data, "t.ibd", Family.MARIADB)


def _tablespaces() -> list[bytes]:
    return [
        bytes(38) + struct.pack(">II", 7, 0) + bytes(8) + struct.pack(">I", flags) + bytes(65)
        for flags in (0x15, 0x21, 0, 1 << 4, 0xFFFFFFFF)
    ]


def _parse_mysql_pages(data: bytes) -> None:
    """Page 0 of a MySQL tablespace, and all pages of the file, with a key and without."""
    page_size = 4096
    header = tablespace.TablespaceHeader(7, 0x60E1, page_size, page_size, 0, ChecksumKind.CRC32, family=Family.MYSQL)
    with contextlib.suppress(XtrabackupError):
        header = tablespace.parse_tablespace_header(data, "t.ibd", Family.MYSQL)
    padded = data + bytes(-len(data) % header.physical_size)
    for key in (None, FileKey(bytes(32), bytes(16))):
        faults = PageVerifier(header, key=key).faults(padded, 0)
        assert all(0 <= fault.offset < len(padded) for fault in faults)
    kind = tablespace.compressed_page_size(data)
    if kind is not None:
        whole = padded[: len(padded) - len(padded) % kind.size] if isinstance(kind, HolePages) else b""
        assert b"".join(bytes(hole) + piece for hole, piece in split_pages(memoryview(whole), kind)) == whole


def _mysql_pages() -> list[bytes]:
    def page(page_type: int, *fields: int) -> bytes:
        head = struct.pack(">IIQQH", 0, 1, 0, 9, page_type)
        return (head + struct.pack(">BBHHHI", *fields, 7) + zlib.compress(bytes(4058))).ljust(4096, b"\0")

    first = struct.pack(">24xH8xI4xII4xI4xI", 8, 7, 7, 0, 0, 0x40E1).ljust(4096, b"\0")
    return [first, *(first + page(kind, 2, 1, 17855, 4058, 27) for kind in (14, 15, 16, 17)), _tablespaces()[0]]


def _parse_mysql_texts(data: bytes) -> None:
    """The list of tablespaces, and a keyring."""
    with contextlib.suppress(XtrabackupError):
        tablespaces.parse(data, "xtrabackup_tablespaces")
    with contextlib.suppress(XtrabackupError):
        parse_keyring(data, "keyring")


def _mysql_texts() -> list[bytes]:
    key = {"user": "", "data_id": "INNODBKey-u-1", "data_type": "AES", "data": "00" * 32, "extension": []}
    entry = {"file_name": "/d/t.ibd", "tablespace_name": "d/t", "tablespace_type": "TABLESPACE"}
    contents: list[object] = [
        {"version": "1.0", "elements": [key]},
        {"version": 2, "external_tablespaces": [entry]},
    ]
    return [json.dumps(content).encode() for content in contents]


TARGETS = {
    "archive": Target(_read_archive, _archives),
    "chunks": Target(_read_chunks, _archives),
    "zstd": Target(lambda data: _decode_codec("zstd", data), lambda: _frames("zstd")),
    "lz4": Target(lambda data: _decode_codec("lz4", data), lambda: _frames("lz4")),
    "xbcrypt": Target(_decrypt, _encrypted),
    "manifest": Target(_parse_manifest, _manifests),
    "frames": Target(_parse_frames, _tls_frames),
    "redo": Target(_parse_redo, _redo_logs),
    "mysql-redo": Target(_parse_mysql_redo, _mysql_redo_logs),
    "tablespace": Target(_parse_tablespace, _tablespaces),
    "mysql-pages": Target(_parse_mysql_pages, _mysql_pages),
    "mysql-texts": Target(_parse_mysql_texts, _mysql_texts),
}
