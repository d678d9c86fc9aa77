# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats of MariaDB's redo log are chosen by their numbers: a new one is a module and a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.redo_files import LogFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnknownFormat
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mariadb import redo, redo_10_8
from ansible_collections.innodb.xtrabackup.tests.support import redo_of_tomorrow

SIZE = 1 << 20
LOG = redo_of_tomorrow.render_backup_header(redo_of_tomorrow.CHECKPOINT, "").ljust(SIZE, b"\1")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(redo.FORMATS, redo_of_tomorrow.FORMAT, redo_of_tomorrow)


def test_a_row_is_all_that_a_new_format_takes(registered: None) -> None:
    assert redo.format_of(LOG, SIZE, "log") is redo_of_tomorrow
    assert redo.parse_header(LOG, SIZE, "log").creator == "Tomorrow"
    assert redo.format_of(redo_10_8.FORMAT.to_bytes(4, "big").ljust(512), SIZE, "log") is redo_10_8


def test_a_servers_log_is_read_in_its_own_format(registered: None, tmp_path: Path) -> None:
    path = tmp_path / "ib_logfile0"
    path.write_bytes(LOG)
    log = LogFile(str(path))
    try:
        assert log.newest_checkpoint() == redo_of_tomorrow.CHECKPOINT
        assert log.header.capacity == SIZE - redo_of_tomorrow.START_OFFSET
        assert log.read(redo_of_tomorrow.FIRST_LSN, 2 * SIZE) == bytearray(LOG[redo_of_tomorrow.START_OFFSET :])
    finally:
        log.close()


def test_a_number_without_a_row_is_refused() -> None:
    with pytest.raises(UnknownFormat, match="log: unknown redo log format 0x746f6d6f") as caught:
        redo.format_of(LOG, SIZE, "log")
    assert caught.value.details == {"path": "log", "format": redo_of_tomorrow.FORMAT}
