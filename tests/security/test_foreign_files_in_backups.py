# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option files, keys and a home in a backup: nothing of the kind gets into a data directory."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import BackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.foreign_files import (
    require_no_foreign_files,
)
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.restore.conftest import (
    DATA,
    Host,
    tree,
)

INTRUDERS = [
    ".ssh/authorized_keys", ".my.cnf", ".bashrc", ".mylogin.cnf", ".config/systemd/user/x.service", "my.cnf", "MY.CNF",
    "mysqld.my", "component_keyring_file.cnf", "component_keyring_file", "keyring", "server.key", "ca-key.pem",
]  # fmt: skip
HARMLESS = [
    "ib_buffer_pool", "xtrabackup_galera_info", "mariadb_backup_galera_info", "xtrabackup_keys", "ts.ibd",
    "keyring.ibd", ".hidden.ibd", "shop/my.cnf.frm", "shop/keyring.frm", "shop/.par", "undo_003.ibu", "#rocksdb/1.sst",
    "xtrabackup_component_keyring_file.cnf", "mysqld-auto.cnf", "auto.cnf",
]  # fmt: skip


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


def put(backup: Path, name: str) -> None:
    (backup / name).parent.mkdir(parents=True, exist_ok=True)
    (backup / name).write_bytes(b"evil")


@pytest.mark.parametrize("name", INTRUDERS)
def test_one_that_lies_beside_a_backup_is_not_restored(host: Host, name: str) -> None:
    (host.backup / MANIFEST_NAME).unlink()
    put(host.backup, name)
    host.restore()
    assert set(DATA) < set(tree(host.datadir))
    assert name not in tree(host.datadir)
    assert (host.backup / name).read_bytes() == b"evil"


@pytest.mark.parametrize("name", INTRUDERS)
def test_a_manifest_that_lists_one_is_refused(host: Host, name: str) -> None:
    put(host.backup, name)
    found = manifest.read(host.backup)
    entry = manifest.FileEntry(name, 4, manifest.digest_file(io.BytesIO(b"evil"))[1])
    forged = replace(found, files=(*found.files, entry))
    (host.backup / MANIFEST_NAME).write_bytes(forged.render())
    before = tree(host.place)
    reported = f"the manifest of {host.backup} lists {name}, which no backup of a server has"
    with pytest.raises(BackupError, match=re.escape(reported)):
        host.restore()
    with pytest.raises(BackupError, match=re.escape(reported)):
        require_no_foreign_files(read_backup_directory(host.backup))
    assert tree(host.place) == before


def test_what_backups_hold_is_none(host: Host) -> None:
    (host.backup / MANIFEST_NAME).unlink()
    for name in HARMLESS:
        put(host.backup, name)
    # MariaDB's tool takes a directory without files for an empty database
    (host.backup / ".cache" / "more").mkdir(parents=True)
    host.restore()
    assert set(DATA) < set(tree(host.datadir))
    assert not (host.datadir / ".cache").exists()
    assert (host.datadir / "empty").is_dir()
