# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module xtrabackup_backup as users call it: twice, in check mode, with what cannot be."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import datasets
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.playbook import (
    module_result,
    run_module,
    run_task,
    start_module,
)
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

BACKUP = "xtrabackup_backup"
PASSWORD = "correct-horse-battery-staple-71"


def tree(directory: Path) -> dict[str, tuple[int, int]]:
    """Every path below ``directory`` with its size and time of change."""
    return {str(path): (path.lstat().st_size, path.lstat().st_ctime_ns) for path in sorted(directory.rglob("*"))}


def options(server: MariaDBServer, dest: Path, **more: Any) -> dict[str, Any]:
    return {**server.login("backup", PASSWORD), "dest": str(dest), **more}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"format": "xbstream"},
        {"format": "xbstream", "compress": {"algorithm": "zstd", "level": 3}},
        {"format": "xbstream", "compress": {"algorithm": "lz4"}, "encrypt": {"key_file": "KEY"}},
    ],
    ids=["directory", "archive", "zstd", "lz4-encrypted"],
)
def test_the_second_run_changes_nothing_and_check_mode_predicts_the_first(
    make_server: ServerFactory, workdir: Path, more: dict[str, Any]
) -> None:
    source = make_server("source")
    source.create_account("backup", PASSWORD)
    if "encrypt" in more:
        key = workdir / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(32))
        more = {**more, "encrypt": {"key_file": str(key)}}
    place = workdir / "place"
    place.mkdir()
    wanted = options(source, place / "backup", **more)
    before = tree(place)
    predicted = run_task(BACKUP, wanted, check=True, diff=True)
    assert tree(place) == before
    done = run_task(BACKUP, wanted, diff=True)
    assert (predicted["changed"], predicted["diff"]) == (True, done["diff"])
    assert done["changed"]
    after = tree(place)
    for check in (True, False):
        again = run_task(BACKUP, wanted, check=check, diff=True)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]
        assert again["backup"]["id"] == done["backup"]["id"]
        assert again["backup"]["manifest"]["sha256"] == done["backup"]["manifest"]["sha256"]
    assert tree(place) == after
    assert PASSWORD not in str([predicted, done, again])


def test_digests_of_an_archive_are_those_of_its_bytes(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    source.create_account("backup", PASSWORD)
    archive = workdir / "full.xbstream"
    done = run_module(BACKUP, options(source, archive, format="xbstream", digests=["sha256", "sha1"]))
    data = archive.read_bytes()
    assert done["backup"]["digests"] == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "sha1": hashlib.sha1(data).hexdigest(),
    }


def test_force_takes_a_new_backup_in_the_place_of_the_old_one(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    source.create_account("backup", PASSWORD)
    first = run_module(BACKUP, options(source, workdir / "place" / "backup"))
    second = run_module(BACKUP, options(source, workdir / "place" / "backup", force=True))
    assert second["changed"]
    assert second["backup"]["id"] != first["backup"]["id"]
    assert second["backup"]["path"] == str(workdir / "place" / "backup")
    assert [path.name for path in (workdir / "place").iterdir()] == ["backup"]
    third = run_module(BACKUP, options(source, workdir / "place" / "backup"))
    assert (third["changed"], third["backup"]["id"]) == (False, second["backup"]["id"])


@pytest.mark.parametrize("check", [True, False])
def test_what_is_not_a_backup_is_never_overwritten(make_server: ServerFactory, workdir: Path, check: bool) -> None:
    source = make_server("source")
    source.create_account("backup", PASSWORD)
    place = workdir / "somebody's"
    place.mkdir()
    (place / "letter").write_text("dear")
    for force in (False, True):
        failed = run_module(BACKUP, options(source, place, force=force), fails=True, check=check)
        assert failed["error"]["code"] == "target_not_empty"
    assert (place / "letter").read_text() == "dear"


@pytest.mark.parametrize("check", [True, False])
def test_a_wrong_password_is_a_clear_error_without_the_password(
    make_server: ServerFactory, workdir: Path, check: bool
) -> None:
    source = make_server("source")
    wrong = {**options(source, workdir / "backup"), "login_password": "wrong-" + PASSWORD}
    failed = run_module(BACKUP, wrong, fails=True, check=check)
    assert failed["error"]["code"] == "connection_failed"
    assert "backup" in failed["msg"]
    assert PASSWORD not in str(failed)
    assert not (workdir / "backup").exists()


@pytest.mark.parametrize(
    "more, named",
    [
        ({"compress": {"algorithm": "zstd"}}, "compress"),
        ({"throttle": "fast"}, "throttle"),
        ({"digests": ["sha256"]}, "digests"),
        ({"lock_timeout": "soon"}, "lock_timeout"),
        ({"parallel": 0}, "parallel"),
        ({"format": "xbstream", "compress": {"level": 99}}, "compress"),
        ({"format": "xbstream", "encrypt": {"key_file": "/nonexistent/key"}}, "/nonexistent/key"),
        ({"dest": "/"}, "dest"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_options_are_named_before_anything_is_done(
    make_server: ServerFactory, workdir: Path, more: dict[str, Any], named: str
) -> None:
    source = make_server("source")
    source.create_account("backup", PASSWORD)
    failed = run_module(BACKUP, {**options(source, workdir / "backup"), **more}, fails=True)
    assert named in failed["msg"]
    assert list(workdir.glob("backup*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_backup_that_is_killed_leaves_no_lock_and_the_next_one_succeeds(
    make_server: ServerFactory, workdir: Path, number: int
) -> None:
    source = make_server("source")
    source.create_account("backup", PASSWORD)
    datasets.create_big(source, 100)
    dest = workdir / "place" / "backup"
    with WriteLoad(source) as load:
        process = start_module(BACKUP, options(source, dest, throttle="20MiB"))
        deadline = time.monotonic() + 30
        while not (dest.parent / "backup.partial" / "ib_logfile0").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(process.pid, number)
        output, errors = process.communicate(timeout=30)
        assert not dest.exists()
        if number == signal.SIGTERM:
            failed = module_result(BACKUP, output, errors, fails=True)
            assert failed["error"]["code"] == "cancelled"
            assert list(dest.parent.iterdir()) == []
        load.wait_for(20)
        source.execute("CREATE TABLE mysql.after_it (a INT)", "DROP TABLE mysql.after_it")
        assert run_module(BACKUP, options(source, dest))["changed"]
    assert [path.name for path in dest.parent.iterdir()] == ["backup"]


def test_two_backups_into_one_place_at_once_end_with_one_typed_failure(
    make_server: ServerFactory, workdir: Path
) -> None:
    source = make_server("source")
    source.create_account("backup", PASSWORD)
    datasets.create_big(source, 60)
    dest = workdir / "place" / "backup"
    slow = start_module(BACKUP, options(source, dest, throttle="20MiB"))
    deadline = time.monotonic() + 30
    while not (dest.parent / "backup.partial").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    failed = run_module(BACKUP, options(source, dest), fails=True)
    assert failed["error"]["code"] == "target_busy"
    output, errors = slow.communicate(timeout=60)
    assert module_result(BACKUP, output, errors)["changed"]
