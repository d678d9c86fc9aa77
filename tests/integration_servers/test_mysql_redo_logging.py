# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redo logging that was disabled for a moment during a backup is seen, however short the moment was."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnsupportedServer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_logging import (
    DIGESTS,
    read_alter_instance,
    require_logged_since,
)
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_mysql_backup import before_lock
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.sessions import opener

UNLOGGED = (
    "ALTER INSTANCE DISABLE INNODB REDO_LOG",
    "INSERT INTO d.t VALUES (1)",
    "ALTER INSTANCE ENABLE INNODB REDO_LOG",
)
RELOAD = "ALTER INSTANCE RELOAD TLS"


def test_a_backup_during_which_the_redo_log_was_disabled_for_a_moment_is_refused(
    make_mysql: MySQLFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_mysql("source")
    source.execute("CREATE DATABASE d", "CREATE TABLE d.t (a INT)")
    source.create_account("backup", "secret")
    source.execute("GRANT SELECT ON performance_schema.log_status TO backup@localhost")
    login = ConnectionParameters(unix_socket=str(source.socket), user="backup", password="secret")
    statements: list[str] = []
    before_lock(monkeypatch, lambda: source.execute(*statements))

    def refusal(*during: str, **options: Any) -> UnsupportedServer:
        statements[:] = during
        with pytest.raises(UnsupportedServer, match="redo logging") as caught:
            take(source, workdir / "backup", **options)
        assert not list(workdir.glob("backup*"))
        return caught.value

    for connection in ({}, {"connection": login}):
        refusal(*UNLOGGED, **connection)
    # the account cannot tell one ALTER INSTANCE from another until it is allowed to
    grant = f"GRANT SELECT ON {DIGESTS} TO 'backup'@'localhost';"
    assert grant in refusal(RELOAD, connection=login).remedy
    source.execute(grant)
    assert "GRANT" not in refusal(*UNLOGGED, RELOAD, connection=login).message
    statements[:] = [RELOAD]
    take(source, workdir / "backup", connection=login)


def prepared(server: MySQLServer) -> None:
    with server.session() as session, session.cursor() as cursor:
        cursor.execute(f"PREPARE disable FROM '{UNLOGGED[0]}'")
        cursor.execute("EXECUTE disable")
        cursor.execute(UNLOGGED[2])


def with_status_reset(server: MySQLServer) -> None:
    with server.session() as session, session.cursor() as cursor:
        for statement in (UNLOGGED[0], UNLOGGED[2], "FLUSH STATUS", "TRUNCATE performance_schema.global_status"):
            cursor.execute(statement)
    server.execute("FLUSH STATUS", f"TRUNCATE {DIGESTS}", RELOAD)


def in_a_procedure(server: MySQLServer) -> None:
    server.execute(
        "DROP PROCEDURE IF EXISTS d.p",
        "CREATE PROCEDURE d.p() BEGIN ALTER INSTANCE DISABLE INNODB REDO_LOG; "
        "ALTER INSTANCE ENABLE INNODB REDO_LOG; END",
        "CALL d.p()",
    )


def harmless(server: MySQLServer) -> None:
    server.create_account("nobody", "secret", "USAGE")
    for statement in (UNLOGGED[0], RELOAD):
        with pytest.raises(Exception, match="denied"), server.session(user="nobody", password="secret") as session:
            session.cursor().execute(statement)
    for statement in ("ALTER INSTANCE RELOAD KEYRING", "ALTER INSTANCE ROTATE INNODB MASTER KEY"):
        with pytest.raises(Exception, match="[Kk]eyring"):
            server.execute(statement)
    server.execute(RELOAD, "ALTER INSTANCE RELOAD TLS FOR CHANNEL mysql_main")


def test_the_redo_logs_statements_are_told_from_harmless_ones_in_whatever_form_they_come(
    make_mysql: MySQLFactory,
) -> None:
    server = make_mysql()
    server.execute("CREATE DATABASE d")

    def seen(action: Callable[[MySQLServer], None]) -> bool:
        with opener(server)() as connection:
            before = read_alter_instance(connection)
            action(server)
            try:
                require_logged_since(before, connection)
            except UnsupportedServer:
                return True
            return False

    assert not seen(lambda _server: None)
    for dangerous in (prepared, with_status_reset, in_a_procedure):
        assert seen(dangerous), dangerous
    assert not seen(harmless)
