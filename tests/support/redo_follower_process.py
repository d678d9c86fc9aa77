# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a MySQL server's redo log in a process of its own, which tests stop and kill.

Run as a script: ``SOCKET REDO_DIRECTORY LEASE`` (seconds; 0: no consumer). It prints a line of JSON whenever something
changed: ``{"copied": bytes, "held": bool, "error": code or null}``, until its standard input closes.
"""

from __future__ import annotations

import contextlib
import io
import json
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.redo_follower import (
    MysqlRedoFollower,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_consumer import RedoConsumer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.redo_status import read_redo_status
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports


class FollowerProcess:
    """The process, as a context manager; ``state`` is its newest line."""

    def __init__(self, socket: Path, redo_directory: Path, lease: int) -> None:
        self.state: dict[str, Any] = {"copied": 0, "held": False, "error": None}
        self._arguments = [str(socket), str(redo_directory), str(lease)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> FollowerProcess:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=same_imports(),
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.state = json.loads(line)


class _Nothing(io.RawIOBase):
    def write(self, data: Any) -> int:
        return len(data)


def main(socket: str, redo_directory: str, lease: int) -> None:
    """Follow and tell."""
    parameters = ConnectionParameters(user="root", password="", unix_socket=socket, config_file="")
    failures: list[XtrabackupError] = []
    with contextlib.ExitStack() as stack:
        asking = stack.enter_context(Connection(parameters))
        consumer = RedoConsumer(stack.enter_context(Connection(parameters)), lease)
        if lease:
            stack.enter_context(consumer)
        follower = MysqlRedoFollower(
            redo_directory,
            asking.version_text,
            lambda: read_redo_status(asking),
            _Nothing(),
            failures.append,
            on_progress=consumer.advance,
        )
        follower.start()
        stack.callback(follower.stop)
        said = None
        while not select.select([sys.stdin], [], [], 0)[0]:
            error = failures[0].code if failures else None
            state = {"copied": follower.copied_bytes, "held": consumer.held, "error": error}
            if state != said:
                print(json.dumps(state), flush=True)
                said = state
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
