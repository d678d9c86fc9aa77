# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of Aria's log while it grows and goes on in other files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import CopierContext
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb import aria_log
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import LockTimeout, StorageError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.aria import (
    TRANSLOG_PAGE_SIZE,
    ControlFile,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.format.test_aria import (
    CONTROL,
    LOG_HEADER,
)

PAGES_IN_MOTION = 3


class Server:
    """The log of a server, in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        (directory / "aria_log_control").write_bytes(CONTROL)

    def write(self, number: int, pages: int) -> None:
        """Let file ``number`` have so many pages; a header, as the server writes it, is the first of them."""
        path = self.directory / f"aria_log.{number:08d}"
        have = path.stat().st_size // TRANSLOG_PAGE_SIZE if path.exists() else 0
        with open(path, "ab") as file:
            for page in range(have, pages):
                start = LOG_HEADER if not page else page.to_bytes(3, "little") + number.to_bytes(3, "little")
                file.write(start.ljust(TRANSLOG_PAGE_SIZE, b"\xff"))

    def finish(self, number: int) -> None:
        """The next file has begun: the greatest LSN goes into the header."""
        with open(self.directory / f"aria_log.{number:08d}", "r+b") as file:
            file.seek(37)
            file.write(b"\x07\0\0\x01\x02\x03\x04")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(aria_log, "_IN_MOTION", PAGES_IN_MOTION * TRANSLOG_PAGE_SIZE)
    monkeypatch.setattr(aria_log, "_CLOSE_BEHIND", TRANSLOG_PAGE_SIZE)
    return Server(tmp_path / "log")


def copy_of(server: Server, timeout: float = 5, name: str = "backup") -> tuple[aria_log.AriaLog, Path]:
    layout = ServerLayout.from_variables({"datadir": str(server.directory)})
    sink = DirectorySink(server.directory.parent / name)
    context = CopierContext(16384, sink.open, threading.Event(), Progress("backup"))
    return aria_log.AriaLog(layout, sink, context, str(server.directory.parent), timeout), sink.staging


def test_the_copy_ends_where_the_log_does_under_the_lock(server: Server) -> None:
    buffer = memoryview(bytearray(4 * TRANSLOG_PAGE_SIZE))
    server.write(1, 12)
    server.finish(1)
    server.write(2, 6)
    log, backup = copy_of(server)
    log.copy_head(buffer)
    assert (backup / "aria_log.00000001").stat().st_size == 12 * TRANSLOG_PAGE_SIZE
    assert (backup / "aria_log.00000002").stat().st_size == (6 - PAGES_IN_MOTION) * TRANSLOG_PAGE_SIZE

    log.read_control()
    (server.directory / "aria_log_control").write_bytes(ControlFile.parse(CONTROL, "").with_last_log(3))
    server.write(2, 9)
    server.finish(2)
    server.write(3, 2)
    with open(server.directory / "aria_log.00000003", "ab") as file:
        file.write(b"a part of a page that nobody has committed")
    log.take_tail()
    server.write(3, 4)
    entries = log.finish()

    assert [entry.path for entry in entries] == [
        "aria_log_control",
        "aria_log.00000001",
        "aria_log.00000002",
        "aria_log.00000003",
    ]
    control = ControlFile.parse((backup / "aria_log_control").read_bytes(), "")
    assert (control.checkpoint, control.last_log) == (ControlFile.parse(CONTROL, "").checkpoint, 3)
    first, second, third = ((backup / f"aria_log.0000000{number}").read_bytes() for number in (1, 2, 3))
    assert first == (server.directory / "aria_log.00000001").read_bytes()
    source = (server.directory / "aria_log.00000002").read_bytes()
    # its head was copied before the server knew its greatest LSN: a bound is there
    assert second[37:44] == b"\x03\0\0\xff\xff\xff\xff"
    assert (second[:37], second[44:]) == (source[:37], source[44:])
    assert third == (server.directory / "aria_log.00000003").read_bytes()[: 2 * TRANSLOG_PAGE_SIZE]


def test_a_page_that_is_not_written_yet_is_waited_for(server: Server) -> None:
    server.write(1, 4)
    with open(server.directory / "aria_log.00000001", "ab") as file:
        file.write(bytes(TRANSLOG_PAGE_SIZE))
    log, _backup = copy_of(server, timeout=0.2, name="impatient")
    with pytest.raises(LockTimeout, match=r"aria_log.00000001 at offset 32768"):
        log.take_tail()

    def write() -> None:
        with open(server.directory / "aria_log.00000001", "r+b") as file:
            file.seek(4 * TRANSLOG_PAGE_SIZE)
            file.write(b"\x04\0\0\x01\0\0")

    log, backup = copy_of(server)
    log.read_control()
    timer = threading.Timer(0.1, write)
    timer.start()
    log.take_tail()
    log.finish()
    timer.join()
    assert (backup / "aria_log.00000001").read_bytes() == (server.directory / "aria_log.00000001").read_bytes()


def test_a_file_whose_end_was_damaged_when_the_server_began_the_next_is_copied(server: Server) -> None:
    server.write(1, 2)
    with open(server.directory / "aria_log.00000001", "ab") as file:
        file.write(bytes(TRANSLOG_PAGE_SIZE))
    server.write(2, 2)
    log, backup = copy_of(server)
    log.read_control()
    log.take_tail()
    log.finish()
    assert (backup / "aria_log.00000001").stat().st_size == 3 * TRANSLOG_PAGE_SIZE


def test_a_file_that_was_just_begun_is_no_part_of_the_log(server: Server) -> None:
    """Its header is written first. No server opens a log whose last file has only that."""
    buffer = memoryview(bytearray(4 * TRANSLOG_PAGE_SIZE))
    server.write(1, 12)
    server.finish(1)
    server.write(2, 1)
    log, backup = copy_of(server)
    log.copy_head(buffer)
    log.read_control()
    log.take_tail()
    server.write(2, 4)
    assert [entry.path for entry in log.finish()] == ["aria_log_control", "aria_log.00000001"]
    assert ControlFile.parse((backup / "aria_log_control").read_bytes(), "").last_log == 1
    assert (backup / "aria_log.00000001").read_bytes() == (server.directory / "aria_log.00000001").read_bytes()


def test_a_log_of_one_file_is_copied_whatever_is_in_it(server: Server) -> None:
    server.write(1, 1)
    log, _backup = copy_of(server)
    log.read_control()
    log.take_tail()
    assert [entry.path for entry in log.finish()] == ["aria_log_control", "aria_log.00000001"]


def test_no_log_at_all_is_an_error(server: Server) -> None:
    log, _backup = copy_of(server)
    with pytest.raises(StorageError, match="no log of the Aria engine"):
        log.take_tail()
