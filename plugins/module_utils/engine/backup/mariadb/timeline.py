# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timeline of a backup of a MariaDB server: BACKUP STAGE START, FLUSH, BLOCK_DDL, BLOCK_COMMIT, END."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ...errors import ServerError, UnsupportedServer, UnsupportedTable
from ...format import metadata
from ...format.coordinates import BinlogCoordinates, Coordinates, ReplicaChannel
from ...format.family import Family
from ...innodb.mariadb.page_compression import PROVIDERS, providers_of
from ...manifest import FileEntry
from ...server.connection import Connection
from ...server.identity import ServerIdentity
from ...server.layout import ServerLayout
from ...server.mariadb.coordinates import (
    read_channels_at_rest,
    read_coordinates,
    render_binlog_info,
    render_slave_info,
    seems_replica,
)
from ...server.mariadb.locks import BackupStages
from ...server.mariadb.privileges import CHANNELS
from ...server.privileges import ACCESS_DENIED, grants_of, quoted_account
from ...units import some_of
from .. import missing_tables
from ..copier import READ_SIZE
from ..ddl_watch import compare
from ..inventory import InnodbFile, PlainFiles
from ..local_server import require_own_redo_log
from ..options import BackupOptions
from ..redo_output import RedoOutput
from ..run import BackupRun, Job
from .aria_checkpoint import CheckpointStates
from .aria_log import AriaLog
from .dictionary import MariadbDictionary, known_files, read_dictionary, require_all_copied
from .inventory import databases, innodb_files, memory_tables, plain_files
from .redo_files import LogFile
from .redo_follower import RedoFollower
from .tables import MariadbPlainCopies

#: how long (s) commits are blocked at most for a page of the Aria log that the server is still writing
_ARIA_TIMEOUT = 10.0


def require_local(connection: Connection, layout: ServerLayout) -> None:
    """Raises UnsupportedServer unless the server that answers is the one whose files are here."""
    path = layout.redo_log
    require_own_redo_log(path, lambda: _checkpoint_in(path), lambda: _last_checkpoint(connection), "file")


def _last_checkpoint(connection: Connection) -> int:
    return int(connection.status("Innodb_lsn_last_checkpoint")["Innodb_lsn_last_checkpoint"])


def _checkpoint_in(path: Path) -> int:
    """The newest checkpoint LSN in the log file ``path``."""
    with contextlib.closing(LogFile(str(path))) as log:
        return log.newest_checkpoint().lsn


def missing_files(connection: Connection, layout: ServerLayout, allowed: Collection[str]) -> list[str]:
    """The names in a backup of files that the dictionary has and that are not there; see
    missing_tables.still_missing."""

    def read_missing() -> set[str]:
        files = innodb_files(layout)
        return set(read_dictionary(connection).missing(files))

    return missing_tables.still_missing(read_missing, allowed)


class MariadbBackup(BackupRun):
    """One run. ``_copy_everything`` is docs/internals/timelines.md#mariadb-timeline; each step is below it."""

    family = Family.MARIADB
    _plain: MariadbPlainCopies

    @staticmethod
    def preflight(connection: Connection, layout: ServerLayout, options: BackupOptions) -> tuple[list[str], list[str]]:
        """Returns the names of the databases, and of the files that ``missing_files`` finds. Raises what a backup of
        this server would raise."""
        require_local(connection, layout)
        names = [database.name for database in databases(layout)]
        return names, missing_files(connection, layout, options.allow_missing_tables)

    def __init__(
        self,
        job: Job,
        connection: Connection,
        lsn_connection: Connection,
        identity: ServerIdentity,
        layout: ServerLayout,
    ) -> None:
        super().__init__(job, connection, lsn_connection, identity, layout)
        timeout = min(job.options.lock_timeout, _ARIA_TIMEOUT)
        self._aria = AriaLog(layout, job.sink, self._context, job.options.spool_directory, timeout)
        self._states = CheckpointStates(
            self._aria.find_checkpoint, lambda: self._plain_files().files, self._context.open_source
        )
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._providers: tuple[str, ...] = ()

    def _copy_everything(self) -> Coordinates:
        with (
            self._applier_pause() as pause,
            BackupStages(
                self._connection,
                self._open,
                self._options.lock_timeout,
                own=self._own_sessions,
            ) as stages,
        ):
            before = _ddl_log(self._layout)
            stages.start()
            self._require_same_datadir(before)
            self._follow(self._follower_of)
            dictionary = read_dictionary(self._connection)
            if self._options.lock_ddl == "on":
                self._pause_appliers(pause)
                self._states.note_newest()
                stages.flush()
                stages.block_ddl()
                self._states.tables_were_closed()
            self._copy_innodb()
            self._copy_head_of_aria_log()
            if self._options.lock_ddl != "on":
                self._pause_appliers(pause)
                self._states.note_newest()
                stages.flush()
                self._copy_idle_tables()
                stages.block_ddl()
                self._states.tables_were_closed()
            self._copy_ddl_changes(dictionary)
            self._copy_other_files()
            self._catch_up()
            stages.block_commit()
            coordinates = self._finish_under_lock()
        self._locks = stages.times_ms
        if coordinates.channels is None:
            self._warn_of_channels()
        return coordinates

    def _innodb_files(self) -> list[InnodbFile]:
        files = innodb_files(self._layout)
        known, self._unknown_tablespaces = known_files(files, read_dictionary(self._connection))
        return known

    def _plain_files(self) -> PlainFiles:
        return plain_files(self._layout)

    def _plain_copies(self) -> MariadbPlainCopies:
        return MariadbPlainCopies(self._plain_files, self._sink, self._pool, self._unthrottled)

    def _current_lsn(self) -> int:
        return _lsn(self._connection)

    def _memory_tables(self) -> list[str]:
        return memory_tables(self._plain.files, self._context.open_source)

    # --- BACKUP STAGE START ----------------------------------------------------------------------

    def _require_same_datadir(self, before: tuple[int, int] | None) -> None:
        """The server writes ddl.log anew at the first stage: it must be in the data directory that is copied."""
        if _ddl_log(self._layout) == before:
            raise UnsupportedServer(
                f"the server that was connected to does not write to {self._layout.datadir} as it is seen here",
                remedy="Take the backup on the host that the server runs on, with a login to that very server.",
                datadir=str(self._layout.datadir),
            )

    def _follower_of(self, output: RedoOutput) -> RedoFollower:
        # a connection of the follower's thread alone: it must never wait for another statement
        return RedoFollower(
            str(self._layout.redo_log),
            self._identity.version,
            lambda: _lsn(self._lsn_connection),
            output,
            self._failure.set,
        )

    def _copy_head_of_aria_log(self) -> None:
        self._progress.phase("copying the Aria log")
        self._aria.copy_head(self._buffer)

    # --- BACKUP STAGE BLOCK_DDL ------------------------------------------------------------------

    def _copy_ddl_changes(self, before: MariadbDictionary) -> None:
        """``before``: what the dictionary said before anything was copied."""
        self._require_still_supported()
        now = read_dictionary(self._connection)
        files = self._innodb_files()
        missing = now.missing(files)
        self._missing_tables = missing_tables.require_allowed(missing, self._options.allow_missing_tables)
        self._copy_changes(compare(self._copied, self._void, files, self._context, now.altered_since(before)))
        require_all_copied(self._connection, self._copied, missing)
        self._require_no_encrypted_copies()

    def _require_no_encrypted_copies(self) -> None:
        """Raises UnsupportedTable when pages were copied encrypted: the server does not list a tablespace that was
        encrypted only for a while."""
        encrypted = sorted(path for path, copy in self._copied.items() if copy.encrypted)
        if encrypted:
            raise UnsupportedTable(
                f"tablespaces were encrypted while they were copied, which is not supported yet: {some_of(encrypted)}",
                remedy="Run the backup again while innodb_encrypt_tables is OFF.",
                tables=encrypted[:100],
            )

    def _copy_plain_files(self) -> None:
        self._plain.copy_all(self._states.find_horizon())

    def _catch_up(self) -> None:
        self._copy_head_of_aria_log()
        super()._catch_up()
        self._aria.copy_head(self._buffer)

    # --- BACKUP STAGE BLOCK_COMMIT ---------------------------------------------------------------

    def _finish_under_lock(self) -> Coordinates:
        self._progress.phase("taking coordinates")
        self._aria.take_tail()
        self._plain.copy_late_tables(self._buffer)
        coordinates = Coordinates(read_coordinates(self._connection), self._read_channels(), _lsn(self._connection))
        # with innodb_flush_log_at_trx_commit=0 or 2 the newest redo is only in memory yet
        self._connection.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
        self._to_lsn = self._redo.newest_checkpoint().lsn
        # the log goes on meanwhile, and so may the checkpoint
        self._last_lsn = self._redo.follow_until(max(coordinates.target_lsn, self._to_lsn), self._options.lock_timeout)
        self._failure.check()
        return coordinates

    def _read_channels(self) -> list[ReplicaChannel] | None:
        """The replica channels; None when the account may not read them, and need not."""
        try:
            return read_channels_at_rest(self._connection)
        except ServerError as error:
            if self._options.require_channels or error.details.get("errno") != ACCESS_DENIED:
                raise
            return None

    def _warn_of_channels(self) -> None:
        """Say that where the server stood as a replica is not in the backup, and what would let it be there."""
        server = (
            "this server is a replica, and its replication position was not recorded"
            if seems_replica(self._connection, self._layout.datadir)
            else "whether this server is a replica is not known, and no replication position was recorded"
        )
        grant = " ".join(grants_of([CHANNELS], quoted_account(self._connection)))
        self._totals.warnings.append(
            f"{server}: the account may not read it ({grant}). So no replica can be set up by what this backup says; "
            "--slave-info makes it an error"
        )

    # --- after the locks -------------------------------------------------------------------------

    def _finish_redo(self) -> list[FileEntry]:
        return super()._finish_redo() + self._aria.finish()

    def _configuration(self) -> bytes:
        self._providers = _loaded_providers(self._connection)
        return metadata.render_configuration(self._layout, self._providers)

    def _layout_record(self) -> dict[str, Any]:
        sources = [copy.file.source for copy in self._copied.values()]
        found = providers_of(sources, self._layout.datadir, self._providers, self._context.open_source)
        return {**super()._layout_record(), "compression_providers": found.as_dict()}

    def _checkpoints(self) -> metadata.Checkpoints:
        kind = self._options.kind
        return metadata.Checkpoints(kind.copied_type, kind, self._to_lsn, self._last_lsn)

    def _binlog_info(self, binlog: BinlogCoordinates) -> str:
        return render_binlog_info(binlog)

    def _slave_info(self, channels: list[ReplicaChannel]) -> str:
        return render_slave_info(channels)


def _loaded_providers(connection: Connection) -> tuple[str, ...]:
    """The plugins for page compression that the server has loaded."""
    rows = connection.query(
        "SELECT PLUGIN_NAME FROM information_schema.PLUGINS WHERE PLUGIN_NAME IN %s AND PLUGIN_STATUS = 'ACTIVE'",
        [tuple(PROVIDERS)],
    )
    return tuple(sorted(str(row["PLUGIN_NAME"]) for row in rows))


def _ddl_log(layout: ServerLayout) -> tuple[int, int] | None:
    """Inode and time of change (ns) of the server's log of DDL during backups; None while there is none."""
    try:
        status = os.stat(layout.datadir / "ddl.log")
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


def _lsn(connection: Connection) -> int:
    return int(connection.status("Innodb_lsn_current")["Innodb_lsn_current"])
