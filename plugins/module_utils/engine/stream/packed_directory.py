# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup as a directory whose files are compressed or encrypted, each one for itself, as an archive's entries are.

It is what unpacking an archive without decoding its entries makes, and holds the same manifest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from ..format.file_kinds import MANIFEST_NAME
from ..host import durable
from ..host.staging import open_staging
from .archive import Channel, StreamSink, write_all
from .codec import Compression
from .sink import Buffer
from .stream_file import EntryChunks


class PackedDirectorySink(StreamSink):
    """Written in the staging directory of its place, which it leaves when it is complete. Raises what
    ``open_staging`` does."""

    def __init__(
        self,
        dest: str | os.PathLike[str],
        *,
        compress: Compression | None = None,
        encrypt_key: bytes | None = None,
    ) -> None:
        self.dest = Path(dest)
        self._place = open_staging(dest)
        self.staging = self._place.staging
        super().__init__([_NoChannel()], compress=compress, encrypt_key=encrypt_key)

    def _entry(
        self, stored: str, encoded: bytes, _channel: Any, ended: Callable[[bytes], None], digest: Any
    ) -> EntryChunks:
        return _EntryFile(self.staging / stored, encoded, ended, digest)

    def _write_manifest(self, data: bytes) -> None:
        # the last file, and durable only once all others are
        durable.fsync_tree(self.staging)
        durable.write_file(self.staging / MANIFEST_NAME, data)

    def _finish(self) -> dict[str, Any]:
        self._place.publish()
        return {"path": str(self.dest / MANIFEST_NAME)}

    def _abort(self, reason: BaseException) -> None:
        self._place.abandon()


class _NoChannel(Channel):
    """Entries are files here, so nothing is ever sent."""

    def write(self, buffers: Sequence[Buffer]) -> None:
        raise RuntimeError("a packed directory has no stream")


class _EntryFile(EntryChunks):
    """The stored bytes of one entry, in a file of their own."""

    def __init__(self, target: Path, encoded: bytes, ended: Callable[[bytes], None], digest: Any) -> None:
        super().__init__(encoded, _unused, ended, digest)
        self._target = target
        with durable.storage_errors("creating", target):
            durable.make_directories(target.parent, 0o750)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(target, flags, 0o640)
        self._behind = durable.WriteBehind(self._descriptor)

    def chunk(self, buffers: Sequence[Buffer], ranges: Sequence[tuple[int, int]] = ()) -> None:
        with durable.storage_errors("writing", self._target):
            write_all(self._descriptor, buffers)
        for buffer in buffers:
            self._offset += len(buffer)
            if self._digest is not None:
                self._digest.update(buffer)
        self._behind.wrote(self._offset)

    def end(self) -> None:
        with durable.storage_errors("writing", self._target):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
        self._ended(self._digest.digest() if self._digest is not None else b"")


def _unused(_buffers: Sequence[Buffer]) -> None:
    raise RuntimeError("a packed directory has no chunks")
