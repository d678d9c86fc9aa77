# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded buffer on local disk between the redo follower and a slow output (a network, a throttle).

The server overwrites its redo log in its own time; a follower that waits for its output loses it.
"""

from __future__ import annotations

import os
import tempfile
import threading
from typing import Any, Protocol, Union

from ..errors import Cancelled, StreamError, XtrabackupError
from ..host.durable import storage_errors

_PIECE = 1 << 20  # bytes handed to the output at a time


class _Output(Protocol):
    def write(self, data: Union[bytes, bytearray, memoryview]) -> object: ...


class Spool:
    """A ring of ``limit`` bytes in a nameless file below ``directory``, drained to ``output`` by one thread.

    One thread writes. ``write`` and ``finish`` raise what the output raised. When the ring is full, ``write`` waits for
    the output.
    """

    def __init__(self, output: _Output, directory: str, limit: int) -> None:
        self._output = output
        self._directory = directory
        self._limit = limit
        self._written = 0
        self._drained = 0
        self._closing = False
        self._cancelled = False
        self._error: XtrabackupError | None = None
        self._file: Any = None
        self._descriptor = -1
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._drain, name="redo-spool", daemon=True)

    def start(self) -> None:
        """Make the file and start to drain. Raises StorageError."""
        with storage_errors("creating a spool file in", self._directory):
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
        self._descriptor = self._file.fileno()
        self._thread.start()

    def write(self, data: Union[bytes, bytearray, memoryview]) -> None:
        """Append ``data``; waits while the ring is full."""
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                room = self._wait_for_room()
                offset = self._written % self._limit
                piece = view[done : done + min(room, self._limit - offset)]
                with storage_errors("writing a spool file in", self._directory):
                    count = os.pwrite(self._descriptor, piece, offset)
                done += count
                with self._changed:
                    self._written += count
                    self._changed.notify_all()

    def finish(self) -> None:
        """Wait until the output has taken everything."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._file.close()
        if self._error:
            raise self._error
        if self._cancelled:
            raise Cancelled("the copy of the redo log was stopped before it was written out")

    def cancel(self) -> None:
        """Stop draining; what is in the ring is lost. Harmless when finished or not started.

        The nameless file goes with this object: a writer may still be about to write to it.
        """
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def _wait_for_room(self) -> int:
        with self._changed:
            while self._written - self._drained >= self._limit and not (self._error or self._cancelled):
                self._changed.wait()
            if self._error:
                raise self._error
            if self._cancelled:
                raise Cancelled("the copy of the redo log was stopped")
            return self._limit - (self._written - self._drained)

    def _drain(self) -> None:
        try:
            while True:
                with self._changed:
                    while self._written == self._drained and not (self._closing or self._cancelled):
                        self._changed.wait()
                    waiting = self._written - self._drained
                    if self._cancelled or not waiting:
                        return
                offset = self._drained % self._limit
                with storage_errors("reading a spool file in", self._directory):
                    piece = os.pread(self._descriptor, min(waiting, _PIECE, self._limit - offset), offset)
                self._output.write(piece)
                with self._changed:
                    self._drained += len(piece)
                    self._changed.notify_all()
        except XtrabackupError as error:
            self._broken(error)
        except Exception as error:  # noqa: BLE001 -- a thread has no caller: the next write() raises it
            self._broken(StreamError(f"writing the copy of the redo log: {error!r}"))

    def _broken(self, error: XtrabackupError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()
