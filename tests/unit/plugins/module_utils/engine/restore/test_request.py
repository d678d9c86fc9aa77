# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore requests: carried out once, never against a newer one, only with the backup that was meant; and remembered,
through kills."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import catalog
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupMismatch,
    InvalidOption,
    NotABackup,
    RequestChanged,
    RequestExpired,
    RequestSuperseded,
    ServerRunning,
    TargetNotEmpty,
    TargetUnsafe,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable, running
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import (
    RestoreOptions,
    RestorePlan,
    plan_restore,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.preview import preview
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.request import (
    Request,
    manifest_digest_from_option,
    request_from_options,
)
from ansible_collections.innodb.xtrabackup.tests.support.dying import killed_at

from .conftest import DATA, Host, tree

FIRST = Request("first", "a" * 64, "2026-11-28T10:00:00Z")
SECOND = Request("second", "b" * 64, "2026-11-28T11:00:00Z")
WRITTEN = b"the server has written since"


def plan(host: Host, source: Path, **changes: Any) -> RestorePlan:
    options = RestoreOptions(**{"ownership": Ownership(), **changes})
    return plan_restore(source, host.layout(), options)


def place_of(host: Host) -> dict[str, Any]:
    return catalog.describe_path(host.datadir)[0]


def test_a_request_acts_once_however_often_it_is_asked(host: Host) -> None:
    host.restore(request=FIRST, manifest_sha256=host.origin("ours-1"), origin=Path("/srv/full.xbstream"))
    (host.datadir / "ibdata1").write_bytes(WRITTEN)
    assert not host.restore(request=FIRST).changed
    shutil.rmtree(host.backup)  # what was done needs no backup any more
    assert not host.restore(request=FIRST).changed
    assert (host.datadir / "ibdata1").read_bytes() == WRITTEN
    place = place_of(host)
    assert place["request"] == place["requests"][0]
    assert place["source_sha256"] == host.origin("ours-1")
    assert (place["request"]["id"], place["request"]["backup"]) == ("first", "/srv/full.xbstream")
    assert place["request"]["manifest_sha256"] == host.origin("ours-1")


def test_a_new_request_for_the_same_backup_acts_again_with_consent_only(host: Host) -> None:
    host.restore(request=FIRST)
    (host.datadir / "ibdata1").write_bytes(WRITTEN)
    with pytest.raises(TargetNotEmpty):
        host.restore(request=SECOND)
    assert host.restore(request=SECOND, force=True).changed
    assert (host.datadir / "ibdata1").read_bytes() == DATA["ibdata1"]
    assert [entry["id"] for entry in place_of(host)["requests"]] == ["first", "second"]


def test_an_older_request_never_rolls_newer_data_back(host: Host) -> None:
    host.make_backup(host.place / "second", "ours-2")
    host.restore(request=FIRST)
    host.restore(host.place / "second", request=SECOND, force=True)
    # carried out before: right as it is
    assert not host.restore(request=FIRST, force=True).changed
    assert place_of(host)["request"]["id"] == "second"
    # never carried out, and older, or as old
    for created in ("2026-11-28T10:59:59Z", SECOND.created):
        with pytest.raises(RequestSuperseded, match="second"):
            host.restore(request=Request("late", "c" * 64, created), force=True)
    assert place_of(host)["request"]["id"] == "second"


def test_what_was_requested_under_a_name_does_not_change(host: Host) -> None:
    host.restore(request=FIRST)
    with pytest.raises(RequestChanged, match="other content"):
        host.restore(request=Request(FIRST.id, "c" * 64, FIRST.created), force=True)


def test_a_restore_that_nobody_requested_keeps_the_memory_of_requests(host: Host) -> None:
    host.make_backup(host.place / "second", "ours-2")
    host.restore(request=FIRST)
    host.restore(host.place / "second", force=True)
    place = place_of(host)
    assert (place["request"], [entry["id"] for entry in place["requests"]]) == (None, ["first"])
    assert not host.restore(request=FIRST, force=True).changed


def test_a_request_that_has_expired_is_refused_unless_it_was_carried_out(host: Host) -> None:
    past = Request("past", "d" * 64, "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")
    host.restore(request=Request("past", "d" * 64, "2020-01-01T00:00:00Z"))  # in time: it had no end then
    assert not host.restore(request=past).changed
    with pytest.raises(RequestExpired, match="2020-01-02"):
        host.restore(request=Request("late", "e" * 64, "2020-01-01T10:00:00Z", "2020-01-02T00:00:00Z"), force=True)


def test_another_backup_than_the_requested_one_is_refused_and_nothing_touched(host: Host) -> None:
    (host.datadir).mkdir()
    (host.datadir / "ibdata1").write_bytes(WRITTEN)
    before = tree(host.place)
    with pytest.raises(BackupMismatch, match=host.origin("ours-1")):
        host.restore(request=FIRST, manifest_sha256="0" * 64, force=True)
    host.make_backup(host.place / "stock", "", with_manifest=False)
    with pytest.raises(BackupMismatch, match="no manifest"):
        plan(host, host.place / "stock", manifest_sha256="0" * 64, force=True)
    shutil.rmtree(host.place / "stock")
    assert tree(host.place) == before


def test_a_moved_backup_that_is_asked_for_again_is_missed(host: Host) -> None:
    host.restore(request=FIRST, method="move")
    assert not host.restore(request=FIRST, method="move").changed
    with pytest.raises(NotABackup):
        host.restore(request=SECOND, method="move", force=True)
    with pytest.raises(BackupMismatch):
        host.restore(method="move", manifest_sha256="0" * 64)


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_request_that_was_killed_at_any_instant_is_carried_out_by_the_next_run(tmp_path: Path, method: str) -> None:
    for count in range(1, 400, 7):
        host = Host(_new(tmp_path / f"{method}-{count}"))
        host.make_backup(host.place / "second", "ours-2")
        host.restore(request=FIRST)
        again = functools.partial(
            host.restore, host.place / "second", request=SECOND, method=method, force=True, origin=Path("/srv/two")
        )
        ended = not killed_at(count, again)
        # what was carried out before is right, whatever state the newer one is in
        if place_of(host).get("complete"):
            assert not host.restore(request=FIRST, force=True).changed
        again()
        assert not again().changed
        place = place_of(host)
        assert place["complete"]
        assert (place["request"]["id"], place["request"]["backup"]) == ("second", "/srv/two")
        assert [entry["id"] for entry in place["requests"]] == ["first", "second"]
        assert host.leftovers() == []
        if ended:
            return
    raise AssertionError("no run came to its end")


def _new(path: Path) -> Path:
    path.mkdir()
    return path


# --- looking ahead -------------------------------------------------------------------------------


def ahead(host: Host, **changes: Any) -> RestorePlan:
    """As a play asks: of the backup ``ready``, which will be prepared as ``second`` first."""
    wanted = {"request": SECOND, "origin": host.backup, "method": "move", "preview": True, **changes}
    return plan(host, host.place / "second", **wanted)


def test_a_preview_minds_neither_a_running_server_nor_that_nothing_is_prepared(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.restore(request=FIRST)
    monkeypatch.setattr(running, "user_of", lambda *_a, **_k: running.User(1, "made up"))
    before = tree(host.place)
    planned = ahead(host, force=True, manifest_sha256=host.origin("ours-1"))
    reported = preview(planned, RestoreOptions(request=SECOND))
    size = sum(path.stat().st_size for path in host.datadir.rglob("*") if path.is_file())
    assert planned.changed
    assert (reported[0]["bytes"], reported[0]["request"]) == (size, "first")
    assert (reported[1]["files"], reported[1]["bytes"]) == (len(DATA), sum(map(len, DATA.values())))
    assert (reported[1]["id"], reported[1]["request"]) == ("ours-1", "second")
    assert tree(host.place) == before
    with pytest.raises(ServerRunning):
        plan(host, host.backup, request=SECOND, force=True)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"manifest_sha256": "0" * 64, "force": True}, BackupMismatch),
        ({}, TargetNotEmpty),
        ({"origin": Path("/nowhere"), "force": True}, NotABackup),
        ({"request": Request("old", "c" * 64, "2026-11-01T00:00:00Z"), "force": True}, RequestSuperseded),
    ],
)
def test_a_preview_refuses_what_the_restore_would(
    host: Host, changes: dict[str, Any], expected: type[XtrabackupError]
) -> None:
    host.restore(request=FIRST)
    with pytest.raises(expected):
        ahead(host, **changes)


def test_a_preview_refuses_to_prepare_the_backup_in_the_data_directory(host: Host) -> None:
    for place in (host.datadir, host.datadir / "inner"):
        with pytest.raises(TargetUnsafe):
            plan(host, place, origin=host.backup, preview=True, request=FIRST)


def test_a_preview_goes_on_with_what_was_prepared_unless_it_is_another_backup(host: Host) -> None:
    host.make_backup(host.place / "second", "ours-1")
    assert ahead(host, manifest_sha256=host.origin("ours-1")).source == host.place / "second"
    shutil.rmtree(host.place / "second")
    host.make_backup(host.place / "second", "an older one")
    assert ahead(host, manifest_sha256=host.origin("ours-1")).source == host.backup


# --- options -------------------------------------------------------------------------------------


def test_options_are_read_and_checked() -> None:
    good = {"id": "one", "sha256": "a" * 64, "created": "2026-11-28T10:00:00Z", "expires": None}
    assert request_from_options(good) == Request("one", "a" * 64, "2026-11-28T10:00:00Z")
    for name, value in {
        "id": "../x", "sha256": "A" * 64, "created": "2026-11-28", "expires": "tomorrow",
    }.items():  # fmt: skip
        with pytest.raises(InvalidOption, match=name):
            request_from_options({**good, name: value})
    assert manifest_digest_from_option("0" * 64) == "0" * 64
    with pytest.raises(InvalidOption, match="manifest_sha256"):
        manifest_digest_from_option("short")


def test_a_marker_of_before_there_were_requests_is_read(host: Host) -> None:
    host.restore()
    marker = host.datadir / "xtrabackup_restored.json"
    text = marker.read_text()
    assert '"request": ""' in text
    durable.write_file(marker, text.replace('"request": "",', "").replace('"requests": [],', "").encode())
    assert place_of(host)["requests"] == []
    assert not host.restore().changed
