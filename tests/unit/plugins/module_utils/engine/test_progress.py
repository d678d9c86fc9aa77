# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that a status has while they are measured."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress


def test_a_number_is_in_the_status_as_long_as_it_is_measured(tmp_path: Path) -> None:
    progress = Progress("backup", tmp_path / "status")
    numbers = iter([7, 8])
    progress.measure("redo_behind_bytes", lambda: next(numbers))
    progress.phase("copying")
    assert json.loads((tmp_path / "status").read_bytes())["redo_behind_bytes"] == 7
    assert progress.snapshot()["redo_behind_bytes"] == 8
    progress.measure("redo_behind_bytes", None)
    assert "redo_behind_bytes" not in progress.snapshot()
    progress.close()
