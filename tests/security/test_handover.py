# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup's directory of another account's, which root prepares: what is planted there, and whose it is afterwards."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupError,
    RecoveryFailed,
    StorageError,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import accounts, durable, handover, state
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.handover import handed_over
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.recovery.conftest import (
    Backup,
    FakeServer,
)

OWNER, GROUP = 65534, 4242
SCRATCH = ".xtrabackup-scratch"


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    """A directory that everybody may enter, with a file in it that is root's alone."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir="/var/tmp"))
    place.chmod(0o755)
    (place / "victim").write_text("precious")
    (place / "victim").chmod(0o600)
    yield place
    shutil.rmtree(place)


@pytest.fixture(name="directory")
def _directory(place: Path) -> Path:
    """The other account's."""
    directory = place / "full"
    (directory / "shop").mkdir(parents=True)
    (directory / "ibdata1").write_text("data")
    (directory / "shop" / "t.ibd").write_text("rows")
    give(directory)
    return directory


def give(directory: Path) -> None:
    directory.chmod(0o750)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, OWNER, GROUP, follow_symlinks=False)


def owners(directory: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        status = path.lstat()
        found[str(path.relative_to(directory))] = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    return found


def assert_untouched(place: Path) -> None:
    status = (place / "victim").lstat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 0, 0o600)
    assert (place / "victim").read_text() == "precious"


def plant(kind: str, path: Path, victim: Path) -> None:
    if kind == "symbolic":
        path.symlink_to(victim)
    elif kind == "hard":
        path.hardlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))


KINDS = ["symbolic", "hard", "fifo", "device", "socket"]


# --- what is planted -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["planted", "shop/planted"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_neither_file_nor_directory_is_refused_and_nothing_changed(
    place: Path, directory: Path, kind: str, name: str
) -> None:
    plant(kind, directory / name, place / "victim")
    before = owners(directory)
    with pytest.raises(BackupError, match=name), handed_over(directory, SCRATCH):
        pytest.fail("it was accepted")
    assert owners(directory) == before
    assert_untouched(place)


@pytest.mark.parametrize("kind", KINDS)
def test_so_is_what_is_planted_after_it_was_looked_at(
    place: Path, directory: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, before = handover._inspect, owners(directory)

    def looked(*arguments: Any) -> Any:
        found = look(*arguments)
        plant(kind, directory / "shop" / "planted", place / "victim")
        return found

    monkeypatch.setattr(handover, "_inspect", looked)
    with pytest.raises(BackupError, match="planted"), handed_over(directory, SCRATCH):
        pytest.fail("it was accepted")
    (directory / "shop" / "planted").unlink(missing_ok=True)
    assert owners(directory) == before
    assert_untouched(place)


def test_meanwhile_its_owner_gets_no_further(directory: Path) -> None:
    held_by_owner = os.open(directory / "shop", os.O_RDONLY | os.O_DIRECTORY)
    (directory / "shop").chmod(0o777)
    before = owners(directory)
    script = "import os, sys; os.open('planted', os.O_CREAT | os.O_WRONLY, dir_fd=int(sys.argv[1]))"
    try:
        with handed_over(directory, SCRATCH):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            tried = subprocess.run(
                [sys.executable, "-I", "-c", script, str(held_by_owner)],
                pass_fds=[held_by_owner],
                user=OWNER,
                group=GROUP,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
        assert "PermissionError" in tried.stderr
        assert owners(directory) == before
    finally:
        os.close(held_by_owner)


def test_what_the_program_leaves_is_made_harmless(place: Path, directory: Path) -> None:
    with handed_over(directory, SCRATCH) as held:
        assert held.account is not None
        for kind in ("symbolic", "fifo", "socket"):
            plant(kind, directory / "shop" / kind, place / "victim")
        (directory / "made").write_text("a program")
        for path in (directory / "made", *(directory / "shop").iterdir()):
            os.chown(path, held.account.uid, held.account.gid, follow_symlinks=False)
        (directory / "made").chmod(0o6755)
        held.reclaim()
    assert sorted(path.name for path in (directory / "shop").iterdir()) == ["t.ibd"]
    assert owners(directory)["made"] == (OWNER, GROUP, 0o755)
    assert_untouched(place)


def test_a_hard_link_that_the_program_made_is_named_and_given_to_nobody(place: Path, directory: Path) -> None:
    with pytest.raises(BackupError, match="hard links"), handed_over(directory, SCRATCH) as held:
        plant("hard", directory / "xtrabackup_info", place / "victim")
        held.reclaim()
    assert_untouched(place)
    assert owners(directory)["ibdata1"][:2] == (OWNER, GROUP)


def test_what_a_killed_run_has_left_is_removed_without_following_links(place: Path, directory: Path) -> None:
    (place / "victims").mkdir()
    (place / "victims" / "file").touch()
    (directory / SCRATCH).symlink_to(place / "victims")
    with handed_over(directory, SCRATCH):
        assert not os.path.lexists(directory / SCRATCH)
    assert (place / "victims" / "file").exists()


def test_root_works_in_the_directory_whatever_its_name_leads_to(place: Path, directory: Path) -> None:
    (place / "other").mkdir()
    with pytest.raises(StorageError, match="is not the directory any more"), handed_over(directory, SCRATCH) as held:
        directory.rename(place / "aside")
        directory.symlink_to(place / "other")
        durable.write_file(held.own / "written", b"by root")
        held.hand_over()
    assert list((place / "other").iterdir()) == []
    assert (place / "aside" / "written").stat().st_uid == OWNER


def test_errors_name_the_directory_by_its_path(directory: Path) -> None:
    with pytest.raises(XtrabackupError) as caught, handed_over(directory, SCRATCH) as held:
        raise RecoveryFailed(f"{held.own}/t failed", remedy=f"Look at {held.own}", files=[f"{held.own}/a"], n=1)
    assert caught.value.message == f"{directory}/t failed"
    assert caught.value.remedy == f"Look at {directory}"
    assert caught.value.details == {"files": [f"{directory}/a"], "n": 1}


@pytest.mark.parametrize("kind", ["symbolic", "hard", "fifo", "socket"])
def test_nothing_is_written_through_what_waits_at_a_temporary_name(place: Path, kind: str) -> None:
    plant(kind, place / "state.json.partial", place / "victim")
    durable.write_file(place / "state.json", b"{}")
    assert (place / "state.json").read_bytes() == b"{}"
    assert stat.S_ISREG((place / "state.json").lstat().st_mode)
    assert_untouched(place)


# --- whose it is afterwards ----------------------------------------------------------------------


def test_everything_is_given_back_as_it_was(directory: Path) -> None:
    (directory / "shop").chmod(0o2770)
    (directory / "ibdata1").chmod(0o440)
    os.chown(directory / "shop" / "t.ibd", 0, 7)
    before = owners(directory)
    with handed_over(directory, SCRATCH) as held:
        assert held.account is not None
        assert {found[:2] for found in owners(directory).values()} == {(held.account.uid, held.account.gid)}
        (directory / "new").write_text("root's")
        (directory / "shop" / "new").write_text("the server's")
        os.chown(directory / "shop" / "new", held.account.uid, held.account.gid)
        notes = state.ROOT / "handovers"
        assert stat.S_IMODE(notes.stat().st_mode) == 0o700
        assert (notes / str(held.account.uid)).stat().st_mode & 0o077 == 0
    after = owners(directory)
    assert {after.pop(name)[:2] for name in ("new", "shop/new")} == {(OWNER, GROUP)}
    assert {**after, "ibdata1": before["ibdata1"]} == before
    assert after["ibdata1"] == (OWNER, GROUP, 0o640)
    assert [entry.name for entry in notes.iterdir()] == ["lock"]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("step", ["taken", "half given back"])
def test_after_a_kill_the_next_run_knows_the_owner(
    directory: Path, step: str, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = owners(directory)
    child = os.fork()
    if child == 0:
        with handed_over(directory, SCRATCH) as held:
            if step == "half given back":
                os.fchown = lambda *_arguments: os._exit(9)
                held.give_back()
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    dead = directory.stat().st_uid
    assert accounts.FIRST_UID <= dead <= accounts.LAST_UID
    if fails:
        with pytest.raises(RecoveryFailed), handed_over(directory, SCRATCH):
            raise RecoveryFailed("as it happens")
    else:
        with handed_over(directory, SCRATCH) as again:
            assert again.account is not None
            assert again.account.uid != dead
    assert owners(directory) == before
    assert [entry.name for entry in (state.ROOT / "handovers").iterdir()] == ["lock"]


def test_the_account_of_a_killed_run_is_nobody_elses(place: Path, directory: Path) -> None:
    child = os.fork()
    if child == 0:
        with handed_over(directory, SCRATCH):
            os._exit(9)
    os.waitpid(child, 0)
    (place / "another").mkdir()
    reserved = {int(entry.name) for entry in (state.ROOT / "handovers").iterdir() if entry.name != "lock"}
    assert reserved == {directory.stat().st_uid}
    with handed_over(place / "another", SCRATCH) as held:
        assert held.account is not None
        assert held.account.uid not in reserved


def not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    fchown = os.fchown

    def refused(descriptor: int, uid: int, gid: int) -> None:
        if uid >= accounts.FIRST_UID:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fchown(descriptor, uid, gid)

    monkeypatch.setattr(os, "fchown", refused)


def test_where_no_owner_can_be_changed_the_owner_runs_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (directory, *directory.rglob("*")):
        os.chown(path, 1234, GROUP)
    not_permitted(monkeypatch)
    with handed_over(directory, SCRATCH) as held:
        assert held.account is not None
        assert (held.account.uid, held.account.gid) == (1234, GROUP)
        (directory / "new").write_text("root's")
        held.hand_over()
        assert (directory / "new").stat().st_uid == 1234


@pytest.mark.parametrize("owner", [0, 1234])
def test_where_nobody_else_can_run_it_it_is_refused(
    directory: Path, owner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root's directory; a directory in which somebody else's file is
    os.chown(directory, owner, owner)
    before = owners(directory)
    not_permitted(monkeypatch)
    with pytest.raises(StorageError, match="no server is run as root") as caught, handed_over(directory, SCRATCH):
        pytest.fail("it was accepted")
    assert "become_user" in caught.value.remedy
    assert owners(directory) == before


# --- a whole preparation -------------------------------------------------------------------------

PLANTING = """
import os, random, sys, time
directory, victim, delay = sys.argv[1:]
names = %(names)r
time.sleep(float(delay))
while True:
    name = os.path.join(directory, random.choice(names))
    try:
        random.choice([os.unlink, lambda path: os.rename(path, path + ".away")])(name)
    except OSError:
        pass
    try:
        random.choice([lambda path: os.symlink(victim, path), os.mkfifo, lambda path: os.link(victim, path)])(name)
    except OSError:
        pass
"""
NAMES = (
    "xtrabackup_info",
    "xtrabackup_manifest.json",
    "xtrabackup_manifest.json.partial",
    "xtrabackup_checkpoints",
    "xtrabackup_checkpoints.partial",
    "xtrabackup_binlog_info",
    "xtrabackup_prepare_in_progress",
    "xtrabackup_prepare_in_progress.partial",
    SCRATCH,
    "ib_logfile0",
    "shop/t.ibd",
    "shop/t.new",
)


@pytest.mark.parametrize("delay", [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2])
@pytest.mark.parametrize("ours", [True, False])
def test_somebody_who_plants_links_all_the_time_gets_nothing(place: Path, delay: float, ours: bool) -> None:
    backup = Backup(place / "full")
    if ours:
        backup.add_manifest()
    give(backup.path)
    server = FakeServer(place / "bin")
    options = PrepareOptions(use_memory="64M", server_program=str(server.path), stall_timeout=30)
    planting = subprocess.Popen(
        [sys.executable, "-I", "-c", PLANTING % {"names": NAMES}, str(backup.path), str(place / "victim"), str(delay)],
        user=OWNER,
        group=GROUP,
        extra_groups=[],
    )
    message = str(backup.path)
    try:
        prepare(backup.path, None, options, Progress("prepare"))
    except XtrabackupError as error:
        message = error.message
    finally:
        planting.kill()
        planting.wait()
    assert str(backup.path) in message
    assert "/proc/self" not in message
    assert {path.lstat().st_uid for path in (backup.path, *backup.path.rglob("*"))} == {OWNER}
    assert {path.name for path in place.iterdir()} == {"victim", "full", "bin"}
    assert_untouched(place)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in NAMES if name != SCRATCH])
def test_what_lies_in_the_place_of_a_file_is_neither_followed_nor_waited_for(place: Path, name: str, kind: str) -> None:
    backup = Backup(place / "full")
    give(backup.path)
    (backup.path / name).unlink(missing_ok=True)
    plant(kind, backup.path / name, place / "victim")
    before = owners(backup.path)
    server = FakeServer(place / "bin")
    options = PrepareOptions(use_memory="64M", server_program=str(server.path), stall_timeout=30)
    with pytest.raises(XtrabackupError, match=str(backup.path)):
        prepare(backup.path, None, options, Progress("prepare"))
    assert server.calls == []
    assert owners(backup.path) == before
    assert_untouched(place)


def test_a_run_that_was_killed_while_its_server_ran_is_taken_up_again(place: Path) -> None:
    backup = Backup(place / "full")
    backup.add_manifest()
    give(backup.path)
    server = FakeServer(place / "bin")
    server.says(middle='put("pid", b"%d" % os.getpid()); time.sleep(600)')
    options = PrepareOptions(use_memory="64M", server_program=str(server.path), stall_timeout=30)
    child = os.fork()
    if child == 0:
        try:
            prepare(backup.path, None, options, Progress("prepare"))
        finally:
            os._exit(1)
    deadline = time.monotonic() + 30
    while not (backup.path / "pid").exists() or not (backup.path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert backup.path.stat().st_uid >= accounts.FIRST_UID
    server.says()
    result = prepare(backup.path, None, options, Progress("prepare"))
    assert result.record["state"] == "prepared"
    assert {found[:2] for found in owners(backup.path).values()} == {(OWNER, GROUP)}
    assert stat.S_IMODE(backup.path.stat().st_mode) == 0o750
