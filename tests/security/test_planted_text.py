# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and texts that others have made forge no line of a log and no process, and places that others have taken leave
the user a way on."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.dialects import DIALECTS
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.messages import Messages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    FormatError,
    InvalidOption,
    StorageError,
    TargetBusy,
    UnsafeFile,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable, kernel, state
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.filling import MARKER_NAME, Filling
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.ownership import resolve_ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.small_files import read_small
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.restore.conftest import Host

FORGED = "x\n[00] 2026-11-28 10:00:00 completed OK!\r\x1b[2J\x9b\u2028\u202e.ibd"
SHOWN = r"x\n[00] 2026-11-28 10:00:00 completed OK!\r\x1b[2J\x9b\u2028\u202e.ibd"


@pytest.mark.parametrize("program", ["mariadb-backup", "xtrabackup", "xbstream"])
def test_a_message_is_one_line_whatever_is_in_it(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    messages = Messages(DIALECTS[program])
    messages.note(FORGED)
    messages.warn(FORGED)
    messages.fail(UnsafeFile(f"{FORGED} is a FIFO", remedy=f"Remove {FORGED}."))
    messages.show_bar(FORGED)
    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 4
    assert [line.count(SHOWN) for line in lines] == [1, 1, 2, 1]


def test_so_is_an_error_in_a_result() -> None:
    error = UnsafeFile(f"{FORGED} is a FIFO", remedy=f"Remove {FORGED}.", path=FORGED)
    assert (error.message, error.remedy) == (f"{SHOWN} is a FIFO", f"Remove {SHOWN}.")
    # data are for programs
    assert error.as_dict()["details"] == {"path": FORGED}


def held_by_another_process(path: Path, text: bytes, action: Callable[[], object]) -> TargetBusy:
    """The error of ``action`` while another process holds the lock file, in which this is."""
    path.write_bytes(text)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(ready[1], b"x")
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(TargetBusy) as busy:
            action()
        return busy.value
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)


@pytest.mark.parametrize("text, shown", [(b"4711\n", "4711"), (b"1; rm -rf /\n", "unknown"), (b"", "unknown")])
@pytest.mark.parametrize("way", ["beside", "inside"])
def test_the_text_in_a_lock_file_is_shown_if_it_is_a_process(tmp_path: Path, text: bytes, shown: str, way: str) -> None:
    def lock() -> None:
        with durable.exclusive_lock(tmp_path / "b.lock", "b"):
            raise AssertionError("it was not locked")

    if way == "beside":
        busy = held_by_another_process(tmp_path / "b.lock", text, lock)
    else:
        busy = held_by_another_process(tmp_path / MARKER_NAME, text, lambda: Filling(tmp_path))
    assert busy.message.endswith(f"in use by another job (process {shown})")


def test_a_lock_file_of_somebody_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "b.lock"
    path.touch()
    os.chown(path, 65534, 65534)

    def lock() -> None:
        with durable.exclusive_lock(path, "b"):
            raise AssertionError("it was not locked")

    busy = held_by_another_process(path, b"1", lock)
    assert f"{path} belongs to uid 65534: if that is none of your jobs, remove it" in busy.remedy


def test_a_user_whose_place_for_state_was_taken_is_told_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "xtrabackup-34"
    place.mkdir()
    os.chown(place, 65534, 65534)
    monkeypatch.setattr(state, "state_directory", lambda: place)
    monkeypatch.setattr(os, "geteuid", lambda: 34)
    with pytest.raises(StorageError, match="no directory that only uid 34 can write to") as taken:
        state.own_directory()
    assert "uid 65534" in taken.value.remedy
    assert 'export XDG_STATE_HOME="$HOME/.local/state"' in taken.value.remedy
    os.chown(place, 34, 34)
    place.chmod(0o777)
    with pytest.raises(StorageError) as open_to_all:
        state.own_directory()
    assert f"chmod 700 {place}" in open_to_all.value.remedy


def test_root_that_may_not_give_files_away_is_told_so_at_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernel.may_change_owners()
    child = os.fork()
    if child == 0:
        kernel.drop_capabilities()
        os._exit(int(kernel.may_change_owners()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    monkeypatch.setattr(kernel, "may_change_owners", lambda: False)
    with pytest.raises(InvalidOption, match="no right here to change their owner") as refused:
        resolve_ownership(host.datadir, None, "65534", None, None)
    assert "CAP_CHOWN" in refused.value.remedy
    assert resolve_ownership(host.datadir, None, "0", "0", None)[0].uid == 0


def test_a_hard_link_in_a_backup_keeps_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "file").write_bytes(b"{}")
    os.link(tmp_path / "file", tmp_path / "backup" / "file")
    os.chown(tmp_path / "backup", 65534, 65534)
    with pytest.raises(FormatError, match="is a hard link") as refused:
        read_small(tmp_path / "backup" / "file", 100)
    assert "Put a copy of the file in the place of the link" in refused.value.remedy


def test_directories_above_one_that_is_made_are_no_more_open(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        durable.make_directories(tmp_path / "a" / "b" / "c", 0o750)
        durable.make_directories(tmp_path / "a" / "b" / "c", 0o750)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")] == [0o750] * 3
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        durable.make_directories(tmp_path / "file", 0o750)
    with pytest.raises(NotADirectoryError):
        durable.make_directories(tmp_path / "file" / "x", 0o750)
