# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real MySQL server lets an account do, whether it can be backed up, and what an instant of it is called."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    ConnectionFailed,
    MissingLibrary,
    MissingPrivilege,
    UnsupportedServer,
    UnsupportedTable,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Flavor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import support
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.identity import identify
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import read_layout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.coordinates import (
    LogStatus,
    read_log_status,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.locks import MysqlLocks
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.privileges import BACKUP_PRIVILEGES
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.privileges import (
    require_backup_privileges,
    require_replication_privileges,
)
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import program
from ansible_collections.innodb.xtrabackup.tests.support.sessions import opener, wait_for

LOG_STATUS = "SELECT ON performance_schema.log_status"
SECRET = "kept-to-ourselves"


def create_account(server: MySQLServer, *privileges: str, user: str = "backup") -> None:
    """An account with the password ``x`` and ``privileges``, some of them on a table."""
    on_all = ", ".join(name for name in privileges if " ON " not in name)
    server.create_account(user, "x", on_all or "USAGE")
    for name in privileges:
        if " ON " in name:
            server.execute(f"GRANT {name} TO {user}@localhost")


def require_supported(server: MySQLServer, user: str = "root", password: str = "") -> None:
    with opener(server, user, password)() as connection:
        support.require_supported(identify(connection), connection)


@pytest.fixture(scope="module")
def shared() -> Iterator[MySQLServer]:
    """One server for the tests that need nothing special."""
    place = os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")
    with tempfile.TemporaryDirectory(prefix="xtrabackup-", dir=place) as top, MySQLServer(Path(top, "server")) as made:
        yield made


# --- privileges ----------------------------------------------------------------------------------


def test_exactly_the_listed_privileges_are_enough_for_everything_a_backup_asks(shared: MySQLServer) -> None:
    server = shared
    create_account(server, *BACKUP_PRIVILEGES)
    open_one = opener(server, "backup", "x")
    with open_one() as connection:
        support.require_supported(identify(connection), connection)
        require_backup_privileges(connection)
        assert read_layout(connection).datadir == server.datadir
        with MysqlLocks(connection, open_one, 5) as locks:
            locks.lock_instance()
            locks.lock_tables()
            connection.execute("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")
            assert read_log_status(connection).binlog is not None
            connection.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
            for table in ("INNODB_TABLESPACES", "INNODB_TABLES", "INNODB_INDEXES", "INNODB_DATAFILES", "FILES"):
                assert connection.query(f"SELECT * FROM information_schema.{table}")
            connection.execute("DO innodb_redo_log_consumer_register()")
            connection.execute("DO innodb_redo_log_consumer_unregister()")


@pytest.mark.parametrize("lacking", list(BACKUP_PRIVILEGES))
def test_a_missing_privilege_is_named_by_a_grant_that_works(shared: MySQLServer, lacking: str) -> None:
    create_account(shared, *(name for name in BACKUP_PRIVILEGES if name != lacking))
    with opener(shared, "backup", "x")() as connection, pytest.raises(MissingPrivilege) as caught:
        require_backup_privileges(connection)
    assert caught.value.details["missing"] == [lacking]
    (grant,) = caught.value.details["grants"]
    assert grant in caught.value.message
    shared.execute(grant)
    with opener(shared, "backup", "x")() as connection:
        require_backup_privileges(connection)


def test_an_account_without_anything_is_told_every_grant(shared: MySQLServer) -> None:
    create_account(shared)
    with opener(shared, "backup", "x")() as connection, pytest.raises(MissingPrivilege) as caught:
        require_backup_privileges(connection)
    assert caught.value.details["missing"] == list(BACKUP_PRIVILEGES)
    shared.execute(*caught.value.details["grants"])
    with opener(shared, "backup", "x")() as connection:
        require_backup_privileges(connection)


def test_the_database_of_the_log_status_is_as_good_as_the_table(shared: MySQLServer) -> None:
    create_account(shared, *(name for name in BACKUP_PRIVILEGES if name != LOG_STATUS))
    shared.execute("GRANT SELECT ON performance_schema.* TO backup@localhost")
    with opener(shared, "backup", "x")() as connection:
        require_backup_privileges(connection)


def test_privileges_of_a_role_count_when_it_is_active(shared: MySQLServer) -> None:
    create_account(shared)
    on_all = ", ".join(name for name in BACKUP_PRIVILEGES if name != LOG_STATUS)
    shared.execute(
        "CREATE ROLE taker",
        f"GRANT {on_all} ON *.* TO taker",
        f"GRANT {LOG_STATUS} TO taker",
        "GRANT taker TO backup@localhost",
    )
    with opener(shared, "backup", "x")() as connection, pytest.raises(MissingPrivilege) as caught:
        require_backup_privileges(connection)
    statement = "SET DEFAULT ROLE ALL TO 'backup'@'localhost';"
    assert statement in caught.value.remedy
    shared.execute(statement)
    with opener(shared, "backup", "x")() as connection:
        require_backup_privileges(connection)


def test_an_odd_account_name_is_quoted(shared: MySQLServer) -> None:
    shared.create_account("o'dd", "x", "USAGE")
    with opener(shared, "o'dd", "x")() as connection, pytest.raises(MissingPrivilege) as caught:
        require_replication_privileges(connection, reset=True)
    shared.execute(*caught.value.details["grants"])
    with opener(shared, "o'dd", "x")() as connection:
        require_replication_privileges(connection, reset=True)


# --- supported or refused ------------------------------------------------------------------------


def test_an_ordinary_server_is_supported_and_known_by_name(shared: MySQLServer) -> None:
    require_supported(shared)
    with opener(shared)() as connection:
        identity = identify(connection)
    assert identity.flavor is Flavor.MYSQL
    assert identity.version_tuple >= (9, 0)
    assert identity.server_id == 1
    assert identity.server_uuid == shared.value("SELECT @@server_uuid")
    assert identity.datadir == shared.datadir


def test_an_unusual_layout_is_read_with_absolute_paths(make_mysql: MySQLFactory, workdir: Path) -> None:
    places = {name: workdir / name for name in ("home", "redo", "undo", "more", "logs")}
    for place in places.values():
        place.mkdir()
    server = make_mysql(
        options={
            "innodb_data_home_dir": str(places["home"]),
            "innodb_log_group_home_dir": str(places["redo"]),
            "innodb_undo_directory": str(places["undo"]),
            "innodb_directories": f"{places['more']};./here",
            "innodb_data_file_path": "system1:12M;system2:12M:autoextend",
            "log_bin": str(places["logs"] / "changes"),
        }
    )
    with opener(server)() as connection:
        layout = read_layout(connection)
    assert layout.system_tablespace_files == (places["home"] / "system1", places["home"] / "system2")
    assert all(path.is_file() for path in layout.system_tablespace_files)
    assert layout.redo_directory == places["redo"] / "#innodb_redo"
    assert any(layout.redo_directory.glob("#ib_redo*"))
    assert (layout.innodb_undo_directory / "undo_001").is_file()
    assert layout.innodb_directories == (places["more"], server.datadir / "here")
    assert layout.log_bin_index == str(places["logs"] / "changes.index")
    assert layout.gtid_mode == "ON"


def test_a_server_that_runs_in_emergency_modes_is_refused(make_mysql: MySQLFactory) -> None:
    server = make_mysql(options={"innodb_force_recovery": 1, "innodb_read_only": "ON"})
    with pytest.raises(UnsupportedServer) as caught:
        require_supported(server)
    assert "innodb_force_recovery is 1" in caught.value.message
    assert "innodb_read_only is ON" in caught.value.message


def test_a_server_that_logs_no_redo_is_refused(shared: MySQLServer) -> None:
    shared.execute("ALTER INSTANCE DISABLE INNODB REDO_LOG")
    try:
        with pytest.raises(UnsupportedServer, match="ALTER INSTANCE ENABLE INNODB REDO_LOG"):
            require_supported(shared)
        facts = run_module("xtrabackup_info", shared.login())["server"]
        assert facts["supported"] is False
        assert "redo logging is disabled" in facts["refusal"]
    finally:
        shared.execute("ALTER INSTANCE ENABLE INNODB REDO_LOG")
    require_supported(shared)


def test_row_versions_are_refused_by_name_on_the_versions_that_cannot_recover_them(shared: MySQLServer) -> None:
    server = shared
    create_account(server, *BACKUP_PRIVILEGES)
    server.execute(
        "CREATE DATABASE IF NOT EXISTS shop", "CREATE TABLE shop.changed (a INT)", "CREATE TABLE shop.same (a INT)"
    )
    with opener(server, "backup", "x")() as connection:
        identity = identify(connection)
        old = dataclasses.replace(identity, version="8.0.31")
        support.require_supported(old, connection)
        server.execute("ALTER TABLE shop.changed ADD b INT, ALGORITHM=INSTANT")
        support.require_supported(identity, connection)
        with pytest.raises(UnsupportedTable) as caught:
            support.require_supported(old, connection)
        assert caught.value.details["tables"] == ["shop.changed"]
        assert "OPTIMIZE TABLE" in caught.value.remedy
        server.execute("OPTIMIZE TABLE shop.changed")
        support.require_supported(old, connection)


def test_tables_of_engines_that_keep_data_elsewhere_are_refused_by_name(
    shared: MySQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no such engine comes with MySQL, so ARCHIVE plays one
    monkeypatch.setattr(support, "SAFE_ENGINES", support.SAFE_ENGINES - {"archive"})
    server = shared
    create_account(server, *BACKUP_PRIVILEGES)
    server.execute("CREATE DATABASE IF NOT EXISTS shop")
    require_supported(server)
    with pytest.raises(MissingPrivilege, match=r"GRANT SELECT ON \*\.\* TO 'backup'@'localhost';"):
        require_supported(server, "backup", "x")
    server.execute("CREATE TABLE shop.old (a INT) ENGINE=ARCHIVE")
    with pytest.raises(UnsupportedTable, match=r"shop\.old \(ARCHIVE\)"):
        require_supported(server)


# --- an instant ----------------------------------------------------------------------------------


def transactions_before(server: MySQLServer, file: str, position: int) -> int:
    """How many transactions with GTIDs are in the binary log ``file`` before ``position``."""
    events = server.rows(f"SHOW BINLOG EVENTS IN '{file}'")
    return sum(row["Event_type"] == "Gtid" and row["Pos"] < position for row in events)


def number_of_last(gtid: str) -> int:
    """N of ``uuid:1-N``."""
    return int(gtid.rpartition(":")[2].rpartition("-")[2])


def test_lsn_position_and_gtids_of_an_instant_belong_together_under_load(make_mysql: MySQLFactory) -> None:
    server = make_mysql()
    taken: list[LogStatus] = []
    with opener(server)() as connection, WriteLoad(server, threads=4, per_second=AS_FAST_AS_IT_CAN):
        for _instant in range(20):
            taken.append(read_log_status(connection))
            time.sleep(0.05)
    # a load without a processor writes nothing for a while, so two instants may be one and the same
    assert [status.lsn for status in taken] == sorted(status.lsn for status in taken)
    assert taken[0].lsn < taken[10].lsn < taken[-1].lsn
    assert all(status.checkpoint_lsn <= status.lsn for status in taken)
    for status in (taken[0], taken[10], taken[-1]):
        assert status.binlog is not None
        assert status.binlog.gtid == status.gtid_executed
        assert transactions_before(server, status.binlog.file, status.binlog.position) == number_of_last(
            status.gtid_executed
        )
    assert number_of_last(taken[-1].gtid_executed) > number_of_last(taken[0].gtid_executed) + 20


def test_without_gtids_or_binary_log_an_instant_has_none(make_mysql: MySQLFactory) -> None:
    server = make_mysql(options={"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"})
    with opener(server)() as connection:
        status = read_log_status(connection)
    assert status.binlog is not None
    assert status.binlog.gtid == ""
    server.restart({"log_bin": False, "skip_log_bin": None})
    with opener(server)() as connection:
        status = read_log_status(connection)
    assert status.binlog is None
    assert status.lsn > 0


@pytest.fixture
def pair(make_mysql: MySQLFactory) -> tuple[MySQLServer, MySQLServer]:
    """A source with an account for replicas, and another server that may become one."""
    source, replica = make_mysql("source"), make_mysql("replica")
    source.create_account("repl", "x", "REPLICATION SLAVE")
    return source, replica


def follow(source: MySQLServer, replica: MySQLServer, where: str, channel: str = "") -> None:
    replica.execute(
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={source.port}, SOURCE_USER='repl', "
        f"SOURCE_PASSWORD='x', SOURCE_SSL=1, {where} FOR CHANNEL '{channel}'",
        f"START REPLICA FOR CHANNEL '{channel}'",
    )
    at_work = "SELECT SERVICE_STATE = 'ON' FROM performance_schema.replication_connection_status WHERE CHANNEL_NAME = "
    wait_for(replica, f"{at_work}'{channel}'")


def test_a_channel_with_auto_position_is_told_with_the_executed_gtids(pair: tuple[MySQLServer, MySQLServer]) -> None:
    source, replica = pair
    follow(source, replica, "SOURCE_AUTO_POSITION=1", "from one")
    source_gtid = source.value("SELECT @@gtid_executed")
    wait_for(replica, f"SELECT GTID_SUBSET('{source_gtid}', @@gtid_executed)")
    create_account(replica, *BACKUP_PRIVILEGES)
    with opener(replica, "backup", "x")() as connection:
        status = read_log_status(connection)
    (channel,) = status.channels
    assert (channel.channel, channel.source_host, channel.source_port) == ("from one", "127.0.0.1", source.port)
    assert channel.by_gtid
    assert source_gtid in channel.gtid
    assert status.unsure == ()


@contextlib.contextmanager
def drizzle(server: MySQLServer) -> Iterator[None]:
    """Single rows, with pauses that are sometimes long enough for a replica to catch up."""
    server.execute("CREATE DATABASE shop", "CREATE TABLE shop.rain (id INT AUTO_INCREMENT PRIMARY KEY)")
    enough = threading.Event()

    def rain() -> None:
        with server.session() as client, client.cursor() as cursor:
            while not enough.wait(random.random() ** 3):
                cursor.execute("INSERT INTO shop.rain VALUES ()")

    thread = threading.Thread(target=rain)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join(10)


@pytest.mark.parametrize("workers", [0, 4])
def test_a_position_that_is_sure_is_that_of_the_instant(pair: tuple[MySQLServer, MySQLServer], workers: int) -> None:
    """GTIDs are written but not used by the channel: they tell what was executed at the instant."""
    source, replica = pair
    replica.execute(f"SET GLOBAL replica_parallel_workers = {workers}")
    follow(source, replica, "SOURCE_AUTO_POSITION=0, SOURCE_LOG_FILE='binlog.000001', SOURCE_LOG_POS=4")
    uuid = source.value("SELECT @@server_uuid")
    sure: list[LogStatus] = []
    with opener(replica)() as connection, drizzle(source):
        deadline = time.monotonic() + 10
        while len(sure) < 5 and time.monotonic() < deadline:
            status = read_log_status(connection)
            if not status.unsure:
                sure.append(status)
            time.sleep(0.2)
    assert len(sure) >= 3
    for status in sure:
        (channel,) = status.channels
        assert not channel.by_gtid
        executed = next(part for part in status.gtid_executed.split(",") if part.startswith(uuid))
        assert transactions_before(source, channel.file, channel.position) == number_of_last(executed)


def test_a_busy_channel_without_gtids_is_sure_only_when_it_has_nothing_to_do(make_mysql: MySQLFactory) -> None:
    options = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}
    source, replica = make_mysql("source", options), make_mysql("replica", options)
    source.create_account("repl", "x", "REPLICATION SLAVE")
    replica.execute("SET GLOBAL replica_parallel_workers = 4")
    follow(source, replica, "SOURCE_LOG_FILE='binlog.000001', SOURCE_LOG_POS=4")
    with opener(replica)() as connection:
        with WriteLoad(source, threads=4, per_second=AS_FAST_AS_IT_CAN):
            time.sleep(1)
            assert read_log_status(connection).unsure == ("",)
        row = source.rows("SHOW BINARY LOG STATUS")[0]
        wait_for(replica, f"SELECT SOURCE_POS_WAIT('{row['File']}', {row['Position']}, 10) IS NOT NULL")
        status = read_log_status(connection)
        assert status.unsure == ()
        assert (status.channels[0].file, status.channels[0].position) == (row["File"], row["Position"])
        replica.execute("STOP REPLICA")
        assert read_log_status(connection).unsure == ()


# --- logins --------------------------------------------------------------------------------------


def over_tcp(server: MySQLServer, password: str = SECRET, ca_cert: str | None = None) -> ConnectionParameters:
    return ConnectionParameters(
        user="remote", password=password, host="127.0.0.1", port=server.port, ca_cert=ca_cert, config_file=""
    )


def test_a_session_is_set_up_for_a_long_backup(shared: MySQLServer) -> None:
    shared.create_account("plain", "x", "USAGE")
    shared.execute("SET GLOBAL max_execution_time = 50", "SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
    try:
        with opener(shared, "plain", "x")() as connection:
            assert int(connection.scalar("SELECT @@SESSION.wait_timeout")) == 2147483
            assert connection.scalar("SELECT @@SESSION.max_execution_time") == 0
            assert connection.scalar("SELECT SLEEP(0.2)") == 0
            assert connection.scalar("SELECT @@SESSION.group_replication_consistency") == "EVENTUAL"
            assert connection.scalar("SELECT %s", ['it\'s a \\ "test" \u20ac']) == 'it\'s a \\ "test" \u20ac'
            shared.execute(f"KILL {connection.thread_id}")
            with pytest.raises(ConnectionFailed, match="lost"):
                connection.query("SELECT 1")
    finally:
        shared.execute("SET GLOBAL max_execution_time = DEFAULT", "SET GLOBAL sql_mode = DEFAULT")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, which is its own authority; its key is beside it."""
    place = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem"), "-days", "2", "-subj", "/CN=test",
            "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return place / "cert.pem"


def test_the_usual_account_logs_in_over_tls_that_is_verified(make_mysql: MySQLFactory, certificate: Path) -> None:
    server = make_mysql(options={"ssl_cert": str(certificate), "ssl_key": str(certificate.with_name("key.pem"))})
    server.create_account("remote", SECRET, "USAGE")
    assert server.value("SELECT plugin FROM mysql.user WHERE user = 'remote' LIMIT 1") == "caching_sha2_password"
    with Connection(over_tcp(server, ca_cert=str(certificate))) as connection:
        assert connection.row("SHOW SESSION STATUS WHERE Variable_name = 'Ssl_cipher' AND Value <> ''")
    with pytest.raises(ConnectionFailed, match="certificate verify failed"):
        Connection(over_tcp(server, ca_cert="/etc/ssl/certs/ca-certificates.crt"))
    with pytest.raises(ConnectionFailed, match="does not accept the login") as caught:
        Connection(over_tcp(server, SECRET + "!", ca_cert=str(certificate)))
    assert SECRET not in str(caught.value.as_dict())


def test_without_tls_the_usual_account_logs_in_by_the_servers_public_key(
    make_mysql: MySQLFactory, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_mysql(options={"tls_version": "''"})
    server.create_account("remote", SECRET, "USAGE")
    with pytest.raises(ConnectionFailed, match=r"TLS|SSL"):
        Connection(over_tcp(server, ca_cert=str(certificate)))
    with monkeypatch.context() as without:
        # a host that lacks the library: the driver says so only when it needs it
        without.setattr("pymysql._auth._have_cryptography", False)
        without.setitem(sys.modules, "cryptography", None)
        with pytest.raises(MissingLibrary, match="cryptography"):
            Connection(over_tcp(server))
    with Connection(over_tcp(server)) as connection:
        assert connection.scalar("SELECT CURRENT_USER()") == "remote@127.0.0.1"
        assert connection.row("SHOW SESSION STATUS WHERE Variable_name = 'Ssl_cipher' AND Value <> ''") is None


@pytest.mark.parametrize("change", ["ACCOUNT LOCK", "PASSWORD EXPIRE"])
def test_an_account_that_may_not_be_used_is_a_refused_login(shared: MySQLServer, change: str) -> None:
    shared.create_account("remote", SECRET, "USAGE")
    shared.execute(f"ALTER USER remote@localhost {change}")
    with pytest.raises(ConnectionFailed, match="does not accept the login of user 'remote'"):
        opener(shared, "remote", SECRET)()


# --- xtrabackup_info -----------------------------------------------------------------------------


def test_the_module_tells_whether_and_by_whom_a_server_can_be_backed_up(make_mysql: MySQLFactory) -> None:
    server = make_mysql()
    server.execute("CREATE DATABASE shop")
    server.create_account("weak", "x", "PROCESS")
    create_account(server, *BACKUP_PRIVILEGES)
    found = run_module("xtrabackup_info", server.login("backup", "x"))
    facts = found["server"]
    assert (facts["flavor"], facts["supported"], facts["refusal"]) == ("mysql", True, None)
    assert facts["gtid"] == server.value("SELECT @@gtid_executed") == facts["binlog"]["gtid"]
    assert facts["binlog"]["file"] == "binlog.000001"
    assert facts["privileges_missing"] == []
    assert (facts["gtid_mode"], facts["innodb_redo_log_capacity"]) == ("ON", 64 << 20)
    assert facts["server_uuid"] == server.value("SELECT @@server_uuid")
    weak = run_module("xtrabackup_info", server.login("weak", "x"))["server"]
    assert weak["privileges_missing"] == [name for name in BACKUP_PRIVILEGES if name != "PROCESS"]
    assert weak["binlog"] is None
    assert run_module("xtrabackup_info", server.login())["server"]["user_databases"] == ["shop"]
