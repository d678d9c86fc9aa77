# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping the modules' code on a host, and running modules from it, as Ansible runs the file there."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.plugin_utils import remote_engine
from ansible_collections.innodb.xtrabackup.tests.support.engine_on_host import DIGEST, ENCODED, call, kept
from ansible_collections.innodb.xtrabackup.tests.support.streams import make_archive


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return tmp_path / "xtrabackup" / "engine"


def test_code_is_asked_for_once_and_a_module_runs_from_it(root: Path, tmp_path: Path) -> None:
    archive = tmp_path / "b.xbstream"
    make_archive(archive, {"a": b"1"})
    task = {"arguments": {"src": str(archive), "dest": str(tmp_path / "out"), "state": "extracted"}}
    assert call(root, task) == {"changed": False, "xtrabackup_engine": {"state": "missing"}}
    assert not root.parent.exists()
    # odd characters arrive as they were sent
    odd = {"arguments": {"src": str(tmp_path / "'''\"\"\" \\ \u00e9 \U0001f600\n"), "dest": "/x"}, "code": ENCODED}
    assert "\U0001f600" in call(root, odd)["msg"]
    predicted = call(root, {**task, "_ansible_check_mode": True})
    assert predicted["changed"], predicted
    assert not (tmp_path / "out").exists()
    assert call(root, task)["changed"]
    assert (tmp_path / "out" / "a").read_bytes() == b"1"
    assert not call(root, task)["changed"]


def test_code_from_before_the_last_start_of_the_host_is_not_used(root: Path) -> None:
    call(root, {"arguments": {}, "code": ENCODED})
    (kept(root) / "complete").write_text("another boot")
    (kept(root) / "ansible" / "__init__.py").write_text("torn by a power cut")
    assert call(root, {"arguments": {}})["xtrabackup_engine"] == {"state": "missing"}
    assert "state is required" not in call(root, {"arguments": {}, "code": ENCODED}).get("exception", "")
    assert (kept(root) / "ansible" / "__init__.py").read_text().startswith("__version__")
    assert sorted(path.name for path in root.iterdir()) == [kept(root).name]


def test_three_versions_are_kept_and_those_in_use(root: Path) -> None:
    call(root, {"arguments": {}, "code": ENCODED})
    for number in range(4):
        (root / f"old{number}").mkdir()
        os.utime(root / f"old{number}", (number, number))
    used = os.open(root / "old0", os.O_RDONLY)
    fcntl.flock(used, fcntl.LOCK_SH)
    (kept(root) / "complete").write_text("")
    call(root, {"arguments": {}, "code": ENCODED})
    os.close(used)
    assert sorted(path.name for path in root.iterdir()) == sorted([kept(root).name, "old0", "old2", "old3"])


def test_the_code_is_the_same_for_the_same_files_and_complete() -> None:
    names = [name for name, _content in remote_engine.code_files()]
    assert len(names) == len(set(names))
    assert remote_engine.pack()[0] == DIGEST
    plugins = "ansible_collections/innodb/xtrabackup/plugins"
    assert {f"{plugins}/module_utils/remote_jobs.py", f"{plugins}/modules/xbstream.py"} <= set(names)


def test_a_module_that_prints_the_answer_of_another_one_does_nothing_after_it(root: Path, tmp_path: Path) -> None:
    job = tmp_path / "run" / "jobs" / "backup-1"
    job.mkdir(parents=True)
    (job / "run").write_text("1\nr1\n")
    (job / "result").write_text('{"changed": true}')
    task = {"module": "xtrabackup_job", "arguments": {"id": "backup-1", "run_dir": str(tmp_path / "run")}}
    # nothing is written to standard error either, see call
    assert call(root, {**task, "code": ENCODED}) == {"changed": True}


def test_the_search_path_of_the_login_is_kept(root: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "sitecustomize.py").write_text(
        f"import atexit, sys\natexit.register(lambda: open({str(tmp_path / 'path')!r}, 'w').write(repr(sys.path)))\n"
    )
    call(root, {"arguments": {}, "code": ENCODED}, PYTHONPATH=str(tmp_path / "more"))
    assert str(tmp_path / "more") in (tmp_path / "path").read_text()
