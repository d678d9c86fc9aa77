# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of MariaDB's redo log, by the number that a log's header begins with.

A new one is a module beside this one (``RedoFormat`` tells what it has) and a row in ``FORMATS``. Numbers and versions:
docs/internals/formats-redo.md#mariadb-redo-log-file.
"""

from __future__ import annotations

from ...errors import RedoCorrupt, UnknownFormat, UnsupportedServer
from . import redo_10_8
from .redo_format import HEADER_SIZE, START_OFFSET, Buffer, LogHeader, RedoFormat, require_unencrypted

#: the formats that are read and written, by their numbers
FORMATS: dict[int, RedoFormat] = {redo_10_8.FORMAT: redo_10_8}

FORMAT_10_8_ENCRYPTED = 0xF09F979D
FORMAT_10_5 = 0x50485953  # "PHYS"
_OLDER_FORMATS = {0: "10.1 or older", 1: "10.2", 103: "10.3", 104: "10.4", FORMAT_10_5: "10.5 to 10.7"}
_ENCRYPTED_FLAG = 0x80000000  # in the format word of 10.3 to 10.7


def format_of(data: Buffer, file_size: int, path: str) -> RedoFormat:
    """The format of the log ``path``, of which ``data`` are the first 512 bytes (or more); ``file_size`` in bytes.

    Raises UnsupportedServer for older and encrypted formats, UnknownFormat for any other number, RedoCorrupt for what
    is too short to be a log.
    """
    if len(data) < HEADER_SIZE or file_size <= START_OFFSET:
        raise RedoCorrupt(f"{path}: too short for a redo log: {file_size} bytes", path=path, size=file_size)
    word = int.from_bytes(data[:4], "big")
    found = FORMATS.get(word)
    if found is not None:
        return found
    older = _OLDER_FORMATS.get(word & ~_ENCRYPTED_FLAG)
    if word == FORMAT_10_8_ENCRYPTED or (older and word & _ENCRYPTED_FLAG):
        require_unencrypted(word, path)
    if older:
        raise UnsupportedServer(
            f"{path}: redo log format {word:#x} of MariaDB {older}; 10.8 or newer is needed",
            remedy="Upgrade the server to a supported version (MariaDB 10.11 or newer).",
            path=path,
            format=word,
        )
    raise UnknownFormat(f"{path}: unknown redo log format {word:#010x}", path=path, format=word)


def parse_header(data: Buffer, file_size: int, path: str) -> LogHeader:
    """The header of the log ``path``, in whichever format it is; see ``format_of``. Raises RedoCorrupt, too, when it is
    damaged (or is being written: read it again)."""
    return format_of(data, file_size, path).parse_header(data, file_size, path)
