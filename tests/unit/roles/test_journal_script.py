# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replica role's note of what it is doing, which has to outlive whatever interrupts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import StorageError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.gather import read_journal

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "replica" / "files" / "journal.py"
RECORD = {"source": "db1:3306", "phase": "place", "id": "x", "time": 1, "replaces": True}


def journal(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the role does."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.read_text(), *arguments], capture_output=True, text=True, check=False
    )


def read(path: Path) -> object:
    """What the engine reads at ``path``."""
    return read_journal(str(path))


def test_a_note_is_read_as_it_was_written_last_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "note"
    assert read(path) == {"exists": False, "record": {}}
    for record in ({"phase": "transfer"}, RECORD):
        assert journal("write", str(path), json.dumps(record)).returncode == 0
        assert read(path) == {"exists": True, "record": record}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_note_is_removed_once_and_then_still_gone(tmp_path: Path) -> None:
    path = tmp_path / "note"
    journal("write", str(path), json.dumps(RECORD))
    for _run in range(2):
        assert journal("remove", str(path)).returncode == 0
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b'{"source": "db1', b"[1]", b"null", b"\xff\x00"])
def test_what_is_no_note_says_that_a_run_was_interrupted_and_not_where(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_bytes(content)
    assert read(path) == {"exists": True, "record": {}}


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
    assert read(path) == {"exists": False, "record": {}}
    assert journal("write", str(path), json.dumps(RECORD)).returncode == 0
    assert read(path) == {"exists": True, "record": RECORD}
    assert json.loads(secret.read_text())["consent"]


def test_an_error_of_reading_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/note.*Not a directory"):
        read(tmp_path / "file" / "note")


@pytest.mark.parametrize("command", [("write", "{}"), ("remove",)])
def test_an_error_names_the_path_and_leaves_nothing(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "note"
    answer = journal(command[0], str(path), *command[1:])
    assert (answer.returncode, answer.stderr) == (1, f"{path}: Not a directory\n")
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "inside").touch()
    if command[0] == "write":
        answer = journal("write", str(tmp_path / "place"), "{}")
        assert (answer.returncode, answer.stderr) == (1, f"{tmp_path / 'place'}: Is a directory\n")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "place"]
