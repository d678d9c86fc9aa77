# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of MySQL servers with encrypted tablespaces and with files outside the data directory, and as streams."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import verify_archive
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_mysql_backup import (
    PREPARE,
    before_lock,
    prepared,
    prove,
    replicate,
    start_copy,
)
from ansible_collections.innodb.xtrabackup.tests.support import checksums, datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import Slow, take
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM
from ansible_collections.innodb.xtrabackup.tests.support.mysql_keyring import KeyringMySQLServer


def test_encrypted_tablespaces_and_logs_are_backed_up_and_recovered_with_the_keyring(workdir: Path) -> None:
    encrypted = KeyringMySQLServer.at(workdir / "home")
    options = {"default_table_encryption": "ON", "innodb_redo_log_encrypt": "ON", "innodb_undo_log_encrypt": "ON"}
    keyring = str(workdir / "home" / "keyring")
    with encrypted(workdir / "source", options) as source, WriteLoad(source) as load:
        load.wait_for(100)
        with pytest.raises(XtrabackupError, match="no key"):
            take(source, workdir / "refused")
        take(source, workdir / "backup", keyring_file=keyring)
        ready = workdir / "ready"
        with pytest.raises(XtrabackupError, match="key"):
            prepare(workdir / "backup", ready, PREPARE, Progress("prepare"))
        assert not ready.exists()
        with_keys = PrepareOptions(server_program=str(SERVER_PROGRAM), keyring_file=keyring)
        record = prepare(workdir / "backup", ready, with_keys, Progress("prepare")).record
        copy = encrypted(workdir / "copy", options, server_id=2)
        copy.write_option_file()
        shutil.move(str(ready), copy.datadir)
        with copy.start():
            check_invariants(copy)
            assert copy.value("SELECT @@gtid_executed").replace("\n", "") == record["binlog"]["gtid"]
            replicate(copy, source)
            load.wait_for(50)
            load.stop()
            checksums.wait_until_caught_up(source, copy)
            checksums.assert_tables_equal(source, copy, at_least=3)


def test_tablespaces_outside_the_data_directory_are_in_the_backup_with_their_places(
    make_mysql: MySQLFactory, workdir: Path
) -> None:
    outside, undo = workdir / "outside", workdir / "undo"
    outside.mkdir()
    undo.mkdir()
    source = make_mysql("source", {"innodb_directories": str(outside), "innodb_undo_directory": str(undo)})
    source.execute(
        "CREATE DATABASE d",
        f"CREATE TABLE d.far (a INT PRIMARY KEY) DATA DIRECTORY='{outside}'",
        f"CREATE TABLESPACE general ADD DATAFILE '{outside}/general.ibd'",
        "CREATE TABLE d.shared (a INT PRIMARY KEY) TABLESPACE general",
        f"CREATE UNDO TABLESPACE more ADD DATAFILE '{undo}/more.ibu'",
        "INSERT INTO d.far VALUES (1)",
        "INSERT INTO d.shared VALUES (2)",
    )
    take(source, workdir / "backup")
    for name in ("d/far.ibd", "general.ibd", "more.ibu", "undo_001"):
        assert (workdir / "backup" / name).is_file(), name
    listed = json.loads((workdir / "backup" / "xtrabackup_tablespaces").read_text())["external_tablespaces"]
    assert {entry["file_name"] for entry in listed} == {
        str(outside / "d" / "far.ibd"),
        str(outside / "general.ibd"),
        str(undo / "more.ibu"),
        str(undo / "undo_001"),
        str(undo / "undo_002"),
    }
    prepared(workdir / "backup")


@pytest.mark.slow
def test_undo_tablespaces_that_are_made_truncated_and_dropped_meanwhile_are_those_of_the_instant(
    make_mysql: MySQLFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_mysql("source")
    source.execute(
        "CREATE UNDO TABLESPACE brief ADD DATAFILE 'brief.ibu'",
        "CREATE UNDO TABLESPACE steady ADD DATAFILE 'steady.ibu'",
    )

    def empty(name: str) -> None:
        source.execute(f"ALTER UNDO TABLESPACE {name} SET INACTIVE")
        question = f"SELECT STATE FROM information_schema.INNODB_TABLESPACES WHERE NAME = '{name}'"
        deadline = time.monotonic() + 60
        while source.value(question) != "empty":
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def change() -> None:
        empty("innodb_undo_001")  # truncated: made anew, under another id
        source.execute("ALTER UNDO TABLESPACE innodb_undo_001 SET ACTIVE")
        empty("brief")
        source.execute("DROP UNDO TABLESPACE brief", "CREATE UNDO TABLESPACE late ADD DATAFILE 'late.ibu'")
        # open at the instant, and rolled back in the end
        session.cursor().execute("UPDATE load_test.churn SET payload = REVERSE(payload)")

    with WriteLoad(source, per_second=100) as load, source.session(autocommit=False) as session:
        load.wait_for(100)
        before_lock(monkeypatch, change)
        take(source, workdir / "backup")
        session.rollback()
        names = {path.name for path in (workdir / "backup").glob("*.ibu")}
        assert names == {"steady.ibu", "late.ibu"}
        record = prepared(workdir / "backup")
        copy = prove(make_mysql, source, workdir / "backup", load, record)
    question = "SELECT NAME FROM information_schema.INNODB_TABLESPACES WHERE SPACE_TYPE = 'Undo' ORDER BY NAME"
    assert copy.rows(question) == source.rows(question)


def test_a_session_that_holds_a_transactional_table_does_not_hold_up_the_backup(
    make_mysql: MySQLFactory, workdir: Path
) -> None:
    source = make_mysql("source")
    source.execute(
        "CREATE DATABASE d",
        "CREATE TABLE d.t (a INT PRIMARY KEY)",
        "INSERT INTO d.t VALUES (1)",
        "CREATE TABLE d.m (a INT) ENGINE=MyISAM",
    )
    with source.session() as holding:
        holding.cursor().execute("LOCK TABLES d.t WRITE")
        record = take(source, workdir / "backup", lock_timeout=10)
    assert record["locks"]["tables"] < 5000
    assert record["locks"]["instance"] < 9000
    prepared(workdir / "backup")
    assert start_copy(make_mysql, "copy", workdir / "backup", source).value("SELECT COUNT(*) FROM d.t") == 1


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_stream_holds_what_schema_changes_did_while_it_was_written(
    make_mysql: MySQLFactory, workdir: Path, compression: str | None
) -> None:
    source = make_mysql("source")
    datasets.create_big(source, 60)
    archive = workdir / "full.xbstream"
    with WriteLoad(source, schema_changes=True, per_second=200) as load:
        load.wait_for(50)
        connection = ConnectionParameters(unix_socket=str(source.socket), user="root")
        options = job.BackupOptions(connection=connection, tool_version="0.1.0", throttle=Slow(30 << 20))
        sink = ArchiveSink(archive, compress=Compression(compression) if compression else None)
        job.take_backup(options, sink, Progress("backup"))
        verify_archive(source_at(archive))
        record = prepare(archive, workdir / "ready", PREPARE, Progress("prepare")).record
        prove(make_mysql, source, workdir / "ready", load, record)
