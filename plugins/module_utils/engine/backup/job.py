# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a backup of whichever server answers: what is checked first, and whose timeline is followed."""

from __future__ import annotations

from typing import Any

from ..format import file_kinds
from ..format.family import Family
from ..progress import Progress
from ..server.applier_pause import require_pausable
from ..server.connection import Connection
from ..server.identity import ServerIdentity, identify
from ..server.layout import ServerLayout, read_layout
from ..server.privileges import require_backup_privileges
from ..server.support import require_supported
from ..stream.sink import Sink
from . import inventory, missing_tables
from .mariadb.timeline import MariadbBackup
from .mysql.timeline import MysqlBackup
from .options import BackupOptions
from .run import Job
from .workers import Failure

__all__ = ["BackupOptions", "preflight", "take_backup"]

_RUNS: dict[Family, type[MariadbBackup] | type[MysqlBackup]] = {
    Family.MARIADB: MariadbBackup,
    Family.MYSQL: MysqlBackup,
}


def preflight(options: BackupOptions) -> tuple[ServerIdentity, ServerLayout]:
    """Everything about the server that can be checked without a lock; raises what a backup would raise."""
    with Connection(options.connection) as connection:
        return _preflight(connection, options)


def _preflight(connection: Connection, options: BackupOptions) -> tuple[ServerIdentity, ServerLayout]:
    identity = identify(connection)
    require_supported(identity, connection)
    require_backup_privileges(connection, channels=options.require_channels)
    layout = read_layout(connection)
    databases, missing = _RUNS[identity.family].preflight(connection, layout, options)
    inventory.require_database_names(databases, file_kinds.METADATA_NAMES[identity.family])
    missing_tables.require_allowed(missing, options.allow_missing_tables)
    if options.safe_slave_backup:
        require_pausable(connection, identity.family)
    return identity, layout


def take_backup(options: BackupOptions, sink: Sink, progress: Progress) -> dict[str, Any]:
    """Take a full backup of a server into ``sink``; returns the backup's record
    (docs/internals/formats-backup-files.md#manifest).

    On any error nothing is left behind: locks are released, the sink is aborted, and the first error is raised.
    """
    failure = Failure()
    job = Job(options, sink, progress, failure)
    try:
        with Connection(options.connection) as connection, Connection(options.connection) as second:
            identity, layout = _preflight(connection, options)
            return _RUNS[identity.family](job, connection, second, identity, layout).run()
    except BaseException as error:
        failure.set(error)
        sink.abort(error)
        raise
