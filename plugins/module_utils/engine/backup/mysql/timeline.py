# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timeline of a backup of a MySQL server: LOCK INSTANCE FOR BACKUP, and one atomic look at all logs.

``performance_schema.log_status`` names one instant: LSN, binary log position, executed GTIDs. Transactions that are in
the binary log there and not yet committed in InnoDB are in the redo log as prepared. The binary log's last file goes
into the backup up to that position, so that recovery commits exactly those, as after a crash; it is begun anew
shortly before, to be small, and because the server does not leave a file before all of its transactions are committed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ...errors import DdlConflict, StorageError
from ...format import file_kinds, metadata, tablespaces
from ...format.coordinates import BinlogCoordinates, Coordinates, ReplicaChannel
from ...format.family import Family
from ...format.file_kinds import INDEX_SUFFIX, TABLESPACE
from ...host import durable
from ...innodb.mysql.keyring import Keyring
from ...manifest import FileEntry
from ...server.connection import Connection
from ...server.identity import ServerIdentity
from ...server.layout import ServerLayout
from ...server.mysql.coordinates import read_log_status, render_binlog_info, render_slave_info
from ...server.mysql.locks import MysqlLocks, non_transactional_tables, require_table_privileges
from ...server.mysql.redo_archive import RedoArchive
from ...server.mysql.redo_consumer import RedoConsumer
from ...server.mysql.redo_logging import read_alter_instance, require_logged_since
from ...server.mysql.redo_status import read_redo_status
from ...server.mysql.tablespaces import backup_path, missing_tablespaces, read_tablespaces, recorded
from ...server.mysql.user_tables import memory_tables
from ...units import some_of
from .. import missing_tables
from ..copier import READ_SIZE
from ..ddl_watch import compare
from ..inventory import InnodbFile, PlainFiles
from ..local_server import require_own_redo_log
from ..options import BackupOptions
from ..redo_output import RedoOutput
from ..run import BackupRun, Job
from .dictionary import MysqlDictionary, read_dictionary, require_all_copied
from .inventory import databases, innodb_files, known_files, plain_files
from .redo_files import RedoDirectory
from .redo_follower import MysqlRedoFollower

_ENCRYPTED_BINLOG = b"\xfdbin"
_BINLOG_ENCRYPTION_HEADER = 512  # bytes in front of an encrypted binary log, which positions do not count


def require_local(connection: Connection, layout: ServerLayout) -> None:
    """Raises UnsupportedServer unless the server that answers is the one whose files are here."""
    directory = RedoDirectory(str(layout.redo_directory))
    require_own_redo_log(
        layout.redo_directory,
        lambda: directory.start().checkpoint.lsn,
        lambda: read_redo_status(connection).checkpoint_lsn,
        "files",
    )


def read_keyring(options: BackupOptions) -> Keyring | None:
    """The keys that were given, None when none were; raises what is wrong with their file."""
    return Keyring.read(options.keyring_file) if options.keyring_file else None


def missing_files(connection: Connection, layout: ServerLayout, allowed: Collection[str]) -> list[str]:
    """The names in a backup of files that the dictionary has and that are not there; see
    missing_tables.still_missing."""

    def read_missing() -> set[str]:
        named = read_tablespaces(connection)
        return {backup_path(tablespace, layout) for tablespace in missing_tablespaces(layout, named)}

    return missing_tables.still_missing(read_missing, allowed)


class MysqlBackup(BackupRun):
    """One run. ``_copy_everything`` is docs/internals/timelines.md#mysql-timeline; each step is below it."""

    family = Family.MYSQL

    @staticmethod
    def preflight(connection: Connection, layout: ServerLayout, options: BackupOptions) -> tuple[list[str], list[str]]:
        """Returns the names of the databases, and of the files that ``missing_files`` finds. Raises what a backup of
        this server would raise."""
        require_local(connection, layout)
        read_keyring(options)
        require_table_privileges(connection)
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
        super().__init__(job, connection, lsn_connection, identity, layout, read_keyring(job.options))
        self._binlog_entries: list[FileEntry] = []

    def _copy_everything(self) -> Coordinates:
        self._find_missing_tables()
        with contextlib.ExitStack() as held:
            pause = held.enter_context(self._applier_pause())
            locks = held.enter_context(
                MysqlLocks(
                    self._connection,
                    self._open,
                    self._options.lock_timeout,
                    self._own_sessions,
                    self._totals.warnings,
                )
            )
            if self._lock_ddl == "on":
                self._pause_appliers(pause)
                locks.lock_instance()
            consumer = held.enter_context(self._consumer())
            archive = held.enter_context(self._archive(consumer))
            # before the follower looks whether the log is enabled
            statements = read_alter_instance(self._connection)
            self._follow(lambda output: self._follower_of(output, consumer, archive))
            since, before = self._current_lsn(), locks.reading(self._read_dictionary)
            self._copy_innodb()
            if self._lock_ddl != "on":
                self._catch_up()
                self._pause_appliers(pause)
                locks.lock_instance()
                require_logged_since(statements, self._connection)
            self._copy_ddl_changes(locks, before, since)
            self._copy_idle_tables()
            self._begin_binlog()
            self._catch_up()
            if non_transactional_tables(self._connection):
                locks.lock_tables()
            self._copy_other_files()
            coordinates = self._take_coordinates()
            locks.unlock_tables()
            self._copy_binlog(coordinates.binlog)
            self._require_undo_unchanged()
        self._locks = locks.times_ms
        self._warn_of_the_redo_log(consumer, archive)
        return coordinates

    def _innodb_files(self) -> list[InnodbFile]:
        named = read_tablespaces(self._connection)
        files, self._unknown_tablespaces = known_files(self._layout, named, innodb_files(self._layout, named))
        return files

    def _plain_files(self) -> PlainFiles:
        return plain_files(self._layout)

    def _memory_tables(self) -> list[str]:
        return [str(table) for table in memory_tables(self._layout.datadir)]

    def _current_lsn(self) -> int:
        return read_redo_status(self._connection).current_lsn

    # --- the redo log ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _consumer(self) -> Iterator[RedoConsumer]:
        """A hold on the redo log, if the server gives us one, on a connection that nothing else uses."""
        with self._open() as connection, RedoConsumer(connection) as consumer:
            yield consumer

    @contextlib.contextmanager
    def _archive(self, consumer: RedoConsumer) -> Iterator[RedoArchive | None]:
        """Yields the redo archive (``held``: the server makes one); None where a consumer holds the redo log."""
        if consumer.held:
            yield None
            return
        with self._open() as connection, RedoArchive(connection) as archive:
            yield archive

    def _warn_of_the_redo_log(self, consumer: RedoConsumer, archive: RedoArchive | None) -> None:
        """Say what was not there to help, had the redo log come faster than it was read."""
        if not consumer.reason or (archive and not archive.reason):
            return
        warning = (
            "the server did not keep its redo log until it was read, and none was missed all the same: "
            + consumer.reason
        )
        if archive:
            warning += f"; nor did it archive the log for us: {archive.reason}"
        self._totals.warnings.append(warning)

    def _follower_of(
        self, output: RedoOutput, consumer: RedoConsumer, archive: RedoArchive | None
    ) -> MysqlRedoFollower:
        self._mysql_redo = MysqlRedoFollower(
            str(self._layout.redo_directory),
            self._identity.version,
            lambda: read_redo_status(self._lsn_connection),
            output,
            self._failure.set,
            keyring=self._keyring,
            server_uuid=self._identity.server_uuid,
            on_progress=archive.advance if archive else consumer.advance,
            archive=archive.path if archive and archive.held else "",
        )
        return self._mysql_redo

    # --- the dictionary ---------------------------------------------------------------------------

    def _find_missing_tables(self) -> None:
        """Finds the tables whose data file is missing. If there are any, blocks DDL from the beginning: the server then
        lists the indexes of no table, and schema changes are detected by their indexes."""
        missing = missing_files(self._connection, self._layout, self._options.allow_missing_tables)
        self._missing_tables = missing_tables.require_allowed(missing, self._options.allow_missing_tables)
        if self._missing_tables:
            self._lock_ddl = "on"

    def _read_dictionary(self) -> MysqlDictionary:
        return read_dictionary(self._connection, with_indexes=not self._missing_tables)

    # --- LOCK INSTANCE FOR BACKUP ----------------------------------------------------------------

    def _copy_ddl_changes(self, locks: MysqlLocks, before: MysqlDictionary, since: int) -> None:
        """``since``: the LSN that the server was at before anything was copied."""
        self._require_still_supported()
        now = locks.reading(self._read_dictionary)
        altered = now.altered_since(before) | self._loaded(before, now, since)
        files = self._innodb_files()
        self._copy_changes(compare(self._copied, self._void, files, self._context, altered))
        missing = missing_tablespaces(self._layout, read_tablespaces(self._connection))
        paths = [backup_path(tablespace, self._layout) for tablespace in missing]
        self._missing_tables = missing_tables.require_allowed(paths, self._options.allow_missing_tables)
        require_all_copied(now, self._copied, {tablespace.space_id for tablespace in missing})

    def _loaded(self, before: MysqlDictionary, now: MysqlDictionary, since: int) -> frozenset[int]:
        """The ids of the tablespaces to which indexes were written without redo since the LSN ``since``: also those of
        indexes that are gone again, for recovery needs their pages for what was logged about them meanwhile."""
        lsn = self._current_lsn()
        self._connection.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
        loads = self._mysql_redo.index_loads(lsn, self._options.lock_timeout)
        return now.loaded(before, (load for load in loads if load.lsn > since))

    def _begin_binlog(self) -> None:
        """Begin a new binary log: the server has committed all transactions of those before it."""
        if self._layout.log_bin_basename:
            self._connection.execute("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")

    # --- the instant -----------------------------------------------------------------------------

    def _take_coordinates(self) -> Coordinates:
        self._progress.phase("taking coordinates")
        self._plain.copy_late_tables(memoryview(bytearray(READ_SIZE)))
        # what is written from here on may be after the instant
        self._mysql_redo.hold()
        status = read_log_status(self._connection)
        # with innodb_flush_log_at_trx_commit=0 or 2 the newest redo is only in memory yet
        self._connection.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS")
        # where the next incremental backup begins: never behind what this one has
        self._to_lsn = min(status.checkpoint_lsn, status.lsn)
        self._last_lsn = self._redo.follow_until(status.lsn, self._options.lock_timeout)
        self._failure.check()
        self._tablespaces = tablespaces.render(recorded(self._layout, read_tablespaces(self._connection))).encode(
            "utf-8", "surrogateescape"
        )
        self._warn_of_positions([channel for channel in status.channels if not channel.exact])
        return Coordinates(status.binlog, status.channels, status.lsn)

    def _warn_of_positions(self, unsure: list[ReplicaChannel]) -> None:
        if not unsure:
            return
        hint = (
            "preparing the backup finds it in the data"
            if all(channel.in_order for channel in unsure)
            else "unless preparing the backup finds it in the data, no replica can be started there; "
            "safe_slave_backup makes it exact"
        )
        self._totals.warnings.append(
            f"the replica channels {some_of([repr(channel.channel) for channel in unsure])} have no auto-position and "
            f"never stood still, so their position is not known exactly: {hint}"
        )

    def _copy_binlog(self, binlog: BinlogCoordinates | None) -> None:
        """The last binary log up to the instant, and an index that names it alone: what recovery looks into."""
        if binlog is None:
            return
        source = Path(self._layout.log_bin_basename).parent / binlog.file
        name = source.name
        with durable.storage_errors("reading", source), os.fdopen(self._context.open_source(source), "rb") as file:
            encrypted = file.read(len(_ENCRYPTED_BINLOG)) == _ENCRYPTED_BINLOG
            file.seek(0)
            if encrypted:
                self._totals.warnings.append(
                    f"the copied binary log {name} is encrypted (binlog_encryption): to prepare the backup takes the "
                    "keyring as it is now. ALTER INSTANCE ROTATE BINLOG MASTER KEY takes the key out of it, so keep a "
                    "copy of the keyring, apart from the backup."
                )
            left = binlog.position + (_BINLOG_ENCRYPTION_HEADER if encrypted else 0)
            with self._sink.open(name) as target:
                while left:
                    data = file.read(min(left, READ_SIZE))
                    if not data:
                        raise StorageError(f"{source} ends {left} bytes before the position {binlog.position}")
                    target.write(data)
                    left -= len(data)
                self._binlog_entries.append(target.close())
        with self._sink.open(f"{source.stem}{INDEX_SUFFIX}", compress=False) as target:
            target.write(f"./{name}\n".encode())
            self._binlog_entries.append(target.close())

    def _require_undo_unchanged(self) -> None:
        """Undo tablespaces are truncated by the server itself, by making them anew under other ids. It waits for the
        backup lock; if it did not, the copies would not be those that the redo log is about."""
        undo = [file for file in self._innodb_files() if file.replaceable and not TABLESPACE.matches(file.path)]
        copied = {path: copy for path, copy in self._copied.items() if path in {file.path for file in undo}}
        changes = compare(copied, (), undo, self._context)
        wrong = sorted(file.path for file in (*changes.add, *changes.replace))
        if wrong:
            raise DdlConflict(
                f"the server has made undo tablespaces anew although schema changes are blocked: {', '.join(wrong)}",
                tablespaces=wrong,
            )

    # --- after the locks -------------------------------------------------------------------------

    def _finish_redo(self) -> list[FileEntry]:
        return super()._finish_redo() + self._binlog_entries

    def _configuration(self) -> bytes:
        identity = self._identity
        encryption = self._connection.variables("innodb_redo_log_encrypt", "innodb_undo_log_encrypt")
        return metadata.MysqlConfiguration(
            self._layout,
            identity.server_id,
            identity.server_uuid,
            redo_log_encrypt=encryption.get("innodb_redo_log_encrypt") == "ON",
            undo_log_encrypt=encryption.get("innodb_undo_log_encrypt") == "ON",
        ).render()

    def _checkpoints(self) -> metadata.Checkpoints:
        kind = self._options.kind
        return metadata.Checkpoints(kind.copied_type, kind, self._to_lsn, self._last_lsn, flushed_lsn=0)

    def _own_metadata(self) -> dict[str, bytes]:
        return {file_kinds.TABLESPACES_NAME: self._tablespaces}

    def _binlog_info(self, binlog: BinlogCoordinates) -> str:
        return render_binlog_info(binlog)

    def _slave_info(self, channels: list[ReplicaChannel]) -> str:
        return render_slave_info(channels)

    def _layout_record(self) -> dict[str, Any]:
        return {**super()._layout_record(), "gtid_mode": self._layout.gtid_mode}
