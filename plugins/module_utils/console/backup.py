# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``--backup``: the options as the engine's own."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import Any

from ..engine.backup import job
from ..engine.destinations.base import Destination, Encoding, Encryption
from ..engine.destinations.command import Descriptor
from ..engine.destinations.directory import Directory, PackedDirectory
from ..engine.errors import InvalidOption, TargetNotEmpty
from ..engine.format.coordinates import BinlogCoordinates, render_binlog_pos
from ..engine.stream.codec import Compression
from ..engine.stream.throttle import Throttle
from ..engine.units import parse_size
from . import standard_output
from .messages import ConsoleProgress
from .parser import Arguments
from .session import ConsoleSession, login, stop_on_signals
from .version import VERSION

_THROTTLE_UNIT = 10 << 20  # bytes: what the stock tools read at a time
_LOCK_TIMEOUTS = ("ftwrl-wait-timeout", "startup-wait-timeout", "lock-ddl-timeout", "backup-lock-timeout")
_DEFAULT_LOCK_TIMEOUT = 60.0
_SAFE_SLAVE_BACKUP_TIMEOUT = 300  # seconds, as the stock tools
_WATCH_SECONDS = 1.0


def run(session: ConsoleSession) -> None:
    """Take a backup; returns when it is complete and durable. Raises XtrabackupError."""
    arguments = session.arguments
    destination = _destination(session)
    options = _options(session)  # may ask for a password
    if destination.existing() is not None:
        path = str(destination.path)
        raise TargetNotEmpty(f"{path} holds a backup already", remedy="Name another directory.", path=path)
    streaming = destination.path is None
    stop_on_signals(session, streaming=streaming)
    watcher = _Watcher(session.output) if streaming else None
    with contextlib.closing(ConsoleProgress("backup", session.messages)) as progress:
        _identity, layout = job.preflight(options)
        _require_same_datadir(session.said, str(layout.datadir))
        try:
            record = job.take_backup(options, destination.open(), progress)
        finally:
            if watcher is not None:
                watcher.stop()
    for warning in record["warnings"]:
        session.messages.warn(warning)
    _tell(session, record, None if streaming else str(arguments.text("target-dir") or destination.path))


def _options(session: ConsoleSession) -> job.BackupOptions:
    arguments = session.arguments
    return job.BackupOptions(
        connection=login(session),
        tool_version=VERSION,
        parallel=arguments.number("parallel", 1),
        throttle=_throttle(arguments.text("throttle")),
        lock_timeout=_lock_timeout(arguments),
        lock_ddl=(arguments.text("lock-ddl") or "REDUCED").lower(),
        spool_directory=(arguments.text("tmpdir") or "/var/tmp").split(":")[0],
        compressed=arguments.text("compress") is not None,
        encrypted=arguments.text("encrypt") is not None,
        keyring_file=arguments.text("keyring-file"),
        safe_slave_backup=arguments.flag("safe-slave-backup"),
        safe_slave_backup_timeout=float(arguments.number("safe-slave-backup-timeout", _SAFE_SLAVE_BACKUP_TIMEOUT)),
        require_channels=arguments.flag("slave-info") or arguments.flag("safe-slave-backup"),
        extra_lsn_directory=arguments.text("extra-lsndir"),
        allow_missing_tables=tuple(filter(None, (arguments.text("allow-missing-tables") or "").split(","))),
    )


def _throttle(text: str | None) -> Throttle | None:
    if text is None:
        return None
    rate = parse_size(text, "--throttle") * (_THROTTLE_UNIT if text.isdigit() else 1)
    return Throttle(rate) if rate else None


def _lock_timeout(arguments: Arguments) -> float:
    given = [arguments.number(name) for name in _LOCK_TIMEOUTS if arguments.number(name)]
    return float(min(given)) if given else _DEFAULT_LOCK_TIMEOUT


def _destination(session: ConsoleSession) -> Destination:
    arguments = session.arguments
    compress, encrypt = arguments.text("compress"), arguments.text("encrypt")
    threads = max(arguments.number("compress-threads", 1), arguments.number("encrypt-threads", 1))
    directory = session.target_dir  # with --stream nothing is written there, but what is wrong with it is wrong
    compression = encryption = None
    if compress:
        level = arguments.number("compress-zstd-level", 1) if compress == "zstd" else 1
        compression = Compression(compress, level, threads)
    if encrypt:
        encryption = Encryption(encrypt, key=session.key(encrypt))
    elif arguments.text("encrypt-key") or arguments.text("encrypt-key-file"):
        raise InvalidOption("a key was given, but not --encrypt=ALGORITHM", option="encrypt")
    encoding = Encoding(compression, encryption)
    if arguments.text("stream") is not None:
        return Descriptor(session.output, encoding)
    path = Path(os.path.abspath(directory))
    return PackedDirectory(path, encoding=encoding) if compression or encryption else Directory(path)


def _require_same_datadir(said: Arguments, datadir: str) -> None:
    """Somebody who names a data directory means that one."""
    given = said.text("datadir")
    if given is not None and os.path.realpath(given) != os.path.realpath(datadir):
        raise InvalidOption(
            f"--datadir: the server that answers has its data in {datadir}, not in {given}",
            remedy="Log in to the server whose data is meant, or leave --datadir out.",
            option="datadir",
        )


def _tell(session: ConsoleSession, record: dict[str, Any], directory: str | None) -> None:
    """Prints the last line of the stock tools, for people and scripts who look for it."""
    messages = session.messages
    binlog = record["binlog"]
    if binlog:
        position = render_binlog_pos(BinlogCoordinates(**binlog))
        messages.note(f"MySQL binlog position: {position}")
    for channel in record["replication"] or []:
        messages.note(
            f"MySQL slave binlog position: master host '{channel['source_host']}', filename '{channel['file']}', "
            f"position '{channel['position']}'" + ("" if channel["exact"] else " (not exact)")
        )
    if directory is not None:
        messages.note(f"Backup created in directory '{directory}'")
    messages.note(f"The latest check point (for incremental): '{record['to_lsn']}'")
    messages.note(
        f"{record['files']} files, {record['bytes']['read']} bytes, {record['pages']['checked']} pages verified, in "
        f"{record['seconds']:.1f} s"
    )
    messages.note(f"Redo log (from LSN {record['to_lsn']} to {record['last_lsn']}) was copied.")


class _Watcher:
    """Notices that nobody reads standard output any more while nothing is written to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="standard output", daemon=True).start()

    def stop(self) -> None:
        """The stream is over."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(_WATCH_SECONDS):
            if standard_output.is_broken(self._descriptor):
                if not self._over.is_set():
                    os.kill(os.getpid(), signal.SIGPIPE)
                return
