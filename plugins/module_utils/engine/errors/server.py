# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live server."""

from __future__ import annotations

from .base import BACKUP, INFO, PREPARE, REPLICA, RESTORE, SERVER, XtrabackupError, returned_by
from .wording import Option


class ServerError(XtrabackupError):
    """The server answered a statement with an error.

    The message holds the statement's purpose and the server's own words.
    """

    code = "server_error"
    default_remedy = "Look up the server's error in the message, and its error log at that time."
    modules = returned_by(BACKUP, REPLICA, INFO)


class ConnectionFailed(ServerError):
    """The server cannot be reached, or does not accept the login.

    Over the socket or TCP; also when a connection breaks in the middle of the job.
    """

    code = "connection_failed"
    default_remedy = (
        f"Check that the server runs, and {Option('login_host')}, {Option('login_port')}, "
        f"{Option('login_unix_socket')}, {Option('login_user')}."
    )


class ServiceFailed(ServerError):
    """The server could not be stopped or started, or did not answer or end in time.

    The message holds what its service manager or command has said.
    """

    code = "service_failed"
    default_remedy = (
        "Look into the server's error log and, with systemd, the journal of its unit; then run the task again."
    )
    modules = returned_by(SERVER)


class UnsupportedServer(ServerError):
    """The server's flavor, version or configuration is one that cannot be backed up safely.

    Its version is unknown or too old; or redo logging is disabled, or was for a moment during the backup; the redo log
    has no checksums, or is encrypted and no keyring was given; or the data directory that it names is not on this host.
    It is looked for before anything is done, and again before the backup ends.
    """

    code = "unsupported_server"
    default_remedy = "See the table of supported servers in the README; the message says what stands in the way."
    modules = returned_by(BACKUP, PREPARE, RESTORE, REPLICA, INFO)


class UnsupportedTable(ServerError):
    """A table is of a kind that cannot be backed up safely yet.

    Of an engine whose data lie elsewhere (RocksDB, S3), with a ``DATA DIRECTORY`` on MariaDB, encrypted on MariaDB,
    or changed by ``ALGORITHM=INSTANT`` on MySQL 8.0.30 and 8.0.31. It is looked for before a byte is copied, and again
    when schema changes are blocked.
    """

    code = "unsupported_table"
    default_remedy = "Convert the tables that the message names (ALTER TABLE ... ENGINE = InnoDB), or remove them."
    modules = returned_by(BACKUP, PREPARE, RESTORE)


class TableFileMissing(ServerError):
    """The server's dictionary has a table whose data file is not there.

    Somebody has removed it, or it was lost; the table cannot be used. The backup could only be one without the table's
    data, so it is refused before anything is copied, unless ``allow_missing_tables`` names the table. Then the backup's
    record has it in ``missing_tables``; on MySQL, schema changes wait while such a backup is taken.
    """

    code = "table_file_missing"
    default_remedy = f"Bring the file back, drop the table, or name it in {Option('allow_missing_tables')}."
    modules = returned_by(BACKUP)


class MissingPrivilege(ServerError):
    """The backup account lacks a privilege; the message holds the exact GRANT.

    It is checked before anything is done. Roles that the account has but that are not active are named.
    """

    code = "missing_privilege"
    default_remedy = "Run the GRANT statements in the message as an administrator."
    modules = returned_by(BACKUP, REPLICA, INFO)


class LockTimeout(ServerError):
    """A backup lock was not granted before its deadline; it was released at once.

    The server goes on working as before. ``details`` and the message name the sessions that were in the way. Also when
    MySQL's dictionary could not be read in time because of a schema change, or the SQL threads of a replica did not
    stop in time (``safe_slave_backup``).
    """

    code = "lock_timeout"
    default_remedy = f"Wait for or end the blocking queries that the message names, or raise {Option('lock_timeout')}."
    modules = returned_by(BACKUP)


class ReplicationError(ServerError):
    """A replication channel is not, and did not become, what was asked for.

    The channel has no start, stands at another one, follows another source, or stopped with an error that waiting does
    not heal. The message holds the server's own error and its number. Or the backup does not tell exactly where its
    data are in the binary log of the source; or a channel cannot be stopped for a backup (``safe_slave_backup``).
    """

    code = "replication_error"
    default_remedy = (
        "Correct what the message names and run this again; a replica whose data differ must be rebuilt from a backup."
    )
    modules = returned_by(BACKUP, REPLICA)


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
    modules = returned_by(BACKUP)


class RedoReplaced(ServerError):
    """The redo log file was resized or replaced during the backup."""

    code = "redo_replaced"
    default_remedy = "Do not change the redo log's size (innodb_log_file_size) during a backup; run the backup again."
    modules = returned_by(BACKUP)


class DdlConflict(ServerError):
    """Schema changes during the backup could not be followed safely.

    Tables that were created, altered or dropped meanwhile are copied again under a lock. This is what remains: files
    that go on changing, or a file whose identity cannot be told.
    """

    code = "ddl_conflict"
    default_remedy = "Run the backup again while no schema change is running."
    modules = returned_by(BACKUP)
