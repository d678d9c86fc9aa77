# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an account may do, and whether a server can be backed up, as real servers answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
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
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb import (
    coordinates as mariadb_coordinates,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.locks import BackupStages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.privileges import (
    BACKUP_PRIVILEGES,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.privileges import (
    require_backup_privileges,
    require_replication_privileges,
)
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer


def connect(server: MariaDBServer, user: str = "root", password: str = "") -> Connection:
    return Connection(ConnectionParameters(unix_socket=str(server.socket), user=user, password=password))


def require_supported(server: MariaDBServer, user: str = "root", password: str = "") -> None:
    with connect(server, user, password) as connection:
        support.require_supported(identify(connection), connection)


# --- privileges ----------------------------------------------------------------------------------


def test_exactly_the_listed_privileges_are_enough_for_everything_a_backup_asks(make_server: ServerFactory) -> None:
    server = make_server()
    server.create_account("backup", "x", ", ".join(BACKUP_PRIVILEGES))
    with connect(server, "backup", "x") as connection:
        require_backup_privileges(connection)
        identity = identify(connection)
        support.require_supported(identity, connection)
        assert read_layout(connection).datadir == server.datadir
        with BackupStages(connection, lambda: connect(server, "backup", "x"), 5) as stages:
            stages.start()
            stages.flush()
            stages.block_ddl()
            stages.block_commit()
            assert mariadb_coordinates.read_coordinates(connection) is not None
            assert mariadb_coordinates.read_channels_at_rest(connection) == []
            connection.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
            assert connection.query("SELECT * FROM information_schema.INNODB_SYS_TABLESPACES")


@pytest.mark.parametrize("lacking", list(BACKUP_PRIVILEGES))
def test_a_missing_privilege_is_named_by_a_grant_that_works(make_server: ServerFactory, lacking: str) -> None:
    server = make_server()
    server.create_account("backup", "x", ", ".join(name for name in BACKUP_PRIVILEGES if name != lacking))
    with connect(server, "backup", "x") as connection, pytest.raises(MissingPrivilege) as caught:
        require_backup_privileges(connection)
    grant = f"GRANT {lacking} ON *.* TO 'backup'@'localhost';"
    assert grant in caught.value.message
    server.execute(caught.value.details["grant"])
    with connect(server, "backup", "x") as connection:
        require_backup_privileges(connection)


def test_privileges_of_a_role_count_when_it_is_active(make_server: ServerFactory) -> None:
    server = make_server()
    server.create_account("backup", "x", "USAGE")
    server.execute(
        "CREATE ROLE taker",
        f"GRANT {', '.join(BACKUP_PRIVILEGES)} ON *.* TO taker",
        "GRANT taker TO 'backup'@'localhost'",
    )
    with connect(server, "backup", "x") as connection, pytest.raises(MissingPrivilege) as caught:
        require_backup_privileges(connection)
    assert "SET DEFAULT ROLE `taker` FOR 'backup'@'localhost';" in caught.value.remedy
    server.execute("SET DEFAULT ROLE taker FOR 'backup'@'localhost'")
    with connect(server, "backup", "x") as connection:
        require_backup_privileges(connection)


def test_an_odd_account_name_is_quoted(make_server: ServerFactory) -> None:
    server = make_server()
    server.create_account("o'dd", "x", "USAGE")
    with connect(server, "o'dd", "x") as connection, pytest.raises(MissingPrivilege) as caught:
        require_replication_privileges(connection, reset=True)
    server.execute(caught.value.details["grant"])
    with connect(server, "o'dd", "x") as connection:
        require_replication_privileges(connection, reset=True)


# --- refusals ------------------------------------------------------------------------------------


def test_an_ordinary_server_is_supported_and_known_by_name(make_server: ServerFactory) -> None:
    server = make_server()
    require_supported(server)
    with connect(server) as connection:
        identity = identify(connection)
    assert identity.flavor is Flavor.MARIADB
    assert identity.version_tuple >= (10, 11)
    assert identity.server_id == 1
    assert identity.datadir == server.datadir


def test_an_unusual_layout_is_read_with_absolute_paths(make_server: ServerFactory, workdir: Path) -> None:
    places = {name: workdir / name for name in ("home", "redo", "undo")}
    server = make_server(
        options={
            "innodb_data_home_dir": str(places["home"]),
            "innodb_log_group_home_dir": str(places["redo"]),
            "innodb_undo_directory": str(places["undo"]),
            "innodb_undo_tablespaces": 3,
            "innodb_data_file_path": "system1:12M;system2:12M:autoextend",
        }
    )
    with connect(server) as connection:
        layout = read_layout(connection)
    assert layout.system_tablespace_files == (places["home"] / "system1", places["home"] / "system2")
    assert all(path.is_file() for path in (*layout.system_tablespace_files, layout.redo_log))
    assert (layout.innodb_undo_directory / "undo001").is_file()


@pytest.mark.parametrize(
    "options",
    [
        {"innodb_force_recovery": 1},
        {"innodb_read_only": "ON"},
        {"innodb_sys_tablespaces": "OFF"},
        {"innodb_tablespaces_encryption": "OFF"},
    ],
    ids=["force_recovery", "read_only", "no dictionary", "no look at encryption"],
)
def test_a_server_that_cannot_be_backed_up_as_it_is_configured_is_refused(
    make_server: ServerFactory, options: dict[str, str | int]
) -> None:
    server = make_server()
    server.restart(dict(options))
    with pytest.raises(UnsupportedServer, match=next(iter(options))):
        require_supported(server)


@pytest.fixture
def encrypting(make_server: ServerFactory, workdir: Path) -> MariaDBServer:
    """A server that could encrypt, and does not unless it is told to."""
    keys = workdir / "keys"
    keys.write_text("1;" + "77" * 32 + "\n")
    return make_server(options={"plugin_load_add": "file_key_management", "file_key_management_filename": str(keys)})


def test_encryption_that_is_not_used_is_no_reason_to_refuse(encrypting: MariaDBServer) -> None:
    encrypting.execute("CREATE DATABASE shop", "CREATE TABLE shop.plain (a INT)")
    require_supported(encrypting)


def test_encrypted_tables_are_refused_by_name(encrypting: MariaDBServer) -> None:
    encrypting.execute("CREATE DATABASE shop", "CREATE TABLE shop.hidden (a INT) ENCRYPTED=YES")
    with pytest.raises(UnsupportedTable, match="shop/hidden"):
        require_supported(encrypting)


@pytest.mark.parametrize("option", ["innodb_encrypt_log", "innodb_encrypt_tables", "aria_encrypt_tables"])
def test_servers_that_encrypt_are_refused(encrypting: MariaDBServer, option: str) -> None:
    encrypting.restart({option: "ON"})
    with pytest.raises(UnsupportedServer, match=option):
        require_supported(encrypting)


def test_tables_of_engines_that_keep_data_elsewhere_are_refused_by_name(
    make_server: ServerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no such engine is installable everywhere, so ARCHIVE plays one
    monkeypatch.setattr(support, "SAFE_ENGINES", support.SAFE_ENGINES - {"archive"})
    server = make_server()
    server.create_account("backup", "x", ", ".join(BACKUP_PRIVILEGES))
    server.execute("INSTALL SONAME 'ha_archive'", "CREATE DATABASE shop")
    require_supported(server)
    with pytest.raises(MissingPrivilege, match=r"GRANT SELECT ON \*\.\* TO 'backup'@'localhost';"):
        require_supported(server, "backup", "x")
    server.execute("CREATE TABLE shop.old (a INT) ENGINE=ARCHIVE")
    with pytest.raises(UnsupportedTable, match=r"shop\.old \(ARCHIVE\)"):
        require_supported(server)
