# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL and Percona Server in an isolated run.

mysqld has no ``--bootstrap``. It is started with no network, no accounts, no option files and no persisted variables,
on a socket in a directory that only we can enter. Through it the server is asked which recovered transactions there
still are, and in the end which GTIDs its data hold; then it is told to end.

A transaction that the binary log holds is committed, even if InnoDB knows it as prepared only: that is decided from the
copied binary log, which the server gets (a copy of it, so that a run after a kill finds it was).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from ...errors import FormatError, InvalidOption, Option, ServerError, XtrabackupError
from ...format.file_kinds import (
    COMPONENTS_NAME,
    DATA_SUFFIX,
    INDEX_SUFFIX,
    MYSQL_UNDO_SUFFIX,
    OPTION_FILE_SUFFIX,
    SCHEMA_CHANGE_PREFIX,
    SYSTEM_PREFIX,
    TEMPORARY_NAME,
)
from ...host import below, durable
from ...host.handover import Handover
from ...innodb.mysql.keyring import Keyring
from ...server.connection import Connection, ConnectionParameters
from ...server.mysql.applied_positions import read_applied_positions
from ..backup_directory import walk_files
from ..program import ServerProgram, places
from ..recovery_server import ASK_SECONDS, RecoveryServer, RecoverySettings, Scratch
from . import events as mysql_events
from .error_log import MysqlRecoveryState, translate

_ANSWER_SECONDS = 60  # what it is asked needs no page of a table
_BINLOG_BASE = "binlog"
_COPY_BYTES = 1 << 20
_KEYRING = "component_keyring_file"
_SPACE_ID, _SPACE_ID_END = 34, 38  # FIL_PAGE_SPACE_ID


def command_line(directory: Path, settings: RecoverySettings, program: ServerProgram, scratch: Path) -> list[str]:
    """The server's arguments: isolated, and given all that it would otherwise find in option files.

    Relative paths start at the data directory, which is its working directory; a socket's path must be short. What
    only makes it faster or quieter is ``loose``: a version that does not know it goes on without.
    """
    near = os.path.relpath(scratch, directory)
    arguments = {
        "datadir": directory,
        "tmpdir": scratch,
        "socket": os.path.join(near, "socket"),
        "pid-file": os.path.join(near, "pid"),
        "secure-file-priv": "NULL",
        "persisted-globals-load": "OFF",
        "skip-networking": None,
        "skip-grant-tables": None,
        "skip-replica-start": None,
        "loose-mysqlx": "OFF",
        "event-scheduler": "DISABLED",
        "upgrade": "MINIMAL",
        "log-error-verbosity": 3,
        "innodb-temp-data-file-path": f"{TEMPORARY_NAME}:12M:autoextend",
        "innodb-page-size": settings.page_size,
        "innodb-data-file-path": settings.data_file_path,
        "innodb-buffer-pool-size": settings.buffer_pool_size,
        "innodb-redo-log-capacity": settings.log_file_size,
        "lower-case-table-names": settings.lower_case_table_names,
        "innodb-force-recovery": 0,
        "innodb-fast-shutdown": 1,
        # files that lie elsewhere on the source are found here, and never there
        "innodb-validate-tablespace-paths": "ON",
        "innodb-undo-log-truncate": "OFF",
        "innodb-buffer-pool-dump-at-shutdown": "OFF",
        "innodb-buffer-pool-load-at-startup": "OFF",
        # through the page cache: pages that were just copied or unpacked are in it
        "innodb-flush-method": "nosync" if settings.disposable else "fsync",
        "innodb-doublewrite": "OFF" if settings.disposable else "ON",
        "innodb-flush-log-at-trx-commit": 0 if settings.disposable else 1,
        "server-id": 1,
        **_binary_log(settings, near),
        "loose-performance-schema": "OFF",
        "loose-innodb-dedicated-server": "OFF",
        "loose-innodb-stats-auto-recalc": "OFF",
        "loose-innodb-io-capacity": 20000,
        "loose-innodb-io-capacity-max": 40000,
        "loose-auto-generate-certs": "OFF",
        "loose-sha256-password-auto-generate-rsa-keys": "OFF",
        "loose-caching-sha2-password-auto-generate-rsa-keys": "OFF",
        "loose-key-buffer-size": 1 << 20,
        "loose-table-definition-cache": 400,
        **_places(settings, program, scratch),
    }
    options = [f"--{name}" if value is None else f"--{name}={value}" for name, value in arguments.items()]
    # it looks for the list of its components beside the name that it was called by
    called = scratch / "mysqld" if settings.keyring_file else program.path
    return [str(called), "--no-defaults", *options]


def _binary_log(settings: RecoverySettings, near: str) -> dict[str, object]:
    if settings.binary_log is None:
        return {"skip-log-bin": None}
    mode = "ON" if settings.gtid_mode else "OFF"
    return {
        "log-bin": os.path.join(near, _BINLOG_BASE),
        "log-bin-index": os.path.join(near, f"{_BINLOG_BASE}{INDEX_SUFFIX}"),
        "sync-binlog": 0,
        "binlog-expire-logs-seconds": 0,
        "gtid-mode": mode,
        "enforce-gtid-consistency": mode,
    }


def _places(settings: RecoverySettings, program: ServerProgram, scratch: Path) -> dict[str, object]:
    """Called by another name it finds nothing by itself."""
    if settings.keyring_file is None:
        return {}
    return {**places(program), "plugin-dir": scratch / "plugins"}


def fill_scratch(settings: RecoverySettings, program: ServerProgram, scratch: Scratch) -> None:
    """Put into ``scratch`` what the server needs beside the data: the copied binary log, the keyring."""
    with durable.storage_errors("filling", scratch.path):
        if settings.binary_log is not None:
            name = f"{_BINLOG_BASE}.000001"
            with below.reading_file(settings.binary_log) as source, open(scratch.own / name, "xb") as target:
                shutil.copyfileobj(source, target, _COPY_BYTES)
            (scratch.own / f"{_BINLOG_BASE}{INDEX_SUFFIX}").write_text(
                f"{os.path.join('.', scratch.path.name, name)}\n"
            )
    if settings.keyring_file is not None:
        _install_keyring(settings.keyring_file, program, scratch)


def _install_keyring(keyring_file: Path, program: ServerProgram, scratch: Scratch) -> None:
    """The component's configuration lies beside its library: so it is made to look for both in ``scratch``."""
    Keyring.read(keyring_file)
    library = Path(places(program).get("plugin-dir", "")) / f"{_KEYRING}.so"
    if not library.is_file():
        raise InvalidOption(
            f"{Option('keyring_file')}: {program.path} has no {library}, which reads it",
            remedy="Install the server's package that holds component_keyring_file.so.",
            option="keyring_file",
        )
    plugins = scratch.own / "plugins"
    with durable.storage_errors("filling", scratch.path):
        plugins.mkdir(mode=0o700)
        for component in library.parent.glob("component_*.so"):
            (plugins / component.name).symlink_to(component)
        (scratch.own / "keyring").touch(mode=0o600)
        shutil.copyfile(keyring_file, scratch.own / "keyring")
        # read only: a key that this run made would be known to nobody
        (plugins / f"{_KEYRING}{OPTION_FILE_SUFFIX}").write_text(
            json.dumps({"path": str(scratch.path / "keyring"), "read_only": True})
        )
        (scratch.own / COMPONENTS_NAME).write_text(json.dumps({"components": f"file://{_KEYRING}"}))


def file_of_space(directory: Path, space_id: int) -> str | None:
    """The path, relative to ``directory``, of the data file of the tablespace ``space_id``; None when there is none."""
    wanted = space_id.to_bytes(4, "big")
    for name, _status in walk_files(directory):
        if name.endswith((DATA_SUFFIX, MYSQL_UNDO_SUFFIX)) or os.path.basename(name).startswith(
            ("undo_", SYSTEM_PREFIX)
        ):
            with contextlib.suppress(OSError, FormatError), below.reading_file(directory / name) as file:
                if file.read(_SPACE_ID_END)[_SPACE_ID:] == wanted:
                    return name
    return None


def _tablespaces(connection: Connection) -> dict[int, str]:
    """The path of each tablespace in the dictionary by its id, without those whose files were discarded."""
    states = connection.query("SELECT SPACE, STATE FROM information_schema.INNODB_TABLESPACES")
    discarded = {int(row["SPACE"]) for row in states if str(row["STATE"]) == "discarded"}
    files = connection.query("SELECT SPACE, PATH FROM information_schema.INNODB_DATAFILES")
    # both columns are VARBINARY in some releases
    paths = {int(row["SPACE"]): os.path.normpath(os.fsdecode(row["PATH"])) for row in files}
    # the system tablespace, which can have several files, has the id 0
    return {
        space: path
        for space, path in paths.items()
        if space not in discarded | {0} and f"/{SCHEMA_CHANGE_PREFIX}" not in path
    }


class MysqlRecoveryServer(RecoveryServer):
    """mysqld over a directory that was handed over, which holds ``scratch``."""

    state: MysqlRecoveryState

    def __init__(self, held: Handover, settings: RecoverySettings, program: ServerProgram, scratch: Scratch) -> None:
        self.state = MysqlRecoveryState()
        self._held = held
        self._settings = settings
        self._program = program
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._ask_at = 0.0
        self._failures = 0

    def arguments(self) -> list[str]:
        """See ``command_line``."""
        fill_scratch(self._settings, self._program, self._scratch)
        return command_line(self._held.directory, self._settings, self._program, self._scratch.path)

    def attach(self, process: subprocess.Popen[bytes]) -> None:
        """Remember it, to end it."""
        self._process = process

    @property
    def answers(self) -> bool:
        """It says when it takes connections."""
        return self.state.ready

    def has_rolled_back(self) -> bool:
        """Ask which recovered transactions there are, and once there are none, for the GTIDs and for what channels had
        applied; then forget the channels, and disable events if that is wanted."""
        if time.monotonic() < self._ask_at:
            return False
        self._ask_at = time.monotonic() + ASK_SECONDS
        try:
            connection = self._connected()
            prepared = len(connection.query("XA RECOVER CONVERT XID"))
            question = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = 0"
            if int(connection.scalar(question)) > prepared:
                return False
            self.state.prepared_transactions = prepared
            self.state.tablespaces = _tablespaces(connection)
            self.state.gtid_executed = "".join(str(connection.scalar("SELECT @@GLOBAL.gtid_executed") or "").split())
            if self._settings.disable_events and self.state.events_disabled is None:
                self.state.events_disabled = mysql_events.disable_all(connection)
            enabled = "SELECT COUNT(*) FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'"
            self.state.enabled_events = int(connection.scalar(enabled))
            if connection.query("SHOW REPLICA STATUS"):
                self._settings.note_positions(read_applied_positions(connection))
                # channels are tables here: a copy of a replica would go on as one, without its relay logs
                connection.execute("RESET REPLICA ALL")
        except ServerError as error:
            # a server that is gone tells why in its log
            self.close()
            self._failures += 1
            if self._failures > 1 and self._process is not None and self._process.poll() is None:
                self.state.errors.append(f"it does not answer: {error}")
            return False
        return True

    def end(self) -> None:
        """A signal is what ends it, as its service does it."""
        self.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def error(self, how_it_ended: str) -> XtrabackupError:
        """See ``error_log.translate``; the file of a tablespace is named that the log has only the id of."""
        error = translate(self.state, how_it_ended)
        space = error.details.get("space")
        file = file_of_space(self._held.own, int(space)) if space else None
        if file is None:
            return error
        details = {**error.details, "file": file}
        return type(error)(f"{file}: {error.message}", remedy=error.remedy, **details)

    def close(self) -> None:
        """Close our connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None:
            parameters = ConnectionParameters(
                user="root",
                password="",
                # the path of a socket is limited to 107 bytes, that of the directory is not
                unix_socket=str(self._scratch.own / "socket"),
                server_pid=self._process.pid if self._process is not None else None,
                config_file="",
                connect_timeout=_ANSWER_SECONDS,
            )
            self._connection = Connection(parameters, read_timeout=_ANSWER_SECONDS)
        return self._connection
