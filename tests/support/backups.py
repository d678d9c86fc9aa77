# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups by the engine, for tests on servers of both families."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import Buffer, DirectorySink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.throttle import Throttle

from .servers import DatabaseServer


class SlowArchive(ArchiveSink):
    """An archive on a slow medium: of all that is written, ``bytes_per_second``."""

    def __init__(self, dest: Path, bytes_per_second: int, **arguments: Any) -> None:
        super().__init__(dest, **arguments)
        self._pace = Throttle(bytes_per_second)
        self._never = threading.Event()

    def _write(self, channel: Any, buffers: Sequence[Buffer]) -> None:
        self._pace.take(sum(len(buffer) for buffer in buffers), self._never)
        super()._write(channel, buffers)


class Slow:
    """A throttle that is only there to make a backup last."""

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second

    def take(self, count: int, cancelled: threading.Event) -> None:
        """Wait as long as ``count`` bytes take."""
        cancelled.wait(count / self._rate)


def options_for(server: DatabaseServer, **changes: Any) -> job.BackupOptions:
    """The engine's options for a backup of ``server``, by root through its socket."""
    connection = ConnectionParameters(unix_socket=str(server.socket), user="root")
    return job.BackupOptions(**{"connection": connection, "tool_version": "0.1.0", **changes})


def take(server: DatabaseServer, dest: Path, **changes: Any) -> dict[str, Any]:
    """A backup into the directory ``dest``; returns its record."""
    return job.take_backup(options_for(server, **changes), DirectorySink(dest), Progress("backup"))
