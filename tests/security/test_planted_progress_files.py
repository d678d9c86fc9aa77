# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that somebody plants where a job of root's is going to write its progress file."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress


@pytest.mark.parametrize("name", ["job.json.new", "job.json"])
@pytest.mark.parametrize("kind", ["symbolic", "hard", "dangling", "fifo"])
def test_a_link_planted_at_the_progress_file_leads_nowhere(tmp_path: Path, name: str, kind: str) -> None:
    victim, directory = tmp_path / "victim", tmp_path / "everybodys"
    directory.mkdir()
    if kind != "dangling":
        victim.write_text("precious", encoding="utf-8")
    planted = directory / name
    if kind == "hard":
        planted.hardlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(planted)
    else:
        planted.symlink_to(victim)
    progress = Progress("backup", directory / "job.json")
    progress.phase("copying", 100)
    assert json.loads((directory / "job.json").read_text(encoding="utf-8"))["phase"] == "copying"
    assert stat.S_ISREG(os.lstat(directory / "job.json").st_mode)
    assert victim.exists() is (kind != "dangling")
    assert kind == "dangling" or victim.read_text(encoding="utf-8") == "precious"
    progress.close()
    assert {path.name for path in directory.iterdir()} == ({name} - {"job.json"})


def test_no_new_version_of_the_file_has_a_name_that_can_be_foreseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    replace = os.replace

    def note(source: str, target: str) -> None:
        seen.append(os.path.basename(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", note)
    progress = Progress("backup", tmp_path / "job.json")
    for number in range(5):
        progress.phase(f"phase {number}")
    assert len(set(seen)) == 5


def test_a_name_of_the_greatest_length_has_a_progress_file_too(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    Progress("backup", path).phase("copying")
    assert path.is_file()
    assert len(list(tmp_path.iterdir())) == 1
