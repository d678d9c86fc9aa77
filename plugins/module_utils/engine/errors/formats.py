# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes on disk."""

from __future__ import annotations

from .base import BACKUP, PREPARE, RESTORE, XtrabackupError, returned_by


class FormatError(XtrabackupError):
    """Bytes are not what their format says they must be.

    A manifest, marker, option or keyring file that was edited or damaged, or a file that is not what its name says.
    """

    code = "format_error"
    default_remedy = (
        "Check that the message names the file that you meant, and that its storage is sound; use another copy of it."
    )


class PageCorrupt(FormatError):
    """A page of a data file is damaged: every re-read failed its checksum or page number.

    The message has file, page number and offset. A torn page, which a busy server's file shows for moments, is read
    again and is not this.
    """

    code = "page_corrupt"
    default_remedy = (
        "The source's own data is damaged: run CHECK TABLE on the named file's table, repair it or "
        "restore it from an older backup, then back up again."
    )
    modules = returned_by(BACKUP)


class RedoCorrupt(FormatError):
    """Redo log bytes that must be there cannot be parsed.

    Seen while a backup follows the server's log, or when a backup is made consistent.
    """

    code = "redo_corrupt"
    default_remedy = (
        "During a backup: run it again, and check the server's storage if it comes back. Of a backup: use another "
        "copy of it."
    )
    modules = returned_by(BACKUP, PREPARE, RESTORE)


class UnknownFormat(FormatError):
    """A format or version number is not one this collection knows; nothing was guessed."""

    code = "unknown_format"
    default_remedy = (
        "Update the collection, on both ends of a transfer; this version of the format is not supported yet."
    )
