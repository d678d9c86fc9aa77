# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparison of what is wanted with what is there: an archive's content in a directory, a directory's in an archive."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import BackupError, FormatError, StorageError, StreamError, UnsafeFile
from ..format.file_kinds import is_plain_in_archives
from ..host.trees import files_below
from ..manifest import Manifest, read, verify_directory
from .entry import output_name
from .listing import Listing, list_archive
from .readable import Readable


def identity(manifest: Manifest | None) -> str | None:
    """Returns the digest that names exactly this backup, in an archive or a directory: SHA-256 of its manifest in the
    directory."""
    return manifest.own_sha256 if manifest else None


def directory_manifest(directory: str | os.PathLike[str]) -> Manifest | None:
    """The manifest of the backup in ``directory`` when each file that it names is there with its size, else None."""
    try:
        manifest = read(directory)
        verify_directory(directory, manifest, digests=False)
    except (BackupError, FormatError, UnsafeFile, OSError):
        return None
    return manifest


def _archive_listing(archive: Readable) -> Listing | None:
    """Lists the complete ``archive``, stored names included; returns None for anything else."""
    try:
        return list_archive(archive)
    except (StreamError, FormatError, StorageError):
        return None


def directory_holds(directory: str | os.PathLike[str], listing: Listing) -> bool:
    """Returns whether ``directory`` is what the archive of ``listing`` unpacks to.

    With a manifest: it is that backup, or was until it was prepared where it is. Without: it has the same files, and of
    those that are stored as they are, the same sizes.
    """
    if listing.manifest is not None:
        there = directory_manifest(directory)
        return there is not None and identity(listing.manifest) in (identity(there), there.source_sha256)
    root = Path(directory)
    found = {name: (root / name).lstat().st_size for name in files_below(root) if not (root / name).is_dir()}
    wanted = {output_name(stored): stored for stored in listing.entries}
    return found.keys() == wanted.keys() and all(
        name != stored or found[name] == listing.entries[stored] for name, stored in wanted.items()
    )


def archive_holds(archive: Readable, manifest: Manifest, suffix: str, *, sparse: bool = False) -> bool:
    """Returns whether ``archive`` is that backup, its data compressed and encrypted as ``suffix`` says
    (``.zst.xbcrypt``).

    With ``sparse`` it may have sparse chunks.
    """
    listing = _archive_listing(archive) if archive.is_stored else None
    found = listing.manifest if listing else None
    return (
        listing is not None
        and found is not None
        and (sparse or not listing.sparse)
        and identity(found) == identity(manifest)
        and all(
            (file.stored or file.path).endswith(suffix) for file in found.files if not is_plain_in_archives(file.path)
        )
        and (suffix != "" or all(file.stored is None or not _encoded(file.stored) for file in found.files))
    )


def _encoded(stored: str) -> bool:
    return output_name(stored) != stored
