# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that somebody plants where a job of root's is going to write its progress file, or the log beside it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import job_log
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import StreamError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress


def plant(planted: Path, kind: str, victim: Path) -> Path:
    """Put at ``planted`` a FIFO, or a link of this ``kind`` to ``victim``, which is there unless the link dangles."""
    if kind != "dangling":
        victim.write_text("precious", encoding="utf-8")
    if kind == "hard":
        planted.hardlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(planted)
    else:
        planted.symlink_to(victim)
    return planted


def assert_untouched(victim: Path, kind: str) -> None:
    """The file is as ``plant`` has left it."""
    assert victim.exists() is (kind != "dangling")
    assert kind == "dangling" or victim.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("name", ["job.json.new", "job.json"])
@pytest.mark.parametrize("kind", ["symbolic", "hard", "dangling", "fifo"])
def test_a_link_planted_at_the_progress_file_leads_nowhere(tmp_path: Path, name: str, kind: str) -> None:
    victim, directory = tmp_path / "victim", tmp_path / "everybodys"
    directory.mkdir()
    plant(directory / name, kind, victim)
    progress = Progress("backup", directory / "job.json")
    progress.phase("copying", 100)
    assert json.loads((directory / "job.json").read_text(encoding="utf-8"))["phase"] == "copying"
    assert stat.S_ISREG(os.lstat(directory / "job.json").st_mode)
    assert_untouched(victim, kind)
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


@pytest.mark.parametrize("kind", ["symbolic", "hard", "dangling", "fifo"])
def test_a_link_planted_at_the_log_of_a_job_leads_nowhere(tmp_path: Path, kind: str) -> None:
    victim, directory = tmp_path / "victim", tmp_path / "everybodys"
    directory.mkdir()
    planted = plant(directory / "job.json.log", kind, victim)
    with pytest.raises(StreamError), job_log.kept_beside(directory / "job.json"):
        raise StreamError("broken")
    assert "broken" in planted.read_text(encoding="utf-8")
    assert stat.S_ISREG(os.lstat(planted).st_mode)
    assert stat.S_IMODE(os.lstat(planted).st_mode) == 0o600
    assert_untouched(victim, kind)
    assert [path.name for path in directory.iterdir()] == ["job.json.log"]


def test_a_file_that_took_the_place_of_the_log_stays(tmp_path: Path) -> None:
    with job_log.kept_beside(tmp_path / "job.json"):
        (tmp_path / "job.json.log").unlink()
        (tmp_path / "job.json.log").write_text("of somebody else", encoding="utf-8")
    assert (tmp_path / "job.json.log").read_text(encoding="utf-8") == "of somebody else"


def test_a_log_beside_a_name_of_the_greatest_length(tmp_path: Path) -> None:
    with pytest.raises(StreamError), job_log.kept_beside(tmp_path / ("ü" * 127)):
        raise StreamError("broken")
    (log,) = tmp_path.iterdir()
    assert log.name.endswith(".log")
