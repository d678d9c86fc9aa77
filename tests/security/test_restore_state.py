# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server's account writes into its data directory does not steer a restore that root runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.catalog import describe_path
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    FormatError,
    NotABackup,
    ReplicationError,
    RequestUnproven,
    StorageError,
    TargetNotEmpty,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import state
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.journal import IN_PROGRESS, RESTORED
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import placement
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.journal import RestoreJournal
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.markers import (
    PUBLISHING,
    InProgress,
    Restored,
    read_restored,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.placement import choose_staging
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.request import CarriedOut, Request
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.start_position import backup_record
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.restore.conftest import (
    DATA,
    Host,
    tree,
)

REQUEST = Request("first", "a" * 64, "2026-11-28T10:00:00Z")
MARKER = "xtrabackup_restored.json"
NOBODY = 65534


def other_data(host: Host) -> None:
    host.datadir.mkdir(exist_ok=True)
    (host.datadir / "ibdata1").write_bytes(b"other")


def unfinished(host: Host, **changes: Any) -> InProgress:
    """A marker of the very restore that is wanted, all but its end done."""
    origin = host.origin("ours-1")
    marker = InProgress("ours-1", origin, str(host.backup), str(host.datadir), "copy", PUBLISHING)
    return replace(marker, **changes)


def finished(host: Host, **changes: Any) -> Restored:
    marker = Restored(
        "ours-1", host.origin("ours-1"), str(host.backup), "copy", "2026-11-28T10:12:43Z", {"id": "ours-1"}
    )
    return replace(marker, **changes)


def carried_out(request: Request) -> CarriedOut:
    at = "2026-11-28T10:12:43Z"
    return CarriedOut(request.id, request.sha256, request.created, "/srv/full", "b" * 64, at)


# --- what is planted -----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["outside", "aside", "other", "unpacked"])
def test_a_planted_marker_of_an_unfinished_restore_names_a_tree(host: Host, victim: Path, what: str) -> None:
    other_data(host)
    planted = {
        "outside": unfinished(host, id="another", outside=((str(victim), str(victim)),)),
        "aside": unfinished(host, aside=(("/nowhere", str(victim)),)),
        "other": unfinished(host, id="another", source=str(victim), method="move"),
        "unpacked": unfinished(host, method="move", unpacked=str(victim)),
    }[what]
    planted.write(host.datadir)
    with pytest.raises(TargetNotEmpty):
        host.restore()
    host.restore(force=True)
    assert tree(victim) == {"precious": b"x"}
    assert {name: content for name, content in tree(host.datadir).items() if name != MARKER} == DATA
    assert host.leftovers() == []


def test_a_planted_marker_renames_in_a_mount_point(host: Host, victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "is_mount_point", lambda path: path == host.datadir)
    other_data(host)
    taken = host.place / "system" / "taken"
    taken.parent.mkdir()
    unfinished(host, aside=((str(victim), str(taken)),), outside=((str(victim), str(taken)),)).write(host.datadir)
    host.restore(force=True)
    assert tree(victim) == {"precious": b"x"}
    assert not taken.exists()


def test_a_planted_marker_says_that_the_backup_was_moved_here(host: Host) -> None:
    other_data(host)
    source = host.place / "gone"
    finished(host, method="move", source=str(source)).write(host.datadir)
    with pytest.raises(NotABackup):
        host.restore(source, method="move", manifest_sha256=host.origin("ours-1"))
    finished(host, method="move", source=str(host.backup)).write(host.datadir)
    unfinished(host, method="move").write(host.datadir)
    with pytest.raises(TargetNotEmpty):
        host.restore(method="move")
    assert tree(host.backup)


def test_data_with_a_planted_marker_are_data_that_are_there(host: Host) -> None:
    other_data(host)
    finished(host).write(host.datadir)
    with pytest.raises(TargetNotEmpty, match="is not believed"):
        host.restore()
    assert describe_path(host.datadir)[0]["proven"] is False
    assert host.restore(force=True).changed
    assert describe_path(host.datadir)[0]["proven"] is True
    assert not host.restore().changed


@pytest.mark.parametrize("created", [REQUEST.created, "2026-11-29T10:00:00Z"])
def test_a_planted_marker_speaks_of_the_request(host: Host, created: str) -> None:
    """It, or a newer one."""
    other_data(host)
    done = carried_out(REQUEST if created == REQUEST.created else Request("newer", "c" * 64, created))
    finished(host, request=done.id, requests=(done,)).write(host.datadir)
    with pytest.raises(RequestUnproven, match="knows nothing of that restore"):
        host.restore(request=REQUEST, force=True)
    assert (host.datadir / "ibdata1").read_bytes() == b"other"
    (host.datadir / MARKER).unlink()
    assert host.restore(request=REQUEST, force=True).changed
    assert not host.restore(request=REQUEST, force=True).changed


def test_root_vouches_for_the_marker_of_another_host(host: Host) -> None:
    host.restore(request=REQUEST)
    shutil.rmtree(state.ROOT)
    with pytest.raises(RequestUnproven) as raised:
        host.restore(request=REQUEST, force=True)
    command = raised.value.remedy.partition("vouch for it: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert not host.restore(request=REQUEST, force=True).changed
    # it is about that marker, not about this place
    finished(host, request="newer", requests=(carried_out(Request("newer", "c" * 64, REQUEST.created)),)).write(
        host.datadir
    )
    with pytest.raises(RequestUnproven):
        host.restore(request=Request("newer", "c" * 64, REQUEST.created), force=True)


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "text"])
def test_the_marker_is_something_else(host: Host, victim: Path, kind: str) -> None:
    other_data(host)
    if kind == "text":
        (host.datadir / MARKER).write_text("{")
    else:
        plant(host.datadir / MARKER, kind, victim)
    with pytest.raises((FormatError, StorageError)) as raised:
        host.restore(force=True)
    assert MARKER in raised.value.message
    if isinstance(raised.value, FormatError):
        subprocess.run(raised.value.remedy.partition("(")[2].partition(")")[0], shell=True, check=True)
        assert host.restore(force=True).changed
    assert tree(victim) == {"precious": b"x"}


def plant(path: Path, kind: str, victim: Path) -> None:
    if kind == "link":
        path.symlink_to(victim / "precious")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()


def test_the_position_of_a_replica_is_what_was_restored(host: Host) -> None:
    host.restore()
    document = json.loads((host.datadir / MARKER).read_text())
    document["backup"]["binlog"] = {"file": "binlog.000001", "position": 4, "gtid": "0-1-1"}
    (host.datadir / MARKER).write_text(json.dumps(document))
    record = backup_record(host.datadir)
    assert record is not None
    assert record["binlog"]["position"] == 4711


# --- what is known -------------------------------------------------------------------------------


def test_a_marker_that_was_changed_since_the_restore_gives_no_position(host: Host) -> None:
    host.restore()
    planted = json.loads((host.datadir / MARKER).read_text())
    planted["id"] = planted["backup"]["id"] = "planted"
    (host.datadir / MARKER).write_text(json.dumps(planted))
    with pytest.raises(ReplicationError, match="is not what the last restore into .* has left there"):
        backup_record(host.datadir)


def test_a_data_directory_that_was_emptied_or_made_anew_holds_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "is_mount_point", lambda path: path == host.datadir)
    host.datadir.mkdir()
    host.restore(request=REQUEST)
    for entry in host.datadir.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    assert host.restore(request=REQUEST).changed
    shutil.rmtree(host.datadir)
    (host.place / "log").mkdir()  # takes the inode
    host.datadir.mkdir()
    assert host.restore(request=REQUEST).changed


def test_the_marker_of_a_data_directory_is_copied_to_another_one(host: Host) -> None:
    host.restore()
    finished_here = read_restored(host.datadir)
    assert finished_here is not None
    host.options["datadir"], old = str(host.place / "second"), host.datadir
    host.datadir = host.place / "second"
    other_data(host)
    shutil.copy(old / MARKER, host.datadir)
    with pytest.raises(TargetNotEmpty, match="is not believed"):
        host.restore()


def test_a_device_gets_another_number_when_the_host_boots(host: Host) -> None:
    host.restore()
    note = RestoreJournal(host.datadir).directory / RESTORED
    document = json.loads(note.read_text())
    note.write_text(json.dumps({**document, "device": document["device"] + 1}))
    assert not host.restore().changed
    # then the marker has to be the very one
    marker = host.datadir / MARKER
    marker.write_text(marker.read_text().replace('"source"', '"source": "/x", "was"'))
    with pytest.raises(TargetNotEmpty):
        host.restore()


@pytest.mark.parametrize(
    "change",
    [
        {"aside": (("/nowhere", "/etc"),)},
        {"outside": (("/etc/passwd", "/srv/ibdata1"),)},
        {"datadir": "/srv/another"},
    ],
)
def test_a_journal_names_places_that_no_restore_makes(host: Host, change: dict[str, Any]) -> None:
    staging = choose_staging(host.datadir)
    staging.root.mkdir()
    journal = RestoreJournal(host.datadir)
    journal.note_progress(unfinished(host, **change), staging)
    with pytest.raises(FormatError, match="no restore into"):
        host.restore()


def test_a_journal_that_others_can_write_is_none(host: Host) -> None:
    host.restore()
    (state.ROOT / "restores").chmod(0o777)
    with pytest.raises(TargetNotEmpty, match="is not believed"):
        host.restore()


def test_files_of_a_moved_backup_are_not_removed_when_the_journal_was_lost(host: Host) -> None:
    assert killed_at(18, lambda: host.restore(method="move", parallel=1))
    shutil.rmtree(state.ROOT)
    staged = tree(host.place / "data.partial")
    with pytest.raises(BackupIncomplete):
        host.restore(method="move")
    host.make_backup(host.place / "second", "ours-2")
    with pytest.raises(TargetNotEmpty, match="moved"):
        host.restore(host.place / "second")
    assert tree(host.place / "data.partial") == staged
    assert host.restore(host.place / "second", force=True).changed


def test_an_unfinished_restore_of_other_data_does_not_empty_the_data_directory(host: Host) -> None:
    host.make_backup(host.place / "second", "ours-2")
    host.restore(method="move")
    assert killed_at(16, lambda: host.restore(host.place / "second", force=True, parallel=1))
    assert (host.place / "data.partial").exists()
    assert not host.restore(method="move").changed
    assert tree(host.datadir)["ibdata1"] == DATA["ibdata1"]


def test_killed_as_it_is_given_up_it_is_not_taken_up_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of its staging place is not whole."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(placement, "is_mount_point", lambda path: path.name == "data")
    for step in range(1, 200, 3):
        one = Host(_fresh(host.place / "run"))
        one.datadir.mkdir()
        one.make_backup(one.place / "second", "ours-2")
        assert killed_at(36, lambda one=one: one.restore(parallel=1))  # type: ignore[misc]
        known = RestoreJournal(one.datadir).known(choose_staging(one.datadir)).unfinished
        assert known is not None
        assert known.phase == PUBLISHING
        ended = not killed_at(step, lambda one=one: one.restore(one.place / "second", force=True, parallel=1))  # type: ignore[misc]
        one.restore(force=True)
        assert {name: content for name, content in tree(one.datadir).items() if name != MARKER} == DATA, step
        if ended:
            return
    raise AssertionError("it never came to its end")


def _fresh(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


# --- a user who is not root ----------------------------------------------------------------------


@pytest.fixture(name="public")
def _public() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir="/var/tmp"))
    try:
        yield place
    finally:
        shutil.rmtree(place)


def test_his_own_marker_is_believed(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of who owns the data directory and the marker: he can write what he likes there, and restores as himself."""
    public.chmod(0o755)
    (public / "home").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(public / "home"))
    (public / "place").mkdir()
    for directory in (public / "home", public / "place"):
        os.chown(directory, NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            host = Host(public / "place")
            assert host.restore(request=REQUEST).changed
            shutil.rmtree(public / "home" / "xtrabackup" / "restores")
            assert not host.restore(request=REQUEST).changed
            assert not host.restore().changed
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_note_of_progress_goes_with_the_restore(host: Host) -> None:
    host.restore()
    journal = RestoreJournal(host.datadir)
    assert journal.directory.name == journal.id
    assert sorted(path.name for path in journal.directory.iterdir()) == [RESTORED]
    assert not (journal.directory / IN_PROGRESS).exists()
    assert journal.directory.stat().st_mode & 0o7777 == 0o700
