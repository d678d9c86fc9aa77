# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places on disk."""

from __future__ import annotations

from .base import BACKUP, PREPARE, PROVISION, RESTORE, XBSTREAM, XtrabackupError, returned_by
from .wording import BECOME, FORCE, Clause


class StorageError(XtrabackupError):
    """Reading or writing a file failed; the message names it.

    The message has the operating system's own words, such as "Permission denied" or "Input/output error".
    """

    code = "storage_error"
    default_remedy = (
        f"Check the path's owner and permissions{Clause(f' ({BECOME}?)')}, its mount and the storage below it."
    )


class DiskFull(StorageError):
    """There is not enough space (or quota, or inodes) for what was to be written.

    Where it can be known, it is asked before anything is written; ``details`` has how much is needed and what is free.
    """

    code = "disk_full"
    default_remedy = "Free space or choose another place; what was half-written has been removed."


class TargetBusy(StorageError):
    """Another job holds the lock on this place.

    A process holds the lock, so a job that died does not. Two plays at the same time are the usual cause.
    """

    code = "target_busy"
    default_remedy = "Wait for the other job to end."


class UnsafeFile(StorageError):
    """A file that was to be read or moved is a link, is no regular file, or belongs to somebody else.

    In a data directory or a backup directory others can make links to files that they may not read themselves, and
    pipes that block whoever opens them. Links are followed only where servers make them: see the security guide.
    """

    code = "unsafe_file"
    default_remedy = "Put the file itself there, or remove what is there; look who made it."


class TargetNotEmpty(StorageError):
    """The target holds data that is not this backup; nothing was touched."""

    code = "target_not_empty"
    default_remedy = (
        "Choose an empty place"
        f"{Clause(f'; or consent to replace what is there ({FORCE}) where the module has that option')}."
    )
    modules = returned_by(BACKUP, XBSTREAM, PREPARE, RESTORE)


class TargetUnsafe(StorageError):
    """The target is a place that must never be written to (such as / or a foreign mount).

    The root directory, a mount point that is not empty, a place inside the backup, or a directory whose files are not
    those of a data directory. For root also a directory behind a symbolic link that another account can change.
    ``force`` does not help.
    """

    code = "target_unsafe"
    default_remedy = "Choose a directory of its own for the data."
    modules = returned_by(BACKUP, XBSTREAM, PREPARE, RESTORE)


class DataMeanwhile(StorageError):
    """Data were put into the data directory of a host that is to be a replica, after it was decided to replace it.

    A freshly installed server's data are replaced without consent; so it is looked at again when the copy has arrived,
    and when the server was stopped. Nothing was touched.
    """

    code = "data_meanwhile"
    default_remedy = "Say xtrabackup_replica_rebuild: true for this host to replace them."
    modules = returned_by(PROVISION)


class ServerRunning(StorageError):
    """A server is running on the directory that was to be replaced.

    Seen by its locks on files, its pid file and its socket. The message names the process.
    """

    code = "server_running"
    default_remedy = "Stop the server first."
    modules = returned_by(PREPARE, RESTORE)


class FileInUse(StorageError):
    """Another process holds a file that a restore would replace; nothing was touched.

    Seen by open files and locks, and for a table of another MySQL server by that server's dictionary. The message names
    the process and the file. ``force`` does not help: replacing data that somebody uses destroys them.
    """

    code = "file_in_use"
    default_remedy = (
        "End that process if it has no business there. Where the file is another server's, give each server "
        "directories of its own."
    )
    modules = returned_by(RESTORE)
