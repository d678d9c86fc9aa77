# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a server under write load, proven by using them: prepare, start, replicate, compare every table."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import CopiedTablespace
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb import timeline
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mariadb.dictionary import (
    require_all_copied,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DiskFull,
    LockTimeout,
    MissingPrivilege,
    PageCorrupt,
    RedoOverwritten,
    UnsupportedServer,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums, datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import Slow, take
from ansible_collections.innodb.xtrabackup.tests.support.held_still import held_still
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, MariaDBServer

EVERY_ENGINE = ("MyISAM", "Aria")


def stock_prepare(directory: Path) -> None:
    finished = subprocess.run(
        ["mariadb-backup", "--prepare", f"--target-dir={directory}"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert "completed OK!" in finished.stderr


def our_prepare(directory: Path) -> None:
    result = prepare(directory, None, PrepareOptions(), Progress("prepare"))
    assert result.changed
    assert not prepare(directory, None, PrepareOptions(), Progress("prepare")).changed


PREPARE = {"ours": our_prepare, "stock": stock_prepare}


def start_copy(make_server: ServerFactory, name: str, directory: Path, source: DatabaseServer) -> MariaDBServer:
    """Start a server of its own on the prepared ``directory``."""
    layout = ("innodb_data_file_path", "innodb_page_size", "innodb_undo_tablespaces", "lower_case_table_names")
    copy = make_server(name, {option: source.options.get(option, False) for option in layout}, start=False)
    shutil.move(str(directory), copy.datadir)
    return copy.start()


def replicate(copy: DatabaseServer, source: DatabaseServer, gtid: str) -> None:
    """Let ``copy`` follow ``source`` from ``gtid``, as a replica that was just restored."""
    source.create_account("repl", "repl-secret", "REPLICATION SLAVE")
    copy.execute(
        f"SET GLOBAL gtid_slave_pos = '{gtid}'",
        f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={source.port}, MASTER_USER='repl', "
        "MASTER_PASSWORD='repl-secret', MASTER_USE_GTID=slave_pos",
        "START SLAVE",
    )


def prove(
    make_server: ServerFactory, source: MariaDBServer, directory: Path, record: dict[str, Any], load: WriteLoad
) -> MariaDBServer:
    """The copy keeps the load's invariants, catches up while the load goes on, and equals the source after it."""
    copy = start_copy(make_server, "copy", directory, source)
    check_invariants(copy, load.database)
    replicate(copy, source, record["binlog"]["gtid"])
    load.wait_for(50)
    load.stop()
    checksums.wait_until_caught_up(source, copy)
    checksums.assert_tables_equal(source, copy, at_least=3)
    return copy


def assert_nothing_is_left(server: MariaDBServer, dest: Path) -> None:
    """No file of the backup is left behind, and the server takes writes and DDL as before."""
    assert not dest.exists()
    assert [path.name for path in dest.parent.glob(dest.name + "*")] == []
    server.execute("CREATE TABLE mysql.after_it (a INT) ENGINE=MyISAM", "DROP TABLE mysql.after_it")


@pytest.mark.parametrize(("flush_log", "tool"), [(0, "ours"), (1, "ours"), (2, "ours"), (1, "stock")])
def test_a_backup_under_load_is_consistent_at_every_durability_setting(
    make_server: ServerFactory, workdir: Path, flush_log: int, tool: str
) -> None:
    source = make_server("source", {"innodb_flush_log_at_trx_commit": flush_log})
    with WriteLoad(source, step_engines=EVERY_ENGINE) as load:
        load.wait_for(200)
        record = take(source, workdir / "backup")
        PREPARE[tool](workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)
    # with 0 the server writes its log once a second, and no statement makes it do so earlier
    assert record["locks"]["block_commit"] < (3000 if flush_log == 0 else 1000)


def test_a_redo_log_that_wraps_many_times_is_followed(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source", {"innodb_log_file_size": "8M", "innodb_flush_log_at_trx_commit": 2})
    datasets.create_big(source, 300)
    with WriteLoad(source, threads=4, payload=4000, per_second=400) as load:
        load.wait_for(200)
        record = take(source, workdir / "backup", throttle=Slow(40 << 20))
        assert record["redo"]["bytes"] > 3 * (8 << 20), "the log did not wrap often enough to prove anything"
        our_prepare(workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)


def test_every_kind_of_table_and_definition_is_in_the_backup(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    datasets.create_zoo(source)
    before = checksums.table_states(source)
    with WriteLoad(source, step_engines=EVERY_ENGINE) as load:
        load.wait_for(100)
        record = take(source, workdir / "backup")
        extensions = {path.suffix[1:] for path in (workdir / "backup").rglob("*.*")}
        assert set(datasets.ZOO_EXTENSIONS) <= extensions
        our_prepare(workdir / "backup")
        copy = prove(make_server, source, workdir / "backup", record, load)
    checksums.assert_definitions_equal(source, copy)
    after = checksums.table_states(copy)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("tool", ["ours", "stock"])
def test_schema_changes_while_files_are_copied_are_in_the_backup(
    make_server: ServerFactory, workdir: Path, tool: str
) -> None:
    source = make_server("source")
    datasets.create_zoo(source)
    datasets.create_big(source, 150)
    with WriteLoad(source, step_engines=EVERY_ENGINE, schema_changes=True) as load:
        load.wait_for(100)
        record = take(source, workdir / "backup", throttle=Slow(60 << 20))
        PREPARE[tool](workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)
    assert load.report is not None
    assert load.report.schema_changes > 5


@pytest.mark.parametrize("algorithm", ["COPY", "INPLACE"])
def test_a_long_alter_table_that_is_half_way_is_rolled_back(
    make_server: ServerFactory, workdir: Path, algorithm: str
) -> None:
    source = make_server("source", {"innodb_log_file_size": "512M"})
    datasets.create_big(source, 300, tables=1)
    before = checksums.table_states(source)
    altering = threading.Thread(target=_alter, args=(source, algorithm), daemon=True)
    altering.start()
    deadline = time.monotonic() + 30
    while not list((source.datadir / "big").glob("#sql-alter*.ibd")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    take(source, workdir / "backup")
    half_way = altering.is_alive()
    altering.join(60)
    our_prepare(workdir / "backup")
    assert list((workdir / "backup" / "big").glob("#sql*")) == []
    copy = start_copy(make_server, "copy", workdir / "backup", source)
    # on a busy machine it may have ended, before the instant of the backup or after it
    assert checksums.table_states(copy) in ([before] if half_way else [before, checksums.table_states(source)])
    copy.execute("ALTER TABLE big.t0 ADD COLUMN yet_more INT DEFAULT 7, ALGORITHM=COPY")


@pytest.mark.parametrize("rebuilds", [True, False])
def test_a_fulltext_index_whose_building_begins_under_the_lock_is_rolled_back(
    make_server: ServerFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch, rebuilds: bool
) -> None:
    source = make_server("source")
    columns = "id INT PRIMARY KEY, a TEXT, b TEXT" + ("" if rebuilds else ", FULLTEXT KEY (a)")
    source.execute(
        "CREATE DATABASE d",
        "USE d",
        f"CREATE TABLE d.t ({columns}) ENGINE=InnoDB",
        "INSERT INTO d.t SELECT seq, CONCAT('word', seq), CONCAT('term', seq) FROM seq_1_to_5000",
    )
    before = checksums.table_states(source)
    reading = source.connect(autocommit=False)
    reading.cursor().execute("SELECT * FROM d.t LIMIT 1")  # holds up the ALTER as it begins to build
    statement = "ALTER TABLE d.t ADD FULLTEXT INDEX made (b), ALGORITHM=INPLACE"
    altering = threading.Thread(target=source.execute, args=(statement,), daemon=True)
    altering.start()

    def check(connection: Connection, copied: dict[str, CopiedTablespace], left_out: Collection[str]) -> None:
        there = set(source.datadir.glob("d/FTS_*.ibd"))
        reading.commit()
        deadline = time.monotonic() + 30
        while len(set(source.datadir.glob("d/FTS_*.ibd")) - there) < 6:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        require_all_copied(connection, copied, left_out)

    monkeypatch.setattr(timeline, "require_all_copied", check)
    take(source, workdir / "backup")
    altering.join(60)
    our_prepare(workdir / "backup")
    assert list((workdir / "backup" / "d").glob("#sql*")) == []
    copy = start_copy(make_server, "copy", workdir / "backup", source)
    assert checksums.table_states(copy) == before
    assert copy.rows("CHECK TABLE d.t EXTENDED")[0]["Msg_text"] == "OK"
    copy.execute(statement, "INSERT INTO d.t VALUES (0, 'zero', 'nothing')")
    assert copy.value("SELECT COUNT(*) FROM d.t WHERE MATCH (b) AGAINST ('term77 nothing')") == 2
    copy.restart()
    assert copy.value("SELECT COUNT(*) FROM d.t WHERE MATCH (b) AGAINST ('term78')") == 1


def _alter(server: MariaDBServer, algorithm: str) -> None:
    server.execute(f"ALTER TABLE big.t0 ADD COLUMN more INT DEFAULT 7, ALGORITHM={algorithm}, FORCE")


@pytest.mark.parametrize("page_size", ["4k", "64k"])
def test_other_layouts_are_backed_up_and_recovered(make_server: ServerFactory, workdir: Path, page_size: str) -> None:
    source = make_server(
        "source",
        {
            "innodb_page_size": page_size,
            "innodb_undo_tablespaces": 3,
            "innodb_undo_log_truncate": "ON",
            "innodb_max_undo_log_size": "10M",
            "innodb_data_file_path": "ibdata1:12M;ibdata2:8M:autoextend",
            "lower_case_table_names": 1,
        },
    )
    with WriteLoad(source, step_engines=EVERY_ENGINE) as load:
        load.wait_for(200)
        record = take(source, workdir / "backup")
        assert {"ibdata2", "undo003"} <= {path.name for path in (workdir / "backup").iterdir()}
        our_prepare(workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)


def test_the_manifest_names_every_file_and_finds_a_change(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    record = take(source, workdir / "backup")
    found = manifest.read(workdir / "backup")
    on_disk = {str(path.relative_to(workdir / "backup")) for path in (workdir / "backup").rglob("*") if path.is_file()}
    assert {entry.path for entry in found.files} == on_disk - {file_kinds.MANIFEST_NAME}
    assert found.backup["id"] == record["id"]
    manifest.verify_directory(workdir / "backup", found, digests=True)
    with open(workdir / "backup" / "ibdata1", "r+b") as damaged:
        damaged.seek(100_000)
        damaged.write(b"?")
    with pytest.raises(manifest.BackupIncomplete, match="ibdata1"):
        manifest.verify_directory(workdir / "backup", found, digests=True)


def test_redo_that_is_overwritten_stops_the_backup_at_once(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source", {"innodb_log_file_size": "8M"})
    datasets.create_big(source, 100)
    with WriteLoad(source, payload=4000, per_second=AS_FAST_AS_IT_CAN) as load:
        load.wait_for(100)
        stalled = _StallFollower(load)
        with pytest.raises(RedoOverwritten, match="innodb_log_file_size|overwr"):
            take(source, workdir / "backup", throttle=stalled)
    assert_nothing_is_left(source, workdir / "backup")


class _StallFollower:
    """A throttle that holds the redo follower still while the server writes more than its log holds."""

    def __init__(self, load: WriteLoad) -> None:
        self._load = load
        self._done = False
        self._lock = threading.Lock()

    def take(self, _count: int, cancelled: threading.Event) -> None:
        with self._lock:
            if self._done:
                cancelled.wait(30)
                return
            self._done = True
            for thread in threading.enumerate():
                if thread.name == "redo-follower":
                    follower = thread._target.__self__  # type: ignore[attr-defined]
            with held_still(follower):
                begun = int(self._load.server.status("Innodb_lsn_current"))
                deadline = time.monotonic() + 60
                while int(self._load.server.status("Innodb_lsn_current")) < begun + (30 << 20):
                    assert time.monotonic() < deadline, "the load is too slow for this test"
                    time.sleep(0.1)


def test_a_damaged_page_of_the_source_is_named_and_never_copied(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    datasets.create_big(source, 20)
    source.stop()
    victim = max((source.datadir / "big").glob("*.ibd"), key=lambda path: path.stat().st_size)
    with open(victim, "r+b") as damaged:
        damaged.seek(37 * 16384 + 5000)
        damaged.write(b"\xff\x00\xff\x00")
    os.utime(victim, (0, 0))  # long ago: no write is on its way that could heal it
    source.start()
    with pytest.raises(PageCorrupt, match="page 37 ") as caught:
        take(source, workdir / "backup")
    assert str(victim) in caught.value.message
    assert caught.value.details["offset"] == 37 * 16384
    assert_nothing_is_left(source, workdir / "backup")


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    datasets.create_big(source, 60)
    small = workdir / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(DiskFull) as caught:
            take(source, small / "backup")
        assert caught.value.details["needed"] > caught.value.details["free"]
        assert_nothing_is_left(source, small / "backup")
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_disk_that_fills_up_during_the_backup_is_a_clear_error(
    make_server: ServerFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_server("source")
    datasets.create_big(source, 60)
    small = workdir / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(small)], check=True)
    monkeypatch.setattr(durable, "require_space", lambda *_arguments: None)
    try:
        with pytest.raises(DiskFull, match="writing"):
            take(source, small / "backup")
        time.sleep(0.5)
        assert_nothing_is_left(source, small / "backup")
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_lock_that_is_not_granted_in_time_is_given_up_and_its_blocker_named(
    make_server: ServerFactory, workdir: Path
) -> None:
    source = make_server("source")
    source.execute("CREATE TABLE mysql.blocker (a INT) ENGINE=MyISAM")
    blocking = source.connect()
    with blocking.cursor() as cursor:
        cursor.execute("LOCK TABLES mysql.blocker WRITE")
    begun = time.monotonic()
    with pytest.raises(LockTimeout) as caught:
        take(source, workdir / "backup", lock_timeout=2.0)
    assert time.monotonic() - begun < 15
    # and none of our own sessions
    assert [blocker["id"] for blocker in caught.value.details["blockers"]] == [blocking.thread_id()]
    blocking.close()
    source.execute("DROP TABLE mysql.blocker")
    assert_nothing_is_left(source, workdir / "backup")


def test_an_account_that_may_not_is_told_the_exact_grant(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    source.create_account("weak", "secret-of-weak", "PROCESS")
    login = ConnectionParameters(unix_socket=str(source.socket), user="weak", password="secret-of-weak")
    with pytest.raises(MissingPrivilege, match=r"GRANT .*RELOAD.* ON \*\.\* TO") as caught:
        take(source, workdir / "backup", connection=login)
    assert "secret-of-weak" not in str(caught.value.as_dict())
    assert_nothing_is_left(source, workdir / "backup")


def test_the_files_of_another_server_are_never_taken_for_those_of_the_login(
    make_server: ServerFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_server("one"), make_server("other")  # two clones of one datadir: even their LSNs are equal
    seen = job.read_layout

    def elsewhere(connection: job.Connection) -> job.ServerLayout:
        return dataclasses.replace(seen(connection), datadir=one.datadir, innodb_log_group_home_dir=one.datadir)

    monkeypatch.setattr(job, "read_layout", elsewhere)
    with pytest.raises(UnsupportedServer, match="on the host that the server runs on|as it is seen here"):
        take(other, workdir / "backup")
    assert_nothing_is_left(other, workdir / "backup")
    other.execute("CREATE DATABASE x", "CREATE TABLE x.t (a INT) ENGINE=InnoDB")
    other.restart()
    with pytest.raises(UnsupportedServer, match="is not the redo log of the server"):
        take(other, workdir / "backup")
