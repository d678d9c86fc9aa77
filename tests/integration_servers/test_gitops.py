# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores by request, as the example repository has them: its files and the commands of its CI, on real servers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.filter.restore_request import restore_request
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.gitops import EXAMPLE, Repository
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.plays import PlayResult, failed, succeeded
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

PRECIOUS = ("CREATE DATABASE precious", "CREATE TABLE precious.t (a INT)", "INSERT INTO precious.t VALUES (1)")


def take_backup(estate: Estate, name: str, **options: Any) -> dict[str, Any]:
    """A backup of the primary; returns what a request says about it."""
    path = estate.directory / name
    taken = run_module("xtrabackup_backup", {**estate.primary.login(), "dest": str(path), **options})["backup"]
    return {"path": str(path), "manifest_sha256": taken["manifest"]["sha256"]}


def request(name: str, hosts: list[str], backup: dict[str, Any], hour: int = 10, **options: Any) -> dict[str, Any]:
    """A request of ``hour`` o'clock."""
    created = f"2026-11-28T{hour:02}:00:00Z"
    return {"format": 1, "id": name, "created": created, "hosts": hosts, "backup": backup, "options": options}


def place_of(host: DatabaseServer) -> dict[str, Any]:
    """What the module says about the data directory of ``host``."""
    place: dict[str, Any] = run_module("xtrabackup_info", {"src": str(host.datadir)})["source"]
    return place


def unchanged(result: PlayResult) -> PlayResult:
    """``result``, of a run that changed nothing anywhere."""
    assert set(succeeded(result).changed.values()) == {0}, result.output
    return result


def test_the_example_is_a_repository_that_the_guide_shows() -> None:
    requests = sorted((EXAMPLE / "requests").iterdir())
    assert requests
    for path in requests:
        assert restore_request(path.read_text(encoding="utf-8"))["problems"] == []
        assert path.stem == restore_request(path.read_text(encoding="utf-8"))["request"]["id"]


@pytest.mark.slow
def test_a_request_is_reviewed_merged_and_carried_out_once(estate: Estate) -> None:
    target = estate.host("target")
    target.start()
    target.execute(*PRECIOUS)
    key = estate.directory / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    backup = take_backup(
        estate, "full.xbstream", format="xbstream", compress={"algorithm": "zstd"}, encrypt={"key_file": str(key)}
    )
    backup["decrypt"] = {"key_file": str(key)}
    repository = Repository(estate)
    repository.commit(request("1-first", ["target"], backup, replace=True, keep_replaced=True, parallel=1))

    assert backup["manifest_sha256"] in succeeded(repository.run("review")).output
    review = succeeded(repository.look())
    assert review.changed["target"] > 0
    assert review.output.count('"bytes": ') == 2  # of what is there, and of what will be
    assert '"request": "1-first"' in review.output
    assert target.value("SELECT a FROM precious.t") == 1
    assert estate.leftovers() == []

    merged = succeeded(repository.run("restore"))
    assert merged.changed["target"] > 0
    assert_tables_equal(estate.primary, target)
    place = place_of(target)
    assert place["complete"]
    assert place["source_sha256"] == backup["manifest_sha256"]
    assert (place["request"]["id"], place["request"]["backup"]) == ("1-first", backup["path"])
    (kept,) = estate.leftovers()
    assert (estate.directory / kept / "precious").is_dir()

    # the server works on, and the request is merged for ever
    target.execute("UPDATE shop.items SET name = 'later'")
    unchanged(repository.run("restore"))
    assert "was carried out here" in unchanged(repository.look()).output
    assert target.value("SELECT COUNT(*) FROM shop.items WHERE name = 'later'") == 5000

    # a newer one acts, and the older one does not come back after it
    estate.primary.execute("DELETE FROM shop.items WHERE id < 100")
    newer = take_backup(estate, "second")
    repository.commit(request("2-second", ["target"], newer, hour=11, replace=True, method="move"))
    assert succeeded(repository.run("restore")).changed["target"] > 0
    assert not Path(newer["path"]).exists()
    assert_tables_equal(estate.primary, target)
    target.execute("UPDATE shop.items SET name = 'later'")
    again = unchanged(repository.run("restore"))
    assert "other data have come since: 2-second" in again.output
    assert target.value("SELECT COUNT(*) FROM shop.items WHERE name = 'later'") > 0
    assert [entry["id"] for entry in place_of(target)["requests"]] == ["1-first", "2-second"]

    # what was merged does not change
    repository.commit(request("1-first", ["target"], backup, replace=True, parallel=2))
    failed(repository.look(), "1-first was carried out here", "with other content", "as a new request")


@pytest.mark.slow
def test_what_cannot_be_carried_out_is_refused_in_review_before_anything_is_touched(estate: Estate) -> None:
    one, two = estate.host("one"), estate.host("two")
    two.start()
    two.execute(*PRECIOUS)
    backup = take_backup(estate, "full")
    repository = Repository(estate)

    def refused(wanted: dict[str, Any], *texts: str) -> None:
        repository.commit(wanted)
        for result in (repository.look(), repository.run("restore")):
            failed(result, *texts)

    both = ["one", "two"]
    refused({**request("r", both, backup), "rebuild": True}, '"rebuild" is unknown; known are format, id')
    refused(request("r", ["one", "nobody"], backup), "not in the inventory: nobody")
    # the first host could, the second could not: neither is touched
    refused(request("r", both, backup), "holds data that is not this backup")
    other = {**backup, "manifest_sha256": "0" * 64}
    refused(
        request("r", both, other, replace=True), "another backup than the one that was asked for",
        backup["manifest_sha256"],
    )  # fmt: skip
    assert not one.datadir.exists()
    assert two.value("SELECT a FROM precious.t") == 1
    assert estate.leftovers() == []


@pytest.mark.slow
def test_of_two_hosts_one_fails_and_the_next_runs_carry_on(estate: Estate) -> None:
    one, two = estate.host("one"), estate.host("two")
    for host in (one, two):
        host.start()
        host.execute(*PRECIOUS)
    repository = Repository(estate)
    repository.commit(request("r", ["one", "two"], take_backup(estate, "full"), replace=True))
    # the job of the CI is cancelled, and all dies, while the backup is made consistent for the second host ...
    with repository.start("restore") as play:
        _wait_for(two.datadir.with_name("data.requested.partial"))
        os.killpg(play.pid, signal.SIGKILL)
    _kill_what_is_left(estate.directory / "ansible" / "remote", repository.path)
    assert_tables_equal(estate.primary, one)
    assert two.value("SELECT a FROM precious.t") == 1

    # ... the next run before the server is started, and the last one has only that left to do
    repository.write_inventory(two={"xtrabackup_server_start_command": ["/bin/false"]})
    broken = failed(repository.run("restore"), "/bin/false")
    assert broken.changed["one"] == 0
    assert place_of(two)["request"]["id"] == "r"
    repository.write_inventory()
    last = succeeded(repository.run("restore"))
    assert (last.changed["one"], last.changed["two"]) == (0, 1)
    assert_tables_equal(estate.primary, two)
    unchanged(repository.run("restore"))
    # what Ansible has noted about the job that was killed stays where it keeps such notes
    assert [name for name in estate.leftovers() if not name.startswith("ansible/async/")] == []


def _wait_for(sign: Path) -> None:
    deadline = time.monotonic() + 300
    while not sign.exists():
        assert time.monotonic() < deadline, f"{sign} did not come"
        time.sleep(0.01)


def _kill_what_is_left(modules: Path, controller: Path) -> None:
    """Kill every process of a module below ``modules``, and Ansible's own that work in ``controller``: jobs in the
    background outlive their controller, and its workers are in sessions of their own."""
    name = os.fsencode(modules)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if name in (process / "cmdline").read_bytes() or (process / "cwd").readlink() == controller:
                os.kill(int(process.name), signal.SIGKILL)


@pytest.mark.slow
def test_a_request_is_carried_out_on_mysql(workdir: Path) -> None:
    estate = Estate(workdir, flavor="mysql")
    try:
        target = estate.host("target")
        repository = Repository(estate)
        repository.commit(request("r", ["target"], take_backup(estate, "full"), use_memory="128M"))
        succeeded(repository.look())
        succeeded(repository.run("restore"))
        assert_tables_equal(estate.primary, target)
        unchanged(repository.run("restore"))
        marker = json.loads((target.datadir / "xtrabackup_restored.json").read_text())
        assert (marker["request"], place_of(target)["request"]["id"]) == ("r", "r")
        assert estate.leftovers() == []
    finally:
        estate.close()
