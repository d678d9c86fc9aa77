# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journal of the job that makes a replica, which has to outlive whatever interrupts it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import StorageError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.journal import (
    read_journal,
    remove_journal,
    write_journal,
)

RECORD = {"source": "db1:3306", "phase": "place", "id": "x", "time": 1, "replaces": True}


def test_a_note_is_read_as_it_was_written_last_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "note"
    assert read_journal(path) == {"exists": False, "record": {}}
    for record in ({"phase": "transfer"}, RECORD):
        write_journal(path, record)
        assert read_journal(path) == {"exists": True, "record": record}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_note_is_removed_once_and_then_still_gone(tmp_path: Path) -> None:
    path = tmp_path / "note"
    write_journal(path, RECORD)
    for _run in range(2):
        remove_journal(path)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b'{"source": "db1', b"[1]", b"null", b"\xff\x00"])
def test_what_is_no_note_says_that_a_run_was_interrupted_and_not_where(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_bytes(content)
    assert read_journal(path) == {"exists": True, "record": {}}


@pytest.mark.parametrize("kind", ["link", "hard link", "FIFO", "file"])
def test_what_somebody_else_has_planted_is_no_note(kind: str, tmp_path: Path) -> None:
    path, secret = tmp_path / "note", tmp_path / "secret"
    secret.write_text(json.dumps({**RECORD, "consent": True}))
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "hard link":
        os.link(secret, path)
    elif kind == "FIFO":
        os.mkfifo(path)
    else:
        path.write_bytes(secret.read_bytes())
        os.chown(path, 65534, 65534)
    assert read_journal(path) == {"exists": False, "record": {}}
    write_journal(path, RECORD)
    assert read_journal(path) == {"exists": True, "record": RECORD}
    assert json.loads(secret.read_text())["consent"]


def test_an_error_of_reading_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/note.*Not a directory"):
        read_journal(tmp_path / "file" / "note")


def test_an_error_names_the_path_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "note"
    with pytest.raises(StorageError, match="file"):
        write_journal(path, RECORD)
    with pytest.raises(StorageError, match=r"file.*Not a directory"):
        remove_journal(path)
    place = tmp_path / "place"
    place.mkdir()
    (place / "inside").touch()
    with pytest.raises(StorageError, match=r"place.*Is a directory"):
        write_journal(place, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "place"]
