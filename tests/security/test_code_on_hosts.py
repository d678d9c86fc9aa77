# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The code of modules and the directories of jobs on a host: nobody else can change what root runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils import remote_jobs
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import TargetUnsafe
from ansible_collections.innodb.xtrabackup.tests.support.engine_on_host import ENCODED, call, kept


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return tmp_path / "xtrabackup" / "engine"


def test_nothing_is_kept_or_run_where_others_can_write(root: Path) -> None:
    call(root, {"arguments": {}, "code": ENCODED})
    for directory in (kept(root), root, root.parent):
        directory.chmod(0o777)
        reason = call(root, {"arguments": {}, "code": ENCODED})["xtrabackup_engine"]
        assert (reason["state"], str(directory) in reason["why"]) == ("refused", True)
        directory.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(root, 65534, 65534)
        assert call(root, {"arguments": {}})["xtrabackup_engine"]["state"] == "refused"


def test_nothing_is_imported_from_the_directory_that_the_login_has_left(root: Path, tmp_path: Path) -> None:
    planted = tmp_path / "home"
    planted.mkdir()
    for name in ("json.py", "base64.py", "fcntl.py", "ansible.py"):
        (planted / name).write_text("raise SystemExit('planted')")
    assert "src, listen" in call(root, {"arguments": {}, "code": ENCODED}, cwd=planted)["msg"]


@pytest.mark.parametrize("place", ["run", "run/jobs"])
def test_no_job_starts_in_a_directory_that_others_can_change(tmp_path: Path, place: str) -> None:
    root = tmp_path / "run" / "jobs"
    remote_jobs.make_root(root)
    remote_jobs.make_root(root)
    (tmp_path / place).chmod(0o777)
    with pytest.raises(TargetUnsafe, match="is no directory that only this user can change"):
        remote_jobs.make_root(root)
    (tmp_path / place).chmod(0o755)
    if os.geteuid() == 0:
        os.chown(tmp_path / place, 65534, 65534)
        with pytest.raises(TargetUnsafe):
            remote_jobs.make_root(root)
