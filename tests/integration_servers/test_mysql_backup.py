# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a MySQL server under write load, proven by using them: prepare, start, replicate, compare every table."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql import timeline
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.dictionary import read_dictionary
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    LockTimeout,
    MissingPrivilege,
    PageCorrupt,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.locks import MysqlLocks
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums, datasets, mysql_datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import Slow, take
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

_CARRIED = (
    "innodb_data_file_path",
    "innodb_page_size",
    "lower_case_table_names",
    "innodb_directories",
    "gtid_mode",
    "enforce_gtid_consistency",
)
PREPARE = PrepareOptions(server_program=str(SERVER_PROGRAM))


def prepared(directory: Path) -> dict[str, Any]:
    result = prepare(directory, None, PREPARE, Progress("prepare"))
    assert result.changed
    assert not prepare(directory, None, PREPARE, Progress("prepare")).changed
    return result.record


def start_copy(make_mysql: MySQLFactory, name: str, directory: Path, source: DatabaseServer) -> MySQLServer:
    """Start a server of its own on the prepared ``directory``."""
    copy = make_mysql(name, {option: source.options.get(option, False) for option in _CARRIED}, start=False)
    shutil.move(str(directory), copy.datadir)
    return copy.start()


def replicate(copy: DatabaseServer, source: DatabaseServer, place: str = "SOURCE_AUTO_POSITION=1") -> None:
    """Let ``copy`` follow ``source`` from where its data are."""
    source.create_account("repl", "repl-secret", "REPLICATION SLAVE")
    copy.execute(
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={source.port}, SOURCE_USER='repl', "
        f"SOURCE_PASSWORD='repl-secret', GET_SOURCE_PUBLIC_KEY=1, {place}",
        "START REPLICA",
    )


def prove(
    make_mysql: MySQLFactory, source: MySQLServer, directory: Path, load: WriteLoad, record: dict[str, Any]
) -> MySQLServer:
    """The copy keeps the load's invariants, holds exactly the transactions that the backup says, catches up while the
    load goes on, and equals the source after it."""
    copy = start_copy(make_mysql, "copy", directory, source)
    directory = copy.datadir
    check_invariants(copy, load.database)
    held = copy.value("SELECT @@gtid_executed").replace("\n", "")
    assert held == record["binlog"]["gtid"]
    assert (directory / "xtrabackup_binlog_info").read_text().split() == [
        record["binlog"]["file"],
        str(record["binlog"]["position"]),
        held,
    ]
    assert f"GTID of the last change '{held}'" in (directory / "xtrabackup_info").read_text()
    replicate(copy, source)
    load.wait_for(50)
    load.stop()
    checksums.wait_until_caught_up(source, copy)
    checksums.assert_tables_equal(source, copy, at_least=3)
    return copy


@pytest.mark.parametrize(("flush_log", "sync_binlog"), [(0, 0), (1, 1), (2, 0)])
def test_a_backup_under_load_is_consistent_at_every_durability_setting(
    make_mysql: MySQLFactory, workdir: Path, flush_log: int, sync_binlog: int
) -> None:
    source = make_mysql(
        "source", {"innodb_flush_log_at_trx_commit": flush_log, "sync_binlog": sync_binlog, "binlog_format": "ROW"}
    )
    with WriteLoad(source, threads=8, step_engines=("MyISAM",)) as load:
        load.wait_for(200)
        take(source, workdir / "backup")
        record = prepared(workdir / "backup")
        prove(make_mysql, source, workdir / "backup", load, record)


def test_every_kind_of_table_and_definition_is_in_the_backup(make_mysql: MySQLFactory, workdir: Path) -> None:
    source = make_mysql("source", {"innodb_directories": str(workdir / "elsewhere")})
    mysql_datasets.create_zoo(source)
    before = checksums.table_states(source)
    with WriteLoad(source) as load:
        load.wait_for(100)
        take(source, workdir / "backup")
        record = prepared(workdir / "backup")
        copy = prove(make_mysql, source, workdir / "backup", load, record)
    checksums.assert_definitions_equal(source, copy)
    after = checksums.table_states(copy)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("lock_ddl", ["reduced", "on"])
def test_schema_changes_while_files_are_copied_are_in_the_backup(
    make_mysql: MySQLFactory, workdir: Path, lock_ddl: str
) -> None:
    source = make_mysql("source")
    datasets.create_big(source, 100)
    with WriteLoad(source, schema_changes=True) as load:
        load.wait_for(100)
        record = take(source, workdir / "backup", throttle=Slow(50 << 20), lock_ddl=lock_ddl)
        assert record["locks"]["instance"] > (1500 if lock_ddl == "on" else 1)
        record = prepared(workdir / "backup")
        prove(make_mysql, source, workdir / "backup", load, record)
    assert load.report is not None
    assert load.report.schema_changes > 5


def test_an_index_that_is_built_while_its_table_is_copied_is_in_the_backup(
    make_mysql: MySQLFactory, workdir: Path
) -> None:
    source = make_mysql("source")
    datasets.create_big(source, 60, tables=1)
    source.execute("CREATE TABLE big.later (a INT PRIMARY KEY)")
    built = threading.Thread(
        target=source.execute, args=("ALTER TABLE big.t0 ADD INDEX made (k), ADD INDEX also (text), ALGORITHM=INPLACE",)
    )
    taken: dict[str, Any] = {}
    backup = threading.Thread(
        target=lambda: taken.update(take(source, workdir / "backup", throttle=Slow(10 << 20), parallel=1))
    )
    backup.start()
    time.sleep(1)
    built.start()
    built.join(60)
    backup.join(120)
    assert taken["locks"]["instance"] > 0
    prepared(workdir / "backup")
    copy = start_copy(make_mysql, "copy", workdir / "backup", source)
    checksums.assert_tables_equal(source, copy)
    assert copy.rows("CHECK TABLE big.t0 EXTENDED")[0]["Msg_text"] == "OK"
    assert copy.value("SELECT COUNT(*) FROM big.t0 FORCE INDEX (made) WHERE k >= 0") == copy.value(
        "SELECT COUNT(*) FROM big.t0 IGNORE INDEX (made)"
    )


def test_a_backup_that_is_begun_while_a_fulltext_index_is_built_waits_for_it(
    make_mysql: MySQLFactory, workdir: Path
) -> None:
    source = make_mysql("source")
    datasets.create_big(source, 20, tables=1)
    source.execute(
        "ALTER TABLE big.t0 ADD COLUMN words TEXT",
        "UPDATE big.t0 SET words = REPEAT(CONCAT('word', id % 97, ' other', k % 89, ' '), 30)",
    )
    busy = "SELECT COUNT(*) FROM performance_schema.processlist WHERE INFO LIKE 'ALTER%' AND STATE = 'altering table'"
    for _attempt in range(10):
        built = threading.Thread(target=source.execute, args=("ALTER TABLE big.t0 ADD FULLTEXT INDEX f (words)",))
        built.start()
        while built.is_alive() and not source.value(busy):
            pass
        if built.is_alive():
            break
        source.execute("ALTER TABLE big.t0 DROP INDEX f")  # it was built between two looks
    assert built.is_alive()
    take(source, workdir / "backup", lock_timeout=120)
    built.join(120)
    prepared(workdir / "backup")
    copy = start_copy(make_mysql, "copy", workdir / "backup", source)
    assert copy.rows("CHECK TABLE big.t0 EXTENDED")[0]["Msg_text"] == "OK"
    question = "SELECT COUNT(*), SUM(id) FROM big.t0 WHERE MATCH (words) AGAINST ('+word13 -other7' IN BOOLEAN MODE)"
    assert copy.rows(question) == source.rows(question)
    assert copy.value(question) > 0


#: what a schema change writes without redo, to tables of which all files have been copied: before the backup, and then
UNLOGGED = {
    "an index in the system tablespace": (
        ["CREATE TABLE {t} TABLESPACE innodb_system SELECT * FROM big.t0"],
        ["ALTER TABLE {t} ADD INDEX made (k), ALGORITHM=INPLACE"],
    ),
    "a table that came into a shared tablespace": (
        ["CREATE TABLESPACE shared ADD DATAFILE 'shared.ibd'", "CREATE TABLE {t} SELECT * FROM big.t0"],
        ["ALTER TABLE {t} TABLESPACE shared"],
    ),
    "an index that was used and is gone again": (
        ["CREATE TABLE {t} SELECT * FROM big.t0"],
        [
            "ALTER TABLE {t} ADD INDEX made (k), ALGORITHM=INPLACE",
            "UPDATE {t} SET k = k + 1 WHERE id % 7 = 0",
            "DELETE FROM {t} WHERE id % 11 = 0",
            "ALTER TABLE {t} DROP INDEX made",
        ],
    ),
}


@pytest.mark.parametrize("case", UNLOGGED)
def test_what_is_written_without_redo_after_its_file_was_copied_is_in_the_backup(
    make_mysql: MySQLFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    source = make_mysql("source")
    datasets.create_big(source, 20, tables=1)
    before, then = ([text.format(t="big.changed") for text in texts] for texts in UNLOGGED[case])
    source.execute(*before)
    before_lock(monkeypatch, lambda: source.execute(*then))
    take(source, workdir / "backup")
    prepared(workdir / "backup")
    copy = start_copy(make_mysql, "copy", workdir / "backup", source)
    assert copy.rows("CHECK TABLE big.changed EXTENDED")[0]["Msg_text"] == "OK"
    checksums.assert_tables_equal(source, copy, at_least=2)
    checksums.assert_definitions_equal(source, copy)


def before_lock(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Let ``action`` happen when all InnoDB files have been copied, and schema changes are not blocked yet."""
    lock = MysqlLocks.lock_instance

    def lock_instance(locks: MysqlLocks) -> None:
        action()
        lock(locks)

    monkeypatch.setattr(MysqlLocks, "lock_instance", lock_instance)


def test_an_index_of_a_table_that_is_younger_than_the_look_at_the_dictionary_is_in_the_backup(
    make_mysql: MySQLFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_mysql("source")
    looks: list[timeline.MysqlDictionary] = []

    def look(connection: Connection, *, with_indexes: bool) -> timeline.MysqlDictionary:
        looks.append(read_dictionary(connection, with_indexes=with_indexes))
        if len(looks) == 1:  # after the look, before the files are listed: seconds, where there are many tables
            datasets.create_big(source, 10, tables=1)
        return looks[-1]

    monkeypatch.setattr(timeline, "read_dictionary", look)
    before_lock(monkeypatch, lambda: source.execute("ALTER TABLE big.t0 ADD INDEX made (k), ALGORITHM=INPLACE"))
    take(source, workdir / "backup")
    assert len(looks) == 2
    prepared(workdir / "backup")
    copy = start_copy(make_mysql, "copy", workdir / "backup", source)
    assert copy.rows("CHECK TABLE big.t0 EXTENDED")[0]["Msg_text"] == "OK"


@pytest.mark.parametrize("page_size", ["4k", "64k"])
def test_pages_of_every_size_are_copied(make_mysql: MySQLFactory, workdir: Path, page_size: str) -> None:
    source = make_mysql("source", {"innodb_page_size": page_size, "lower_case_table_names": 1})
    with WriteLoad(source) as load:
        load.wait_for(100)
        take(source, workdir / "backup")
        record = prepared(workdir / "backup")
        prove(make_mysql, source, workdir / "backup", load, record)


def test_a_redo_log_that_rotates_many_times_is_followed(make_mysql: MySQLFactory, workdir: Path) -> None:
    source = make_mysql("source", {"innodb_redo_log_capacity": "8M"})
    datasets.create_big(source, 100)
    with WriteLoad(source, payload=4000, per_second=AS_FAST_AS_IT_CAN) as load:
        load.wait_for(100)
        record = take(source, workdir / "backup", throttle=Slow(20 << 20))
        assert record["redo"]["bytes"] > 8 << 20, "the log did not rotate often enough to prove anything"
        record = prepared(workdir / "backup")
        prove(make_mysql, source, workdir / "backup", load, record)


def test_a_replica_can_go_on_by_file_and_position(make_mysql: MySQLFactory, workdir: Path) -> None:
    source = make_mysql("source", {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF", "sync_binlog": 1})
    with WriteLoad(source, threads=8, per_second=AS_FAST_AS_IT_CAN) as load:
        load.wait_for(200)
        record = take(source, workdir / "backup")
        assert record["binlog"]["gtid"] == ""
        prepared(workdir / "backup")
        copy = start_copy(make_mysql, "copy", workdir / "backup", source)
        check_invariants(copy)
        binlog = record["binlog"]
        replicate(copy, source, f"SOURCE_LOG_FILE='{binlog['file']}', SOURCE_LOG_POS={binlog['position']}")
        load.wait_for(50)
        load.stop()
        place = source.rows("SHOW BINARY LOG STATUS")[0]
        waited = copy.value("SELECT SOURCE_POS_WAIT(%s, %s, 60)", [place["File"], place["Position"]])
        assert waited is not None, copy.log_tail()
        assert waited >= 0
    checksums.assert_tables_equal(source, copy, at_least=3)


def test_a_page_that_is_damaged_in_the_source_is_never_copied_in_silence(
    make_mysql: MySQLFactory, workdir: Path
) -> None:
    source = make_mysql("source")
    datasets.create_big(source, 10, tables=1)
    source.restart()
    with open(source.datadir / "big" / "t0.ibd", "r+b") as file:
        file.seek(100 * 16384 + 5000)
        file.write(b"damaged")
    os.utime(source.datadir / "big" / "t0.ibd", (0, 0))  # long ago: no write is on its way that could heal it
    with pytest.raises(PageCorrupt, match=r"big/t0\.ibd: page 100 "):
        take(source, workdir / "backup")
    assert not list(workdir.glob("backup*"))


def test_a_lock_that_is_not_granted_in_time_is_given_up_and_its_blocker_named(
    make_mysql: MySQLFactory, workdir: Path
) -> None:
    source = make_mysql("source")
    source.execute("CREATE DATABASE d", "CREATE TABLE d.m (a INT) ENGINE=MyISAM")
    blocking = source.connect()
    with blocking.cursor() as cursor:
        cursor.execute("LOCK TABLES d.m WRITE")
        with pytest.raises(LockTimeout, match=f"session {blocking.thread_id()} of root"):
            take(source, workdir / "backup", lock_timeout=2)
    blocking.close()
    assert not list(workdir.glob("backup*"))
    source.execute("INSERT INTO d.m VALUES (1)")
    # a table that cannot be opened keeps nobody from taking a backup: all writes wait then
    source.execute(
        "CREATE TABLE d.gone (a INT) ENGINE=MyISAM",
        "CREATE TABLE d.parts (a INT) ENGINE=MERGE UNION=(d.gone)",
        "FLUSH TABLES",
    )
    (source.datadir / "d" / "gone.MYD").unlink()
    (warning,) = take(source, workdir / "backup")["warnings"]
    assert "broken: d.gone (its .MYD file is missing)" in warning
    source.execute("INSERT INTO d.m VALUES (2)")
    prepared(workdir / "backup")
    copy = start_copy(make_mysql, "copy", workdir / "backup", source)
    assert [row["a"] for row in copy.rows("SELECT a FROM d.m")] == [1]


def test_an_account_that_may_not_lock_a_table_is_told_so_before_anything_is_copied(
    make_mysql: MySQLFactory, workdir: Path
) -> None:
    source = make_mysql("source")
    source.execute("CREATE DATABASE d", "CREATE TABLE d.m (a INT) ENGINE=MyISAM")
    source.create_account("backup", "secret")
    source.execute("GRANT SELECT ON performance_schema.log_status TO backup@localhost")
    login = ConnectionParameters(unix_socket=str(source.socket), user="backup", password="secret")
    options = job.BackupOptions(connection=login, tool_version="0.1.0")
    with pytest.raises(MissingPrivilege, match="GRANT LOCK TABLES") as caught:
        job.preflight(options)
    for grant in caught.value.details["grants"]:
        source.execute(grant)
    job.preflight(options)
    blocking = source.connect()
    with blocking.cursor() as cursor, pytest.raises(LockTimeout) as timeout:
        # told from the process list, where the backup's own sessions are idle as well
        cursor.execute("LOCK TABLES d.m WRITE")
        take(source, workdir / "refused", connection=login, lock_timeout=1)
    assert [blocker["id"] for blocker in timeout.value.details["blockers"]] == [blocking.thread_id()]
    blocking.close()
    take(source, workdir / "backup", connection=login)
    assert (workdir / "backup" / "d" / "m.MYD").is_file()
