# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepared backups of either family that are to be restored, and hosts that they are restored on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Union

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression

from . import datasets, mysql_datasets
from .backups import options_for, take
from .checksums import TableState, definitions, table_states
from .mysql import SERVER_PROGRAM, MySQLServer
from .mysql_backups import coordinates
from .servers import DatabaseServer, MariaDBServer, OptionValue

RESTORE = "xtrabackup_restore"
# five bytes for each character in the names of their files
LONG_NAME, LONG_FAR_NAME = "表" * 50, "遠" * 50
Options = dict[str, Union[OptionValue, bool]]


@dataclass(frozen=True)
class Prepared:
    """A prepared backup, what its tables and definitions are, and the server that it was taken from (stopped).

    ``far``: a directory outside the data directory, where some of its tables were and must come back to; it is not
    there. ``archive``: a backup of the same data that is not prepared. MariaDB's has neither.
    """

    path: Path
    tables: dict[str, TableState]
    definitions: dict[str, list[dict[str, Any]]]
    source: DatabaseServer
    record: dict[str, Any]
    far: Path
    archive: Path

    def copy(self, workdir: Path, name: str = "ready") -> Path:
        """A copy of it."""
        subprocess.run(["cp", "-a", str(self.path), str(workdir / name)], check=True)
        return workdir / name


def names(path: Path) -> list[str]:
    """What is below ``path``."""
    return sorted(str(one.relative_to(path)) for one in path.rglob("*"))


class Restoring:
    """What is restored of one family, and on which hosts; families are subclasses."""

    family: ClassVar[Family]
    program: ClassVar[dict[str, str]] = {}  # options of the module
    redo_name: ClassVar[str]  # in a directory of redo logs
    places: ClassVar[tuple[str, ...]]  # directories of a host that has everything in another place
    own_places: ClassVar[tuple[str, ...]]  # those of them that the host makes itself
    kills: ClassVar[tuple[int, int]]  # of how many restores, how many times each at most
    layout: ClassVar[Options] = {"innodb_data_file_path": "ibdata1:12M;ibdata2:20M:autoextend"}

    def options(self, host: DatabaseServer, source: Path, **more: Any) -> dict[str, Any]:
        """The module's options for a restore of ``source`` on ``host``."""
        return {"src": str(source), "defaults_file": str(host.option_file), **self.program, **more}

    def recovery(self) -> PrepareOptions:
        """By the server of this family."""
        return PrepareOptions(server_program=self.program.get("server_program"))

    def take_and_prepare(self, server: DatabaseServer, target: Path) -> dict[str, Any]:
        """A prepared backup of ``server``; returns its record."""
        take(server, target)
        return prepare(target, None, self.recovery(), Progress("prepare")).record

    def make(self, place: Path) -> Prepared:
        """Make a backup in the new directory ``place``."""
        raise NotImplementedError

    def create_zoo(self, server: DatabaseServer, database: str = "zoo") -> None:
        """A database with tables of every kind."""
        raise NotImplementedError

    def host_options(self, prepared: Prepared) -> Options:
        """Of a server that has everything where servers have it by default."""
        raise NotImplementedError

    def alone_options(self) -> Options:
        """Of a server that has everything in its data directory."""
        return {}

    def spread_options(self, prepared: Prepared, workdir: Path) -> Options:
        """Of a server that wants every kind of file in another place, which are below ``workdir``."""
        raise NotImplementedError

    def make_places(self, workdir: Path) -> None:
        """The directories of such a server that must be there."""
        for name in self.own_places:
            (workdir / name).mkdir(exist_ok=True)

    def files_in_places(self, prepared: Prepared, workdir: Path) -> dict[Path, list[str]]:
        """What is in them after a restore."""
        raise NotImplementedError

    def create_other_data(self, server: DatabaseServer, prepared: Prepared) -> None:
        """Data that somebody else may need still, in all places of a server that has everything in another place."""
        self.create_zoo(server, "other")

    def kept_of_others(self) -> set[str]:
        """What there is of them at the least, when they are kept."""
        raise NotImplementedError

    def prove(self, host: DatabaseServer, prepared: Prepared) -> None:
        """Start a server on what was restored: it holds what the source held. It is stopped again."""
        with host:
            self._prove_identity(host, prepared)
            assert table_states(host) == prepared.tables
            assert definitions(host) == prepared.definitions

    def _prove_identity(self, host: DatabaseServer, prepared: Prepared) -> None:
        """Before tables are opened."""


class RestoringMariaDB(Restoring):
    family = Family.MARIADB
    redo_name = "ib_logfile0"
    places = ("system", "redo", "undo", "aria", "log")
    own_places = ("log",)
    kills = (10, 1)

    def make(self, place: Path) -> Prepared:
        source = MariaDBServer(place / "source", {"innodb_undo_tablespaces": 3})
        with source:
            self.create_zoo(source)
            datasets.create_big(source, 100)
            source.execute(
                "CREATE DATABASE nothing_in_it",
                f"CREATE TABLE zoo.{LONG_NAME} (id INT PRIMARY KEY) ENGINE=InnoDB",
                f"INSERT INTO zoo.{LONG_NAME} VALUES (1)",
            )
            record = self.take_and_prepare(source, place / "ready")
            tables, defined = table_states(source), definitions(source)
        nowhere = place / "nowhere"
        return Prepared(place / "ready", tables, defined, source, record, far=nowhere, archive=nowhere)

    def create_zoo(self, server: DatabaseServer, database: str = "zoo") -> None:
        datasets.create_zoo(server, database)

    def host_options(self, prepared: Prepared) -> Options:
        return {"innodb_undo_tablespaces": 3}

    def alone_options(self) -> Options:
        return {"innodb_undo_tablespaces": 3}

    def spread_options(self, prepared: Prepared, workdir: Path) -> Options:
        return {
            "innodb_undo_tablespaces": 3,
            "innodb_data_home_dir": str(workdir / "system"),
            "innodb_log_group_home_dir": str(workdir / "redo"),
            "innodb_undo_directory": str(workdir / "undo"),
            "aria_log_dir_path": str(workdir / "aria"),
            "log_bin": str(workdir / "log" / "binlog"),
        }

    def files_in_places(self, prepared: Prepared, workdir: Path) -> dict[Path, list[str]]:
        return {
            workdir / "redo": ["ib_logfile0"],
            workdir / "system": ["ibdata1"],
            workdir / "aria": ["aria_log.00000001", "aria_log_control"],
            workdir / "undo": ["undo001", "undo002", "undo003"],
        }

    def kept_of_others(self) -> set[str]:
        return {"data", "ib_logfile0"}


class RestoringMySQL(Restoring):
    family = Family.MYSQL
    program: ClassVar[dict[str, str]] = {"server_program": str(SERVER_PROGRAM)}
    redo_name = "#innodb_redo"
    places = ("system", "redo", "undo", "log", "doublewrite")
    own_places = ("system", "redo", "log", "doublewrite")
    kills = (2, 2)

    def make(self, place: Path) -> Prepared:
        far = place / "far"
        far.mkdir()
        # directories of logs and temporary files in the data directory, which look like databases
        own = {"log_bin": "logs/binlog", "tmpdir": str(place / "source" / "data" / "scratch")}
        source = MySQLServer(
            place / "source", {"innodb_directories": str(far), "innodb_redo_log_capacity": "16M", **own}
        )
        source.initialise()
        for name in ("logs", "scratch"):
            (source.datadir / name).mkdir()
        with source:
            self.create_zoo(source)
            source.execute(
                "CREATE DATABASE nothing_in_it",
                "CREATE DATABASE shop",
                f"CREATE TABLE shop.far (id INT PRIMARY KEY) DATA DIRECTORY = '{far}'",
                f"INSERT INTO shop.far SELECT seq FROM {source.numbers(1000)}",
                f"CREATE TABLE shop.{LONG_NAME} (id INT PRIMARY KEY)",
                f"INSERT INTO shop.{LONG_NAME} VALUES (1)",
                f"CREATE TABLE shop.{LONG_FAR_NAME} (id INT PRIMARY KEY) DATA DIRECTORY = '{far}'",
                f"CREATE TABLESPACE several ADD DATAFILE '{far}/several.ibd'",
                "CREATE TABLE shop.shared (id INT PRIMARY KEY) TABLESPACE several",
                "INSERT INTO shop.shared VALUES (1), (2)",
                "CREATE UNDO TABLESPACE more ADD DATAFILE 'more.ibu'",
                "CREATE EVENT shop.hourly ON SCHEDULE EVERY 1 HOUR STARTS '2037-01-01' DO DELETE FROM shop.far",
            )
            archive = place / "full.xbstream"
            sink = ArchiveSink(archive, compress=Compression("zstd", 1, 2))
            job.take_backup(options_for(source), sink, Progress("backup"))
            record = self.take_and_prepare(source, place / "ready")
            tables, defined = table_states(source), definitions(source)
        # as if the source were another host: what comes back to these places comes from the backup
        far.rename(place / "far-of-the-source")
        return Prepared(place / "ready", tables, defined, source, record, far=far, archive=archive)

    def create_zoo(self, server: DatabaseServer, database: str = "zoo") -> None:
        mysql_datasets.create_zoo(server, database)

    def host_options(self, prepared: Prepared) -> Options:
        return {"innodb_directories": str(prepared.far)}

    def spread_options(self, prepared: Prepared, workdir: Path) -> Options:
        return {
            "innodb_data_home_dir": str(workdir / "system"),
            "innodb_log_group_home_dir": str(workdir / "redo"),
            "innodb_undo_directory": str(workdir / "undo"),
            "innodb_doublewrite_dir": str(workdir / "doublewrite"),
            "innodb_directories": str(prepared.far),
            "log_bin": str(workdir / "log" / "binlog"),
        }

    def files_in_places(self, prepared: Prepared, workdir: Path) -> dict[Path, list[str]]:
        return {
            workdir / "redo": ["#innodb_redo"],
            workdir / "system": ["ibdata1"],
            workdir / "undo": ["more.ibu", "undo_001", "undo_002"],
            prepared.far: ["several.ibd", "shop", f"shop/{'@9060' * 50}.ibd", "shop/far.ibd"],
        }

    def create_other_data(self, server: DatabaseServer, prepared: Prepared) -> None:
        super().create_other_data(server, prepared)
        # tablespaces of the same ids, which a server must not find beside the restored ones
        server.execute(
            "CREATE DATABASE old",
            f"CREATE TABLE old.t (id INT PRIMARY KEY) DATA DIRECTORY = '{prepared.far}'",
            "CREATE UNDO TABLESPACE old ADD DATAFILE 'old.ibu'",
        )

    def kept_of_others(self) -> set[str]:
        return {"data", "#innodb_redo", "ibdata1", "undo_001", "old.ibu", "t.ibd", "#ib_16384_0.dblwr", "binlog.index"}

    def _prove_identity(self, host: DatabaseServer, prepared: Prepared) -> None:
        """GTIDs first: a MEMORY table that a server finds empty is emptied in its binary log."""
        assert isinstance(host, MySQLServer)
        assert coordinates(host).gtid == prepared.record["binlog"]["gtid"]
        assert host.variable("server_uuid") != prepared.record["server"]["server_uuid"]


RESTORING: dict[Family, Restoring] = {Family.MARIADB: RestoringMariaDB(), Family.MYSQL: RestoringMySQL()}


class PreparedBackups:
    """A prepared backup of each family, made when it is asked for first; ``close`` removes them."""

    def __init__(self) -> None:
        self._place = Path(
            tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp"))
        )
        self._place.chmod(0o711)  # a server of another user gets to its tables
        self._found: dict[Family, Prepared] = {}

    def of(self, family: Family) -> Prepared:
        """That of ``family``."""
        if family not in self._found:
            place = self._place / family.value
            place.mkdir(mode=0o711)
            self._found[family] = RESTORING[family].make(place)
        return self._found[family]

    def close(self) -> None:
        """Remove all that was made."""
        for prepared in self._found.values():
            prepared.source.kill()
        shutil.rmtree(self._place, ignore_errors=True)
