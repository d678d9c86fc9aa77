# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of MySQL's redo log, by the number in the header of its files.

A new one is a module beside this one (``RedoFormat`` tells what it has) and a row in ``FORMATS``. Numbers and versions:
docs/internals/formats-redo.md#mysql-redo-header.
"""

from __future__ import annotations

from ...errors import RedoCorrupt, UnknownFormat, UnsupportedServer
from . import redo_8_0_30
from .redo_format import BLOCK_SIZE, BLOCK_TRAILER, Buffer, LogFileHeader, RedoFormat, has_right_checksum

#: the formats that are read and written, by their numbers
FORMATS: dict[int, RedoFormat] = {redo_8_0_30.FORMAT: redo_8_0_30}

_OLDER_FORMATS = {0: "5.7.8 or older", 1: "5.7", 2: "8.0.1", 3: "8.0.3", 4: "8.0.19", 5: "8.0.28"}


def format_of(data: Buffer, path: str) -> RedoFormat:
    """The format of the log file ``path``, of which ``data`` are the first 512 bytes (or more).

    Raises UnsupportedServer for older formats, UnknownFormat for any other number, RedoCorrupt when the header is
    damaged (or is being written: read it again).
    """
    if len(data) < BLOCK_SIZE:
        raise RedoCorrupt(f"{path}: too short for a redo log: {len(data)} bytes", path=path, size=len(data))
    if not has_right_checksum(data[:BLOCK_SIZE]):
        raise RedoCorrupt(f"{path}: the checksum of the log header is wrong", path=path, offset=BLOCK_TRAILER)
    number = int.from_bytes(data[:4], "big")
    found = FORMATS.get(number)
    if found is not None:
        return found
    if number in _OLDER_FORMATS:
        raise UnsupportedServer(
            f"{path}: redo log format {number} of MySQL {_OLDER_FORMATS[number]}; 8.0.30 or newer is needed",
            remedy="Upgrade the server to a supported version.",
            path=path,
            format=number,
        )
    raise UnknownFormat(f"{path}: unknown redo log format {number}", path=path, format=number)


def parse_header(data: Buffer, path: str) -> LogFileHeader:
    """The header of the log file ``path``, in whichever format it is. Raises as ``format_of``."""
    return format_of(data, path).parse_header(data, path)
