# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing backups of a MySQL server whose tables, undo and redo log are encrypted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DecryptionFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.tests.support.mysql_backups import backup_of_killed, coordinates
from ansible_collections.innodb.xtrabackup.tests.support.mysql_keyring import KeyringMySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.preparing import PREPARING, content, copy_of

PREPARE = "xtrabackup_prepare"
PREPARING_MYSQL = PREPARING[Family.MYSQL]


@pytest.fixture(name="encrypted")
def _encrypted(workdir: Path) -> Iterator[tuple[Path, KeyringMySQLServer]]:
    """A backup of a server whose tables, undo and redo log are encrypted, and the server: its keyring, its options."""
    source = KeyringMySQLServer.at(workdir / "home")(workdir / "source", {"innodb_undo_log_encrypt": "ON"})
    try:
        source.start()
        source.execute(
            "SET GLOBAL innodb_redo_log_encrypt = ON",
            "CREATE DATABASE vault",
            "CREATE TABLE vault.t (id INT PRIMARY KEY, a VARCHAR(100)) ENCRYPTION = 'Y'",
            "ALTER INSTANCE ROTATE INNODB MASTER KEY",
        )
        source.restart()
        source.execute(f"INSERT INTO vault.t SELECT seq, REPEAT('a', 90) FROM {source.numbers(5000)}")
        opened = source.connect(autocommit=False)
        with opened.cursor() as cursor:
            cursor.execute("DELETE FROM vault.t")
        source.execute("CREATE TABLE vault.u (id INT PRIMARY KEY) ENCRYPTION = 'Y'", "INSERT INTO vault.u VALUES (1)")
        where = coordinates(source)
        source.kill()
        yield backup_of_killed(source, workdir / "full", where), source
    finally:
        source.kill()


def test_encrypted_data_is_recovered_with_the_keyring_of_its_server(
    encrypted: tuple[Path, KeyringMySQLServer], workdir: Path
) -> None:
    backup, source = encrypted
    keyring = source.home / "keyring"
    before = keyring.read_bytes()
    result = run_module(
        PREPARE,
        {
            "src": str(backup),
            "target_dir": str(workdir / "ready"),
            "keyring_file": str(keyring),
            **PREPARING_MYSQL.program,
        },
    )
    assert result["recovery"]["rolled_back"] == 1
    assert not [warning for warning in result.get("warnings", []) if "server:" in warning]
    assert keyring.read_bytes() == before
    shutil.rmtree(source.datadir)
    copy_of(workdir / "ready", source.datadir)
    with source.start():
        assert source.value("SELECT COUNT(*) FROM vault.t") == 5000
        assert source.value("SELECT COUNT(*) FROM vault.u") == 1


def test_without_its_keys_encrypted_data_is_refused_in_a_sentence(
    encrypted: tuple[Path, KeyringMySQLServer], workdir: Path
) -> None:
    backup, _source = encrypted
    before = content(backup)
    with pytest.raises(DecryptionFailed, match="encrypted") as caught:
        PREPARING_MYSQL.prepare(backup)
    assert "keyring" in caught.value.remedy
    other = KeyringMySQLServer.at(workdir / "other-home")(workdir / "other", {"innodb_undo_log_encrypt": "ON"})
    with other.start():
        pass
    with pytest.raises(DecryptionFailed):
        PREPARING_MYSQL.prepare(backup, keyring_file=str(other.home / "keyring"))
    assert content(backup) == before


def test_encrypted_tables_are_missed_by_the_server_too(encrypted: tuple[Path, KeyringMySQLServer]) -> None:
    """A clear redo log does not tell that tables are encrypted: the recovering server does."""
    _backup_path, source = encrypted
    source.start()
    source.execute("SET GLOBAL innodb_redo_log_encrypt = OFF")
    source.restart()
    source.execute("INSERT INTO vault.u VALUES (2)")
    where = coordinates(source)
    source.kill()
    backup = backup_of_killed(source, source.directory.parent / "clear", where)
    with pytest.raises(DecryptionFailed, match="encrypted") as caught:
        PREPARING_MYSQL.prepare(backup, source.directory.parent / "ready")
    assert "keyring_file" in caught.value.remedy
