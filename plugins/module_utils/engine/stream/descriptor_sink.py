# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup as a stream into a descriptor that is open already: standard output, whatever that is."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Any

from .. import durable
from ..errors import PeerFailed
from .archive import Channel, StreamSink, write_all
from .codec import Compression
from .sink import Buffer


class DescriptorChannel(Channel):
    """``descriptor`` (which this object owns) as a channel; ``name`` is for errors.

    Raises PeerFailed when nobody reads from it any more, StorageError when a file cannot take it.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name

    def write(self, buffers: Sequence[Buffer]) -> None:
        try:
            write_all(self._descriptor, buffers)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise self.broken() from error
            with durable.storage_errors("writing", self._name):
                raise

    def broken(self) -> PeerFailed:
        """The error of a pipe whose reader has gone."""
        return PeerFailed(
            f"{self._name}: whoever reads the stream has stopped (broken pipe)",
            remedy="Look at the error of the next command of the pipeline; what it has got is incomplete.",
        )

    def finish(self) -> None:
        """All is written: a file's content is made durable. What a pipe's reader does with it, only that reader
        knows."""
        with durable.storage_errors("writing", self._name):
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                os.fsync(self._descriptor)
                _sync_directory_of(self._descriptor)
            self.close()

    def close(self) -> None:
        """Close the descriptor, once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _sync_directory_of(descriptor: int) -> None:
    """Make the name of an open file durable, which its opener made."""
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    directory = os.path.dirname(path)
    if os.path.isdir(directory):
        durable.fsync_directory(directory)


class DescriptorSink(StreamSink):
    """A backup as a stream into ``descriptor``, which is closed at the end; after an error the stream just ends,
    without the manifest of a complete one."""

    def __init__(
        self,
        descriptor: int,
        *,
        name: str = "standard output",
        compress: Compression | None = None,
        encrypt_key: bytes | None = None,
    ) -> None:
        self._channel = DescriptorChannel(descriptor, name)
        super().__init__([self._channel], compress=compress, encrypt_key=encrypt_key)

    def _finish(self) -> dict[str, Any]:
        self._channel.finish()
        return {"path": None}

    def _abort(self, reason: BaseException) -> None:
        # the process ends, and the descriptor with it: closing it here could hit a thread that still writes
        return
