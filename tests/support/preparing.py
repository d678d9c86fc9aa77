# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of busy servers of either family that are to be prepared, and what they must hold then."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ClassVar

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    RecoveryIncomplete,
    RedoCorrupt,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import prepare as prepare_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import (
    PrepareOptions,
    PrepareResult,
)

from .backups import take
from .checksums import TableState, table_states
from .datasets import create_zoo
from .load import AS_FAST_AS_IT_CAN, WriteLoad
from .mysql import SERVER_PROGRAM, MySQLServer
from .mysql_backups import Coordinates, backup_of_killed, coordinates
from .servers import DatabaseServer, MariaDBServer

ROWS_TO_UNDO = 30_000
PAGE = 16384
FOREIGN, OURS = "foreign", "ours"  # who made a backup
AnyServerFactory = Callable[..., DatabaseServer]


@dataclass(frozen=True)
class Backup:
    """A backup of a server under load, and what its tables hold once somebody else has recovered it.

    ``where``: the coordinates that recovery finds in its binary log, where the backup has one.
    """

    path: Path
    tables: dict[str, TableState]
    where: Coordinates | None = None

    def copy(self, target: Path) -> Path:
        """A copy of it."""
        return copy_of(self.path, target)

    def without_manifest(self, target: Path) -> Path:
        """A copy whose damage only recovery can find."""
        self.copy(target)
        (target / file_kinds.MANIFEST_NAME).unlink(missing_ok=True)
        return target


def copy_of(source: Path, target: Path) -> Path:
    """Copy the directory ``source``; returns ``target``."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


def content(directory: Path) -> dict[str, tuple[int, str]]:
    """Size and digest of every file below ``directory``."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with open(path, "rb", buffering=0) as source:
                found[str(path.relative_to(directory))] = manifest.digest_file(source)
    return found


def stock(*arguments: str) -> str:
    """Run mariadb-backup; returns what it says."""
    finished = subprocess.run(["mariadb-backup", *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return finished.stderr


class Preparing:
    """What is prepared of one family, and by which server; families are subclasses."""

    family: ClassVar[Family]
    kind: ClassVar[type[DatabaseServer]]
    program: ClassVar[dict[str, str]] = {}  # options of the module
    program_name: ClassVar[str]
    settings: ClassVar[dict[str, dict[str, Any]]]  # of sources
    start_options: ClassVar[list[str]] = []  # that the log tells more
    left_to_start: ClassVar[tuple[str, ...]]  # the log's words for what recovery has to do
    xid: ClassVar[Any]  # of the transaction that is prepared
    damaged_log: ClassVar[type[XtrabackupError]]
    missing_table: ClassVar[str]  # the pattern of what says that pending.touched is not there
    kills: ClassVar[dict[bool, tuple[int, int]]]  # in place or not: of how many backups, how many times each

    @property
    def redo_name(self) -> str:
        """The redo log in a backup."""
        return self.family.facts.redo_name

    def prepare(self, source: Path, target: Path | None = None, **options: Any) -> PrepareResult:
        """Prepare ``source`` by the engine, with the server of this family."""
        progress = options.pop("progress", None) or Progress("prepare")
        return prepare_module.prepare(source, target, PrepareOptions(**{**self.program, **options}), progress)

    def started_on(self, server: DatabaseServer, directory: Path) -> DatabaseServer:
        """Start ``server`` on a copy of the prepared ``directory``, which stays as it is."""
        server.stop()
        shutil.rmtree(server.datadir, ignore_errors=True)
        server.directory.mkdir(parents=True, exist_ok=True)
        copy_of(directory, server.datadir)
        server.error_log.unlink(missing_ok=True)
        return server.start(extra=self.start_options)

    def states_of(self, server: DatabaseServer, directory: Path) -> dict[str, TableState]:
        """What ``server`` finds in the prepared ``directory``."""
        with self.started_on(server, directory):
            return table_states(server)

    def make(self, place: Path) -> dict[str, Backup]:
        """Backups by who made them, of a server with transactions that are open; ``place`` is a new directory."""
        raise NotImplementedError

    def backup_under_load(self, source: DatabaseServer, target: Path) -> Coordinates | None:
        """Make a backup of ``source`` while it is written to; returns the coordinates that the backup must have."""
        raise NotImplementedError

    def backups_of_idle(self, source: DatabaseServer, place: Path) -> list[Path]:
        """Backups of ``source``, which does nothing."""
        raise NotImplementedError

    def damage_touched(self, directory: Path) -> None:
        """Damage a page of pending.touched that recovery reads, and what it could be made from again."""
        raise NotImplementedError

    def occupied(self, make: AnyServerFactory, backup: Backup) -> Path:
        """The directory of a backup, on which a server runs."""
        raise NotImplementedError


class PreparingMariaDB(Preparing):
    """Hot backups by the stock tool and by us; the stock tool's prepare tells what is right."""

    family = Family.MARIADB
    kind = MariaDBServer
    program_name = "mariadbd"
    settings: ClassVar[dict[str, dict[str, Any]]] = {
        "4k": {"innodb_page_size": "4k"},
        "64k": {"innodb_page_size": "64k"},
        "lower_case": {"lower_case_table_names": 1, "innodb_checksum_algorithm": "strict_crc32"},
        "own": {"innodb_data_file_path": "ibdata1:12M;ibdata2:20M:autoextend", "innodb_undo_tablespaces": 2},
    }
    left_to_start = ("Rolled back recovered transaction", "Starting crash recovery")
    xid = b"x"
    damaged_log = RecoveryIncomplete
    missing_table = r"pending/touched\.ibd"
    kills: ClassVar[dict[bool, tuple[int, int]]] = {True: (12, 1), False: (12, 1)}

    def make(self, place: Path) -> dict[str, Backup]:
        source = MariaDBServer(place / "source", {"innodb_undo_tablespaces": 3, "innodb_log_file_size": "96M"})
        reference = MariaDBServer(place / "reference", server_id=9)
        try:
            source.start()
            create_zoo(source)
            source.execute(
                "CREATE DATABASE pending",
                "USE pending",
                "CREATE TABLE pending.rows_of_one (id INT PRIMARY KEY, a VARCHAR(200)) ENGINE=InnoDB",
                f"INSERT INTO pending.rows_of_one SELECT seq, REPEAT('a', 150) FROM seq_1_to_{ROWS_TO_UNDO}",
                "CREATE TABLE pending.prepared_one (id INT PRIMARY KEY) ENGINE=InnoDB",
                "CREATE TABLE pending.touched (id INT PRIMARY KEY, a INT) ENGINE=InnoDB",
                "INSERT INTO pending.touched SELECT seq, 0 FROM seq_1_to_200",
            )
            source.restart()  # a checkpoint: what the log holds from the first page on, recovery makes anew
            with source.session() as open_one, source.session() as prepared_one:
                with open_one.cursor() as cursor:
                    cursor.execute("BEGIN")
                    cursor.execute("UPDATE pending.rows_of_one SET a = REPEAT('b', 180)")
                with prepared_one.cursor() as cursor:
                    for statement in ("START 'x'", "END 'x'", "PREPARE 'x'"):
                        cursor.execute(f"XA {statement}")
                        if statement.startswith("START"):
                            cursor.execute("INSERT INTO pending.prepared_one VALUES (1)")
                with WriteLoad(source, payload=800, per_second=AS_FAST_AS_IT_CAN) as load, _touching(source):
                    load.wait_for(500)
                    _take_by_stock(source, place / FOREIGN)
                    load.wait_for(200)
                    take(source, place / OURS)
            source.kill()
            found = {}
            for name in (FOREIGN, OURS):
                stock("--prepare", f"--target-dir={copy_of(place / name, place / 'prepared')}")
                found[name] = Backup(place / name, self.states_of(reference, place / "prepared"))
                shutil.rmtree(place / "prepared")
            return found
        finally:
            source.kill()
            reference.kill()

    def backup_under_load(self, source: DatabaseServer, target: Path) -> Coordinates | None:
        with WriteLoad(source) as load:
            load.wait_for(200)
            take(source, target)
        return None

    def backups_of_idle(self, source: DatabaseServer, place: Path) -> list[Path]:
        take(source, place / OURS)
        _take_by_stock(source, place / FOREIGN)
        return [place / OURS, place / FOREIGN]

    def damage_touched(self, directory: Path) -> None:
        with open(directory / "pending" / "touched.ibd", "r+b") as table:
            table.seek(3 * PAGE)
            table.write(os.urandom(PAGE))
        with open(directory / "ibdata1", "r+b") as system:
            # the doublewrite buffer, from which the server may restore the page
            system.seek(64 * PAGE)
            system.write(bytes(128 * PAGE))

    def occupied(self, make: AnyServerFactory, backup: Backup) -> Path:
        user = make("user", start=False)
        take(make("source"), user.datadir)
        user.start()
        return user.datadir


class PreparingMySQL(Preparing):
    """The data directory of a server that died, as Percona's tool writes it; its own recovery tells what is right."""

    family = Family.MYSQL
    kind = MySQLServer
    program: ClassVar[dict[str, str]] = {"server_program": str(SERVER_PROGRAM)}
    program_name = "mysqld"
    settings: ClassVar[dict[str, dict[str, Any]]] = {
        "4k": {"innodb_page_size": "4k"},
        "64k": {"innodb_page_size": "64k", "innodb_data_file_path": "ibdata1:12M;ibdata2:20M:autoextend"},
        "lower_case": {"lower_case_table_names": 1, "gtid_mode": False, "enforce_gtid_consistency": False},
        "own": {"skip_log_bin": None, "log_bin": False},
    }
    start_options: ClassVar[list[str]] = ["--log-error-verbosity=3"]
    left_to_start = ("Rolling back trx", "Starting crash recovery", "moved")
    xid = "x"
    damaged_log = RedoCorrupt
    missing_table = "tablespace ID"
    kills: ClassVar[dict[bool, tuple[int, int]]] = {True: (4, 2), False: (2, 1)}

    def make(self, place: Path) -> dict[str, Backup]:
        """Open transactions to roll back, one that is prepared, and one that only the binary log tells to be
        committed."""
        source = MySQLServer(place / "source", {"innodb_flush_log_at_trx_commit": 1})
        try:
            source.start()
            source.execute(
                "CREATE DATABASE pending",
                "CREATE TABLE pending.rows_of_one (id INT PRIMARY KEY, a VARCHAR(200))",
                f"INSERT INTO pending.rows_of_one SELECT seq, REPEAT('a', 150) FROM {source.numbers(ROWS_TO_UNDO)}",
                "CREATE TABLE pending.prepared_one (id INT PRIMARY KEY)",
                "CREATE TABLE pending.last_one (id INT PRIMARY KEY)",
                "CREATE TABLE pending.touched (id INT PRIMARY KEY, a INT)",
                f"INSERT INTO pending.touched SELECT seq, 0 FROM {source.numbers(200)}",
            )
            source.restart()  # a checkpoint: what the log holds from the first page on, recovery makes anew
            opened, undecided = source.connect(autocommit=False), source.connect()
            with opened.cursor() as cursor:
                cursor.execute("UPDATE pending.rows_of_one SET a = REPEAT('b', 151)")
            with undecided.cursor() as cursor:
                for statement in ("XA START 'x'", "INSERT INTO pending.prepared_one VALUES (1)", "XA END 'x'"):
                    cursor.execute(statement)
                cursor.execute("XA PREPARE 'x'")
            with WriteLoad(source) as load:
                load.wait_for(300)
                source.execute("UPDATE pending.touched SET a = a + 1")
            last = source.connect()
            with last.cursor() as cursor:
                cursor.execute("INSERT INTO pending.last_one VALUES (1)")
            source.kill()
            # its end is what the server's own recovery finds
            dead = copy_of(source.datadir, place / "dead")
            source.start()
            gtid, tables = coordinates(source).gtid, table_states(source)
            source.kill()
            where = Coordinates("binlog.000002", (dead / "binlog.000002").stat().st_size, gtid)
            shutil.rmtree(source.datadir)
            dead.rename(source.datadir)
            return {FOREIGN: Backup(backup_of_killed(source, place / FOREIGN, where), tables, where)}
        finally:
            source.kill()

    def backup_under_load(self, source: DatabaseServer, target: Path) -> Coordinates | None:
        assert isinstance(source, MySQLServer)
        with WriteLoad(source) as load:
            load.wait_for(200)
        where = coordinates(source) if "skip_log_bin" not in source.options else None
        source.kill()
        backup_of_killed(source, target, where)
        return where

    def backups_of_idle(self, source: DatabaseServer, place: Path) -> list[Path]:
        assert isinstance(source, MySQLServer)
        where = coordinates(source)
        source.kill()
        return [backup_of_killed(source, place / FOREIGN, where)]

    def damage_touched(self, directory: Path) -> None:
        with open(directory / "pending" / "touched.ibd", "r+b") as table:
            table.seek(4 * PAGE)
            table.write(os.urandom(PAGE))

    def occupied(self, make: AnyServerFactory, backup: Backup) -> Path:
        user = make("user")
        for name in ("xtrabackup_checkpoints", "xtrabackup_info", "backup-my.cnf"):
            shutil.copy(backup.path / name, user.datadir / name)
        return user.datadir


PREPARING: dict[Family, Preparing] = {Family.MARIADB: PreparingMariaDB(), Family.MYSQL: PreparingMySQL()}


class Made:
    """The backups of each family, made below ``place`` when they are asked for first."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._found: dict[Family, dict[str, Backup]] = {}

    def of(self, family: Family, origin: str | None = None) -> Backup:
        """That of ``origin``; by default ours, where there is one."""
        if family not in self._found:
            place = self._place / family.value
            place.mkdir()
            self._found[family] = PREPARING[family].make(place)
        found = self._found[family]
        return found[origin] if origin else found.get(OURS, found[FOREIGN])


def _take_by_stock(server: DatabaseServer, target: Path) -> None:
    stock("--backup", f"--socket={server.socket}", "--user=root", f"--target-dir={target}")


@contextlib.contextmanager
def _touching(server: MariaDBServer) -> Iterator[None]:
    """Change every page of a table again and again, so that each log holds changes to pages that were there before."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(0.02):
            server.execute("UPDATE pending.touched SET a = a + 1")

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
