# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module xbstream and the holes of page-compressed tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.tests.support.streams import page_compressed, tree, write_backup
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.modules.test_xbstream import call, predicted_then_done

TABLESPACE = page_compressed(300)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A backup that has lost its holes."""
    write_backup(DirectorySink(tmp_path / "backup"), {"d/t.ibd": TABLESPACE, "xtrabackup_info": b"uuid = 1\n"})
    return tmp_path / "backup"


@pytest.mark.parametrize("sparse", [True, False])
def test_a_directory_is_packed_once_and_unpacked_with_holes(tmp_path: Path, directory: Path, sparse: bool) -> None:
    archive, dest = tmp_path / "archive", tmp_path / "dest"
    predicted_then_done(state="created", src=directory, dest=archive, sparse=sparse)
    assert list_archive(source_at(archive)).sparse is sparse
    assert (archive.stat().st_size < len(TABLESPACE)) is sparse
    predicted_then_done(src=archive, dest=dest)
    assert tree(dest) == tree(directory)
    assert (dest / "d" / "t.ibd").stat().st_blocks * 512 < len(TABLESPACE) * 0.7


def test_sparse_chunks_are_allowed_by_who_asks_for_them_and_forbidden_by_who_does_not(
    tmp_path: Path, directory: Path
) -> None:
    plain: dict[str, Any] = {"state": "created", "src": directory, "dest": tmp_path / "archive"}
    assert call(**plain)["changed"]
    assert not call(**plain, sparse=True)["changed"]
    assert call(**plain, sparse=True, force=True)["changed"] is False
    (tmp_path / "archive").unlink()
    assert call(**plain, sparse=True)["changed"]
    for check in (True, False):
        assert call(check=check, fails=True, **plain)["error"]["code"] == "target_not_empty"
    assert call(**plain, force=True)["changed"]
    assert not call(**plain)["changed"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"state": "created", "src": "/x", "compress": {"algorithm": "zstd"}}, "has no holes"),
        ({"state": "extracted", "src": "/x"}, "state: created only"),
        ({"state": "created", "listen": {"port": 1, "plain": True}}, "sparse: what is received"),
    ],
    ids=["compressed", "extracted", "received"],
)
@pytest.mark.parametrize("check", [True, False])
def test_sparse_is_refused_where_it_means_nothing(
    tmp_path: Path, arguments: dict[str, Any], text: str, check: bool
) -> None:
    failed = call(check=check, fails=True, dest=tmp_path / "dest", sparse=True, **arguments)
    assert text in failed["msg"]
    assert failed["error"]["details"]["option"] == "sparse"
    assert not list(tmp_path.iterdir())
