# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that somebody else has made runs, or makes files, as the owner or the group that root gives it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Copier, CopyTask, Ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.ownership import resolve_ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.restore.conftest import Host

NOBODY = 65534
OTHER = 65533
BITS = stat.S_ISUID | stat.S_ISGID
KEPT = {"x.key": 0o6755, "sticky.pem": 0o1644, ".ssh/id": 0o4711, "tls/ca.pem": 0o2750}


def theirs(host: Host) -> None:
    """A data directory of another account, with programs of it at names of the host's own files."""
    host.datadir.mkdir()
    for name, mode in KEPT.items():
        path = host.datadir / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a program")
        os.chown(path, NOBODY, NOBODY)
        path.chmod(mode)
    for name in (".", ".ssh", "tls"):
        os.chown(host.datadir / name, NOBODY, NOBODY)
        (host.datadir / name).chmod(0o6711)


def modes(host: Host, names: list[str]) -> dict[str, int]:
    return {name: stat.S_IMODE((host.datadir / name).stat().st_mode) for name in names}


@pytest.mark.parametrize("owner", ["0", str(OTHER), str(NOBODY)])
def test_a_kept_file_has_no_setuid(host: Host, owner: str) -> None:
    theirs(host)
    host.options["log_bin"] = "logs/bin"
    ownership, top_mode = resolve_ownership(host.datadir, None, owner, owner, None)
    host.restore(ownership=ownership, top_mode=top_mode, force=True)
    assert modes(host, [*KEPT]) == {name: mode & 0o777 for name, mode in KEPT.items()}
    # a directory keeps what only its owner and its group get by it, and these are the same
    same = owner == str(NOBODY)
    assert modes(host, [".", ".ssh", "tls"]) == dict.fromkeys([".", ".ssh", "tls"], 0o6711 if same else 0o711)


def test_a_directory_for_logs_that_is_made_like_the_old_one_has_no_setgid(host: Host) -> None:
    theirs(host)
    (host.datadir / "logs").mkdir()
    os.chown(host.datadir / "logs", NOBODY, NOBODY)
    (host.datadir / "logs").chmod(0o2777)
    host.options["log_bin"] = "logs/bin"
    host.restore(ownership=Ownership(0, 0), force=True)
    assert modes(host, ["logs"]) == {"logs": 0o777}


def test_a_copy_of_a_backup_s_file_has_no_setuid(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"a program")
    source.chmod(0o6755)
    Copier(None, Progress("test"), sync=False).copy(CopyTask(source, target))
    assert not target.stat().st_mode & BITS
