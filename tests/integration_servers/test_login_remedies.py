# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error tells to do when an account cannot be used, done: then a backup is taken."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import MissingLibrary, XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, MariaDBServer


@pytest.fixture(name="server", scope="module", params=["mariadb", "mysql"])
def _server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    server = (MySQLServer if request.param == "mysql" else MariaDBServer)(place / "server")
    try:
        yield server.start()
    finally:
        server.kill()
        shutil.rmtree(place, ignore_errors=True)


def make_account(server: DatabaseServer, user: str, how: str = "IDENTIFIED BY 'secret'", limits: str = "") -> None:
    server.execute(f"CREATE OR REPLACE USER {user}@localhost {how} {limits}" if _is_mariadb(server) else "DO 0")
    if not _is_mariadb(server):
        server.execute(f"DROP USER IF EXISTS {user}@localhost", f"CREATE USER {user}@localhost {how} {limits}")
        server.execute(f"GRANT SELECT, LOCK TABLES ON *.* TO {user}@localhost")
        server.execute(f"GRANT SELECT ON performance_schema.log_status TO {user}@localhost")
    server.execute(f"GRANT {server.backup_privileges} ON *.* TO {user}@localhost")


def _is_mariadb(server: DatabaseServer) -> bool:
    return isinstance(server, MariaDBServer)


def statement_in(remedy: str) -> str:
    """The statement for an administrator that the remedy tells, for our host and password."""
    text = remedy.replace("@'...'", "@localhost").replace("'...'", "'secret'")
    found = re.search(r"ALTER USER [^.,:]*", text)
    assert found, f"no statement in: {remedy}"
    return found.group()


def take(server: DatabaseServer, dest: Path) -> None:
    """A backup by the account ``agent``."""
    login = ConnectionParameters(unix_socket=str(server.socket), user="agent", password="secret")
    options = job.BackupOptions(connection=login, tool_version="0.1.0")
    job.take_backup(options, DirectorySink(dest), Progress("backup"))


def refused(server: DatabaseServer, dest: Path) -> XtrabackupError:
    with pytest.raises(XtrabackupError) as caught:
        take(server, dest)
    assert not dest.exists()
    return caught.value


TROUBLES = {
    "too few connections": ("WITH MAX_USER_CONNECTIONS 1", None, "MAX_USER_CONNECTIONS"),
    "too few queries": ("WITH MAX_QUERIES_PER_HOUR 5", None, "MAX_QUERIES_PER_HOUR 0"),
    "expired": ("", "ALTER USER {} PASSWORD EXPIRE", "IDENTIFIED BY"),
    "locked": ("", "ALTER USER {} ACCOUNT LOCK", "ACCOUNT UNLOCK"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_statement_in_the_remedy_is_what_it_takes(server: DatabaseServer, workdir: Path, trouble: str) -> None:
    limits, change, expected = TROUBLES[trouble]
    make_account(server, "agent", limits=limits)
    if change:
        server.execute(change.format("agent@localhost"))
    error = refused(server, workdir / "full")
    assert error.code in ("connection_failed", "server_error")
    assert "'agent'" in error.remedy
    statement = statement_in(error.remedy)
    assert expected in statement
    server.execute(statement)
    take(server, workdir / "full")


def test_a_broken_init_connect_is_named_and_can_be_done_without(server: DatabaseServer, workdir: Path) -> None:
    make_account(server, "agent")
    server.execute("SET GLOBAL init_connect = 'SELECT 1 FROM no.such'")
    try:
        error = refused(server, workdir / "full")
        assert error.details["errno"] == 1184
        grant = "CONNECTION ADMIN" if _is_mariadb(server) else "CONNECTION_ADMIN"
        assert f"GRANT {grant} ON *.* TO 'agent'@'...'" in error.remedy
        server.execute(f"GRANT {grant} ON *.* TO agent@localhost")
        take(server, workdir / "full")
    finally:
        server.execute("SET GLOBAL init_connect = ''")


@contextlib.contextmanager
def _without(monkeypatch: pytest.MonkeyPatch, module: str) -> Iterator[None]:
    """``module`` as if it were not installed."""
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, module, None)
        yield


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
@pytest.mark.parametrize("plugin", ["ed25519", "pam"])
def test_a_plugin_that_the_driver_has_not_all_of_is_said_with_another_way_in(
    server: DatabaseServer, plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.suppress(Exception):  # it may be there from the other case
        server.execute(f"INSTALL SONAME 'auth_{plugin}'")
    how = "ed25519 USING PASSWORD('secret')" if plugin == "ed25519" else "pam USING 'mariadb'"
    make_account(server, plugin, f"IDENTIFIED VIA {how}")
    login = ConnectionParameters(unix_socket=str(server.socket), user=plugin, password="secret")
    with _without(monkeypatch, "nacl"), pytest.raises(XtrabackupError) as caught:
        Connection(login)
    if plugin == "ed25519":
        assert isinstance(caught.value, MissingLibrary)
        assert caught.value.details["library"] == "PyNaCl"
        server.execute(statement_in(caught.value.remedy))
    else:
        assert caught.value.code == "connection_failed"
        assert "mysql_native_password" in caught.value.remedy
        server.execute(f"ALTER USER {plugin}@localhost IDENTIFIED VIA mysql_native_password USING PASSWORD('secret')")
    Connection(login).close()
