# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup that is damaged never becomes a prepared one, and one that only looks odd does.

The servers themselves go on without a page or a file, and end with status 0.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import prepare as prepare_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import (
    PrepareOptions,
    PrepareResult,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, MariaDBServer

PAGE = 16384
INDEX_PAGE, UNDO_PAGE = 17855, 2
Damage = Callable[[Path], Any]


@dataclass(frozen=True)
class Backup:
    """A backup with a transaction to roll back and rows to purge, all of whose pages are in the data files."""

    flavor: str
    path: Path
    kind: type[DatabaseServer]

    def copy(self, target: Path, *, with_manifest: bool = False) -> Path:
        """A copy of it; without the manifest, so that nothing but recovery can find damage."""
        subprocess.run(["cp", "-a", str(self.path), str(target)], check=True)
        if not with_manifest:
            (target / file_kinds.MANIFEST_NAME).unlink()
        return target

    def prepare(self, directory: Path) -> PrepareResult:
        program = str(SERVER_PROGRAM) if self.flavor == "mysql" else None
        return prepare_module.prepare(directory, None, PrepareOptions(server_program=program), Progress("prepare"))


def _write_all_pages(server: DatabaseServer) -> None:
    server.execute("SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0", "SET GLOBAL innodb_max_dirty_pages_pct = 0")
    deadline = time.monotonic() + 120
    while server.status("Innodb_buffer_pool_pages_dirty") != "0":
        assert time.monotonic() < deadline, "the server did not write its pages"
        time.sleep(0.1)
    if isinstance(server, MySQLServer):
        end = int(server.status("Innodb_redo_log_current_lsn"))
        while int(server.status("Innodb_redo_log_checkpoint_lsn")) < end:
            assert time.monotonic() < deadline, "the server made no checkpoint"
            time.sleep(0.1)


def _fill(server: DatabaseServer) -> None:
    numbers = server.numbers if isinstance(server, MySQLServer) else "seq_1_to_{}".format
    server.execute(
        "CREATE DATABASE pending",
        "USE pending",
        "CREATE TABLE undone (id INT PRIMARY KEY, a VARCHAR(200)) ENGINE=InnoDB",
        f"INSERT INTO undone SELECT seq, REPEAT('a', 150) FROM {numbers(10000)}",
        "CREATE TABLE purged (id INT PRIMARY KEY, a INT, b VARCHAR(100), KEY (a)) ENGINE=InnoDB",
        f"INSERT INTO purged SELECT seq, seq, REPEAT('c', 80) FROM {numbers(10000)}",
        "CREATE TABLE idle (id INT PRIMARY KEY, a VARCHAR(200)) ENGINE=InnoDB",
        f"INSERT INTO idle SELECT seq, REPEAT('i', 150) FROM {numbers(1000)}",
    )
    # all that looks odd and does no harm
    server.execute(
        "CREATE DATABASE con",
        "CREATE TABLE con.prn (id INT PRIMARY KEY) ENGINE=InnoDB",
        "CREATE DATABASE `keyring-encrypt`",
        "CREATE TABLE `keyring-encrypt`.`#1 é` (id INT PRIMARY KEY, a TEXT, FULLTEXT (a)) ENGINE=InnoDB",
        "CREATE TABLE discarded (id INT PRIMARY KEY) ENGINE=InnoDB PARTITION BY HASH (id) PARTITIONS 2",
        "INSERT INTO con.prn VALUES (7)",
        "CREATE TABLE gone (id INT PRIMARY KEY) ENGINE=InnoDB",
        "ALTER TABLE gone DISCARD TABLESPACE",
        database="pending",
    )
    if isinstance(server, MySQLServer):
        server.execute(
            "ALTER TABLE pending.discarded DISCARD PARTITION p1 TABLESPACE",
            "INSERT INTO mysql.component (component_group_id, component_urn) VALUES "
            "(77, 'file://component_encryption_nowhere'), (78, 'file://component_keyring_nowhere')",
        )


@pytest.fixture(name="backup", scope="module", params=["mariadb", "mysql"])
def _backup(request: pytest.FixtureRequest) -> Iterator[Backup]:
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    kind: type[DatabaseServer] = MySQLServer if request.param == "mysql" else MariaDBServer
    source = kind(place / "source")
    try:
        source.start()
        _fill(source)
        source.restart()  # what follows is all the redo that recovery gets
        with source.connect(autocommit=False) as view, source.connect(autocommit=False) as writer:
            with view.cursor() as cursor:
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                cursor.execute("SELECT COUNT(*) FROM pending.purged")
            source.execute("DELETE FROM pending.purged WHERE id > 5000")
            with writer.cursor() as cursor:
                cursor.execute("UPDATE pending.undone SET a = REPEAT('b', 150)")
            _write_all_pages(source)
            login = ConnectionParameters(unix_socket=str(source.socket), user="root")
            sink = DirectorySink(place / "full")
            job.take_backup(job.BackupOptions(connection=login, tool_version="0.1.0"), sink, Progress("backup"))
            source.kill()
        yield Backup(request.param, place / "full", kind)
    finally:
        source.kill()
        shutil.rmtree(place, ignore_errors=True)


def pages(path: Path, page_type: int) -> list[int]:
    """The numbers of the pages of that type in a data file."""
    data = path.read_bytes()
    starts = range(0, len(data), PAGE)
    return [at // PAGE for at in starts if int.from_bytes(data[at + 24 : at + 26], "big") == page_type]


def flip(path: Path, numbers: list[int]) -> None:
    """Change one byte in the middle of each of these pages."""
    assert numbers
    with open(path, "r+b") as file:
        for number in numbers:
            file.seek(number * PAGE + PAGE // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 0xFF]))


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _undo_pages(directory: Path) -> None:
    for name in ("undo_001", "undo_002") if (directory / "undo_001").exists() else ("ibdata1",):
        flip(directory / name, pages(directory / name, UNDO_PAGE)[5::3])


PAGES: dict[str, tuple[Damage, str]] = {
    "rollback": (
        lambda d: flip(d / "pending/undone.ibd", pages(d / "pending/undone.ibd", INDEX_PAGE)[20:22]),
        "undone",
    ),
    "purge": (lambda d: flip(d / "pending/purged.ibd", pages(d / "pending/purged.ibd", INDEX_PAGE)[-8:]), "purged"),
    "undo log": (_undo_pages, ""),
}


@pytest.mark.parametrize("needed_by", PAGES)
def test_a_damaged_page_that_recovery_needs_is_no_warning(backup: Backup, workdir: Path, needed_by: str) -> None:
    damage, table = PAGES[needed_by]
    directory = backup.copy(workdir / "full")
    damage(directory)
    with pytest.raises(XtrabackupError) as caught:
        backup.prepare(directory)
    assert caught.value.code == "page_corrupt"
    assert table in caught.value.details["file"]
    assert "CHECK TABLE" in caught.value.remedy
    # the transaction is gone from the undo log now: another run would find nothing wrong
    with pytest.raises(XtrabackupError) as again:
        backup.prepare(directory)
    assert again.value.code in ("recovery_failed", "page_corrupt")


FILES: dict[str, Damage] = {
    "gone": lambda d: (d / "pending/idle.ibd").unlink(),
    "empty": lambda d: os.truncate(d / "pending/idle.ibd", 0),
    "short": lambda d: os.truncate(d / "pending/idle.ibd", 4 * PAGE),
    "another table's": lambda d: shutil.copyfile(d / "pending/undone.ibd", d / "pending/idle.ibd"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_table_that_recovery_has_no_need_of_is_missed_too(backup: Backup, workdir: Path, what: str) -> None:
    directory = backup.copy(workdir / "full")
    FILES[what](directory)
    with pytest.raises(XtrabackupError) as caught:
        backup.prepare(directory)
    assert caught.value.code in ("backup_incomplete", "page_corrupt", "recovery_failed")
    assert "pending/idle" in caught.value.message
    assert "new backup" in caught.value.remedy
    if what == "gone":
        assert caught.value.code == "backup_incomplete"


def test_a_backup_with_a_manifest_is_verified_before_anything_is_changed(backup: Backup, workdir: Path) -> None:
    directory = backup.copy(workdir / "full", with_manifest=True)
    flip(directory / "pending" / "idle.ibd", [5])
    before = content(directory)
    with pytest.raises(XtrabackupError, match=r"pending/idle\.ibd: other content") as caught:
        backup.prepare(directory)
    assert caught.value.code == "backup_incomplete"
    assert content(directory) == before


def test_what_only_looks_odd_is_prepared_without_a_warning(backup: Backup, workdir: Path) -> None:
    server = backup.kind(workdir / "server")
    server.directory.mkdir()
    backup.copy(server.datadir, with_manifest=True)
    result = backup.prepare(server.datadir)
    assert result.report is not None
    assert result.report.rolled_back == 1
    assert result.warnings == []
    with server.start():
        assert server.value("SELECT id FROM con.prn") == 7
        assert server.value("SELECT COUNT(*) FROM pending.undone WHERE a LIKE 'a%'") == 10000
        assert server.value("SELECT COUNT(*) FROM pending.purged") == 5000
