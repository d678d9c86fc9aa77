# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links and pipes in a data directory: those that servers and administrators make are followed, no others are."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.timeline import MariadbBackup
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.timeline import MysqlBackup
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnsafeFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

Factory = Callable[..., DatabaseServer]
SECRET = b"root:$6$ a secret of root's that is in no backup"
INTRUDER = 65534


@pytest.fixture(params=("mariadb", "mysql"))
def make(request: pytest.FixtureRequest, make_server: ServerFactory, make_mysql: MySQLFactory) -> Factory:
    """What makes servers, of each family in turn."""
    return make_server if request.param == "mariadb" else make_mysql


@pytest.fixture(name="secret")
def _secret(workdir: Path) -> Path:
    path = workdir / "secrets" / "shadow"
    path.parent.mkdir()
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


def refused(server: DatabaseServer, dest: Path, named: str) -> None:
    """A backup ends with an error that names ``named``, and leaves nothing."""
    with pytest.raises(UnsafeFile, match=named) as caught:
        take(server, dest)
    assert caught.value.remedy
    assert SECRET.decode() not in caught.value.message
    assert not dest.exists()
    assert not [path for path in dest.parent.iterdir() if path.name.startswith(f"{dest.name}.")]


@contextlib.contextmanager
def planted(path: Path, plant: Callable[[Path], Any]) -> Iterator[None]:
    """For the block something else is at ``path``; what is there waits meanwhile."""
    aside = path.with_name(f"{path.name}-aside")
    if path.exists():
        path.rename(aside)
    plant(path)
    try:
        yield
    finally:
        path.unlink()
        if aside.exists():
            aside.rename(path)


def test_a_backup_takes_nothing_that_planted_links_and_pipes_lead_to(
    make: Factory, workdir: Path, secret: Path
) -> None:
    source = make("source")
    source.execute(
        "CREATE DATABASE d",
        "CREATE TABLE d.t (id INT PRIMARY KEY)",
        "CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE=MyISAM",
    )
    named_alike = secret.with_name("alike.MYD")
    named_alike.write_bytes(SECRET)
    database, dest = source.datadir / "d", workdir / "backup"

    with planted(database / "x.MYD", lambda path: path.symlink_to(secret)):
        refused(source, dest, r"d/x\.MYD is a symbolic link to .*shadow, which is not followed: .*of another name")
    with planted(database / "x.MYI", os.mkfifo):
        refused(source, dest, r"d/x\.MYI is not a regular file but a FIFO")
    with planted(database / "x.ibd", lambda path: path.symlink_to(secret)):
        refused(source, dest, r"d/x\.ibd is a symbolic link")
    with planted(source.datadir / "ibdata1", lambda path: path.symlink_to(secret)):
        refused(source, dest, r"ibdata1 is a symbolic link")
    with planted(database / "x.CSV", lambda path: path.symlink_to(secret.with_name("x.CSV"))):
        secret.with_name("x.CSV").write_bytes(SECRET)
        refused(source, dest, r"d/x\.CSV is a symbolic link")
    with planted(database / "far", lambda path: path.symlink_to(secret.parent)):
        take(source, dest)  # no directory of databases, and none in a database
        shutil.rmtree(dest)

    # what belongs to somebody else than the data directory
    os.chown(source.datadir, INTRUDER, -1)
    try:
        with planted(database / named_alike.name, lambda path: path.symlink_to(named_alike)):
            refused(source, dest, r"alike\.MYD belongs to uid 0, and the data directory to uid 65534")
        with planted(database / "x.MYD", lambda path: path.hardlink_to(secret)):
            refused(source, dest, r"d/x\.MYD is a hard link to a file that belongs to uid 0")
        with planted(source.datadir / "theirs", lambda path: path.symlink_to(secret.parent)):
            refused(source, dest, r"theirs is a symbolic link to .*secrets, which is not followed")
        (database / "placed.MYD").write_bytes(b"put there by an administrator")
        take(source, dest)
        assert (dest / "d/placed.MYD").is_file()
    finally:
        os.chown(source.datadir, 0, -1)


def test_logs_that_were_replaced_by_links_are_not_followed(
    make: Factory, workdir: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("source")
    if source.flavor == "mariadb":
        for name in ("aria_log.00000001", "ib_logfile0", "aria_log_control"):
            real = source.datadir / name
            shutil.copy(real, secret.with_name(name))
            with planted(real, lambda path: path.symlink_to(secret.with_name(path.name))):
                refused(source, workdir / "backup", rf"{name} is a symbolic link")
        return
    copy_binlog = MysqlBackup._copy_binlog

    def replaced(run: MysqlBackup, binlog: Any) -> None:
        path = source.datadir / binlog.file
        shutil.copy(path, secret.with_name(path.name))
        with planted(path, lambda path: path.symlink_to(secret.with_name(path.name))):
            copy_binlog(run, binlog)

    monkeypatch.setattr(MysqlBackup, "_copy_binlog", replaced)
    refused(source, workdir / "backup", r"binlog\.\d+ is a symbolic link")


def test_a_file_that_becomes_a_link_while_the_backup_runs_is_not_followed(
    make: Factory, workdir: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("source")
    source.execute("CREATE DATABASE d", "CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE=MyISAM")
    kind = MariadbBackup if source.flavor == "mariadb" else MysqlBackup
    list_files = kind._plain_files
    path = source.datadir / "d" / "m.MYD"

    def swapped(run: Any) -> Any:
        found = list_files(run)
        if not path.is_symlink():
            path.rename(workdir / "m.MYD")
            path.symlink_to(secret)
        return found

    monkeypatch.setattr(kind, "_plain_files", swapped)
    refused(source, workdir / "backup", r"d/m\.MYD is a symbolic link")


def test_links_that_servers_and_administrators_make_are_in_the_backup(make: Factory, workdir: Path) -> None:
    source = make("source")
    far, disk = workdir / "far", workdir / "disk"
    far.mkdir()
    disk.mkdir()
    owner = source.datadir.stat().st_uid
    for place in (far, disk):
        os.chown(place, owner, -1)
    source.execute("CREATE DATABASE d", "CREATE DATABASE crm")
    engines = ["MyISAM", "Aria"] if source.flavor == "mariadb" else ["MyISAM"]
    for engine in engines:
        source.execute(f"CREATE TABLE d.{engine} (id INT PRIMARY KEY) ENGINE={engine} {_elsewhere(source, far)}")
    source.execute(
        "CREATE TABLE d.moved (id INT PRIMARY KEY) ENGINE=MyISAM",
        "CREATE TABLE crm.t (id INT PRIMARY KEY)",
        "CREATE TABLE crm.m (id INT PRIMARY KEY) ENGINE=MyISAM",
    )
    tables = [*(f"d.{engine}" for engine in engines), "d.moved", "crm.t", "crm.m"]
    for table in tables:
        source.execute(f"INSERT INTO {table} VALUES (1), (2), (3)")
    source.stop()
    for name in ("moved.MYD", "moved.MYI"):
        (source.datadir / "d" / name).rename(far / name)
        (source.datadir / "d" / name).symlink_to(far / name)
    (source.datadir / "crm").rename(disk / "crm")
    (source.datadir / "crm").symlink_to(disk / "crm")
    source.start()

    take(source, workdir / "backup")
    copy = make("copy", start=False)
    options = PrepareOptions() if copy.flavor == "mariadb" else PrepareOptions(server_program=str(SERVER_PROGRAM))
    prepare(workdir / "backup", None, options, Progress("prepare"))
    assert not [path for path in (workdir / "backup").rglob("*") if path.is_symlink()]
    shutil.move(str(workdir / "backup"), copy.datadir)
    copy.start()
    for table in tables:
        assert copy.value(f"SELECT SUM(id) FROM {table}") == 6, table
    checksums.assert_tables_equal(source, copy, at_least=len(tables))


def _elsewhere(server: DatabaseServer, place: Path) -> str:
    return f"DATA DIRECTORY='{place}' INDEX DIRECTORY='{place}'" if server.flavor == "mariadb" else ""
