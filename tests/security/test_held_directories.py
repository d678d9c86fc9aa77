# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While root restores, the directories that it works in are its own, whoever they belong to; names of its own that
somebody else has taken lead nowhere."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    TargetUnsafe,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import state
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.held import give_back_after_kill
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import placement
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.placement import choose_staging
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import RestoreOptions, plan_restore
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.restore.conftest import (
    DATA,
    Host,
    tree,
)

ENGINE = "ansible_collections.innodb.xtrabackup.plugins.module_utils.engine"
NOBODY = 65534


def _fresh(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


# --- names of ours that somebody else has taken --------------------------------------------------


def plant(path: Path, kind: str, victim: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
        (path / "theirs").write_text("x")
        os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_name_of_our_staging_is_taken(
    host: Host, victim: Path, monkeypatch: pytest.MonkeyPatch, kind: str, inside: bool
) -> None:
    if inside:
        monkeypatch.setattr(placement, "is_mount_point", lambda path: path == host.datadir)
    host.datadir.mkdir()
    host.spread()
    staging = choose_staging(host.datadir)
    staged = host.place / "redo" / "ib_logfile0.xtrabackup-staged"
    for path in (staging.root, staging.unpacking_place, staged, staged.with_name(f"{staged.name}.xtrabackup-part")):
        plant(path, kind, victim)
    if inside:
        plant(host.datadir / "xtrabackup_restore_in_progress.json", kind, victim)
        plant(host.datadir / ".xtrabackup-restore.lock", kind, victim)
    else:
        plant(host.place / "data.lock", kind, victim)
    host.restore()
    assert (host.datadir / "ibdata1").read_bytes() == DATA["ibdata1"]
    assert (host.place / "redo" / "ib_logfile0").read_bytes() == DATA["ib_logfile0"]
    assert tree(victim) == {"precious": b"x"}
    assert not host.restore().changed


def renaming(directory: Path, names: list[str], victim: Path) -> int:
    """A process of another account, in its own ``directory``, that makes each of ``names`` a link to ``victim`` as
    often as it can; returns its id."""
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    child = os.fork()
    if child:
        os.close(place)
        return child
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        for number in itertools.cycle(range(8)):
            for name in names:
                with contextlib.suppress(OSError):
                    os.rename(name, f"{name}.x{number}", src_dir_fd=place, dst_dir_fd=place)
                with contextlib.suppress(OSError):
                    os.symlink(victim, name, dir_fd=place)
    finally:
        os._exit(0)


@pytest.fixture(name="private")
def _private(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group of the other account is its own: it may go on creating files."""
    monkeypatch.setattr(f"{ENGINE}.host.held._is_private", lambda *_ids: True)


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("inside", [False, True])
def test_another_account_renames_what_it_can_all_the_time(
    host: Host, victim: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    monkeypatch.setattr(placement, "is_mount_point", lambda path: inside and path == host.datadir)
    theirs = host.datadir if inside else host.place / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, NOBODY, NOBODY)
    host.datadir = theirs if inside else theirs / "data"
    host.options["datadir"] = str(host.datadir)
    staging = choose_staging(host.datadir)
    own = [staging.root.name, staging.unpacking_place.name, "xtrabackup_restore_in_progress.json", "shop"]
    for _attempt in range(3):
        child = renaming(theirs, own if inside else [*own[:2], "data"], victim)
        try:
            # it ends right, or with an error that names what is in the way
            with contextlib.suppress(XtrabackupError):
                host.restore(ownership=Ownership(NOBODY, NOBODY), top_mode=0o700, force=True)
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert tree(victim) == {"precious": b"x"}
        assert (theirs.stat().st_uid, theirs.stat().st_mode & 0o7777) == (NOBODY, 0o700)
        for name in own:
            path = theirs / name
            if path.is_symlink():
                path.unlink()


# --- directories that are held -------------------------------------------------------------------


def nothing_to_do(host: Host, **wanted: Any) -> None:
    """As the module and the command line: a run that finds all done."""
    planned = plan_restore(host.backup, host.layout(), RestoreOptions(**wanted))
    assert not planned.changed
    give_back_after_kill()


def kept(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, status.st_mode & 0o7777


@pytest.fixture(name="theirs")
def _theirs(host: Host) -> Path:
    """The directory of another account in which the data directory is."""
    place = host.place / "theirs"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    place.chmod(0o755)
    host.datadir = place / "data"
    host.options["datadir"] = str(host.datadir)
    return place


@pytest.mark.parametrize("own_group", [False, True])
def test_a_directory_is_held_for_the_time_of_the_restore(
    host: Host, theirs: Path, monkeypatch: pytest.MonkeyPatch, own_group: bool
) -> None:
    monkeypatch.setattr(f"{ENGINE}.host.held._is_private", lambda *_ids: own_group)
    seen = []

    def look(*_things: object) -> list[str]:
        seen.append(kept(theirs))
        return []

    monkeypatch.setattr(f"{ENGINE}.restore.place.event_warnings", look)
    host.restore()
    # of a group that others are in, these bits are the mask of an access control list
    assert seen == [(0, NOBODY, 0o1775)]
    assert kept(theirs) == (NOBODY, NOBODY, 0o755)
    assert not (state.ROOT / "restores" / "held.json").exists()


def test_the_last_restore_that_needs_it_gives_it_back(
    host: Host, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them, into data directories that share a parent; and one that was killed counts no more."""
    other = Host(_fresh(host.place / "second"))
    other.datadir = theirs / "other"
    other.options["datadir"] = str(other.datadir)
    ownership, seen = Ownership(os.getuid(), os.getgid()), []

    def meanwhile(*_things: object) -> list[str]:
        monkeypatch.setattr(f"{ENGINE}.restore.place.event_warnings", lambda *_things: [])
        assert other.restore(ownership=ownership).changed
        seen.append(kept(theirs)[0])
        return []

    monkeypatch.setattr(f"{ENGINE}.restore.place.event_warnings", meanwhile)
    assert host.restore(ownership=ownership).changed
    assert seen == [0]
    assert kept(theirs) == (NOBODY, NOBODY, 0o755)
    shutil.rmtree(other.datadir)
    assert killed_at(12, lambda: other.restore(parallel=1))
    assert kept(theirs)[0] == 0
    shutil.rmtree(host.datadir)
    assert host.restore().changed
    assert kept(theirs) == (NOBODY, NOBODY, 0o755)


def test_after_an_error_it_is_given_back(host: Host, theirs: Path) -> None:
    (host.backup / "shop" / "t.frm").write_bytes(b"F" * 900)
    with pytest.raises(BackupIncomplete):
        host.restore()
    assert kept(theirs) == (NOBODY, NOBODY, 0o755)


@pytest.mark.parametrize("inside", [False, True])
def test_after_a_kill_the_next_run_gives_it_back(host: Host, monkeypatch: pytest.MonkeyPatch, inside: bool) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(placement, "is_mount_point", lambda path: inside and path.name == "data")
    final = (NOBODY, NOBODY, 0o710)
    for step in range(0, 200, 2):
        one = Host(_fresh(host.place / "run"))
        theirs = one.datadir if inside else one.place / "theirs"
        theirs.mkdir()
        os.chown(theirs, NOBODY, NOBODY)
        one.datadir = theirs if inside else theirs / "data"
        one.options["datadir"] = str(one.datadir)
        wanted: dict[str, Any] = {"ownership": Ownership(NOBODY, NOBODY), "top_mode": 0o710, "parallel": 1}
        killed = killed_at(step, lambda one=one, wanted=wanted: one.restore(**wanted))  # type: ignore[misc]
        one.restore(**wanted)
        nothing_to_do(one, **wanted)
        assert kept(one.datadir) == final, step
        assert kept(theirs) == (final if inside else (NOBODY, NOBODY, 0o755)), step
        assert not (state.ROOT / "restores" / "held.json").exists(), step
        if not killed:
            return
    raise AssertionError("it never came to its end")


def test_what_an_administrator_has_changed_meanwhile_stays(
    host: Host, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def change(*_things: object) -> list[str]:
        theirs.chmod(0o711)
        return []

    monkeypatch.setattr(f"{ENGINE}.restore.place.event_warnings", change)
    host.restore()
    assert kept(theirs)[0] == 0
    assert kept(theirs)[2] == 0o711


def test_a_link_on_the_way_that_somebody_else_can_change_is_refused(host: Host) -> None:
    (host.place / "log").mkdir()
    (host.place / "way").symlink_to(host.place / "log")
    os.lchown(host.place / "way", NOBODY, NOBODY)
    host.place.chmod(0o1777)
    host.options["datadir"] = str(host.place / "way" / "data")
    with pytest.raises(TargetUnsafe, match="symbolic link of uid"):
        host.restore()
    os.lchown(host.place / "way", 0, 0)
    assert host.restore().changed
