# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups."""

from __future__ import annotations

from .base import BACKUP, INFO, PREPARE, REPLICA, RESTORE, XBSTREAM, XtrabackupError, returned_by
from .wording import Clause, Option, Program

_WHOLE = Clause(f"without {Option('databases')}, {Option('tables')} and {Option('files')}", "as a whole")


class BackupError(XtrabackupError):
    """A backup cannot be used as asked.

    It is a part of a chain, of a state only its own tool can finish, or its files are linked to another place.
    """

    code = "backup_error"
    default_remedy = "Make a new full backup, or finish this one with the tool that made it."
    modules = returned_by(INFO, PREPARE, RESTORE)


class NotABackup(BackupError):
    """The place holds no backup."""

    code = "not_a_backup"
    default_remedy = "Name a directory or an archive that holds a complete backup."
    modules = returned_by(BACKUP, XBSTREAM, INFO, PREPARE, RESTORE, REPLICA)


class BackupIncomplete(BackupError):
    """The backup has no manifest, or files that its manifest names are missing or differ.

    Also when a file has other content than on the day of the backup, for a directory that a job is still writing or was
    killed over, and for a restore that was interrupted.
    """

    code = "backup_incomplete"
    default_remedy = "Use another copy of the backup; this one must not be restored."
    modules = returned_by(BACKUP, XBSTREAM, INFO, PREPARE, RESTORE)


class BackupPartial(BackupIncomplete):
    """The place holds a selection of a backup's files, which no server can be started on."""

    code = "backup_partial"
    default_remedy = f"Unpack the archive again {_WHOLE}, into another place."


class BackupMismatch(BackupError):
    """The backup is not the one whose manifest digest was asked for."""

    code = "backup_mismatch"
    default_remedy = (
        f"Name the backup that was meant, or its digest: {Program('xtrabackup_backup')} returns it "
        f"(backup.manifest.sha256), and {Program('xtrabackup_info')} does (source.source_sha256)."
    )
    modules = returned_by(RESTORE)


class NotPrepared(BackupError):
    """The backup must be prepared before it can be put in place."""

    code = "not_prepared"
    default_remedy = f"Run {Program('xtrabackup_prepare')} on it first."
    modules = returned_by(RESTORE)


class RecoveryFailed(BackupError):
    """The installed server could not recover the backup.

    The backup is unchanged, unless it was prepared in place. ``details`` hold the end of that server's error log.
    """

    code = "recovery_failed"
    default_remedy = (
        "Look at the server's log in the details. If the backup is prepared in place, begin again from another "
        "copy of it."
    )
    modules = returned_by(PREPARE, RESTORE)


class RecoveryIncomplete(RecoveryFailed):
    """Recovery ended before the backup's last LSN; the result must not be used.

    The server said that it was ready, but its log ends before the instant that the backup is of.
    """

    code = "recovery_incomplete"
    default_remedy = (
        "The backup's redo log is damaged or incomplete: use another copy of the backup. If every copy fails like "
        "this, take a new backup."
    )
