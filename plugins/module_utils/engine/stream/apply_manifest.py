# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last step of unpacking: files get the names that the manifest gives them, and all becomes durable."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import StreamCorrupt
from ..format.file_kinds import (
    ARIA_CONTROL_NAME,
    CONFIGURATION_NAME,
    DICTIONARY_NAME,
    LOGFILE_NAME,
    MANIFEST_NAME,
    REDO_NAME,
    SYSTEM_NAME,
)
from ..host import durable
from ..manifest import Manifest
from .entry import Decoding, Unpacked, bare_name

#: files that only a backup has: where one of them is, all that tells of the backup must be, too
_SIGNS = {CONFIGURATION_NAME, SYSTEM_NAME, REDO_NAME, LOGFILE_NAME, DICTIONARY_NAME, ARIA_CONTROL_NAME}


def looks_like_backup(names: Iterable[str]) -> bool:
    """Returns whether a stream with these entries, encoded or not, is a backup, or the beginning of one, and not just
    files that somebody packed."""
    return not _SIGNS.isdisjoint(map(bare_name, names))


def apply_manifest(
    staging: Path, manifest: Manifest | None, unpacked: Mapping[str, Unpacked], decoding: Decoding, where: str
) -> None:
    """Give the files in ``staging`` their names, make everything durable, add the manifest: as of a plain directory, or
    of a packed one while entries are still encoded. Raises StreamCorrupt, StorageError."""
    packed = manifest is not None and any(map(decoding.keeps, unpacked))
    if manifest is not None and not packed:
        _rename_files(staging, manifest, unpacked, where)
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


def _rename_files(staging: Path, manifest: Manifest, unpacked: Mapping[str, Unpacked], where: str) -> None:
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
            durable.make_directories(target.parent, 0o750)
            os.rename(staging / name, target)
