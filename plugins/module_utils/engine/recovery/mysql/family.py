# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of a directory of MySQL's: its log is made of the backup's, and removed in the end."""

from __future__ import annotations

from pathlib import Path

from ... import libraries
from ...errors import BackupError, BackupIncomplete, RecoveryIncomplete
from ...format import file_kinds
from ...format.family import Family
from ...format.file_kinds import REDO_DIRECTORY
from ...host import durable
from ...innodb.mysql.keyring import Keyring
from ...innodb.mysql.redo_logfile import inspect_logfile, move_into_redo_directory
from ..backup_directory import BackupDirectory, walk_files
from ..family import RecoveryFamily
from ..prepare_marker import PrepareMarker


class MysqlFamily(RecoveryFamily):
    """MySQL and Percona Server: ``xtrabackup_logfile`` becomes the server's log, which is removed in the end."""

    max_log_size = 128 << 20

    def __init__(self, keyring_file: Path | None) -> None:
        self._keyring_file = keyring_file

    def require_means(self, keyring_file: str | None) -> None:
        """The server is asked through a connection, and its log is verified before."""
        if keyring_file:
            Keyring.read(keyring_file)
        libraries.require("pymysql")
        libraries.require("crc32c")

    def require_whole_redo(self, backup: BackupDirectory, marker: PrepareMarker) -> None:
        """Every block of the backup's log is verified, up to its last LSN; a log that was given to a server before is
        that server's to verify."""
        logfile = backup.path / file_kinds.LOGFILE_NAME
        last_lsn = backup.checkpoints.last_lsn
        if marker.incomplete:
            raise RecoveryIncomplete(
                f"{backup.path}: an earlier run has found that the redo log ends before LSN {last_lsn}, and has "
                "changed files",
                path=str(backup.path),
                last_lsn=last_lsn,
            )
        if marker.log_in_place or not logfile.exists():
            self._require_log_of_interrupted_run(backup, marker)
        else:
            keyring = Keyring.read(self._keyring_file) if self._keyring_file else None
            found = inspect_logfile(logfile, keyring)
            if found.end_lsn < last_lsn:
                raise RecoveryIncomplete(
                    f"{logfile} ends at LSN {found.end_lsn}, and the backup reaches to LSN {last_lsn}",
                    path=str(logfile),
                    found_lsn=found.end_lsn,
                    last_lsn=last_lsn,
                )
        _require_no_ddl_notes(backup.path)
        missing = [one.backup_path for one in backup.tablespaces if not (backup.path / one.backup_path).exists()]
        if missing:
            # a server makes undo tablespaces anew that it does not find
            raise BackupIncomplete(
                f"{backup.path} lacks tablespaces that it lists: {', '.join(missing[:5])}",
                path=str(backup.path),
                files=missing[:100],
            )
        binary_log = self.binary_log(backup)
        if binary_log is not None and marker.recovered is None and not binary_log.exists():
            raise BackupIncomplete(
                f"{binary_log} is missing: transactions that only it tells to be committed would be rolled back",
                path=str(binary_log),
            )

    def _require_log_of_interrupted_run(self, backup: BackupDirectory, marker: PrepareMarker) -> None:
        if marker.recovered is not None or (backup.interrupted and any(_entries(backup.path / REDO_DIRECTORY))):
            return
        raise BackupIncomplete(
            f"{backup.path} holds no {file_kinds.LOGFILE_NAME}",
            remedy="A server was started on this directory, or its redo log was removed: start again from another copy "
            "of the backup.",
            path=str(backup.path),
        )

    def redo_bytes(self, backup: BackupDirectory) -> int:
        """The backup's log, or what a run before has made of it."""
        logfile = backup.path / file_kinds.LOGFILE_NAME
        files = [logfile] if logfile.exists() else list(_entries(backup.path / REDO_DIRECTORY))
        return sum(path.stat().st_size for path in files)

    def prepare(self, backup: BackupDirectory, marker: PrepareMarker) -> None:
        """Once only: after that the server's own log goes on."""
        if not marker.log_in_place:
            logfile = backup.path / file_kinds.LOGFILE_NAME
            move_into_redo_directory(logfile, backup.path, backup.configuration.page_size)
            marker.note(log_in_place=True)

    def binary_log(self, backup: BackupDirectory) -> Path | None:
        """The file that the coordinates name."""
        return backup.path / backup.binary_log if backup.binary_log else None

    def is_leftover(self, name: str) -> bool:
        """Returns whether a server leaves this file at its end, and makes it anew at its start."""
        return file_kinds.is_leftover(Family.MYSQL, name)

    def is_consumed(self, name: str) -> bool:
        """Files of the redo log, temporary tablespaces, and what every server has its own of."""
        return name.startswith((f"{REDO_DIRECTORY}/", f"{file_kinds.TEMPORARY_DIRECTORY}/")) or self.is_leftover(name)

    def clean(self, backup: BackupDirectory) -> None:
        """An empty directory for the log remains: the next server makes new files there, at the LSN of the data. The
        binary log has told all that it had to."""
        path = backup.path
        with durable.storage_errors("cleaning", path):
            durable.remove_tree(path / file_kinds.TEMPORARY_DIRECTORY)
            durable.remove_tree(path / file_kinds.LOGFILE_NAME)
            for entry in _entries(path / REDO_DIRECTORY):
                entry.unlink()
            (path / REDO_DIRECTORY).mkdir(mode=0o750, exist_ok=True)
            if backup.binary_log:
                for name in (backup.binary_log, f"{Path(backup.binary_log).stem}{file_kinds.INDEX_SUFFIX}"):
                    (path / name).unlink(missing_ok=True)


def _require_no_ddl_notes(directory: Path) -> None:
    """Percona's tool notes schema changes during a backup with lock-ddl=REDUCED for its own prepare, which knows them
    by tablespace ids: docs/internals/formats-backup-files.md#schema-change-notes."""
    for name, _status in walk_files(directory):
        if file_kinds.MYSQL_NOTES.matches(name):
            raise BackupError(
                f"{directory / name}: schema changes during the backup, which only the tool that took it can apply",
                remedy="Prepare it with xtrabackup --prepare; the result can be restored.",
                path=str(directory / name),
            )


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
