# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups whose redo log and dictionary name files outside, which everybody may write: recovery does not get there."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import AnyServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_backups import backup_of_killed, coordinates
from ansible_collections.innodb.xtrabackup.tests.support.preparing import PREPARING, stock
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

ROWS = 2000


@pytest.fixture(name="far", params=["/var/tmp", "/dev/shm"])
def _far(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory for everybody: below what the server does not see at all, and in what it sees and cannot write."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=request.param))
    place.chmod(0o777)
    yield place
    shutil.rmtree(place)


def for_everybody(directory: Path) -> dict[Path, tuple[bytes, int, int]]:
    """Let everybody write all that is in ``directory``; what is there now."""
    for path in directory.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    return state_of(directory)


def state_of(directory: Path) -> dict[Path, tuple[bytes, int, int]]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in files}


def backup_without_its_table(source: DatabaseServer, full: Path) -> None:
    """Make a backup of ``source``, which is ended, in the new directory ``full``, and take the table out of it."""
    if isinstance(source, MySQLServer):
        where = coordinates(source)
        source.kill()
        backup_of_killed(source, full, where)
        (full / "xtrabackup_tablespaces").write_text(json.dumps({"version": 2, "external_tablespaces": []}))
    else:
        stock("--backup", f"--socket={source.socket}", "--user=root", f"--target-dir={full}")
        source.kill()
        (full / "shop" / "t.isl").unlink()
    paths = list(full.rglob("t.ibd"))
    assert paths
    for path in paths:
        path.unlink()


@pytest.mark.parametrize("owner", ["root", "mysql"])
@pytest.mark.parametrize("family", list(Family), ids=[family.value for family in Family])
def test_a_redo_log_and_a_dictionary_that_name_a_file_outside(
    make_any: AnyServerFactory, workdir: Path, far: Path, family: Family, owner: str
) -> None:
    options = {
        Family.MARIADB: {"innodb_log_file_size": "96M"},
        Family.MYSQL: {"innodb_directories": str(far)},
    }
    source = make_any("source", options[family])
    source.execute(
        "CREATE DATABASE shop",
        "USE shop",
        f"CREATE TABLE shop.t (id INT PRIMARY KEY, a CHAR(200)) ENGINE=InnoDB DATA DIRECTORY='{far}'",
        f"INSERT INTO shop.t SELECT seq, 'a' FROM {source.numbers(ROWS)}",
    )
    source.restart()  # a checkpoint: the log of the backup has nothing of what was before
    old = (far / "shop" / "t.ibd").read_bytes()
    source.execute("UPDATE shop.t SET a = REPEAT('b', 200)")
    full = workdir / "full"
    backup_without_its_table(source, full)
    (far / "shop" / "t.ibd").write_bytes(old)
    before = for_everybody(far)
    subprocess.run(["chown", "-R", f"{owner}:", str(full)], check=True)
    with contextlib.suppress(XtrabackupError):
        PREPARING[family].prepare(full)
    assert state_of(far) == before
