# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module xbstream asked for a part of an archive, and what the rest of the collection makes of that part."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.catalog import describe_path
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import BackupPartial
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.tests.support.streams import make_archive, raw_archive, some_files, tree
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.modules.test_xbstream import (
    SECRET,
    call,
    predicted_then_done,
)

ORDERS = {path: data for path, data in some_files().items() if path.startswith("shop/orders")}
SIZE = sum(map(len, ORDERS.values()))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    make_archive(tmp_path / "archive", some_files(), algorithm="zstd", backup={"to_lsn": 7, "state": "copied"})
    return tmp_path / "archive"


def test_a_part_is_extracted_once(tmp_path: Path, archive: Path) -> None:
    wanted: dict[str, Any] = {"src": archive, "dest": tmp_path / "dest", "tables": ["shop.orders"]}
    done = predicted_then_done(**wanted)
    found = tree(tmp_path / "dest")
    assert done["manifest"]["sha256"] == manifests.digest_of(found.pop(MANIFEST_NAME))
    assert found == ORDERS
    assert done["backup"]["state"] == "partial"
    assert (done["selected"]["files"], done["selected"]["bytes"]) == (2, SIZE)
    # the same files, named in another way
    again = call(src=archive, dest=tmp_path / "dest", files=["shop/orders.*"])
    assert not again["changed"]
    assert again["selected"] == done["selected"]


@pytest.mark.parametrize("other", [{"databases": ["shop"]}, {}])
def test_another_part_or_the_whole_is_something_else(tmp_path: Path, archive: Path, other: dict[str, Any]) -> None:
    part: dict[str, Any] = {"tables": ["shop.orders"]}
    for name, first, second in (("one", part, other), ("two", other, part)):
        wanted: dict[str, Any] = {"src": archive, "dest": tmp_path / name}
        assert call(**wanted, **first, force=True)["changed"]
        for check in (True, False):
            refused = call(check=check, fails=True, **wanted, **second)
            assert refused["error"]["code"] == "target_not_empty"
        assert call(**wanted, **second, force=True)["changed"]
        assert not call(**wanted, **second)["changed"]


def test_a_damaged_part_is_not_taken_for_what_is_wanted(tmp_path: Path, archive: Path) -> None:
    wanted: dict[str, Any] = {"src": archive, "dest": tmp_path / "dest", "tables": ["shop.orders"]}
    call(**wanted)
    (tmp_path / "dest" / "shop" / "orders.ibd").unlink()
    assert call(fails=True, **wanted)["error"]["code"] == "target_not_empty"


def test_a_part_of_an_archive_of_another_tool(tmp_path: Path) -> None:
    files = {"shop/t.ibd": b"page", "shop/u.ibd": b"u", "xtrabackup_checkpoints": b"", "xtrabackup_info": b""}
    (tmp_path / "stock").write_bytes(raw_archive(files, None))
    done = predicted_then_done(
        src=tmp_path / "stock", dest=tmp_path / "dest", require_manifest=False, tables=["shop.t"]
    )
    assert done["selected"] == {"files": 1, "bytes": None, "stored_bytes": 4}
    assert tree(tmp_path / "dest") == {"shop/t.ibd": b"page"}


def test_a_listing_shows_what_is_selected(archive: Path) -> None:
    answer = call(state="listed", src=archive, tables=["shop.orders"])
    assert [entry["path"] for entry in answer["entries"]] == ["shop/orders.frm", "shop/orders.ibd"]
    stored = sum(entry["stored_bytes"] for entry in answer["entries"])
    assert answer["selected"] == {"files": 2, "bytes": SIZE, "stored_bytes": stored}
    whole = call(state="listed", src=archive, databases=[])
    assert "selected" not in whole
    assert (answer["manifest"], answer["backup"]) == (whole["manifest"], whole["backup"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"state": "verified", "src": "/x"},
        {"state": "created", "src": "/x", "dest": "/y"},
        {"listen": {"port": 1, "tls": {"credentials": "/x"}}, "dest": "/x/y"},
    ],
)
def test_only_an_archive_has_parts(arguments: dict[str, Any]) -> None:
    refused = call(fails=True, databases=["shop"], **arguments)
    assert refused["error"]["code"] == "invalid_option"
    assert refused["error"]["details"] == {"option": "databases"}


@pytest.mark.parametrize("check", [True, False])
def test_what_is_not_in_the_archive_is_said_before_anything_is_written(
    tmp_path: Path, archive: Path, check: bool
) -> None:
    for state in ("listed", "extracted"):
        refused = call(check=check, fails=True, state=state, src=archive, dest=tmp_path / "dest", tables=["shop.order"])
        assert refused["error"]["details"]["missing"] == {"tables": ["shop.order"]}
        assert "there is shop.orders" in refused["msg"]
    assert os.listdir(tmp_path) == ["archive"]


def test_a_part_is_known_as_one_and_used_as_no_backup(tmp_path: Path, archive: Path) -> None:
    # with all that tells of the backup, and yet not the whole of it
    call(src=archive, dest=tmp_path / "dest", files=["xtrabackup_*", "shop/**"])
    facts, record = describe_path(tmp_path / "dest")
    assert (facts["kind"], facts["state"], facts["complete"], facts["files"]) == ("backup", "partial", False, 5)
    assert "selected files" in facts["problem"]
    assert record is not None
    assert record["id"] == "backup-1"
    with pytest.raises(BackupPartial, match="selected files") as caught:
        read_backup_directory(tmp_path / "dest")
    assert "without databases, tables and files" in caught.value.remedy
    refused = call(fails=True, state="created", src=tmp_path / "dest", dest=tmp_path / "made")
    assert refused["error"]["code"] == "backup_partial"


def test_a_part_of_an_encrypted_archive_needs_the_key(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files(), key=SECRET)
    (tmp_path / "key").write_bytes(SECRET)
    (tmp_path / "key").chmod(0o600)
    wanted: dict[str, Any] = {"src": tmp_path / "archive", "dest": tmp_path / "dest", "databases": ["shop"]}
    assert call(fails=True, **wanted)["error"]["code"] == "decryption_failed"
    assert predicted_then_done(**wanted, decrypt={"key_file": str(tmp_path / "key")})["selected"]["files"] == 3
