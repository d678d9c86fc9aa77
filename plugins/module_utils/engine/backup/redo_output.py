# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Output of the followed redo log: straight into a directory, or through a spool into a stream."""

from __future__ import annotations

from ..host import durable
from ..manifest import FileEntry
from ..stream.sink import Buffer, Sink
from .redo_spool import Spool

#: bounds (bytes) of the spool for redo that a slow stream has not taken yet
_SMALLEST_SPOOL = 64 << 20
_LARGEST_SPOOL = 64 << 30


class RedoOutput:
    """Output of the follower; ``close`` makes it the backup's file ``name``.

    A slow stream must not hold up the follower, or the server would overwrite what it has not read: between the
    two there is a spool on local disk, and what is left in it at the end is sent after the locks are released.
    """

    def __init__(self, sink: Sink, name: str, spool_directory: str) -> None:
        self._target = sink.open(name)
        self._spool: Spool | None = None
        if not sink.can_rewrite:
            limit = min(max(durable.free_bytes(spool_directory) // 2, _SMALLEST_SPOOL), _LARGEST_SPOOL)
            self._spool = Spool(self._target, spool_directory, limit)
            self._spool.start()

    def write(self, data: Buffer) -> None:
        """Take the next bytes of the log."""
        (self._spool or self._target).write(data)

    def close(self) -> FileEntry:
        """All redo is written: the manifest entry of the log."""
        if self._spool:
            self._spool.finish()
        return self._target.close()

    def cancel(self) -> None:
        """The job failed."""
        if self._spool:
            self._spool.cancel()
