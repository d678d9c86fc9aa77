# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose option files count for a backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.journal import RESTORED
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import layout as layout_module
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.journal import RestoreJournal
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.markers import Restored
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.source import layout_for

CHECKPOINTS = "backup_type = full-prepared\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\n"
INFO = "uuid = u\ntool_name = xtrabackup\nserver_version = 9.7.4\nserver_flavor = MySQL\n"


@pytest.fixture(name="host")
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with MySQL 9.7.6, whose my_print_defaults does not know MariaDB's option."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {
        "mysqld": "echo 'mysqld  Ver 9.7.6 for Linux (MySQL Community Server)'",
        "my_print_defaults": f"case $* in *--mysqld*) exit 1;; *mysqld-9.7*) echo --datadir={tmp_path}/data;; esac",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return tmp_path


def test_a_backup_of_mysql_is_for_mysql(host: Path) -> None:
    backup = host / "ready"
    backup.mkdir()
    (backup / "xtrabackup_checkpoints").write_text(CHECKPOINTS)
    (backup / "xtrabackup_info").write_text(INFO)
    (backup / "backup-my.cnf").write_text("[mysqld]\n")
    layout = layout_for(backup, None, None, str(host / "bin" / "mysqld"))
    assert (layout.family, layout.datadir) == (Family.MYSQL, host / "data")


def test_of_a_backup_that_was_moved_away_the_data_directory_tells(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"id": "u", "server": {"flavor": "percona", "version": "8.0.36-28"}}
    (host / "data").mkdir()
    restored = Restored("u", "", "/gone", "move", "", record)
    restored.write(host / "data")
    journal = RestoreJournal(host / "data")
    journal.note_restored(restored)
    assert layout_for(host / "gone", None, host / "data").family is Family.MYSQL
    # also where the host's program is MariaDB's
    monkeypatch.setattr(layout_module, "read_server_options", lambda *_arguments: {"datadir": str(host / "data")})
    assert layout_for(host / "gone", None, None).family is Family.MYSQL
    # anybody who runs as the server's account can write the marker
    journal.remove(RESTORED)
    assert layout_for(host / "gone", None, None).family is Family.MARIADB


def test_without_any_sign_it_is_mariadbs(tmp_path: Path) -> None:
    assert layout_for(tmp_path / "gone", None, tmp_path / "data").family is Family.MARIADB
