# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup as a stream into a descriptor that is open already: standard output, whatever that is."""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from collections.abc import Sequence
from typing import Any

from ..errors import Cancelled, PeerFailed
from ..host import durable
from .archive import IOV_MAX, Channel, StreamSink, drop_written
from .codec import Compression
from .sink import Buffer

_LOOK_SECONDS = 0.5  # between looks whether the job was stopped while the reader takes nothing


class DescriptorChannel(Channel):
    """``descriptor`` (which this object owns) as a channel; ``name`` is for errors.

    Raises PeerFailed when nobody reads from it any more, StorageError when a file cannot take it. A pipe is written to
    through an opening of its own, which does not block: the job can be stopped while the reader takes nothing, and
    others who hold the pipe notice nothing. A reader may take as long as it likes.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._name = name
        self._stopped = threading.Event()
        self._given = descriptor
        self._descriptor = self._without_blocking(descriptor)

    def _without_blocking(self, descriptor: int) -> int:
        """Another opening of the pipe ``descriptor``; itself where it is none, or where /proc is not to be had."""
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return descriptor
        try:
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise self.broken() from error
            return descriptor

    def write(self, buffers: Sequence[Buffer]) -> None:
        views = [memoryview(buffer) for buffer in buffers if len(buffer)]
        while views:
            if self._stopped.is_set():
                raise Cancelled(f"{self._name}: the job was stopped")
            try:
                drop_written(views, os.writev(self._descriptor, views[:IOV_MAX]))
            except BlockingIOError:
                self._wait_for_room()
            except BrokenPipeError as error:
                raise self.broken() from error
            except OSError:
                with durable.storage_errors("writing", self._name):
                    raise

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll(_LOOK_SECONDS * 1000)

    def stop(self) -> None:
        """End whoever waits in ``write`` for the reader."""
        self._stopped.set()

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
        descriptors, self._descriptor, self._given = {self._descriptor, self._given}, -1, -1
        for descriptor in descriptors - {-1}:
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
        self._channel.stop()
