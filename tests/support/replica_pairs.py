# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers of one family with the data of one server, as a restore leaves them, for tests of xtrabackup_replica."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family

from .mysql import MySQLServer
from .playbook import run_module
from .servers import DatabaseServer, MariaDBServer

PASSWORD = "sesam-open-me"
OTHER_UUID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


@dataclass(frozen=True)
class Stopped:
    """The data directory of a server that was shut down, and its GTIDs."""

    datadir: Path
    gtid: str

    def restore_to(self, datadir: Path) -> None:
        """Copy it as a restore does: no identity, no binary logs."""
        shutil.copytree(self.datadir, datadir, ignore=shutil.ignore_patterns("auto.cnf", "binlog.*"))


@dataclass(frozen=True)
class Pair:
    """A source with data, and a server that holds the same data and does not replicate yet; families are subclasses."""

    source: DatabaseServer
    replica: DatabaseServer
    gtid: str

    kind: ClassVar[type[DatabaseServer]]
    defaults: ClassVar[dict[str, Any]] = {}  # options of the module
    statements: ClassVar[list[str]]  # the first words of those that make a fresh restore a replica
    word: ClassVar[str]  # in statements: START REPLICA
    source_word: ClassVar[str]  # in columns: Source_Host
    channel_column: ClassVar[str]
    kept_columns: ClassVar[tuple[str, ...]]
    status_statement: ClassVar[str]
    log_statement: ClassVar[str]
    threads_statement: ClassVar[str]
    position_key: ClassVar[str]  # in the module's result
    unreachable: ClassVar[str]  # a position that is never reached
    using_gtid: ClassVar[str]
    errno_purged: ClassVar[int]
    errno_same_id: ClassVar[int]
    record: ClassVar[dict[str, Any]] = {}  # of a backup, beside its coordinates

    def options(self, **changes: Any) -> dict[str, Any]:
        """The module's options for a replica of the source."""
        return {
            **self.replica.login(),
            "source_host": "127.0.0.1",
            "source_port": self.source.port,
            "source_user": "repl",
            "source_password": PASSWORD,
            **self.defaults,
            "coordinates": {"gtid": self.gtid},
            **changes,
        }

    def run(self, *, fails: bool = False, check: bool = False, **changes: Any) -> dict[str, Any]:
        """Run the module; whatever happens, neither its output nor the server's log may hold the password."""
        result = run_module("xtrabackup_replica", self.options(**changes), fails=fails, check=check, diff=True)
        without_invocation = {name: value for name, value in result.items() if name != "invocation"}
        assert PASSWORD not in json.dumps(without_invocation)
        assert PASSWORD not in self.replica.log_text()
        return result

    def change(self, **changes: Any) -> dict[str, Any]:
        """Check mode, the run and a second run: the same prediction, the change, then nothing."""
        before = self.channel()
        predicted = self.run(check=True, **changes)
        assert self.channel() == before
        done = self.run(**changes)
        assert predicted["changed"] is done["changed"] is True
        assert predicted["diff"] == done["diff"]
        assert predicted["statements"] == done["statements"]
        again = self.run(**changes)
        assert again["changed"] is False
        assert again["statements"] == []
        assert again["diff"]["before"] == again["diff"]["after"]
        return done

    def rows(self) -> list[dict[str, Any]]:
        """What the replica says of its channels."""
        return self.replica.rows(self.status_statement)

    def channel(self, name: str = "") -> dict[str, Any] | None:
        """What identifies the channel and its threads on the server itself."""
        for row in self.rows():
            if row[self.channel_column] == name:
                return {key: row[key] for key in self.kept_columns}
        return None

    def threads(self) -> list[int]:
        """Ids of the replication threads: they change when a channel is restarted."""
        return sorted(row["id"] for row in self.replica.rows(self.threads_statement))

    @classmethod
    def position_of(cls, server: DatabaseServer) -> str:
        """The GTIDs that are in ``server``, which is a source."""
        raise NotImplementedError

    def reached(self) -> str:
        """The GTIDs that the replica has got to."""
        raise NotImplementedError

    def log_position(self, server: DatabaseServer | None = None) -> dict[str, Any]:
        """Coordinates by file and position: where the binary log of ``server`` (the source) ends."""
        row = (server or self.source).rows(self.log_statement)[0]
        return {"file": row["File"], "position": row["Position"]}

    def write_record(self, place: Path, binlog: dict[str, Any]) -> None:
        """Put the marker of a restore with these coordinates into ``place``."""
        record = {"id": "b1", **self.record, "binlog": binlog, "replication": []}
        place.write_text(json.dumps({"id": "b1", "backup": record}))

    def without_log(self, *statements: str) -> None:
        """Run ``statements`` on the replica, unknown to its binary log and its GTIDs."""
        self.replica.execute("SET SESSION sql_log_bin = 0", *statements)


class MariaDBPair(Pair):
    kind = MariaDBServer
    statements: ClassVar[list[str]] = ["SET", "CHANGE", "START"]
    word = "SLAVE"
    source_word = "Master"
    channel_column = "Connection_name"
    kept_columns = (
        "Master_Host", "Master_Port", "Master_User", "Using_Gtid", "Connect_Retry",
        "Slave_IO_Running", "Slave_SQL_Running",
    )  # fmt: skip
    status_statement = "SHOW ALL SLAVES STATUS"
    log_statement = "SHOW MASTER STATUS"
    threads_statement = "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Slave_IO', 'Slave_SQL')"
    position_key = "gtid_slave_pos"
    unreachable = "0-1-999999"
    using_gtid = "Slave_Pos"
    errno_purged = 1236
    errno_same_id = 1593

    @classmethod
    def position_of(cls, server: DatabaseServer) -> str:
        return str(server.value("SELECT @@gtid_current_pos"))

    def reached(self) -> str:
        return str(self.replica.value("SELECT @@gtid_slave_pos"))


class MySQLPair(Pair):
    """Over TLS, which MySQL's usual accounts want."""

    kind = MySQLServer
    defaults: ClassVar[dict[str, Any]] = {"source_ssl": True}
    statements: ClassVar[list[str]] = ["CHANGE", "START"]
    word = "REPLICA"
    source_word = "Source"
    channel_column = "Channel_Name"
    kept_columns = (
        "Source_Host", "Source_Port", "Source_User", "Auto_Position", "Connect_Retry",
        "Replica_IO_Running", "Replica_SQL_Running",
    )  # fmt: skip
    status_statement = "SHOW REPLICA STATUS"
    log_statement = "SHOW BINARY LOG STATUS"
    threads_statement = (
        "SELECT THREAD_ID AS id FROM performance_schema.threads WHERE NAME IN "
        "('thread/sql/replica_io', 'thread/sql/replica_sql', 'thread/sql/slave_io', 'thread/sql/slave_sql')"
    )
    position_key = "gtid_executed"
    unreachable = f"{OTHER_UUID}:1-9"
    using_gtid = "Auto_Position"
    errno_purged = 13114
    errno_same_id = 13117
    record: ClassVar[dict[str, Any]] = {"server": {"flavor": "mysql"}}

    @classmethod
    def position_of(cls, server: DatabaseServer) -> str:
        return "".join(str(server.value("SELECT @@GLOBAL.gtid_executed")).split())

    def reached(self) -> str:
        return self.position_of(self.replica)


PAIRS: dict[Family, type[Pair]] = {Family.MARIADB: MariaDBPair, Family.MYSQL: MySQLPair}


@contextlib.contextmanager
def stopped_server(family: Family) -> Iterator[Stopped]:
    """The data of a source, in a place that is removed afterwards: table shop.t with two rows, account repl."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    pair = PAIRS[family]
    try:
        with pair.kind(place / "server") as server:
            server.execute(
                "CREATE DATABASE shop",
                "CREATE TABLE shop.t (a INT PRIMARY KEY, b VARCHAR(20))",
                "INSERT INTO shop.t VALUES (1, 'one'), (2, 'two')",
            )
            server.create_account("repl", PASSWORD, "REPLICATION SLAVE")
            gtid = pair.position_of(server)
        yield Stopped(server.datadir, gtid)
    finally:
        shutil.rmtree(place, ignore_errors=True)
