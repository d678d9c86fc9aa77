# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requires that a backup is the one that was asked for by a digest, before and while it is put in place."""

from __future__ import annotations

from pathlib import Path

from ..errors import BackupMismatch, Option, Program
from ..manifest import note_preparation
from ..recovery.backup_directory import BackupDirectory, change_message, read_backup_directory
from .markers import InProgress, Restored


def require_expected(backup: BackupDirectory, expected: str, where: Path) -> None:
    """Raises BackupMismatch unless ``expected`` is a digest that pins ``backup``, which is at ``where``; "" is any."""
    if not expected or expected in backup.pins:
        return
    found, remedy = next(iter(backup.pins), ""), None
    message = f"{where} is another backup than the one that was asked for: the digest of its manifest is {found}"
    if not found:
        message = f"{where} has no manifest of the files that are there, so it cannot be told which backup it is"
    elif backup.changed is not None and backup.source_sha256 == expected:
        message = f"{where}: {change_message(backup)}, so nothing proves that it is the backup that was asked for"
        remedy = (
            f"Prepare that backup again, into another {Option('target_dir')} or with {Option('force')}, and let "
            "nobody change the result. If "
            "you trust this directory, ask for the digest of its own manifest."
        )
    elif backup.manifest is not None and backup.manifest.claimed_sha256 == expected:
        remedy = (
            "It says to be prepared from the backup that was asked for, which only the host and user that prepared it "
            f"can know. Prepare that backup here ({Program('xtrabackup_prepare')}, or an archive as "
            f"{Option('src')}), or, if you trust this "
            "directory, ask for the digest of its own manifest."
        )
    raise BackupMismatch(message, remedy=remedy, path=str(where), found=found, expected=expected)


def require_expected_still(source: Path, expected: str) -> None:
    """``require_expected``, once files of the backup in ``source`` were copied."""
    if expected:
        require_expected(read_backup_directory(source), expected, source)


def require_restored(restored: Restored, expected: str, source: Path) -> None:
    """Raises BackupMismatch unless what was ``restored`` from ``source``, which is gone, had the digest ``expected``;
    "" is any."""
    if expected not in ("", restored.manifest_sha256, restored.pinned):
        raise BackupMismatch(
            f"{source} is gone, and what was restored from it is another backup than the one that was asked for: the "
            f"digest of its manifest is {restored.manifest_sha256}",
            path=str(source),
            found=restored.manifest_sha256,
            expected=expected,
        )


def was_pinned(there: InProgress | None, wanted: InProgress) -> bool:
    """Returns whether the interrupted run ``there`` of this restore has proven, before it moved the first file, which
    backup it moves: what is left of that now proves nothing."""
    return there is not None and there.same_restore(wanted) and there.pinned == wanted.pinned


def proven_origin(source: Path) -> str | None:
    """The digest of the backup from which the prepared one in ``source`` is proven to be made here; None for others."""
    backup = read_backup_directory(source, being_moved=True)
    known = backup.manifest is not None and backup.manifest.preparation is not None and backup.changed is None
    return backup.source_sha256 if known else None


def restore_origin(source: Path, origin: str | None) -> None:
    """Remember what ``proven_origin`` has answered before files were moved out of ``source`` and back again."""
    if origin is not None:
        note_preparation(source, origin)
