# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup directory packed with a key: what can be read without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import compare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.pack import create_archive
from ansible_collections.innodb.xtrabackup.tests.support.streams import entry, tree

KEY = b"0123456789-THE-KEY-0123456789-xy"
ROW = b"a row that somebody has written; "
PLAIN = (
    "xtrabackup_info",
    "xtrabackup_checkpoints",
    "xtrabackup_binlog_info",
    "xtrabackup_tablespaces",
    "backup-my.cnf",
)
#: the copied redo log, and files that other tools call like metadata
DATA = (
    "ibdata1",
    "shop/orders.ibd",
    "xtrabackup_logfile",
    "xtrabackup_keys",
    "xtrabackup_anything",
    "shop/xtrabackup_info",
)


@pytest.mark.parametrize("compress", [None, Compression("zstd")], ids=["as-it-is", "zstd"])
def test_all_that_may_hold_rows_is_encrypted_and_what_describes_the_backup_is_not(
    tmp_path: Path, compress: Compression | None
) -> None:
    directory, packed = tmp_path / "backup", tmp_path / "backup.xbstream"
    files = {name: ROW * 100 + name.encode() for name in (*PLAIN, *DATA)}
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    manifest = Manifest({"id": "1", "state": "full"}, tuple(entry(name, content) for name, content in files.items()))
    (directory / MANIFEST_NAME).write_bytes(manifest.render())
    create_archive(directory, packed, compress=compress, encrypt_key=KEY)
    stored = packed.read_bytes()
    assert [name for name in files if ROW + name.encode() in stored] == list(PLAIN)
    suffix = (".zst" if compress else "") + ".xbcrypt"
    assert compare.archive_holds(source_at(packed), manifest, suffix)
    extract_archive(source_at(packed), tmp_path / "again", ExtractOptions(decrypt_key=KEY))
    assert tree(tmp_path / "again") == tree(directory)
