# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats of MySQL's redo log are chosen by their numbers."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import crc32c
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_files import RedoDirectory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnknownFormat
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql import redo, redo_8_0_30
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.redo_format import (
    HEADER_SIZE,
    MysqlCheckpoint,
)

NEXT = 77
SEVENTH = SimpleNamespace(**{**vars(redo_8_0_30), "newest_checkpoint": lambda head: MysqlCheckpoint(8700)})


def _head(number: int) -> bytes:
    block = struct.pack(">IIQ", number, 1, 8192).ljust(508, b"\0")
    return (block + crc32c.crc32c(block).to_bytes(4, "big")).ljust(HEADER_SIZE, b"\0")


def test_a_row_is_all_that_a_new_format_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(redo.FORMATS, NEXT, SEVENTH)
    (tmp_path / "#ib_redo3").write_bytes(_head(NEXT).ljust(1 << 16, b"\0"))
    start = RedoDirectory(str(tmp_path)).start()
    assert start.format is SEVENTH
    assert start.checkpoint == MysqlCheckpoint(8700)
    assert redo.parse_header(_head(NEXT), "log").format == NEXT
    assert redo.format_of(_head(redo_8_0_30.FORMAT), "log") is redo_8_0_30


def test_a_number_without_a_row_is_refused() -> None:
    with pytest.raises(UnknownFormat, match="log: unknown redo log format 77") as caught:
        redo.format_of(_head(NEXT), "log")
    assert caught.value.details == {"path": "log", "format": NEXT}
