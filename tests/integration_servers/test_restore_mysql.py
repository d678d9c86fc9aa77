# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring prepared backups for real MySQL servers: what MariaDB does not have, or has in test_restore_host.py and
test_restore_archive.py."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_keyring import KeyringMySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.restoring import (
    RESTORE,
    RESTORING,
    Prepared,
    PreparedBackups,
    names,
)

pytestmark = pytest.mark.xdist_group("restore")  # who shares backups stays on one worker

RESTORING_MYSQL = RESTORING[Family.MYSQL]


@pytest.fixture
def prepared(prepared_backups: PreparedBackups) -> Iterator[Prepared]:
    """The backup; what was restored outside a test's own directory is removed."""
    found = prepared_backups.of(Family.MYSQL)
    yield found
    shutil.rmtree(found.far, ignore_errors=True)


@pytest.fixture
def host(make_mysql: MySQLFactory, prepared: Prepared) -> MySQLServer:
    """A host whose server has no data yet; everything where servers have it by default."""
    return make_mysql("host", RESTORING_MYSQL.host_options(prepared), start=False)


@pytest.fixture
def spread(make_mysql: MySQLFactory, workdir: Path, prepared: Prepared) -> MySQLServer:
    """A host whose server wants every kind of file in another place."""
    RESTORING_MYSQL.make_places(workdir)
    return make_mysql("host", RESTORING_MYSQL.spread_options(prepared, workdir), start=False)


def test_directories_of_logs_and_temporary_files_are_no_databases(prepared: Prepared) -> None:
    assert {"nothing_in_it", "shop"} <= {path.name for path in prepared.path.iterdir()}
    assert not {"logs", "scratch"} & {path.name for path in prepared.path.iterdir()}


def test_groups_of_the_series_are_read(prepared: Prepared, host: MySQLServer, workdir: Path) -> None:
    (workdir / "undo").mkdir()
    text = host.option_file.read_text()
    host.option_file.write_text(f"{text}\n[mysqld-9.7]\ninnodb_undo_directory={workdir}/undo\n[mariadb]\ndatadir=/x\n")
    done = run_module(RESTORE, RESTORING_MYSQL.options(host, prepared.path))
    assert done["layout"]["innodb_undo_directory"] == str(workdir / "undo")
    assert done["layout"]["datadir"] == str(host.datadir)


def test_a_server_that_would_not_find_a_tablespace_is_told_of(prepared: Prepared, make_mysql: MySQLFactory) -> None:
    host = make_mysql("host", start=False)
    for check in (True, False):
        failed = run_module(RESTORE, RESTORING_MYSQL.options(host, prepared.path), fails=True, check=check)
        assert failed["error"]["code"] == "invalid_option"
        assert "innodb_directories" in failed["error"]["remedy"]
        assert str(prepared.far) in failed["msg"]
    assert not host.datadir.exists()


def test_names_of_tables_must_be_read_alike(prepared: Prepared, make_mysql: MySQLFactory) -> None:
    host = make_mysql("host", {"lower_case_table_names": 1}, start=False)
    failed = run_module(RESTORE, RESTORING_MYSQL.options(host, prepared.path), fails=True)
    assert "lower_case_table_names" in failed["msg"]


def test_an_archive_is_unpacked_recovered_and_moved_into_place(
    prepared: Prepared, spread: MySQLServer, workdir: Path
) -> None:
    wanted = RESTORING_MYSQL.options(spread, prepared.archive)
    assert run_module(RESTORE, wanted, check=True)["changed"]
    done = run_module(RESTORE, wanted)
    assert done["recovery"]["gtid_executed"] == done["backup"]["binlog"]["gtid"]
    assert sorted(path.name for path in workdir.glob("host/data*")) == ["data"]
    RESTORING_MYSQL.prove(spread, prepared)
    assert not run_module(RESTORE, wanted)["changed"]


# --- what is refused, what is replaced ------------------------------------------------------------


def refused(host: MySQLServer, prepared: Prepared) -> dict[str, Any]:
    """The error of a restore with ``force``, in check mode and without, which must leave all files alone."""
    for check in (True, False):
        before = names(host.directory), names(prepared.far)
        failed = run_module(RESTORE, RESTORING_MYSQL.options(host, prepared.path, force=True), fails=True, check=check)
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
    done = run_module(RESTORE, RESTORING_MYSQL.options(host, prepared.path, force=True))
    assert str(prepared.far / "crm" / "t.ibd") in str(done["warnings"])
    assert names(prepared.far / "old") == []
    RESTORING_MYSQL.prove(host, prepared)
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
    run_module(RESTORE, RESTORING_MYSQL.options(host, prepared.path, force=True))
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
    wanted = RESTORING_MYSQL.options(host, prepared.copy(workdir), method=method, force=True)
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
    RESTORING_MYSQL.prove(host, prepared)
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
    run_module(RESTORE, RESTORING_MYSQL.options(host, prepared.path, force=True))
    RESTORING_MYSQL.prove(host, prepared)


# --- kills ---------------------------------------------------------------------------------------


def test_killed_at_random_moments_a_restore_of_an_archive_goes_on(
    prepared: Prepared, spread: MySQLServer, workdir: Path
) -> None:
    chance = random.Random(4711)
    wanted = RESTORING_MYSQL.options(spread, prepared.archive, force=True)
    for _again in range(4):
        process = start_module(RESTORE, wanted)
        time.sleep(chance.uniform(0.2, 1.2))
        process.kill()
        process.communicate()
    run_module(RESTORE, wanted)
    RESTORING_MYSQL.prove(spread, prepared)
