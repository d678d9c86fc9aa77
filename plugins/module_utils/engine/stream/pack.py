# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup directory packed into an archive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BackupIncomplete, Cancelled
from ..format.file_kinds import is_plain_in_archives
from ..format.holes import PageSizeOf, PageSplitter
from ..host import below, durable
from ..manifest import FileEntry, Manifest, read, verify_directory
from ..progress import Progress
from .archive import ArchiveSink
from .codec import Compression
from .sink import Sink
from .stream_file import require_sparse_possible

_READ_SIZE = 4 << 20  # bytes


def create_archive(
    src: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    compress: Compression | None = None,
    encrypt_key: bytes | None = None,
    sparse: PageSizeOf | None = None,
    digests: Sequence[str] = (),
    parallel: int = 2,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Pack the backup directory ``src`` into the archive ``dest``; returns what ArchiveSink.publish returns.

    With ``sparse``, which tells what files have holes, those go as sparse chunks. An existing ``dest`` is replaced at
    the end. Raises NotABackup and BackupIncomplete when ``src`` is not what its manifest says, BackupPartial when that
    is only a selection of a backup, InvalidOption for sparse chunks in an encoded archive, StorageError, TargetBusy.
    """
    require_sparse_possible(sparse=sparse is not None, encoded=compress is not None or encrypt_key is not None)
    manifest = read(src)
    manifest.require_whole(src)
    verify_directory(src, manifest, digests=False)
    if progress:
        progress.phase("packing", manifest.total_bytes)
    sink = ArchiveSink(dest, compress=compress, encrypt_key=encrypt_key, digests=digests, sparse=sparse is not None)
    sink.digest_algorithm = manifest.digest_algorithm
    try:
        files = _pack_files(Path(src), manifest, sink, sparse, parallel, progress)
        return sink.publish(replace(manifest, files=files))
    except BaseException as error:
        sink.abort(error)
        raise


def _pack_files(
    src: Path, manifest: Manifest, sink: Sink, sparse: PageSizeOf | None, parallel: int, progress: Progress | None
) -> tuple[FileEntry, ...]:
    # the largest first, or the last one keeps a single thread busy at the end
    ordered = sorted(manifest.files, key=lambda file: -file.size)
    with ThreadPoolExecutor(max(parallel, 1), thread_name_prefix="pack") as pool:
        futures = [pool.submit(_pack_file, src, file, sink, sparse, progress) for file in ordered]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            errors = [error for future in futures if future.done() and (error := future.exception())]
            if errors:
                # those that were only stopped by the failure of another come last
                raise min(errors, key=lambda error: isinstance(error, Cancelled))
        except BaseException as error:
            for future in futures:
                future.cancel()
            sink.abort(error)  # ends those that still write
            raise
        return tuple(future.result() for future in futures)


def _pack_file(
    src: Path, file: FileEntry, sink: Sink, sparse: PageSizeOf | None, progress: Progress | None
) -> FileEntry:
    path = src / file.path
    buffer = memoryview(bytearray(_READ_SIZE))
    splitter = PageSplitter(sparse)
    with sink.open(file.path, compress=not is_plain_in_archives(file.path)) as target:
        with durable.storage_errors("reading", path), below.reading(src, file.path) as source:
            while count := source.readinto(buffer):  # type: ignore[attr-defined]
                for hole, piece in splitter.feed(buffer[:count]):
                    if hole:
                        target.hole(hole)
                    target.write(piece)
                if progress:
                    progress.advance(count)
        target.write(splitter.end())
        packed = target.close()
    # the manifest of a prepared backup does not know the digest of what recovery has changed
    if packed.size != file.size or file.digest not in ("", packed.digest):
        raise BackupIncomplete(f"{path}: other content than when the backup was taken", path=str(path))
    return replace(packed, digest=file.digest)
