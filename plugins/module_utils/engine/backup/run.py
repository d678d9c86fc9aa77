# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a backup: the steps that the timelines of all server families are made of.

The order of the steps is that of the family: see mariadb/timeline.py and mysql/timeline.py.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable

from ..errors import DdlConflict, RedoOverwritten, ServerError
from ..format import file_kinds, metadata
from ..format.coordinates import BinlogCoordinates, Coordinates, ReplicaChannel
from ..format.family import Family
from ..host import durable
from ..host.anchor import Anchor
from ..host.server_files import ServerFiles
from ..innodb.mysql.keyring import Keyring
from ..manifest import FileEntry, Manifest
from ..progress import Progress
from ..server.applier_pause import ApplierPause
from ..server.connection import Connection
from ..server.identity import ServerIdentity
from ..server.layout import ServerLayout
from ..server.support import require_supported
from ..stream.sink import Sink, SinkFile
from ..units import some_of
from .copier import (
    CopiedTablespace,
    CopierContext,
    RateLimit,
    UnstableFile,
    copy_tablespace,
    opened_source,
    read_header,
)
from .ddl_watch import DdlChanges
from .inventory import InnodbFile, PlainFiles
from .log_follower import Follower
from .options import BackupOptions
from .redo_output import RedoOutput
from .tables import PlainCopies
from .workers import CopyPool, Failure

_log = logging.getLogger(__name__)

#: how far (bytes) the redo follower may be behind when commits are blocked, and how long (s) it may take to get there
_CLOSE_BEHIND = 1 << 20
_CATCH_UP_SECONDS = 60.0

#: room (bytes) left free beside the data for redo and metadata
_SPACE_MARGIN = 64 << 20


@dataclass(frozen=True)
class Job:
    """Arguments of one run."""

    options: BackupOptions
    sink: Sink
    progress: Progress
    failure: Failure


@dataclass
class _Totals:
    pages: int = 0
    retried: int = 0
    warnings: list[str] = field(default_factory=list)


class BackupRun:
    """Base of the timelines. A family's class says in ``_copy_everything`` in which order it happens."""

    family: Family

    def __init__(
        self,
        job: Job,
        connection: Connection,
        lsn_connection: Connection,
        identity: ServerIdentity,
        layout: ServerLayout,
        keyring: Keyring | None = None,
    ) -> None:
        self._keyring = keyring
        self._options, self._sink, self._progress, self._failure = job.options, job.sink, job.progress, job.failure
        self._connection, self._lsn_connection = connection, lsn_connection
        #: ids of all sessions of this backup, which are in nobody's way
        self._own_sessions = {connection.thread_id, lsn_connection.thread_id}
        self._identity, self._layout = identity, layout
        self._id = str(uuid.uuid4())
        self._started = time.time()
        self._pool = CopyPool(job.options.parallel, job.failure)
        self._follower: Follower | None = None
        self._output: RedoOutput | None = None
        self._copied: dict[str, CopiedTablespace] = {}
        self._void: set[str] = set()
        self._unknown_tablespaces: list[str] = []
        self._missing_tables: list[str] = []
        self._lock_ddl = job.options.lock_ddl
        self._locks: dict[str, float] = {}
        self._to_lsn = self._last_lsn = 0
        self._page_numbers: dict[str, tuple[int, Any]] = {}
        self._totals = _Totals()
        self._sink.family = self.family
        self._sink.digest_algorithm = self._options.file_digest
        self._context = self._copier_context(self._sink.open, self._options.throttle)
        self._unthrottled = self._copier_context(self._sink.open)
        self._plain = self._plain_copies()

    def run(self) -> dict[str, Any]:
        """Take the backup; returns its record. On an error all locks are released and the error is raised."""
        _log.info(
            "backup %s of %s %s, data in %s",
            self._id,
            self._identity.name,
            self._identity.version,
            self._layout.datadir,
        )
        self._sink.require_space(self._size)
        try:
            # first, as the stock tools do it: a stream that is cut off anywhere is known as the beginning of a backup
            configuration = self._write_metadata(file_kinds.CONFIGURATION_NAME, self._configuration())
            coordinates = self._copy_everything()
            entries = self._finish_redo()
        except BaseException as error:
            self._failure.set(error)
            _log.info("giving the backup up, files so far: %d", len(self._copied))
            if self._output:
                self._output.cancel()
            if not self._sink.can_rewrite:
                # workers may be waiting for the other end of the stream; a directory is removed after they ended
                self._sink.abort(error)
            raise
        finally:
            if self._follower is not None:
                self._follower.stop()
            self._pool.close()
        return self._publish([configuration, *entries], coordinates)

    # --- what a family fills in ------------------------------------------------------------------

    def _copy_everything(self) -> Coordinates:
        """The timeline: all files, the redo log up to one instant, and the names of that instant."""
        raise NotImplementedError

    def _innodb_files(self) -> list[InnodbFile]:
        """Every InnoDB data file of the server's data that there is now, the largest first; the names of files that
        only look so go to ``_unknown_tablespaces``."""
        raise NotImplementedError

    def _plain_files(self) -> PlainFiles:
        """Every file that is not InnoDB's."""
        raise NotImplementedError

    def _plain_copies(self) -> PlainCopies:
        return PlainCopies(self._plain_files, self._sink, self._pool, self._unthrottled)

    def _current_lsn(self) -> int:
        """The server's newest LSN, written or not (bytes of redo)."""
        raise NotImplementedError

    def _memory_tables(self) -> list[str]:
        """The tables whose rows no file holds, as ``database.table``."""
        raise NotImplementedError

    def _configuration(self) -> bytes:
        """``backup-my.cnf``: what a server needs to know to recover the files."""
        raise NotImplementedError

    def _checkpoints(self) -> metadata.Checkpoints:
        """Returns the content of ``xtrabackup_checkpoints``."""
        raise NotImplementedError

    def _own_metadata(self) -> dict[str, bytes]:
        """Name and content of small files that only backups of this family have."""
        return {}

    def _binlog_info(self, binlog: BinlogCoordinates) -> str:
        """``xtrabackup_binlog_info``, as the stock tool of the family writes it."""
        raise NotImplementedError

    def _slave_info(self, channels: list[ReplicaChannel]) -> str:
        """``xtrabackup_slave_info``, as the stock tool of the family writes it."""
        raise NotImplementedError

    # --- what is written beside the data ---------------------------------------------------------

    def _metadata(self, coordinates: Coordinates, ended: datetime) -> dict[str, bytes]:
        """Name and content of the small files that tell about the backup."""
        texts = {
            file_kinds.CHECKPOINTS_NAME: self._checkpoints().render(),
            file_kinds.INFO_NAME: self._info(coordinates, ended).render(),
            **self._own_metadata(),
        }
        if coordinates.binlog is not None:
            texts[file_kinds.BINLOG_INFO_NAME] = self._binlog_info(coordinates.binlog).encode()
        if coordinates.channels:
            texts[file_kinds.SLAVE_INFO_NAME] = self._slave_info(coordinates.channels).encode()
        return texts

    def _info(self, coordinates: Coordinates, ended: datetime) -> metadata.BackupInfo:
        """Returns the content of ``xtrabackup_info``."""
        return metadata.BackupInfo(
            id=self._id,
            tool_version=self._options.tool_version,
            server_version=self._identity.version,
            started=datetime.fromtimestamp(self._started),
            ended=ended,
            binlog=coordinates.binlog,
            kind=self._options.kind,
            to_lsn=self._to_lsn,
            stream=not self._sink.can_rewrite,
            compressed=self._options.compressed,
            flavor=self._identity.flavor,
            encrypted=self._options.encrypted,
            lock_ddl=self._lock_ddl,
        )

    def _layout_record(self) -> dict[str, Any]:
        """Returns the part of the record that says how to read the files."""
        return {
            "innodb_data_file_path": self._layout.innodb_data_file_path,
            "innodb_page_size": self._layout.innodb_page_size,
            "innodb_undo_tablespaces": self._layout.innodb_undo_tablespaces,
            "lower_case_table_names": self._layout.lower_case_table_names,
        }

    # --- before any lock -------------------------------------------------------------------------

    def _copier_context(self, open_file: Callable[[str], SinkFile], throttle: RateLimit | None = None) -> CopierContext:
        return CopierContext(
            self._layout.innodb_page_size,
            open_file,
            self._failure.cancelled,
            self._progress,
            throttle,
            self.family,
            self._keyring,
            ServerFiles(self._layout.datadir).open,
        )

    def _size(self) -> int:
        """Bytes that the files of the server need, with some for redo and metadata."""
        needed = sum(file.size for file in self._innodb_files())
        return needed + sum(file.size for file in self._plain_files().files) + _SPACE_MARGIN

    def _follow(self, make: Callable[[RedoOutput], Follower]) -> None:
        """Start to copy the redo log, with the follower that ``make`` gives."""
        self._output = RedoOutput(self._sink, self.family.facts.redo_name, self._options.spool_directory)
        self._follower = follower = make(self._output)
        self._follower.start()
        self._progress.measure("redo_behind_bytes", lambda: follower.behind)

    @property
    def _redo(self) -> Follower:
        """The follower, once there is one."""
        if self._follower is None:
            raise RuntimeError("the redo log is not followed yet")
        return self._follower

    # --- InnoDB's files --------------------------------------------------------------------------

    def _copy_innodb(self) -> None:
        files = self._innodb_files()
        self._progress.phase("copying InnoDB files", sum(file.size for file in files))
        self._page_numbers = self._system_page_numbers(files)
        self._keep(zip(files, self._pool.run(files, self._copy_if_stable)))

    def _copy_if_stable(self, file: InnodbFile, buffer: memoryview) -> CopiedTablespace | UnstableFile:
        try:
            return self._copy_tablespace(file, buffer, self._context)
        except UnstableFile as error:
            return error

    def _copy_tablespace(self, file: InnodbFile, buffer: memoryview, context: CopierContext) -> CopiedTablespace:
        first_page_no, header = self._page_numbers.get(file.path, (0, None))
        return copy_tablespace(file, context, buffer, first_page_no=first_page_no, header=header)

    def _system_page_numbers(self, files: list[InnodbFile]) -> dict[str, tuple[int, Any]]:
        """First page number, and the header of the first file, for all other files of the system tablespace."""
        parts = sorted(
            (file for file in files if file.system_index is not None), key=lambda file: file.system_index or 0
        )
        if len(parts) < 2:
            return {}
        with opened_source(parts[0].source, self._context.open_source) as first:
            header = read_header(parts[0], first, self._context)
        numbers = {}
        page_no = parts[0].size // header.physical_size
        for part in parts[1:]:
            numbers[part.path] = (page_no, header)
            page_no += part.size // header.physical_size
        return numbers

    def _keep(self, copies: Iterable[tuple[InnodbFile, CopiedTablespace | UnstableFile]]) -> None:
        for file, copied in copies:
            if isinstance(copied, UnstableFile):
                if copied.written:
                    self._void.add(file.path)
                continue
            self._copied[file.path] = copied
            self._totals.pages += copied.pages
            self._totals.retried += copied.retried_pages

    def _copy_changes(self, changes: DdlChanges) -> None:
        """Bring the copies up to date with what DDL did; it is blocked now."""
        self._progress.phase("copying what DDL changed", changes.bytes_to_copy)
        for path in changes.discard:
            self._sink.discard(path)
            self._copied.pop(path, None)
        replacing = self._copier_context(self._sink.replace)
        for files, context in ((changes.replace, replacing), (changes.add, self._unthrottled)):

            def copy(file: InnodbFile, buffer: memoryview, context: CopierContext = context) -> CopiedTablespace:
                try:
                    return self._copy_tablespace(file, buffer, context)
                except UnstableFile as error:
                    raise DdlConflict(f"{file.source} changes although schema changes are blocked: {error}") from error

            for file in files:
                self._copied.pop(file.path, None)
            self._keep(zip(files, self._pool.run(files, copy)))
        self._void.clear()

    def _require_still_supported(self) -> None:
        """Schema changes are blocked: what preflight refuses must not have been made since. Raises what it raises."""
        require_supported(self._identity, self._connection)

    # --- all other files -------------------------------------------------------------------------

    def _copy_idle_tables(self) -> None:
        """Copy non-transactional tables before they are locked, where what changes until then can be copied again."""
        self._progress.phase("copying non-transactional tables")
        # writes through a memory map leave no trace in a file's times
        mapped = self._connection.variables("myisam_use_mmap").get("myisam_use_mmap", "OFF") == "ON"
        if self._sink.can_rewrite and not mapped:
            self._plain.copy_idle_tables()

    def _copy_other_files(self) -> None:
        self._progress.phase("copying definitions and non-transactional tables")
        self._copy_plain_files()
        if self._plain.unknown:
            self._totals.warnings.append(
                f"{len(self._plain.unknown)} files in database directories are of no known kind and were left out: "
                + ", ".join(self._plain.unknown[:5])
            )
        if self._unknown_tablespaces:
            self._totals.warnings.append(
                f"{len(self._unknown_tablespaces)} tablespace files belong to no table of the server, or to one whose "
                f"tablespace is discarded, and were left out: {some_of(self._unknown_tablespaces)}"
            )
        if self._missing_tables:
            self._totals.warnings.append(
                "the data files of these tables are missing on the server, so the backup is one without their data: "
                + some_of(self._missing_tables)
            )
        in_memory = self._memory_tables()
        if in_memory:
            self._totals.warnings.append(
                "the rows of tables of the engine MEMORY are in no file and so in no backup; a copy has these tables "
                f"empty: {some_of(in_memory)}"
            )

    def _open(self, read_timeout: float = 3600.0) -> Connection:
        """One more session of this backup."""
        connection = Connection(self._options.connection, read_timeout=read_timeout)
        self._own_sessions.add(connection.thread_id)
        return connection

    def _applier_pause(self) -> ApplierPause:
        """Returns the context that stops a replica's appliers, and starts them at the end of its block."""
        return ApplierPause(
            self._connection,
            lambda seconds: self._open(read_timeout=seconds),
            self._options.safe_slave_backup_timeout,
            self._totals.warnings,
            self.family,
        )

    def _pause_appliers(self, pause: ApplierPause) -> None:
        """Stop them, if that is wanted. Before schema changes and writes are blocked: a thread that waits for us could
        not finish its transaction."""
        if self._options.safe_slave_backup:
            self._progress.phase("stopping SQL threads")
            pause.begin()

    def _copy_plain_files(self) -> None:
        self._plain.copy_all()

    def _catch_up(self) -> None:
        """Let the follower come close, so that the last lock is held only for the rest."""
        self._progress.phase("catching up with the redo log")
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while self._current_lsn() - self._redo.lsn > _CLOSE_BEHIND and time.monotonic() < deadline:
            if self._failure.cancelled.wait(0.02):
                self._failure.check()

    # --- after the locks -------------------------------------------------------------------------

    @property
    def _unverified_pages(self) -> int:
        """Number of pages of the backup whose checksum was not verified."""
        return sum(copied.unverified for copied in self._copied.values())

    def _warn_of_unverified_pages(self) -> None:
        names = sorted(path for path, copied in self._copied.items() if copied.unverified)
        if names:
            self._totals.warnings.append(
                f"{self._unverified_pages} pages have no checksum that could be verified (encrypted without "
                "keyring_file, or written without one), so damage in them would not be seen; each was read twice: "
                + some_of(names)
            )

    def _finish_redo(self) -> list[FileEntry]:
        self._progress.measure("redo_behind_bytes", None)
        self._progress.phase("finishing")
        self._warn_of_unverified_pages()
        if self._output is None:
            raise RuntimeError("the redo log was not followed")
        copied = f"the copied redo log covers LSN {self._redo.checkpoint_lsn} to {self._last_lsn}"
        if self._to_lsn > self._last_lsn:
            raise ServerError(
                f"{copied}, and the server's newest checkpoint is after that, at {self._to_lsn}",
                remedy="Take the backup again. If this happens again, report it with the server's version.",
                checkpoint_lsn=self._to_lsn,
                last_lsn=self._last_lsn,
            )
        if self._redo.checkpoint_lsn > self._to_lsn:
            raise RedoOverwritten(f"{copied}, and the newest checkpoint {self._to_lsn} is before that")
        return [copied.entry for copied in self._copied.values()] + self._plain.entries + [self._output.close()]

    def _publish(self, entries: list[FileEntry], coordinates: Coordinates) -> dict[str, Any]:
        ended = time.time()
        texts = self._metadata(coordinates, datetime.fromtimestamp(ended))
        self._write_extra_copies(texts)
        entries.extend(self._write_metadata(name, data) for name, data in texts.items())
        record = self._record(entries, coordinates, ended)
        _log.info("publishing %d files; the redo log ends at LSN %d", len(entries), self._last_lsn)
        published = self._sink.publish(Manifest(record, tuple(entries), digest_algorithm=self._sink.digest_algorithm))
        manifest = {"path": published.get("path"), "sha256": published["sha256"]}
        return {**record, "manifest": manifest, "digests": published.get("digests", {})}

    def _write_metadata(self, name: str, data: bytes) -> FileEntry:
        with self._sink.open(name, compress=False) as target:
            target.write(data)
            return target.close()

    def _write_extra_copies(self, texts: dict[str, bytes]) -> None:
        """Writes the files with the backup's LSNs to a directory of this host, too, when one is given. That is done
        before the backup is complete: once it is, nothing may fail any more."""
        if self._options.extra_lsn_directory is None:
            return
        with Anchor(self._options.extra_lsn_directory, make=0o750) as directory:
            for name in (file_kinds.CHECKPOINTS_NAME, file_kinds.INFO_NAME):
                durable.write_file(directory.path / name, texts[name])

    def _record(self, entries: list[FileEntry], coordinates: Coordinates, ended: float) -> dict[str, Any]:
        seconds = max(ended - self._started, 1e-3)
        size = sum(entry.size for entry in entries)
        return {
            "id": self._id,
            **self._options.kind.record(),
            "path": str(self._sink.location) if self._sink.location else None,
            "state": "copied",
            "started": datetime.fromtimestamp(self._started, timezone.utc).isoformat(timespec="seconds"),
            "ended": datetime.fromtimestamp(ended, timezone.utc).isoformat(timespec="seconds"),
            "server": self._identity.as_dict(),
            "layout": self._layout_record(),
            "to_lsn": self._to_lsn,
            "last_lsn": self._last_lsn,
            "binlog": coordinates.binlog.as_dict() if coordinates.binlog else None,
            "replication": coordinates.channel_records(),
            "log_replica_updates": self._layout.logs_replica_updates,
            "files": len(entries),
            "bytes": {"read": size, "written": size},
            "seconds": round(seconds, 3),
            "mib_per_second": round(size / seconds / (1 << 20), 1),
            "redo": {
                "bytes": self._redo.copied_bytes,
                "peak_mib_per_second": round(self._redo.peak_mib_per_second, 1),
            },
            "locks": self._locks,
            "pages": {
                "checked": self._totals.pages,
                "retried": self._totals.retried,
                "unverified": self._unverified_pages,
            },
            **({"missing_tables": self._missing_tables} if self._missing_tables else {}),
            "warnings": self._totals.warnings,
        }
