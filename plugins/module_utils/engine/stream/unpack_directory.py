# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory whose files are compressed or encrypted, each one for itself: unpacked where they are.

What was unpacked waits in a staging directory until all of it is there and is what the manifest says.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from .. import durable
from ..errors import BackupIncomplete, StreamCorrupt
from ..filling import require_finished
from ..manifest import MANIFEST_NAME, Manifest, parse
from ..progress import Progress
from . import cipher
from .checksum import crc32
from .entry import ENCODED, Decoding, EntryWriter, Unpacked
from .holes import PageSizeOf
from .output import FileOutput, FileSyncer
from .settle import packed_manifest
from .xbstream import TYPE_PAYLOAD, Chunk

_READ_SIZE = 1 << 20  # bytes
_STAGING_NAME = ".unpacking"
_NOTHING = Decoding(decompress=False, decrypt=False)


@dataclass(frozen=True)
class UnpackOptions:
    """What is undone: ``decoding``, with ``decrypt_key`` where that decrypts; ``parallel`` files at a time;
    ``remove_original``: the packed files go once all is there."""

    decoding: Decoding
    decrypt_key: bytes | None = None
    parallel: int = 1
    remove_original: bool = False
    page_size_of: PageSizeOf | None = None


@dataclass(frozen=True)
class _Task:
    """The file ``stored`` becomes ``final`` (paths relative to the directory)."""

    stored: str
    final: str


def unpack_directory(directory: Path, options: UnpackOptions, progress: Progress) -> list[str]:
    """Unpack the files of ``directory`` as ``options`` say; returns the names of those that were.

    Nothing to do is no error. Raises DecryptionFailed, StreamCorrupt, StreamTruncated, BackupIncomplete, StorageError,
    TargetBusy; nothing is changed then.
    """
    require_finished(directory)
    manifest = _manifest(directory)
    with durable.directory_lock(directory, str(directory)):
        staging = directory / f"{_STAGING_NAME}{durable.PARTIAL_SUFFIX}"
        durable.remove_tree(staging)
        tasks = list(_tasks(directory, options.decoding, manifest))
        if not tasks and not _is_unfinished(directory, options.decoding, manifest):
            return []
        sizes = {task.stored: (directory / task.stored).stat().st_size for task in tasks}
        expected = manifest.total_bytes if manifest else sum(sizes.values())
        durable.require_space(directory, expected, f"unpacking {directory}")
        progress.phase("unpacking", sum(sizes.values()))
        with durable.storage_errors("creating", staging):
            staging.mkdir(mode=0o750)
        try:
            unpacked = _unpack(
                directory, staging, sorted(tasks, key=lambda task: -sizes[task.stored]), options, progress
            )
            if manifest is not None:
                _check(directory, manifest, unpacked, options)
            _publish(directory, staging, tasks, manifest, options)
        finally:
            durable.remove_tree(staging)
        return [task.stored for task in tasks]


def settle_directory(directory: Path) -> None:
    """Have a directory that another tool has unpacked from our archive be what its manifest means: that tool does not
    know which files schema changes during the backup made void, nor under which name others belong.

    Nothing is done to one whose files are still packed. Raises StorageError, FormatError.
    """
    manifest = _manifest(directory)
    if manifest is not None and _is_unfinished(directory, _NOTHING, manifest):
        _settle(directory, manifest)
        durable.write_file(directory / MANIFEST_NAME, manifest.plain().render())


def _manifest(directory: Path) -> Manifest | None:
    path = directory / MANIFEST_NAME
    with durable.storage_errors("reading", path):
        try:
            return parse(path.read_bytes(), str(path))
        except FileNotFoundError:
            return None


def _is_unfinished(directory: Path, decoding: Decoding, manifest: Manifest | None) -> bool:
    """Whether only the last step of an earlier run is left: everything is unpacked, and the manifest does not say
    so."""
    if manifest is None or (not manifest.discarded and not any(file.stored for file in manifest.files)):
        return False
    stored = [(file.stored or file.path, file.path) for file in manifest.files]
    return not any(decoding.keeps(name) for name, _path in stored) and all(
        (directory / path).exists() or not name.endswith(ENCODED) for name, path in stored
    )


def _tasks(directory: Path, decoding: Decoding, manifest: Manifest | None) -> Iterator[_Task]:
    """What is to be unpacked. The manifest knows which files later schema changes made void, and what others are called
    when all is done."""
    discarded = set(manifest.discarded) if manifest else set()
    names = {file.stored: file.path for file in manifest.files if file.stored} if manifest else {}
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.endswith(durable.PARTIAL_SUFFIX))
        for name in sorted(files):
            stored = os.path.relpath(os.path.join(folder, name), directory)
            final = decoding.output_name(stored)
            if final == stored or stored in discarded:
                continue
            if not decoding.keeps(stored):
                final = names.get(stored, final)
            if not (directory / final).exists():
                yield _Task(stored, final)


def _unpack(
    directory: Path, staging: Path, tasks: list[_Task], options: UnpackOptions, progress: Progress
) -> dict[str, Unpacked]:
    syncer = FileSyncer()

    def run(task: _Task) -> Unpacked:
        target = staging / task.final
        with durable.storage_errors("creating", target):
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        writer = EntryWriter(
            task.stored, FileOutput(target, syncer), options.decrypt_key, options.page_size_of, options.decoding
        )
        try:
            for chunk in _chunks(directory, task.stored):
                writer.take(chunk, str(directory))
                progress.advance(chunk.length)
            return writer.finish()
        except BaseException:
            writer.abandon()
            raise

    with ThreadPoolExecutor(max(options.parallel, 1), thread_name_prefix="unpack") as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            unpacked = {task.stored: future.result() for task, future in zip(tasks, futures)}
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    syncer.finish()
    return unpacked


def _chunks(directory: Path, stored: str) -> Iterator[Chunk]:
    path = directory / stored
    offset = 0
    with durable.storage_errors("reading", path), io.FileIO(path) as source:
        while data := source.read(_READ_SIZE):
            yield Chunk(stored, TYPE_PAYLOAD, offset, offset, memoryview(data), crc32(data), length=len(data))
            offset += len(data)


def _check(directory: Path, manifest: Manifest, unpacked: dict[str, Unpacked], options: UnpackOptions) -> None:
    """Raises what is wrong with the files: the MAC, if it is decrypted; size and digest of what is plain now."""
    if options.decrypt_key is not None and manifest.mac is not None:
        names = [*(file.stored or file.path for file in manifest.files), *manifest.discarded]
        stored = {name: _stored_digest(directory, name, unpacked.get(name)) for name in names}
        authenticated = replace(manifest, mac=None).render()
        cipher.check_manifest_mac(options.decrypt_key, authenticated, stored, manifest.mac, str(directory))
    faults: list[str] = []
    for file in manifest.files:
        found = unpacked.get(file.stored or file.path)
        if found is None or options.decoding.keeps(found.stored):
            continue
        faults += found.faults(file)
    if faults:
        raise StreamCorrupt(f"{directory}: {'; '.join(faults[:5])}", where=str(directory), files=faults[:100])


def _stored_digest(directory: Path, name: str, unpacked: Unpacked | None) -> bytes:
    if unpacked is not None and unpacked.stored_digest is not None:
        return unpacked.stored_digest
    if not (directory / name).exists():
        raise BackupIncomplete(f"{directory} lacks {name}, which its manifest names", path=str(directory))
    digest = cipher.new_stored_digest()
    for chunk in _chunks(directory, name):
        digest.update(chunk.payload)
    return bytes(digest.digest())


def _publish(
    directory: Path, staging: Path, tasks: list[_Task], manifest: Manifest | None, options: UnpackOptions
) -> None:
    """Everything is there: give the files their names, then the manifest that describes them, then clean up."""
    decoding = options.decoding
    durable.fsync_tree(staging)
    with durable.storage_errors("writing", directory):
        for task in tasks:
            os.rename(staging / task.final, directory / task.final)
        durable.fsync_tree(directory)
    if manifest is not None:
        packed = any(decoding.keeps(file.stored or file.path) for file in manifest.files)
        if not packed:
            _settle(directory, manifest)
        durable.write_file(
            directory / MANIFEST_NAME, (packed_manifest(manifest, decoding) if packed else manifest.plain()).render()
        )
    if options.remove_original:
        with durable.storage_errors("removing from", directory):
            for task in tasks:
                (directory / task.stored).unlink(missing_ok=True)
            durable.fsync_tree(directory)


def _settle(directory: Path, manifest: Manifest) -> None:
    """Do to the files what schema changes during the backup ask for: remove what they made void, give what came later
    its name. May be interrupted and done again."""
    with durable.storage_errors("writing", directory):
        for name in manifest.discarded:
            (directory / name).unlink(missing_ok=True)
        for file in manifest.files:
            if file.stored and not file.stored.endswith(ENCODED) and (directory / file.stored).exists():
                os.replace(directory / file.stored, directory / file.path)
        durable.fsync_tree(directory)
