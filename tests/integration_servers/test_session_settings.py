# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session inherits from the server never changes what a backup is made of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Union

import pymysql
import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql import (
    dictionary as mysql_dictionary,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import MissingPrivilege, ServerError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Flavor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import (
    facts,
    session,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.identity import identify
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import read_layout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb import (
    coordinates as mariadb_coordinates,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql import (
    tablespaces as mysql_tablespaces,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.coordinates import read_log_status
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.replication import read_state
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.session import FIRST, PATHS, SETTINGS
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.client import DatabaseClient
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, MariaDBServer
from ansible_collections.innodb.xtrabackup.tests.support.sessions import opener

Value = Union[str, int, None]

#: what no number or switch is, at its worst
WORST: Mapping[str, tuple[Value, ...]] = {
    "sql_mode": (
        "ANSI,TRADITIONAL,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE,ONLY_FULL_GROUP_BY,PAD_CHAR_TO_FULL_LENGTH",
        "ORACLE",
    ),
    "completion_type": ("RELEASE", "CHAIN"),
    "transaction_isolation": ("SERIALIZABLE", "READ-UNCOMMITTED"),
    "tx_isolation": ("SERIALIZABLE", "READ-UNCOMMITTED"),
    "character_set_client": ("latin1", "sjis"),
    "character_set_connection": ("ucs2", "latin1"),
    "character_set_results": ("utf16", "latin1", None),
    "character_set_server": ("ucs2",),
    "collation_connection": ("utf16_bin", "latin1_swedish_ci"),
    "lc_messages": ("ja_JP", "de_DE"),
    "lc_time_names": ("ja_JP",),
    "time_zone": ("+09:00",),
    "terminology_use_previous": ("BEFORE_8_0_26",),
    "default_storage_engine": ("MyISAM",),
    "group_replication_consistency": ("BEFORE_AND_AFTER",),
}
#: with the others at their smallest nobody can log in; and what is not only for the session
LEFT_ALONE = ("max_session_mem_used", "server_id", PATHS)
INIT_CONNECT = (
    "SET SESSION sql_select_limit = 1, sql_big_selects = 0, max_join_size = 1, autocommit = 0; "
    "SET SESSION TRANSACTION READ ONLY; SET NAMES latin1"
)


@pytest.fixture(scope="module", params=[MariaDBServer, MySQLServer])
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A server with some tables, two channels and the account ``backup``, which has what a backup needs."""
    kind: type[DatabaseServer] = request.param
    mysql = kind is MySQLServer
    with tempfile.TemporaryDirectory(prefix="xtrabackup-", dir="/var/tmp") as place, kind(Path(place, "s")) as made:
        made.execute("CREATE DATABASE `dä`", *(f"CREATE TABLE `dä`.t{i} (a INT PRIMARY KEY)" for i in range(4)))
        for name, port in (("a", 1), ("b", 2)):
            made.execute(
                f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port} FOR CHANNEL '{name}'"
                if mysql
                else f"CHANGE MASTER '{name}' TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}"
            )
        made.create_account("backup", "x", f"{made.backup_privileges}, SELECT, SHOW DATABASES")
        yield made


def answers(connection: Connection) -> dict[str, Any]:
    """What the engine reads of a server, but for what moves by itself."""
    read = facts.server_facts(connection)
    identity = identify(connection)
    found: dict[str, Any] = {name: read[name] for name in read if name not in ("binlog", "gtid")}
    found["layout"] = read_layout(connection)
    found["channels"] = [channel.channel for channel in read_state(connection).channels]
    connection.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
    if identity.flavor is Flavor.MARIADB:
        found["sources"] = [channel.source_port for channel in mariadb_coordinates.read_channels_at_rest(connection)]
        spaces = connection.listing("SELECT SPACE, NAME FROM information_schema.INNODB_SYS_TABLESPACES")
        found["tablespaces"] = sorted((row["SPACE"], row["NAME"]) for row in spaces)
    else:
        found["sources"] = [channel.source_port for channel in read_log_status(connection).channels]
        found["tablespaces"] = sorted(map(str, mysql_tablespaces.read_tablespaces(connection)))
        found["dictionary"] = mysql_dictionary.read_dictionary(connection)
    return found


def inherited(client: pymysql.Connection[Any]) -> Iterator[tuple[str, str]]:
    """The variables that can be set for a session, with their values."""
    with client.cursor() as cursor:
        cursor.execute("SHOW GLOBAL VARIABLES")
        for name, value in cursor.fetchall():
            try:
                cursor.execute(f"SET SESSION {name} = @@GLOBAL.{name}")
            except pymysql.MySQLError:
                continue
            yield name, value


def extremes(name: str, value: str) -> tuple[Value, ...]:
    """What ``name`` is tried with; the server brings numbers to its limits."""
    if name in WORST:
        return WORST[name]
    if name == "optimizer_switch":
        return (value.replace("=on", "=off").replace("in_to_exists=off", "in_to_exists=on"), value)
    if value in ("ON", "OFF"):
        return ("OFF" if value == "ON" else "ON",)
    return (0, 1, 2, (1 << 63) - 1) if value.replace(".", "", 1).isdigit() else ()


def set_global(client: pymysql.Connection[Any], name: str, value: Value) -> bool:
    try:
        with client.cursor() as cursor:
            cursor.execute(f"SET GLOBAL {name} = %s", (value,))
    except pymysql.MySQLError:
        return False
    return True


def test_no_variable_that_a_session_inherits_changes_what_is_read(server: DatabaseServer) -> None:
    open_session = opener(server, "backup", "x")
    with open_session() as connection:
        expected = answers(connection)
    assert len(expected["tablespaces"]) >= 4
    assert expected["channels"] == ["a", "b"]
    with server.session() as client:
        variables = [(name, value) for name, value in inherited(client) if name not in LEFT_ALONE]
        assert len(variables) > 120
        seen: set[str] = set()
        for turn in range(4):
            changed = [
                name
                for name, value in variables
                if (tried := extremes(name, value)) and set_global(client, name, tried[turn % len(tried)])
            ]
            assert len(changed) > 100
            seen.update(changed)
            with open_session() as connection:
                assert answers(connection) == expected, (turn, changed)
        for name, value in variables:
            set_global(client, name, int(value) if value.isdigit() else value)
        assert {"sql_select_limit", "max_join_size", "sql_safe_updates", "sql_mode"} <= seen
        assert set_global(client, "init_connect", INIT_CONNECT)
        with open_session() as connection:
            assert answers(connection) == expected
        assert set_global(client, "init_connect", "")


def test_every_setting_is_known_to_a_server_and_taken(make_server: ServerFactory, make_mysql: MySQLFactory) -> None:
    known: set[str] = set()
    server: DatabaseServer
    for server in (make_server("mariadb"), make_mysql("mysql")):
        server.create_account("plain", "x", "USAGE")
        with opener(server, "plain", "x")() as connection:
            names = [tuple({*FIRST, *SETTINGS})]
            rows = connection.query("SHOW SESSION VARIABLES WHERE Variable_name IN %s", names)
            values = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
            assert int(values["sql_select_limit"]) == int(values["max_join_size"]) == (1 << 64) - 1
            assert (values["sql_big_selects"], values["sql_safe_updates"], values["sql_mode"]) == ("ON", "OFF", "")
            known |= set(values)
    # MySQL's plugin for groups is not loaded
    assert known >= {*FIRST, *SETTINGS} - {"group_replication_consistency"}


def test_a_variable_that_a_server_does_not_know_or_keeps_to_itself_does_not_matter(
    server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create_account("plain", "x", "USAGE")
    monkeypatch.setattr(session, "FIRST", {"no_such_variable": 1, "sql_log_bin": 0, **FIRST})
    with opener(server, "plain", "x")() as connection:
        assert connection.scalar("SELECT @@SESSION.sql_select_limit") == (1 << 64) - 1
        assert connection.scalar("SELECT @@SESSION.sql_log_bin") == 1
        assert connection.scalar("SELECT @@SESSION.wait_timeout") == SETTINGS["wait_timeout"]


def test_a_list_that_is_cut_short_by_whatever_it_is_is_no_list(server: DatabaseServer) -> None:
    with opener(server, "backup", "x")() as connection:
        schemata = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"
        assert sorted(map(str, connection.listing(schemata))) == sorted(map(str, connection.query(schemata)))
        assert connection.listing(f"{schemata} WHERE SCHEMA_NAME = %s", ["none"]) == []
        for limit in (0, 1):
            connection.execute(f"SET SESSION sql_select_limit = {limit}")
            with pytest.raises(ServerError, match=f"shows {limit} rows"):
                connection.listing(schemata)


def test_paths_are_read_in_their_own_character_set_or_not_at_all(server: DatabaseServer) -> None:
    """MySQL wants a privilege for that, MariaDB does not."""
    with opener(server)() as connection:
        expected = read_layout(connection)
    server.execute(f"SET GLOBAL {PATHS} = utf16")
    if server.flavor == "mysql":
        with pytest.raises(MissingPrivilege, match="utf16"):
            opener(server, "backup", "x")()
        server.execute("GRANT SESSION_VARIABLES_ADMIN ON *.* TO backup@localhost")
    with opener(server, "backup", "x")() as connection:
        assert read_layout(connection) == expected
    server.execute(f"SET GLOBAL {PATHS} = latin1", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM backup@localhost")
    with opener(server, "backup", "x")() as connection:
        assert read_layout(connection) == expected


def backup_under(server: DatabaseClient, settings: Mapping[str, Value]) -> None:
    with server.session() as client:
        for name, value in settings.items():
            assert set_global(client, name, value), name


def test_a_backup_is_whole_on_a_server_whose_sessions_are_limited(
    make_server: ServerFactory, make_mysql: MySQLFactory, workdir: Path
) -> None:
    outside = workdir / "outside"
    outside.mkdir()
    mysql = make_mysql("mysql", {"innodb_directories": str(outside)})
    mysql.execute("CREATE DATABASE d", *(f"CREATE TABLE d.t{i} (a INT) DATA DIRECTORY='{outside}'" for i in range(3)))
    mariadb = make_server("mariadb")
    mariadb.execute("CREATE DATABASE d", *(f"CREATE TABLE d.t{i} (a INT)" for i in range(3)))
    limits: dict[str, Value] = {
        "sql_select_limit": 1,
        "max_join_size": 1,
        "sql_safe_updates": 1,
        "autocommit": 0,
        "completion_type": "RELEASE",
        "lock_wait_timeout": 1,
        "sql_mode": "ANSI,NO_BACKSLASH_ESCAPES",
    }
    servers: tuple[tuple[DatabaseServer, str], ...] = (
        (mysql, "transaction_read_only"),
        (mariadb, "tx_read_only"),
    )
    for server, read_only in servers:
        server.create_account("backup", "x", f"{server.backup_privileges}, SELECT, LOCK TABLES")
        backup_under(server, {**limits, read_only: 1, "init_connect": INIT_CONNECT})
        login = ConnectionParameters(unix_socket=str(server.socket), user="backup", password="x", config_file="")
        dest = workdir / f"backup-{server.flavor}"
        take(server, dest, connection=login)
        assert {f"t{i}.ibd" for i in range(3)} == {path.name for path in (dest / "d").glob("*.ibd")}
