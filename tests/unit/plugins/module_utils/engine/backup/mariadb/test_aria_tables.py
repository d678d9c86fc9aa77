# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Aria tables that change while they are copied, in ways that their log does not tell."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import CopierContext
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.inventory import (
    Kind,
    PlainFile,
    PlainFiles,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.tables import MariadbPlainCopies
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.workers import CopyPool, Failure
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DdlConflict, UnsupportedTable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.aria import Horizon, is_of_horizon
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink, Sink
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.format.test_aria import (
    BLOCK,
    head,
    page,
)

BUFFER = memoryview(bytearray(1 << 20))


def write_table(directory: Path, content: bytes) -> list[PlainFile]:
    """A table of one data page."""
    directory.mkdir(exist_ok=True)
    (directory / "t.MAI").write_bytes(head().ljust(BLOCK, b"\0"))
    (directory / "t.MAD").write_bytes(bytes(page(0, BLOCK - 4, content)))
    return [PlainFile(f"d/{name}", directory / name, Kind.TABLE, BLOCK) for name in ("t.MAD", "t.MAI")]


def load_in_bulk(directory: Path) -> None:
    """What a statement leaves that has filled the table without logging its rows."""
    write_table(directory, b"new")
    data = bytearray((directory / "t.MAI").read_bytes())
    data[28:35] = b"\x0c\0\0\x01\0\0\0"
    (directory / "t.MAI").write_bytes(data)


def copies_of(files: list[PlainFile], sink: Sink) -> MariadbPlainCopies:
    context = CopierContext(16384, sink.open, threading.Event(), Progress("backup"))
    return MariadbPlainCopies(lambda: PlainFiles(tuple(files), (), ()), sink, CopyPool(1, Failure()), context)


def test_a_table_that_was_loaded_in_bulk_meanwhile_is_copied_again_into_a_directory(tmp_path: Path) -> None:
    files = write_table(tmp_path / "d", b"old")
    sink = DirectorySink(tmp_path / "backup")
    copies = copies_of(files, sink)
    copies.copy_all(Horizon((11, 5), (11, 5)))
    load_in_bulk(tmp_path / "d")
    copies.copy_late_tables(BUFFER)
    assert (sink.staging / "d" / "t.MAD").read_bytes() == (tmp_path / "d" / "t.MAD").read_bytes()
    assert is_of_horizon((sink.staging / "d" / "t.MAI").read_bytes()) == (11, 5)
    assert sorted(entry.path for entry in copies.entries) == ["d/t.MAD", "d/t.MAI"]


def test_a_stream_with_a_table_that_was_loaded_in_bulk_meanwhile_is_refused(tmp_path: Path) -> None:
    files = write_table(tmp_path / "d", b"old")
    copies = copies_of(files, ArchiveSink(tmp_path / "archive"))
    copies.copy_all(Horizon((11, 5), (11, 5)))
    copies.copy_late_tables(BUFFER)
    load_in_bulk(tmp_path / "d")
    with pytest.raises(DdlConflict, match="d/t"):
        copies.copy_late_tables(BUFFER)


def test_an_encrypted_table_is_refused_by_name(tmp_path: Path) -> None:
    files = write_table(tmp_path / "d", b"old")
    (tmp_path / "d" / "t.MAI").write_bytes(head(extra=1).ljust(BLOCK, b"\0"))
    with pytest.raises(UnsupportedTable, match=r"d/t\.MA"):
        copies_of(files, DirectorySink(tmp_path / "backup")).copy_all()
