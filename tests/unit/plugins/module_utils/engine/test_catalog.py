# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is at a place, by what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.catalog import describe_path
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import DATADIR_SIGNS
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.placement import looks_like_datadir


@pytest.mark.parametrize("name", sorted(DATADIR_SIGNS))
def test_a_data_directory_is_one_for_a_restore_and_for_who_only_looks(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    facts, record = describe_path(tmp_path)
    assert (facts["kind"], record) == ("datadir", None)
    assert looks_like_datadir(tmp_path)


def test_other_files_are_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert describe_path(tmp_path)[0]["kind"] == "other"
    assert not looks_like_datadir(tmp_path)
