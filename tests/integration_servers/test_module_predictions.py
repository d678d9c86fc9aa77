# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup's way through all modules: each predicts in check mode what it then does, and does it once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module


def done_once(module: str, options: dict[str, Any], *, changes: bool = True) -> None:
    """Check mode touches nothing and tells what the run then does; after it there is nothing to do in either mode."""
    predicted, done, again, after = (
        run_module(module, options, check=check, diff=True) for check in (True, False, False, True)
    )
    assert predicted["changed"] is done["changed"] is changes
    assert predicted["diff"] == done["diff"]
    assert (done["diff"]["before"] != done["diff"]["after"]) is changes
    for later in (again, after):
        assert later["changed"] is False
        assert later["diff"]["before"] == later["diff"]["after"] == done["diff"]["after"]


@pytest.mark.slow
def test_each_module_does_what_it_predicts_and_does_it_once(make_server: ServerFactory, workdir: Path) -> None:
    login = make_server().login()
    backup, archive, packed = str(workdir / "backup"), str(workdir / "archive.xb"), str(workdir / "packed.xb")
    unpacked, ready = str(workdir / "unpacked"), str(workdir / "ready")
    unpack = {"state": "extracted", "src": archive, "dest": unpacked}
    done_once("xtrabackup_backup", {**login, "dest": backup})
    done_once("xtrabackup_backup", {**login, "dest": archive, "format": "xbstream", "compress": {"algorithm": "zstd"}})
    done_once("xbstream", unpack)
    done_once("xbstream", {"state": "created", "src": backup, "dest": packed})
    for state in ("listed", "verified"):
        done_once("xbstream", {"state": state, "src": archive}, changes=False)
    done_once("xtrabackup_prepare", {"src": backup, "target_dir": ready})
    done_once("xtrabackup_prepare", {"src": unpacked})
    # the tasks before are still fulfilled
    assert run_module("xbstream", unpack)["changed"] is False
    done_once("xtrabackup_restore", {"src": ready, "datadir": str(workdir / "one" / "data")})
    done_once("xtrabackup_restore", {"src": archive, "datadir": str(workdir / "two" / "data")})
    done_once("xtrabackup_restore", {"src": unpacked, "datadir": str(workdir / "three" / "data"), "method": "move"})
