# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns a directory that a restore holds goes on working in it, nobody else gets more than before, and what a
restore holds that was killed does not stay so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import TargetUnsafe
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import acl, held, state
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.held import give_back_after_kill, holding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.journal import Journal
from ansible_collections.innodb.xtrabackup.tests.support import dying

MYSQL, INTRUDER, ADM = 65534, 65533, 65532


def can(uid: int, gid: int, action: Callable[[], object]) -> bool:
    """Whether an account that is in one group can do that."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            action()
        except OSError:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def kept(path: Path) -> tuple[int, int, int, bytes]:
    status, descriptor = path.stat(), os.open(path, os.O_RDONLY)
    try:
        return status.st_uid, status.st_gid, status.st_mode & 0o7777, acl.read(descriptor)
    finally:
        os.close(descriptor)


@pytest.fixture(name="shared")
def _shared(tmp_path: Path) -> Path:
    """The directory of an account, and of a group that others are in, with the data of another server."""
    # pytest's own directories are closed
    for one in (tmp_path, *list(tmp_path.parents)[:3]):
        if one.stat().st_uid == os.getuid() and len(one.parts) > 2:
            one.chmod(0o755)
    place = tmp_path / "inst"
    (place / "data1").mkdir(parents=True)
    for one in (place, place / "data1"):
        os.chown(one, MYSQL, ADM)
        one.chmod(0o750)
    return place


def test_its_owner_works_on_and_nobody_gets_more(shared: Path) -> None:
    before = kept(shared)
    journal = Journal(shared / "data2")
    with journal.locked(), holding(journal) as place:
        place.hold([shared])
        (shared / "staging").mkdir(mode=0o700)
        assert can(MYSQL, MYSQL, lambda: os.listdir(shared / "data1"))
        assert can(MYSQL, MYSQL, lambda: os.listdir(shared))
        assert can(MYSQL, MYSQL, lambda: (shared / "made").write_bytes(b""))
        assert not can(MYSQL, MYSQL, (shared / "staging").rmdir)
        assert not can(MYSQL, MYSQL, lambda: (shared / "staging").rename(shared / "other"))
        assert can(INTRUDER, ADM, lambda: os.listdir(shared))
        assert not can(INTRUDER, ADM, lambda: (shared / "theirs").write_bytes(b""))
        assert not can(INTRUDER, INTRUDER, lambda: os.stat(shared / "data1"))
        assert not can(INTRUDER, INTRUDER, lambda: os.listdir(shared))
    assert kept(shared) == before


@pytest.mark.parametrize("member", [True, False])
def test_where_there_are_no_lists_its_owner_passes(shared: Path, monkeypatch: pytest.MonkeyPatch, member: bool) -> None:
    monkeypatch.setattr(held, "_has_lists", lambda *_things: False)
    monkeypatch.setattr(held, "_is_member", lambda *_ids: member)
    shared.chmod(0o700)
    before = kept(shared)
    journal = Journal(shared / "data2")
    with journal.locked(), holding(journal) as place:
        place.hold([shared])
        assert kept(shared)[:3] == (0, ADM, 0o1710 if member else 0o1701)
        assert can(MYSQL, ADM if member else MYSQL, lambda: os.listdir(shared / "data1"))
    assert kept(shared) == before


def test_a_list_that_is_there_gives_nobody_more(shared: Path) -> None:
    with_intruder = acl.with_account(b"", 0o700, INTRUDER, 7)
    assert with_intruder
    descriptor = os.open(shared, os.O_RDONLY)
    acl.write(descriptor, with_intruder)
    # the mask takes the right to write away
    os.fchmod(descriptor, 0o750)
    os.close(descriptor)
    before = kept(shared)
    journal = Journal(shared / "data2")
    with journal.locked(), holding(journal) as place:
        place.hold([shared])
        assert can(MYSQL, MYSQL, lambda: (shared / "made").write_bytes(b""))
        assert can(INTRUDER, INTRUDER, lambda: os.listdir(shared))
        assert not can(INTRUDER, INTRUDER, lambda: (shared / "theirs").write_bytes(b""))
        assert not can(INTRUDER, ADM + 1, lambda: (shared / "theirs").write_bytes(b""))
    assert kept(shared) == before


@pytest.mark.parametrize("by", ["another restore", "a run that finds all done"])
def test_what_a_killed_restore_holds_is_given_back_by_any_next_run(
    shared: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(dying, "CHANGES", ("fchown", "fchmod", "setxattr", "removexattr"))
    before, died, step = kept(shared), True, 0
    while died:
        journal = Journal(shared / "data2")

        def hold_for_a_moment(journal: Journal = journal) -> None:
            with journal.locked(), holding(journal) as place:
                place.hold([shared])
                os.fchown(os.open(shared / "data1", os.O_RDONLY), MYSQL, ADM)

        died = dying.killed_at(step, hold_for_a_moment)
        if by == "another restore":
            other = Journal(shared.parent / "elsewhere" / "data")
            with other.locked(), holding(other) as place:
                place.hold([shared.parent])
        else:
            give_back_after_kill()
        assert kept(shared) == before, f"step {step}"
        assert not (state.ROOT / "restores" / "held.json").exists(), f"step {step}"
        step += 1
    assert step > 7


def test_what_a_restore_at_work_holds_stays_held(shared: Path) -> None:
    journal = Journal(shared / "data2")
    with journal.locked(), holding(journal) as place:
        place.hold([shared])
        give_back_after_kill()
        assert kept(shared)[0] == 0


def test_root_that_may_not_take_it_has_changed_nothing(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept(shared)

    def refuse(*_things: object) -> None:
        raise PermissionError(1, "no")

    journal = Journal(shared / "data2")
    with journal.locked(), holding(journal) as place:
        monkeypatch.setattr(held.Owner, "give", refuse)
        with pytest.raises(TargetUnsafe, match="could replace what a restore works on"):
            place.hold([shared])
        assert kept(shared) == before
