# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring prepared backups for real MySQL servers: in every layout, over other data, through kills."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink, Sink
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import (
    TableState,
    table_states,
)
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_backups import coordinates
from ansible_collections.innodb.xtrabackup.tests.support.mysql_datasets import create_zoo
from ansible_collections.innodb.xtrabackup.tests.support.mysql_keyring import KeyringMySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, start_module

RESTORE = "xtrabackup_restore"
# five bytes for each character in the names of their files
LONG_NAME, LONG_FAR_NAME = "表" * 50, "遠" * 50
PROGRAM = {"server_program": str(SERVER_PROGRAM)}


@dataclass(frozen=True)
class Prepared:
    """A backup as an archive, and prepared as a directory; what its tables hold, and its server (stopped)."""

    archive: Path
    path: Path
    tables: dict[str, TableState]
    source: MySQLServer
    far: Path
    record: dict[str, Any]


def take(server: MySQLServer, sink: Sink) -> None:
    connection = ConnectionParameters(unix_socket=str(server.socket), user="root")
    job.take_backup(job.BackupOptions(connection=connection, tool_version="0.1.0"), sink, Progress("backup"))


@pytest.fixture(name="prepared", scope="module")
def _prepared() -> Iterator[Prepared]:
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    far = place / "far"
    far.mkdir()
    # directories of logs and temporary files in the data directory, which look like databases
    own = {"log_bin": "logs/binlog", "tmpdir": str(place / "source" / "data" / "scratch")}
    options = {"innodb_directories": str(far), "innodb_redo_log_capacity": "16M", **own}
    source = MySQLServer(place / "source", options)
    try:
        source.initialise()
        for name in ("logs", "scratch"):
            (source.datadir / name).mkdir()
        source.start()
        create_zoo(source)
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
        take(source, ArchiveSink(place / "full.xbstream", compress=Compression("zstd", 1, 2)))
        take(source, DirectorySink(place / "ready"))
        tables = table_states(source)
        result = prepare(place / "ready", None, PrepareOptions(server_program=str(SERVER_PROGRAM)), Progress("prepare"))
        source.stop()
        # as if the source were another host: what comes back to these places comes from the backup
        far.rename(place / "far-of-the-source")
        yield Prepared(place / "full.xbstream", place / "ready", tables, source, far, result.record)
    finally:
        source.kill()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(name="host")
def _host(make_mysql: MySQLFactory, prepared: Prepared) -> Iterator[MySQLServer]:
    """A host whose server has no data yet; everything where servers have it by default."""
    yield make_mysql("host", {"innodb_directories": str(prepared.far)}, start=False)
    shutil.rmtree(prepared.far, ignore_errors=True)


@pytest.fixture(name="spread")
def _spread(make_mysql: MySQLFactory, workdir: Path, prepared: Prepared) -> Iterator[MySQLServer]:
    """A host whose server wants every kind of file in another place."""
    places = {name: workdir / name for name in ("system", "redo", "undo", "log", "doublewrite")}
    for name in ("system", "redo", "log", "doublewrite"):
        places[name].mkdir()
    yield make_mysql(
        "host",
        {
            "innodb_data_home_dir": str(places["system"]),
            "innodb_log_group_home_dir": str(places["redo"]),
            "innodb_undo_directory": str(places["undo"]),
            "innodb_doublewrite_dir": str(places["doublewrite"]),
            "innodb_directories": str(prepared.far),
            "log_bin": str(places["log"] / "binlog"),
        },
        start=False,
    )
    shutil.rmtree(prepared.far, ignore_errors=True)


def options(host: MySQLServer, source: Path, **more: Any) -> dict[str, Any]:
    return {"src": str(source), "defaults_file": str(host.option_file), **PROGRAM, **more}


def copy_of(prepared: Prepared, workdir: Path, name: str = "ready") -> Path:
    subprocess.run(["cp", "-a", str(prepared.path), str(workdir / name)], check=True)
    return workdir / name


def prove(host: MySQLServer, prepared: Prepared) -> None:
    """A server starts on what was restored, and holds what the source held, GTIDs included."""
    uuid = prepared.record["server"]["server_uuid"]
    with host:
        # before tables are opened: a MEMORY table that a server finds empty is emptied in its binary log
        assert coordinates(host).gtid == prepared.record["binlog"]["gtid"]
        assert table_states(host) == prepared.tables
        assert host.variable("server_uuid") != uuid


def names(path: Path) -> list[str]:
    return sorted(str(one.relative_to(path)) for one in path.rglob("*"))


def test_directories_of_logs_and_temporary_files_are_no_databases(prepared: Prepared) -> None:
    assert {"nothing_in_it", "shop"} <= {path.name for path in prepared.path.iterdir()}
    assert not {"logs", "scratch"} & {path.name for path in prepared.path.iterdir()}


def test_a_backup_says_whose_rows_it_cannot_hold(prepared: Prepared) -> None:
    (warning,) = prepared.record["warnings"]
    assert "engine MEMORY" in warning
    assert warning.endswith(": zoo.memory_1")


# --- where files go ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_restored_server_is_equal_and_the_request_is_fulfilled(
    prepared: Prepared, host: MySQLServer, workdir: Path, method: str
) -> None:
    source = copy_of(prepared, workdir)
    wanted = options(host, source, method=method)
    before = names(workdir)
    predicted = run_module(RESTORE, wanted, check=True, diff=True)
    assert names(workdir) == before
    assert not prepared.far.exists()
    done = run_module(RESTORE, wanted, diff=True)
    assert (predicted["changed"], predicted["diff"], predicted["layout"]) == (True, done["diff"], done["layout"])
    assert done["backup"]["id"] == prepared.record["id"]
    assert source.exists() == (method == "copy")
    assert "the backup has enabled events (1)" in str(done["warnings"])
    assert names(host.datadir / "#innodb_redo") == []
    for name in ("auto.cnf", "xtrabackup_logfile", "xtrabackup_tablespaces", "backup-my.cnf", "binlog.index"):
        assert not (host.datadir / name).exists()
    prove(host, prepared)
    for running in (False, True):
        if running:
            host.start()
        for check in (True, False):
            again = run_module(RESTORE, wanted, check=check, diff=True)
            assert not again["changed"]
            assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
            assert again["backup"] == done["backup"]
            assert again["layout"] == done["layout"]


@pytest.mark.parametrize("method", ["copy", "move"])
def test_every_kind_of_file_goes_where_the_option_file_says(
    prepared: Prepared, spread: MySQLServer, workdir: Path, method: str
) -> None:
    run_module(RESTORE, options(spread, copy_of(prepared, workdir), method=method))
    assert names(workdir / "redo") == ["#innodb_redo"]
    assert names(workdir / "system") == ["ibdata1"]
    assert names(workdir / "undo") == ["more.ibu", "undo_001", "undo_002"]
    assert names(prepared.far) == ["several.ibd", "shop", f"shop/{'@9060' * 50}.ibd", "shop/far.ibd"]
    assert not (spread.datadir / "#innodb_redo").exists()
    prove(spread, prepared)


def test_groups_of_the_series_are_read(prepared: Prepared, host: MySQLServer, workdir: Path) -> None:
    (workdir / "undo").mkdir()
    text = host.option_file.read_text()
    host.option_file.write_text(f"{text}\n[mysqld-9.7]\ninnodb_undo_directory={workdir}/undo\n[mariadb]\ndatadir=/x\n")
    done = run_module(RESTORE, options(host, prepared.path))
    assert done["layout"]["innodb_undo_directory"] == str(workdir / "undo")
    assert done["layout"]["datadir"] == str(host.datadir)


def test_a_datadir_alone_holds_everything(prepared: Prepared, make_mysql: MySQLFactory, workdir: Path) -> None:
    host = make_mysql("alone", start=False)
    run_module(RESTORE, {"src": str(prepared.path), "datadir": str(host.datadir), "owner": "root", **PROGRAM})
    assert (host.datadir / "shop" / "far.ibd").exists()
    assert (host.datadir / "several.ibd").exists()
    assert not prepared.far.exists()
    prove(host, prepared)


def test_a_server_that_would_not_find_a_tablespace_is_told_of(prepared: Prepared, make_mysql: MySQLFactory) -> None:
    host = make_mysql("host", start=False)
    for check in (True, False):
        failed = run_module(RESTORE, options(host, prepared.path), fails=True, check=check)
        assert failed["error"]["code"] == "invalid_option"
        assert "innodb_directories" in failed["error"]["remedy"]
        assert str(prepared.far) in failed["msg"]
    assert not host.datadir.exists()


def test_names_of_tables_must_be_read_alike(prepared: Prepared, make_mysql: MySQLFactory) -> None:
    host = make_mysql("host", {"lower_case_table_names": 1}, start=False)
    failed = run_module(RESTORE, options(host, prepared.path), fails=True)
    assert "lower_case_table_names" in failed["msg"]


# --- archives ------------------------------------------------------------------------------------


def test_an_archive_is_unpacked_recovered_and_moved_into_place(
    prepared: Prepared, spread: MySQLServer, workdir: Path
) -> None:
    wanted = options(spread, prepared.archive)
    assert run_module(RESTORE, wanted, check=True)["changed"]
    done = run_module(RESTORE, wanted)
    assert done["recovery"]["gtid_executed"] == done["backup"]["binlog"]["gtid"]
    assert sorted(path.name for path in workdir.glob("host/data*")) == ["data"]
    prove(spread, prepared)
    assert not run_module(RESTORE, wanted)["changed"]


# --- what is refused, what is replaced ------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
def test_a_running_server_is_refused_force_or_not(
    prepared: Prepared, make_mysql: MySQLFactory, workdir: Path, check: bool
) -> None:
    host = make_mysql("host", {"innodb_directories": str(workdir)})
    for more in ({}, {"force": True}):
        failed = run_module(RESTORE, options(host, prepared.path, **more), fails=True, check=check)
        assert failed["error"]["code"] == "server_running"
    alone = {"src": str(prepared.path), "datadir": str(host.datadir), "force": True}
    failed = run_module(RESTORE, alone, fails=True, check=check)
    assert failed["error"]["details"]["pid"] == host.pid
    assert host.value("SELECT 1") == 1


@pytest.mark.parametrize("keep", [True, False])
def test_another_servers_data_is_replaced_only_with_force(
    prepared: Prepared, spread: MySQLServer, workdir: Path, keep: bool
) -> None:
    prepared.far.mkdir()
    spread.start()
    create_zoo(spread, "other")
    # tablespaces of the same ids, which a server must not find beside the restored ones
    spread.execute(
        "CREATE DATABASE old",
        f"CREATE TABLE old.t (id INT PRIMARY KEY) DATA DIRECTORY = '{prepared.far}'",
        "CREATE UNDO TABLESPACE old ADD DATAFILE 'old.ibu'",
    )
    mine = table_states(spread)
    spread.stop()
    refused = run_module(RESTORE, options(spread, prepared.path), fails=True)
    assert refused["error"]["code"] == "target_not_empty"
    with spread:
        assert table_states(spread) == mine
    done = run_module(RESTORE, options(spread, prepared.path, force=True, keep_replaced=keep))
    assert bool(done["replaced"]) == keep
    assert [path.name for path in (workdir / "log").iterdir() if ".replaced-" not in path.name] == []
    assert names(workdir / "redo" / "#innodb_redo") == []
    kept = {
        path.name.partition(".replaced-")[0]
        for path in [*workdir.rglob("*.replaced-*"), *prepared.far.rglob("*")]
        if ".replaced-" in path.name
    }
    expected = {"data", "#innodb_redo", "ibdata1", "undo_001", "old.ibu", "t.ibd", "#ib_16384_0.dblwr", "binlog.index"}
    assert kept >= expected if keep else not kept
    prove(spread, prepared)


def refused(host: MySQLServer, prepared: Prepared) -> dict[str, Any]:
    """The error of a restore with ``force``, in check mode and without, which must leave all files alone."""
    for check in (True, False):
        before = names(host.directory), names(prepared.far)
        failed = run_module(RESTORE, options(host, prepared.path, force=True), fails=True, check=check)
        assert (names(host.directory), names(prepared.far)) == before
    error: dict[str, Any] = failed["error"]
    return error


def test_a_table_of_another_server_is_never_replaced(
    prepared: Prepared, host: MySQLServer, make_mysql: MySQLFactory
) -> None:
    prepared.far.mkdir()
    host.start()
    host.execute("CREATE DATABASE old", f"CREATE TABLE old.t (id INT PRIMARY KEY) DATA DIRECTORY = '{prepared.far}'")
    host.stop()
    other = make_mysql("other", {"innodb_directories": str(prepared.far)})
    other.execute(
        "CREATE DATABASE crm",
        # uses up tablespace ids: MySQL does not start where it finds two files with one
        "CREATE TABLE crm.many (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 300",
        "DROP TABLE crm.many",
        f"CREATE TABLE crm.t (id INT PRIMARY KEY) DATA DIRECTORY = '{prepared.far}'",
        "INSERT INTO crm.t VALUES (1), (2)",
        "CREATE DATABASE shop",
        f"CREATE TABLE shop.far (id INT PRIMARY KEY) DATA DIRECTORY = '{prepared.far}'",
    )
    # a server that has just started has none of its tables open
    for again in (False, True):
        if again:
            other.restart()
        error = refused(host, prepared)
        assert error["code"] == "file_in_use"
        assert error["details"]["pid"] == other.pid
        assert error["details"]["path"].startswith(str(prepared.far))
        assert error["details"]["path"] in error["message"]
    other.stop()
    error = refused(host, prepared)
    assert (error["code"], error["details"]["path"]) == ("target_unsafe", str(prepared.far / "shop" / "far.ibd"))
    with other:
        other.execute("DROP TABLE shop.far")
    done = run_module(RESTORE, options(host, prepared.path, force=True))
    assert str(prepared.far / "crm" / "t.ibd") in str(done["warnings"])
    assert names(prepared.far / "old") == []
    prove(host, prepared)
    assert other.start().rows("SELECT id FROM crm.t") == [{"id": 1}, {"id": 2}]


def test_a_file_that_a_process_has_open_is_never_replaced(prepared: Prepared, host: MySQLServer) -> None:
    host.start()
    host.execute("CREATE DATABASE old", "CREATE TABLE old.t (id INT PRIMARY KEY)")
    host.stop()
    path = host.datadir / "old" / "t.ibd"
    # somebody saves the old data
    with subprocess.Popen(["sleep", "600"], stdin=path.open("rb")) as process:
        error = refused(host, prepared)
        process.kill()
    assert (error["code"], error["details"]["path"]) == ("file_in_use", str(path))
    assert f"process {process.pid} (sleep)" in error["message"]
    run_module(RESTORE, options(host, prepared.path, force=True))
    assert not path.exists()


@pytest.mark.parametrize("method", ["copy", "move"])
def test_what_is_the_hosts_own_outlives_the_data(prepared: Prepared, workdir: Path, method: str) -> None:
    kind = KeyringMySQLServer.at(workdir / "keyring")
    (kind.home / "mysqld.my").write_text('{"read_local_manifest": true}')
    (kind.home / "plugins" / "component_keyring_file.cnf").write_text('{"read_local_config": true}')
    own: dict[str, Any] = {
        "innodb_directories": str(prepared.far),
        "log_bin": "logs/deep/binlog",
        "relay_log": "relays/relay",
        "slow_query_log_file": "logs/slow.log",
        "ssl_key": "tls/key.pem",
    }
    host = kind(workdir / "host", own)
    host.initialise()
    for name in ("logs/deep", "relays", "scratch", "keys", "tls"):
        (host.datadir / name).mkdir(parents=True)
    host.set_options({"tmpdir": str(host.datadir / "scratch")})
    (host.datadir / "scratch").chmod(0o1770)
    (host.datadir / "server-key.pem").rename(host.datadir / "tls" / "key.pem")
    (host.datadir / "mysqld.my").write_text('{"components": "file://component_keyring_file"}')
    configuration = {"path": str(host.datadir / "keys" / "main"), "read_only": False}
    (host.datadir / "component_keyring_file.cnf").write_text(json.dumps(configuration))
    with host:
        host.execute("ALTER INSTANCE ROTATE INNODB MASTER KEY", "SET PERSIST super_read_only = ON")
        uuid, certificate = host.variable("server_uuid"), host.status("Ssl_server_not_after")
        keys = host.rows("SELECT KEY_ID FROM performance_schema.keyring_keys")
    assert keys
    kept = ["component_keyring_file.cnf", "keys/main", "mysqld-auto.cnf", "mysqld.my", "server-cert.pem", "tls/key.pem"]
    before = {name: ((host.datadir / name).read_bytes(), (host.datadir / name).stat().st_mode) for name in kept}
    wanted = options(host, copy_of(prepared, workdir), method=method, force=True)
    predicted = run_module(RESTORE, wanted, check=True, diff=True)
    done = run_module(RESTORE, wanted, diff=True)
    assert predicted["configuration"] == done["configuration"]
    assert predicted["diff"] == done["diff"]
    assert set(kept) < set(done["configuration"]["kept"]) == set(done["diff"]["after"]["configuration"])
    assert done["configuration"]["dropped"] == ["auto.cnf"]
    assert set(done["diff"]["before"]["configuration"]) == {*done["configuration"]["kept"], "auto.cnf"}
    assert {name: ((host.datadir / name).read_bytes(), (host.datadir / name).stat().st_mode) for name in kept} == before
    assert (host.datadir / "scratch").stat().st_mode & 0o7777 == 0o1770
    assert (host.datadir / "logs" / "deep").stat().st_mode & 0o7777 == 0o755
    prove(host, prepared)
    with host:
        assert host.rows("SELECT KEY_ID FROM performance_schema.keyring_keys") == keys
        assert host.variable("super_read_only") == "ON"
        assert host.status("Ssl_server_not_after") == certificate
        assert host.variable("server_uuid") != uuid
    shutil.rmtree(prepared.far)


def test_a_place_that_was_persisted_counts_only_with_the_option_file(
    prepared: Prepared, host: MySQLServer, workdir: Path
) -> None:
    outside = workdir / "doublewrite"
    outside.mkdir()
    (outside / "#ib_16384_0.dblwr").write_bytes(b"another server's")
    with host:
        host.execute(f"SET PERSIST_ONLY innodb_doublewrite_dir = '{outside}'")
    before = names(host.datadir)
    error = refused(host, prepared)
    assert error["code"] == "invalid_option"
    assert f"{host.datadir}/mysqld-auto.cnf sets innodb_doublewrite_dir to '{outside}'" in error["message"]
    assert (names(host.datadir), names(outside)) == (before, ["#ib_16384_0.dblwr"])
    # the remedy
    host.set_options({"innodb_doublewrite_dir": str(outside)})
    host.write_option_file()
    run_module(RESTORE, options(host, prepared.path, force=True))
    prove(host, prepared)


# --- kills ---------------------------------------------------------------------------------------


def test_killed_at_random_moments_the_next_run_goes_on(prepared: Prepared, spread: MySQLServer, workdir: Path) -> None:
    chance = random.Random(4711)
    for method, source in (("copy", prepared.path), ("move", None), ("copy", prepared.archive)):
        wanted = options(spread, source or copy_of(prepared, workdir), method=method, force=True)
        for _again in range(4):
            process = start_module(RESTORE, wanted)
            time.sleep(chance.uniform(0.2, 1.2))
            process.kill()
            process.communicate()
        run_module(RESTORE, wanted)
        prove(spread, prepared)
        shutil.rmtree(spread.datadir)
