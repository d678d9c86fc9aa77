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
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM
from ansible_collections.innodb.xtrabackup.tests.support.mysql_backups import backup_of_killed, coordinates

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


@pytest.mark.parametrize("owner", ["root", "mysql"])
def test_a_redo_log_of_mariadb_that_names_a_file_outside(
    make_server: ServerFactory, workdir: Path, far: Path, owner: str
) -> None:
    source = make_server("source", {"innodb_log_file_size": "96M"})
    source.execute(
        "CREATE DATABASE shop",
        "USE shop",
        f"CREATE TABLE shop.t (id INT PRIMARY KEY, a CHAR(200)) ENGINE=InnoDB DATA DIRECTORY='{far}'",
        f"INSERT INTO shop.t SELECT seq, 'a' FROM seq_1_to_{ROWS}",
    )
    source.restart()  # a checkpoint: the log of the backup has nothing of what was before
    old = (far / "shop" / "t.ibd").read_bytes()
    source.execute("UPDATE shop.t SET a = REPEAT('b', 200)")
    full = workdir / "full"
    subprocess.run(
        ["mariadb-backup", "--backup", f"--socket={source.socket}", "--user=root", f"--target-dir={full}"],
        check=True,
        capture_output=True,
    )
    source.kill()
    (full / "shop" / "t.isl").unlink()
    (full / "shop" / "t.ibd").unlink()
    (far / "shop" / "t.ibd").write_bytes(old)
    before = for_everybody(far)
    subprocess.run(["chown", "-R", f"{owner}:", str(full)], check=True)
    with contextlib.suppress(XtrabackupError):
        prepare(full, None, PrepareOptions(), Progress("prepare"))
    assert state_of(far) == before


@pytest.mark.parametrize("owner", ["root", "mysql"])
def test_a_redo_log_and_a_dictionary_of_mysql_that_name_a_file_outside(
    make_mysql: MySQLFactory, workdir: Path, far: Path, owner: str
) -> None:
    source = make_mysql("source", {"innodb_directories": str(far)})
    source.execute(
        "CREATE DATABASE shop",
        f"CREATE TABLE shop.t (id INT PRIMARY KEY, a CHAR(200)) DATA DIRECTORY = '{far}'",
        f"INSERT INTO shop.t SELECT seq, 'a' FROM {source.numbers(ROWS)}",
    )
    source.restart()
    old = (far / "shop" / "t.ibd").read_bytes()
    source.execute("UPDATE shop.t SET a = REPEAT('b', 200)")
    where = coordinates(source)
    source.kill()
    full = backup_of_killed(source, workdir / "full", where)
    for path in full.rglob("t.ibd"):
        path.unlink()
    (full / "xtrabackup_tablespaces").write_text(json.dumps({"version": 2, "external_tablespaces": []}))
    (far / "shop" / "t.ibd").write_bytes(old)
    before = for_everybody(far)
    subprocess.run(["chown", "-R", f"{owner}:", str(full)], check=True)
    with contextlib.suppress(XtrabackupError):
        prepare(full, None, PrepareOptions(server_program=str(SERVER_PROGRAM)), Progress("prepare"))
    assert state_of(far) == before
