# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last step of unpacking: files get the names that the manifest gives them, and all becomes durable."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from .. import durable
from ..errors import StreamCorrupt
from ..manifest import MANIFEST_NAME, Manifest
from .entry import Decoding, Unpacked, bare_name

#: files that only a backup has: where one of them is, all that tells of the backup must be, too. Ours begins with the
#: first one; the stock tools send them last. Others (xtrabackup_info, xtrabackup_binlog_info) stay in a data directory
#: that was restored
_BACKUP_ONLY = {
    "backup-my.cnf",
    "xtrabackup_logfile",
    "xtrabackup_checkpoints",
    "mariadb_backup_checkpoints",
    "xtrabackup_tablespaces",
}
_SYSTEM_TABLESPACE, _MARIADB_REDO, _MYSQL_REDO = "ibdata1", "ib_logfile0", "#innodb_redo/"
_ARIA_CONTROL, _ARIA_LOG, _MYSQL_DICTIONARY = "aria_log_control", "aria_log.", "mysql.ibd"
#: files of every server's data
_OF_A_SERVER = {_SYSTEM_TABLESPACE, _MARIADB_REDO, _ARIA_CONTROL, _MYSQL_DICTIONARY}


def holds_server_files(names: Iterable[str]) -> bool:
    """Whether a stream with these entries, encoded or not, is a backup, a data directory, or a part of one of them."""
    return not (_OF_A_SERVER | _BACKUP_ONLY).isdisjoint(map(bare_name, names))


def looks_like_backup(names: Iterable[str]) -> bool:
    """Whether a stream with these entries is a backup, or the beginning of one, and not just files that somebody
    packed, such as a data directory or parts of it.

    A data directory has no encoded files. It has the logs that belong to the control file of Aria and to MySQL's
    dictionary: mariadb-backup sends the control file first and the logs last, and Percona's tool sends no redo log
    under the name that a server gives it. What a stock tool has sent before any of that could as well be a part of a
    data directory: nobody can tell them apart.
    """
    stored = set(names)
    if not _BACKUP_ONLY.isdisjoint(map(bare_name, stored)):
        return True
    if any(name != bare_name(name) and bare_name(name) in _OF_A_SERVER for name in stored):
        return True
    aria_log = any(name.startswith(_ARIA_LOG) for name in stored)
    redo = any(name == _MARIADB_REDO or name.startswith(_MYSQL_REDO) for name in stored)
    innodb = any(name == _SYSTEM_TABLESPACE or name.endswith(".ibd") for name in stored)
    if _ARIA_CONTROL in stored and not (aria_log and (redo or not innodb)):
        return True
    return _MYSQL_DICTIONARY in stored and not redo


def settle(
    staging: Path, manifest: Manifest | None, unpacked: Mapping[str, Unpacked], decoding: Decoding, where: str
) -> None:
    """Give the files in ``staging`` their names, make everything durable, add the manifest: as of a plain directory, or
    of a packed one while entries are still encoded. Raises StreamCorrupt, StorageError."""
    packed = manifest is not None and any(map(decoding.keeps, unpacked))
    if manifest is not None and not packed:
        _apply(staging, manifest, unpacked, where)
    with durable.storage_errors("writing", staging):
        durable.fsync_tree(staging)
    if manifest is not None:
        final = packed_manifest(manifest, decoding) if packed else manifest.plain()
        durable.write_file(staging / MANIFEST_NAME, final.render())


def packed_manifest(manifest: Manifest, decoding: Decoding) -> Manifest:
    """``manifest`` as it describes a directory in which ``decoding`` was done, and no more.

    The MAC is of all that is stored, so it lasts only until something of it is decrypted, when it is compared.
    """
    files = []
    for file in manifest.files:
        stored = decoding.output_name(file.stored or file.path)
        files.append(replace(file, stored=None if stored == file.path else stored))
    discarded = tuple(map(decoding.output_name, manifest.discarded))
    return replace(manifest, files=tuple(files), discarded=discarded, mac=None if decoding.decrypt else manifest.mac)


def _apply(staging: Path, manifest: Manifest, unpacked: Mapping[str, Unpacked], where: str) -> None:
    for stored in manifest.discarded:
        target = staging / unpacked[stored].name
        with durable.storage_errors("removing", target):
            target.unlink()
    for file in manifest.files:
        name = unpacked[file.stored or file.path].name
        if name == file.path:
            continue
        target = staging / file.path
        if os.path.lexists(target):
            raise StreamCorrupt(f"{where}: two entries unpack to {file.path}", entry=file.path)
        with durable.storage_errors("creating", target):
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            os.rename(staging / name, target)
