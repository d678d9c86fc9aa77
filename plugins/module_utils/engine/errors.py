# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tree of typed errors: what was being done, to what, and what the operator can do.

Each class has a stable ``code`` (part of the interface: playbooks match on it) and a default
``remedy``. A message names the thing and the place; ``details`` holds the same facts as data.
The docstring of a class is its entry on the troubleshooting page.
"""

from __future__ import annotations

from typing import Any, ClassVar


class XtrabackupError(Exception):
    """Any failure of the engine."""

    code: ClassVar[str] = "error"
    default_remedy: ClassVar[str] = "See the message and the details beside it."

    def __init__(self, message: str, *, remedy: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy or self.default_remedy
        self.details = details

    def __str__(self) -> str:
        return self.message

    def as_dict(self) -> dict[str, Any]:
        """The error as modules return it: code, message, remedy, details (JSON types only)."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "details": {name: _plain(value) for name, value in self.details.items()},
        }


def _plain(value: Any) -> Any:
    """``value`` in JSON types; anything unknown becomes its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)


# --- what was asked for --------------------------------------------------------------------------


class InvalidOption(XtrabackupError):
    """An option has a value that cannot be used, or two options contradict each other."""

    code = "invalid_option"
    default_remedy = "Correct the option that the message names."


class MissingLibrary(XtrabackupError):
    """A Python library that this operation needs is not importable on the managed host."""

    code = "missing_library"
    default_remedy = "Run the role innodb.xtrabackup.install on this host, or install the named package."


class MissingProgram(XtrabackupError):
    """A program that this operation runs is not installed on the managed host."""

    code = "missing_program"
    default_remedy = "Install the package that provides the named program."


class Cancelled(XtrabackupError):
    """The job was told to stop (signal, or another worker failed first)."""

    code = "cancelled"
    default_remedy = "Look for the error that came first, or run the job again."


# --- the live server -----------------------------------------------------------------------------


class ServerError(XtrabackupError):
    """The server answered a statement with an error."""

    code = "server_error"


class ConnectionFailed(ServerError):
    """The server cannot be reached, or does not accept the login."""

    code = "connection_failed"
    default_remedy = "Check that the server runs, and login_host, login_port, login_unix_socket, login_user."


class UnsupportedServer(ServerError):
    """The server's flavor, version or configuration is one that cannot be backed up safely."""

    code = "unsupported_server"
    default_remedy = "See the support table in the README."


class UnsupportedTable(ServerError):
    """A table is of a kind that cannot be backed up safely yet."""

    code = "unsupported_table"
    default_remedy = "Exclude or convert the tables that the message names."


class MissingPrivilege(ServerError):
    """The backup account lacks a privilege; the message holds the exact GRANT."""

    code = "missing_privilege"
    default_remedy = "Run the GRANT statements in the message as an administrator."


class LockTimeout(ServerError):
    """A backup lock was not granted before its deadline; it was released at once."""

    code = "lock_timeout"
    default_remedy = "Wait for or end the blocking queries that the message names, or raise lock_timeout."


class ReplicationError(ServerError):
    """A replication channel is not, and did not become, what was asked for."""

    code = "replication_error"


class RedoOverwritten(ServerError):
    """The server overwrote redo log before it was read; the backup was stopped at once."""

    code = "redo_overwritten"
    default_remedy = "Make the redo log larger (innodb_log_file_size), or back up at a quieter time."


class RedoReplaced(ServerError):
    """The redo log file was resized or replaced during the backup."""

    code = "redo_replaced"
    default_remedy = "Do not change innodb_log_file_size during a backup; run the backup again."


class DdlConflict(ServerError):
    """Schema changes during the backup could not be followed safely."""

    code = "ddl_conflict"
    default_remedy = "Run the backup again while no schema change is running."


# --- bytes on disk -------------------------------------------------------------------------------


class FormatError(XtrabackupError):
    """Bytes are not what their format says they must be."""

    code = "format_error"


class PageCorrupt(FormatError):
    """A page of a data file is damaged: every re-read failed its checksum or page number."""

    code = "page_corrupt"
    default_remedy = (
        "The source's own data is damaged: run CHECK TABLE on the named file's table, repair it or "
        "restore it from an older backup, then back up again."
    )


class RedoCorrupt(FormatError):
    """Redo log bytes that must be there cannot be parsed."""

    code = "redo_corrupt"


class UnknownFormat(FormatError):
    """A format or version number is not one this collection knows; nothing was guessed."""

    code = "unknown_format"
    default_remedy = "Update the collection; this server's format is not supported yet."


# --- streams -------------------------------------------------------------------------------------


class StreamError(XtrabackupError):
    """A stream failed while it was being written or read."""

    code = "stream_error"


class StreamCorrupt(StreamError):
    """A stream's bytes are damaged or break the rules of the format."""

    code = "stream_corrupt"
    default_remedy = "Transfer the archive again, or use another copy; nothing was published."


class StreamTruncated(StreamError):
    """A stream ended before its last file or its manifest."""

    code = "stream_truncated"
    default_remedy = "The sending side stopped early: look at its error; nothing was published."


class DecryptionFailed(StreamError):
    """Data cannot be decrypted or authenticated with the key that was given."""

    code = "decryption_failed"
    default_remedy = "Give the key file that the backup was encrypted with."


class PeerFailed(StreamError):
    """The other end of a transfer reported an error or vanished."""

    code = "peer_failed"
    default_remedy = "Look at the error of the other end; nothing was published."


class PeerTimeout(PeerFailed):
    """The other end of a transfer did not answer in time."""

    code = "peer_timeout"
    default_remedy = "Check the network and the other end; nothing was published."


class PeerRefused(PeerFailed):
    """The other end did not present the pinned certificate or the right token."""

    code = "peer_refused"
    default_remedy = "Make new credentials for both ends of this transfer."


class CommandFailed(StreamError):
    """A command of a pipeline ended with a non-zero status or a signal."""

    code = "command_failed"


# --- places on disk ------------------------------------------------------------------------------


class StorageError(XtrabackupError):
    """Reading or writing a file failed; the message names it."""

    code = "storage_error"


class DiskFull(StorageError):
    """There is not enough space (or quota, or inodes) for what was to be written."""

    code = "disk_full"
    default_remedy = "Free space or choose another place; what was half-written has been removed."


class TargetBusy(StorageError):
    """Another job holds the lock on this place."""

    code = "target_busy"
    default_remedy = "Wait for the other job to end."


class TargetNotEmpty(StorageError):
    """The target holds data that is not this backup; nothing was touched."""

    code = "target_not_empty"
    default_remedy = "Choose an empty place, or say force: true to replace what is there."


class TargetUnsafe(StorageError):
    """The target is a place that must never be written to (such as / or a foreign mount)."""

    code = "target_unsafe"
    default_remedy = "Choose a directory of its own for the data."


class ServerRunning(StorageError):
    """A server is running on the directory that was to be replaced."""

    code = "server_running"
    default_remedy = "Stop the server first."


# --- backups -------------------------------------------------------------------------------------


class BackupError(XtrabackupError):
    """A backup cannot be used as asked."""

    code = "backup_error"


class NotABackup(BackupError):
    """The place holds no backup."""

    code = "not_a_backup"
    default_remedy = "Name a directory or an archive that holds a complete backup."


class BackupIncomplete(BackupError):
    """The backup has no manifest, or files that its manifest names are missing or differ."""

    code = "backup_incomplete"
    default_remedy = "Use another copy of the backup; this one must not be restored."


class BackupPartial(BackupIncomplete):
    """The place holds a selection of a backup's files, which no server can be started on."""

    code = "backup_partial"
    default_remedy = "Unpack the archive again without databases, tables and files, into another place."


class NotPrepared(BackupError):
    """The backup must be prepared before it can be put in place."""

    code = "not_prepared"
    default_remedy = "Run xtrabackup_prepare on it first."


class RecoveryFailed(BackupError):
    """The installed server could not recover the backup."""

    code = "recovery_failed"


class RecoveryIncomplete(RecoveryFailed):
    """Recovery ended before the backup's last LSN; the result must not be used."""

    code = "recovery_incomplete"
    default_remedy = "The backup's redo log is damaged or incomplete: use another copy of the backup."
