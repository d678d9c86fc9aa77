# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tree of typed errors: what was being done, to what, and what the operator can do.

Each class has a stable ``code`` (part of the interface: playbooks match on it) and a default
``remedy``. A message names the thing and the place; ``details`` holds the same facts as data.

The troubleshooting guide is made from this file (``make error-pages``): the first paragraph of a class's docstring says
what has happened, the others when it happens and in what state things are left; ``default_remedy`` is what to do;
``modules`` are those that return it, which subclasses inherit.
"""

from __future__ import annotations

from typing import Any, ClassVar

BACKUP = "xtrabackup_backup"
INFO = "xtrabackup_info"
PREPARE = "xtrabackup_prepare"
REPLICA = "xtrabackup_replica"
RESTORE = "xtrabackup_restore"
XBSTREAM = "xbstream"


def _by(*modules: str) -> tuple[str, ...]:
    """The modules that return an error."""
    return modules


class XtrabackupError(Exception):
    """Any failure of the engine."""

    code: ClassVar[str] = "error"
    default_remedy: ClassVar[str] = "See the message and the details beside it."
    #: the modules that return it; none stands for all of them
    modules: ClassVar[tuple[str, ...]] = ()

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
    """An option has a value that cannot be used, or two options contradict each other.

    Also for what an option leads to: an option file that cannot be understood, a port that is taken, a password
    that is too long for replication. Nothing was done.
    """

    code = "invalid_option"
    default_remedy = "Correct the option that the message names."


class MissingLibrary(XtrabackupError):
    """A Python library that this operation needs is not importable on the managed host.

    The message names the interpreter that runs the modules. Where the role made a virtual environment,
    ``ansible_python_interpreter`` must name that one.
    """

    code = "missing_library"
    default_remedy = "Run the role innodb.xtrabackup.install on this host, or install the named package."


class MissingProgram(XtrabackupError):
    """A program that this operation runs is not installed on the managed host.

    ``my_print_defaults`` finds the server's option files, ``mariadbd`` or ``mysqld`` recovers a backup; a pipeline
    runs what it was given.
    """

    code = "missing_program"
    default_remedy = "Install the package that provides the named program."
    modules = _by(BACKUP, PREPARE, RESTORE)


class Cancelled(XtrabackupError):
    """The job was told to stop (signal, or another worker failed first).

    Locks were released and half-written files removed. A play that was interrupted, a lost SSH session and the limit
    of ``async`` end a job like that.
    """

    code = "cancelled"
    default_remedy = "Look for the error that came first, or run the job again."


# --- the live server -----------------------------------------------------------------------------


class ServerError(XtrabackupError):
    """The server answered a statement with an error.

    The message holds the statement's purpose and the server's own words.
    """

    code = "server_error"
    default_remedy = "Look up the server's error in the message, and its error log at that time."
    modules = _by(BACKUP, REPLICA, INFO)


class ConnectionFailed(ServerError):
    """The server cannot be reached, or does not accept the login.

    Over the socket or TCP; also when a connection breaks in the middle of the job.
    """

    code = "connection_failed"
    default_remedy = "Check that the server runs, and login_host, login_port, login_unix_socket, login_user."


class UnsupportedServer(ServerError):
    """The server's flavor, version or configuration is one that cannot be backed up safely.

    Its version is unknown or too old; or redo logging is disabled, the redo log is encrypted and no keyring was
    given, or the data directory that it names is not on this host. Nothing was done.
    """

    code = "unsupported_server"
    default_remedy = "See the table of supported servers in the README; the message says what stands in the way."
    modules = _by(BACKUP, PREPARE, RESTORE, REPLICA, INFO)


class UnsupportedTable(ServerError):
    """A table is of a kind that cannot be backed up safely yet.

    Of an engine whose data lie elsewhere (RocksDB, S3), with a ``DATA DIRECTORY`` on MariaDB, encrypted on MariaDB,
    or changed by ``ALGORITHM=INSTANT`` on MySQL 8.0.30 and 8.0.31. It is found before a byte is copied.
    """

    code = "unsupported_table"
    default_remedy = "Convert the tables that the message names (ALTER TABLE ... ENGINE = InnoDB), or remove them."
    modules = _by(BACKUP, PREPARE, RESTORE)


class MissingPrivilege(ServerError):
    """The backup account lacks a privilege; the message holds the exact GRANT.

    It is checked before anything is done. Roles that the account has but that are not active are named.
    """

    code = "missing_privilege"
    default_remedy = "Run the GRANT statements in the message as an administrator."
    modules = _by(BACKUP, REPLICA, INFO)


class LockTimeout(ServerError):
    """A backup lock was not granted before its deadline; it was released at once.

    The server goes on working as before. ``details`` and the message name the sessions that were in the way.
    """

    code = "lock_timeout"
    default_remedy = "Wait for or end the blocking queries that the message names, or raise lock_timeout."
    modules = _by(BACKUP)


class ReplicationError(ServerError):
    """A replication channel is not, and did not become, what was asked for.

    The channel has no start, stands at another one, follows another source, or stopped with an error that waiting does
    not heal. The message holds the server's own error and its number.
    """

    code = "replication_error"
    default_remedy = (
        "Correct what the message names and run this again; a replica whose data differ must be rebuilt from a backup."
    )
    modules = _by(REPLICA)


class RedoOverwritten(ServerError):
    """The server overwrote redo log before it was read; the backup was stopped at once.

    Such a backup could never be made consistent, so it is not finished. The message has the rate at which the server
    wrote and how much its log holds.
    """

    code = "redo_overwritten"
    default_remedy = (
        "Make the redo log larger (innodb_log_file_size; innodb_redo_log_capacity on MySQL), or back up at a "
        "quieter time."
    )
    modules = _by(BACKUP)


class RedoReplaced(ServerError):
    """The redo log file was resized or replaced during the backup."""

    code = "redo_replaced"
    default_remedy = "Do not change the redo log's size (innodb_log_file_size) during a backup; run the backup again."
    modules = _by(BACKUP)


class DdlConflict(ServerError):
    """Schema changes during the backup could not be followed safely.

    Tables that were created, altered or dropped meanwhile are copied again under a lock. This is what remains: files
    that go on changing, or a file whose identity cannot be told.
    """

    code = "ddl_conflict"
    default_remedy = "Run the backup again while no schema change is running."
    modules = _by(BACKUP)


# --- bytes on disk -------------------------------------------------------------------------------


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
    modules = _by(BACKUP)


class RedoCorrupt(FormatError):
    """Redo log bytes that must be there cannot be parsed.

    Seen while a backup follows the server's log, or when a backup is made consistent.
    """

    code = "redo_corrupt"
    default_remedy = (
        "During a backup: run it again, and check the server's storage if it comes back. Of a backup: use another "
        "copy of it."
    )
    modules = _by(BACKUP, PREPARE, RESTORE)


class UnknownFormat(FormatError):
    """A format or version number is not one this collection knows; nothing was guessed."""

    code = "unknown_format"
    default_remedy = (
        "Update the collection, on both ends of a transfer; this version of the format is not supported yet."
    )


# --- streams -------------------------------------------------------------------------------------


class StreamError(XtrabackupError):
    """A stream failed while it was being written or read.

    What has no code of its own: an end that was closed, or strangers who keep a receiver's port busy.
    """

    code = "stream_error"
    default_remedy = "See the message; nothing was published, so the job can be run again."
    modules = _by(BACKUP, XBSTREAM, PREPARE, RESTORE)


class StreamCorrupt(StreamError):
    """A stream's bytes are damaged or break the rules of the format.

    A checksum, the structure, or the comparison with the manifest or with ``checksum`` has failed.
    """

    code = "stream_corrupt"
    default_remedy = "Transfer the archive again, or use another copy; nothing was published."


class StreamTruncated(StreamError):
    """A stream ended before its last file or its manifest.

    An archive of another tool has no manifest at all: ``require_manifest: false`` accepts it.
    """

    code = "stream_truncated"
    default_remedy = (
        "The sending side stopped early, or the archive was not copied whole: look at the error of the sender; "
        "nothing was published."
    )


class DecryptionFailed(StreamError):
    """Data cannot be decrypted or authenticated with the key that was given.

    The key is missing, another one, or the data were changed after they were encrypted. Also for the keyring of a MySQL
    server with encrypted tablespaces.
    """

    code = "decryption_failed"
    default_remedy = (
        "Give the key file that the backup was encrypted with (decrypt, keyring_file); if it is that one, use "
        "another copy."
    )
    modules = _by(BACKUP, XBSTREAM, PREPARE, RESTORE)


class PeerFailed(StreamError):
    """The other end of a transfer reported an error or vanished.

    This end has stopped as well, and published nothing. If it could, the other end has told its own error, which the
    message repeats.
    """

    code = "peer_failed"
    default_remedy = "Look at the error of the other end; nothing was published."
    modules = _by(BACKUP, XBSTREAM)


class PeerTimeout(PeerFailed):
    """The other end of a transfer did not answer in time.

    It could not be reached, sent no data for longer than ``timeout``, or never came.
    """

    code = "peer_timeout"
    default_remedy = (
        "Check the network, firewalls and the other end; if it is only slow, raise timeout. Nothing was published."
    )


class PeerRefused(PeerFailed):
    """The other end did not present the pinned certificate or the right token.

    Credentials are for one transfer: each end must know the other one's certificate, both the same token, and a token
    works once.
    """

    code = "peer_refused"
    default_remedy = "Make new credentials for both ends of this transfer (xtrabackup_credentials)."
    modules = _by(BACKUP, XBSTREAM)


class CommandFailed(StreamError):
    """A command of a pipeline ended with a non-zero status or a signal.

    All members of the pipeline were ended. The end of what the command printed is in the message.
    """

    code = "command_failed"
    default_remedy = "Look at what the command said; what it has written is incomplete."
    modules = _by(BACKUP)


# --- places on disk ------------------------------------------------------------------------------


class StorageError(XtrabackupError):
    """Reading or writing a file failed; the message names it.

    The message has the operating system's own words, such as "Permission denied" or "Input/output error".
    """

    code = "storage_error"
    default_remedy = "Check the path's owner and permissions (become: true?), its mount and the storage below it."


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


class TargetNotEmpty(StorageError):
    """The target holds data that is not this backup; nothing was touched."""

    code = "target_not_empty"
    default_remedy = (
        "Choose an empty place; or consent to replace what is there (force: true) where the module has that option."
    )
    modules = _by(BACKUP, XBSTREAM, PREPARE, RESTORE)


class TargetUnsafe(StorageError):
    """The target is a place that must never be written to (such as / or a foreign mount).

    The root directory, a symbolic link, a mount point, a place inside the backup, or a directory with files that look
    like nobody's data directory. ``force`` does not help.
    """

    code = "target_unsafe"
    default_remedy = "Choose a directory of its own for the data."
    modules = _by(BACKUP, XBSTREAM, PREPARE, RESTORE)


class ServerRunning(StorageError):
    """A server is running on the directory that was to be replaced.

    Seen by its locks on files, its pid file and its socket. The message names the process.
    """

    code = "server_running"
    default_remedy = "Stop the server first."
    modules = _by(PREPARE, RESTORE)


# --- backups -------------------------------------------------------------------------------------


class BackupError(XtrabackupError):
    """A backup cannot be used as asked.

    It is a part of a chain, of a state only its own tool can finish, or its files are linked to another place.
    """

    code = "backup_error"
    default_remedy = "Make a new full backup, or finish this one with the tool that made it."
    modules = _by(INFO, PREPARE, RESTORE)


class NotABackup(BackupError):
    """The place holds no backup."""

    code = "not_a_backup"
    default_remedy = "Name a directory or an archive that holds a complete backup."
    modules = _by(BACKUP, XBSTREAM, INFO, PREPARE, RESTORE, REPLICA)


class BackupIncomplete(BackupError):
    """The backup has no manifest, or files that its manifest names are missing or differ.

    Also when a file has other content than on the day of the backup, and for a restore that was interrupted.
    """

    code = "backup_incomplete"
    default_remedy = "Use another copy of the backup; this one must not be restored."
    modules = _by(BACKUP, XBSTREAM, INFO, PREPARE, RESTORE)


class BackupPartial(BackupIncomplete):
    """The place holds a selection of a backup's files, which no server can be started on."""

    code = "backup_partial"
    default_remedy = "Unpack the archive again without databases, tables and files, into another place."


class BackupMismatch(BackupError):
    """The backup is not the one whose manifest digest was asked for."""

    code = "backup_mismatch"
    default_remedy = (
        "Name the backup that was meant, or its digest: xtrabackup_backup returns it (backup.manifest.sha256), and "
        "xtrabackup_info does (source.source_sha256)."
    )
    modules = _by(RESTORE)


class NotPrepared(BackupError):
    """The backup must be prepared before it can be put in place."""

    code = "not_prepared"
    default_remedy = "Run xtrabackup_prepare on it first."
    modules = _by(RESTORE)


class RecoveryFailed(BackupError):
    """The installed server could not recover the backup.

    The backup is unchanged, unless it was prepared in place. ``details`` hold the end of that server's error log.
    """

    code = "recovery_failed"
    default_remedy = (
        "Look at the server's log in the details. If the backup is prepared in place, begin again from another "
        "copy of it."
    )
    modules = _by(PREPARE, RESTORE)


class RecoveryIncomplete(RecoveryFailed):
    """Recovery ended before the backup's last LSN; the result must not be used.

    The server said that it was ready, but its log ends before the instant that the backup is of.
    """

    code = "recovery_incomplete"
    default_remedy = "The backup's redo log is damaged or incomplete: use another copy of the backup."


# --- restore requests ----------------------------------------------------------------------------


class RequestError(XtrabackupError):
    """A restore request cannot be carried out on this host."""

    code = "request_error"
    default_remedy = "See the guide to restores by request."
    modules = _by(RESTORE)


class RequestChanged(RequestError):
    """A restore request was carried out on this host, and its file has changed since.

    The host knows the digest of what was requested; comments, the order of fields and the description do not count.
    """

    code = "request_changed"
    default_remedy = "Requests do not change: undo the change, and write what is wanted now as a new request."


class RequestSuperseded(RequestError):
    """The host's data come from a newer request; carrying out this one would roll them back.

    Newer is what was ``created`` later. A request that was carried out before the newer one is no error.
    """

    code = "request_superseded"
    default_remedy = "Remove the request, or, if its backup is wanted, write a new one with the time of today."


class RequestExpired(RequestError):
    """A restore request was not carried out in time."""

    code = "request_expired"
    default_remedy = "Remove the request, or write a new one if the backup is still wanted."
