# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup refuses at its start it also refuses when it is made while files are copied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    ServerError,
    UnsupportedServer,
    UnsupportedTable,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    FIRST_PAGE_SIZE,
    parse_tablespace_header,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import support
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.locks import BackupStages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql import support as mysql_support
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_status import read_redo_status
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_mysql_backup import before_lock
from ansible_collections.innodb.xtrabackup.tests.support.backups import take
from ansible_collections.innodb.xtrabackup.tests.support.mysql_redo import wait_for
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, MariaDBServer
from ansible_collections.innodb.xtrabackup.tests.support.sessions import opener


def before_stage(monkeypatch: pytest.MonkeyPatch, stage: str, action: Callable[[], None]) -> None:
    """Let ``action`` happen just before the backup enters ``stage`` (a method of BackupStages)."""
    enter = getattr(BackupStages, stage)

    def changed(stages: BackupStages) -> None:
        action()
        enter(stages)

    monkeypatch.setattr(BackupStages, stage, changed)


def refused(server: DatabaseServer, dest: Path, kind: type[ServerError], names: str, undo: Sequence[str] = ()) -> None:
    with pytest.raises(kind, match=names):
        take(server, dest)
    assert not list(dest.parent.glob(f"{dest.name}*"))
    server.execute(*undo)


def without_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    # no engine that keeps its data elsewhere is installable everywhere, so ARCHIVE plays one
    monkeypatch.setattr(support, "SAFE_ENGINES", support.SAFE_ENGINES - {"archive"})


@pytest.fixture
def mariadb(make_server: ServerFactory, workdir: Path) -> MariaDBServer:
    """A server that could encrypt."""
    keys = workdir / "keys"
    keys.write_text("1;" + "77" * 32 + "\n")
    options = {"plugin_load_add": "file_key_management", "file_key_management_filename": str(keys)}
    server = make_server(options=options)
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
    return server


def test_on_mariadb(mariadb: MariaDBServer, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    before_stage(monkeypatch, "block_ddl", lambda: mariadb.execute(*statements))
    dest = workdir / "backup"
    statements[:] = ["CREATE TABLE d.hidden (a INT) ENCRYPTED=YES"]
    refused(mariadb, dest, UnsupportedTable, "d/hidden", ["DROP TABLE d.hidden"])
    statements[:] = ["SET GLOBAL aria_encrypt_tables = ON"]
    refused(mariadb, dest, UnsupportedServer, "aria_encrypt_tables", ["SET GLOBAL aria_encrypt_tables = OFF"])
    without_archive(monkeypatch)
    statements[:] = ["INSTALL SONAME 'ha_archive'", "CREATE TABLE d.old (a INT) ENGINE=ARCHIVE"]
    refused(mariadb, dest, UnsupportedTable, r"d\.old \(ARCHIVE\)", ["DROP TABLE d.old"])
    statements.clear()
    take(mariadb, dest)


def test_on_mariadb_a_table_that_was_encrypted_only_while_it_was_copied(
    mariadb: MariaDBServer, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mariadb.datadir / "d" / "t.ibd"

    def encrypted(wanted: bool) -> bool:
        shown = "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE ENCRYPTION_SCHEME <> 0"
        page = data.read_bytes()[:FIRST_PAGE_SIZE]
        return (
            parse_tablespace_header(page, str(data), Family.MARIADB).encrypted
            == wanted
            == bool(int(mariadb.value(shown)))
        )

    def encrypt(switch: str) -> None:
        mariadb.execute(
            f"SET GLOBAL innodb_encrypt_tables = {switch}",
            "SET GLOBAL innodb_encryption_threads = 4",
            "SET GLOBAL innodb_max_dirty_pages_pct = 0",
        )
        wait_for(lambda: encrypted(switch == "ON"), 60)

    before_stage(monkeypatch, "start", lambda: encrypt("ON"))
    before_stage(monkeypatch, "block_ddl", lambda: encrypt("OFF"))
    refused(mariadb, workdir / "backup", UnsupportedTable, r"d/t\.ibd")


def test_on_mysql(make_mysql: MySQLFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_mysql("source")
    source.execute("CREATE DATABASE d", "CREATE TABLE d.t (a INT)")
    statements: list[str] = []
    before_lock(monkeypatch, lambda: source.execute(*statements))
    dest = workdir / "backup"
    without_archive(monkeypatch)
    statements[:] = ["CREATE TABLE d.old (a INT) ENGINE=ARCHIVE"]
    refused(source, dest, UnsupportedTable, r"d\.old \(ARCHIVE\)", ["DROP TABLE d.old"])
    # this version repairs such tables; the older ones cannot be had here
    monkeypatch.setattr(mysql_support, "ROW_VERSIONS_REPAIRED", (99,))
    statements[:] = ["ALTER TABLE d.t ADD b INT, ALGORITHM=INSTANT"]
    refused(source, dest, UnsupportedTable, r"d\.t", ["OPTIMIZE TABLE d.t"])
    statements.clear()
    take(source, dest)


def test_on_mysql_a_redo_log_without_checksums(
    make_mysql: MySQLFactory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_mysql("source")
    dest = workdir / "backup"
    source.execute("CREATE DATABASE d", "CREATE TABLE d.t (a INT)")
    unconfined = ["SET GLOBAL innodb_log_checksums = OFF", "INSERT INTO d.t VALUES (1)", "FLUSH ENGINE LOGS"]
    with monkeypatch.context() as patch:
        before_lock(patch, lambda: source.execute(*unconfined))
        refused(source, dest, UnsupportedServer, "innodb_log_checksums")
    refused(source, dest, UnsupportedServer, "innodb_log_checksums is OFF", ["SET GLOBAL innodb_log_checksums = ON"])
    # the blocks that were written meanwhile are still in the log, until a checkpoint is beyond them
    with opener(source)() as connection:
        unconfined_to = read_redo_status(connection).current_lsn
        source.execute("INSERT INTO d.t VALUES (2)", "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0.001")
        wait_for(lambda: read_redo_status(connection).checkpoint_lsn > unconfined_to)
    take(source, dest)
