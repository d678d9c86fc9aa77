# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory whose files are compressed or encrypted, each one for itself: unpacked where they are.

What was unpacked waits in a staging directory until all of it is there and is what the manifest says.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from ..errors import BackupIncomplete, DecryptionFailed, FormatError, StorageError, StreamCorrupt, TargetUnsafe
from ..format import file_kinds
from ..format.file_kinds import INFO_NAME, MANIFEST_NAME, NOT_CONTENT
from ..format.holes import PageSizeOf
from ..format.names import STATE_NAME
from ..format.state_names import is_state_name
from ..host import below, durable, trees
from ..host.anchor import Anchor
from ..host.filling import require_finished
from ..host.small_files import read_small
from ..manifest import Manifest, digest_file, read_stored
from ..progress import Progress
from . import cipher
from .apply_manifest import packed_manifest
from .checksum import crc32
from .content import algorithms_of
from .entry import ENCODED, Decoding, EntryWriter, Unpacked, bare_name
from .key_proof import require_proof
from .output import FileOutput, FileSyncer
from .xbstream import TYPE_PAYLOAD, Chunk

_READ_SIZE = 1 << 20  # bytes
_STAGING_NAME = ".unpacking"
_NOTHING = Decoding(decompress=False, decrypt=False)
_MAX_INFO = 1 << 20  # bytes
_OURS = b"tool_name = innodb.xtrabackup"


def _never(_directory: Path) -> bool:
    return False


@dataclass(frozen=True)
class UnpackOptions:
    """Options for unpacking a directory: ``decoding`` is undone, with ``decrypt_key`` where that decrypts; ``parallel``
    files at a time; ``remove_original``: the packed files go once all is there; ``was_recovered`` tells of a directory
    whether recovery has changed the backup in it, or begun to."""

    decoding: Decoding
    decrypt_key: bytes | None = None
    parallel: int = 1
    remove_original: bool = False
    page_size_of: PageSizeOf | None = None
    was_recovered: Callable[[Path], bool] = _never


@dataclass(frozen=True)
class _Task:
    """The file ``stored`` becomes ``final`` (paths relative to the directory)."""

    stored: str
    final: str

    def originals(self) -> tuple[str, str]:
        """The names that the packed file may have in the end (see _settle)."""
        return self.stored, self.final + self.stored[len(bare_name(self.stored)) :]


@dataclass(frozen=True)
class _Plan:
    """``tasks``: what is to be unpacked; ``done``: what was unpacked before, and is what the manifest says."""

    tasks: list[_Task]
    done: list[_Task]


def unpack_directory(directory: Path, options: UnpackOptions, progress: Progress) -> list[str]:
    """Unpack the files of ``directory`` as ``options`` say; returns the names of those that were.

    What is unpacked already is compared with the manifest, and is made anew when it differs or there is none, except
    from encrypted files whose MAC went when they were decrypted. Nothing to do is no error. Raises DecryptionFailed,
    FormatError, StreamCorrupt, StreamTruncated, BackupIncomplete, TargetUnsafe, StorageError, TargetBusy; nothing is
    changed then.
    """
    directory = Path(os.path.abspath(directory))
    if directory.parent == directory:
        raise TargetUnsafe(f"{directory} is the root directory, not that of a backup", path=str(directory))
    with Anchor(directory) as anchor:
        return _unpack_directory(anchor.path, options, progress)


def _unpack_directory(directory: Path, options: UnpackOptions, progress: Progress) -> list[str]:
    require_finished(directory)
    manifest = _manifest(directory)
    with durable.directory_lock(directory, str(directory)):
        _require_no_links(directory)
        staging = directory / f"{_STAGING_NAME}{file_kinds.PARTIAL_SUFFIX}"
        durable.remove_tree(staging)
        planned = _plan(directory, options, manifest, progress)
        _require_mac(directory, manifest, planned.tasks)
        if planned.tasks or _is_unfinished(directory, options.decoding, manifest):
            _unpack_all(directory, staging, planned.tasks, manifest, options, progress)
        if options.remove_original:
            with durable.storage_errors("removing from", directory), below.Root(directory) as root:
                for task in (*planned.tasks, *planned.done):
                    for name in task.originals():
                        _remove(root, name)
                durable.fsync_tree(directory)
        return [task.stored for task in planned.tasks]


def _unpack_all(
    directory: Path,
    staging: Path,
    tasks: list[_Task],
    manifest: Manifest | None,
    options: UnpackOptions,
    progress: Progress,
) -> None:
    sizes = {task.stored: (directory / task.stored).stat().st_size for task in tasks}
    expected = manifest.total_bytes if manifest else sum(sizes.values())
    durable.require_space(directory, expected, f"unpacking {directory}")
    progress.phase("unpacking", sum(sizes.values()))
    with durable.storage_errors("creating", staging):
        staging.mkdir(mode=0o750)
    try:
        largest_first = sorted(tasks, key=lambda task: -sizes[task.stored])
        with below.Root(directory) as root, root.directory(staging.name) as place:
            place.require_owner(os.geteuid())
            unpacked = _unpack(directory, place, largest_first, manifest, options, progress)
        require_proof(((one.stored, one.key_proven) for one in unpacked.values()), str(directory))
        if manifest is not None:
            _check(directory, manifest, tasks, unpacked, options)
        _publish(directory, staging, tasks, manifest, options)
    finally:
        durable.remove_tree(staging)


def apply_manifest_in_place(directory: Path) -> None:
    """Makes a directory that another tool has unpacked from our archive match its manifest: that tool does not
    know which files schema changes during the backup made void, nor under which name others belong.

    Nothing is done to one whose files are still packed. Raises StorageError, FormatError.
    """
    manifest = _manifest(directory)
    if manifest is not None and _is_unfinished(directory, _NOTHING, manifest):
        _apply_schema_changes(directory, manifest)
        durable.write_file(directory / MANIFEST_NAME, manifest.plain().render())


def _manifest(directory: Path) -> Manifest | None:
    try:
        return read_stored(directory)[0]
    except FileNotFoundError:
        return None


def _require_no_links(directory: Path) -> None:
    """Raises UnsafeFile for what is neither a file nor a directory: it would lead to places outside, or be waited
    for."""
    with durable.storage_errors("looking at", directory):
        for folder, folders, files in trees.walk(directory):
            folders[:] = [name for name in folders if folder != str(directory) or name not in NOT_CONTENT]
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                status = os.lstat(path)
                if not stat.S_ISDIR(status.st_mode):
                    below.require_kind(status, path)


def _is_unfinished(directory: Path, decoding: Decoding, manifest: Manifest | None) -> bool:
    """Returns whether only the last step of an earlier run is left: everything is unpacked, and the manifest does not
    say so."""
    if manifest is None or (not manifest.discarded and not any(file.stored for file in manifest.files)):
        return False
    stored = [(file.stored or file.path, file.path) for file in manifest.files]
    return not any(decoding.keeps(name) for name, _path in stored) and all(
        (directory / path).exists() or not name.endswith(ENCODED) for name, path in stored
    )


def _packed_files(directory: Path, decoding: Decoding, manifest: Manifest | None) -> Iterator[_Task]:
    """Yields the files that may be unpacked. The manifest knows what belongs to the backup, which files later schema
    changes made void, and what others are called when all is done; where it has no MAC, encrypted files are what is
    left of those that were decrypted before."""
    discarded = set(manifest.discarded) if manifest else set()
    names = {bare_name(file.stored or file.path): file.path for file in manifest.files} if manifest else {}
    paths = {file.path for file in manifest.files} if manifest else set()
    decrypted = _decrypted_names(manifest)
    for folder, folders, files in trees.walk(directory):
        at_top = folder == str(directory)
        for name in folders:
            path = os.path.join(folder, name)
            below.require_kind(os.lstat(path), path, stat.S_IFDIR)
        folders[:] = sorted(name for name in folders if not (at_top and is_state_name(f"{name}/")))
        for name in sorted(files):
            stored = os.path.relpath(os.path.join(folder, name), directory)
            final = decoding.output_name(stored)
            if final == stored or stored in discarded:
                continue
            bare = bare_name(stored)
            if manifest is not None and bare not in names and bare not in paths:
                continue
            if is_state_name(stored):
                raise StreamCorrupt(f"{directory}: {stored}: {STATE_NAME}", where=str(directory))
            if stored.endswith(cipher.SUFFIX) and bare in decrypted:
                final = decrypted[bare]
            elif not decoding.keeps(stored):
                final = names.get(bare, final)
            yield _Task(stored, final)


def _decrypted_names(manifest: Manifest | None) -> dict[str, str]:
    """Returns the files that are not encrypted (any more) according to a manifest without a MAC: their names without
    the suffixes of their encoding, and the names that they have."""
    if manifest is None or manifest.mac is not None:
        return {}
    found = [file.stored or file.path for file in manifest.files]
    return {bare_name(name): name for name in found if not name.endswith(cipher.SUFFIX)}


def _require_mac(directory: Path, manifest: Manifest | None, tasks: list[_Task]) -> None:
    """Raises DecryptionFailed when one of ``tasks`` would decrypt what no MAC covers: whoever can write there could
    have written it, since a cipher alone shows no forgery. Backups of other tools never had one, nor a manifest."""
    encrypted = [task.stored for task in tasks if task.stored.endswith(cipher.SUFFIX)]
    if manifest is None:
        if encrypted and is_ours(directory):
            raise _not_authenticated(directory, encrypted, f"{MANIFEST_NAME}, which authenticates them, is gone")
    elif manifest.mac is None:
        if encrypted:
            raise _not_authenticated(directory, encrypted, "the manifest has no MAC, or none any more")
    else:
        named = {*(file.stored or file.path for file in manifest.files), *manifest.discarded}
        unknown = [name for name in encrypted if name not in named]
        if unknown:
            raise _not_authenticated(directory, unknown, "the manifest does not name them")


def is_ours(directory: Path) -> bool:
    """Returns whether the backup in ``directory`` says that this collection has made it."""
    with contextlib.suppress(OSError, FormatError, StorageError):
        return _OURS in read_small(directory / INFO_NAME, _MAX_INFO).data
    return False


def _not_authenticated(directory: Path, names: list[str], why: str) -> DecryptionFailed:
    return DecryptionFailed(
        f"{directory}: nothing proves that {', '.join(names[:5])}"
        + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        + f" are what was encrypted: {why}",
        remedy="Use another copy of the backup. What is decrypted already needs no decryption: leave it out, or remove "
        "the encrypted files; nothing was changed.",
        where=str(directory),
        files=names[:100],
    )


def _plan(directory: Path, options: UnpackOptions, manifest: Manifest | None, progress: Progress) -> _Plan:
    """Plans the unpacking. Raises BackupIncomplete when a file is not what the manifest says and cannot be made anew,
    because the backup was prepared since: what is packed is of the time before that."""
    tasks = list(_packed_files(directory, options.decoding, manifest))
    there = [task for task in tasks if os.path.lexists(directory / task.final)]
    prepared = options.was_recovered(directory)
    entries = {file.path: file for file in manifest.files} if manifest else {}

    def is_right(task: _Task) -> bool:
        entry = entries.get(task.final)
        path = directory / task.final
        with durable.storage_errors("reading", path):
            if manifest is None:
                return prepared  # recovery has found it right
            if entry is None and manifest.mac is None and task.stored.endswith(cipher.SUFFIX):
                return path.is_file()  # decrypted before; unpacking it compares it
            if entry is None or not path.is_file() or path.lstat().st_size != entry.size:
                return False
            if not entry.digest:
                return prepared  # recovery has changed it
            with below.reading(directory, task.final) as source:
                found: str = digest_file(source, manifest.digest_algorithm)[1]
            return found == entry.digest

    if there:
        known = sum(entries[task.final].size for task in there if task.final in entries)
        progress.phase("comparing what is unpacked already", known)
    with ThreadPoolExecutor(max(options.parallel, 1), thread_name_prefix="compare") as pool:
        right = {task for task, same in zip(there, pool.map(is_right, there)) if same}
    if prepared and len(right) < len(tasks):
        names = [task.final for task in tasks if task not in right]
        raise BackupIncomplete(
            f"{directory} was prepared, or that was begun, and these files are not there as they were then: "
            f"{', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
            remedy="Unpack a copy of the backup that was not prepared, or remove the packed files yourself.",
            path=str(directory),
            files=names[:100],
        )
    return _Plan([task for task in tasks if task not in right], [task for task in tasks if task in right])


def _unpack(
    directory: Path,
    root: below.Root,
    tasks: list[_Task],
    manifest: Manifest | None,
    options: UnpackOptions,
    progress: Progress,
) -> dict[str, Unpacked]:
    syncer = FileSyncer()

    def run(task: _Task) -> Unpacked:
        target = root.path / task.final
        with durable.storage_errors("creating", target):
            if "/" in task.final:
                root.make_directories(task.final.rpartition("/")[0])
            descriptor = root.open(task.final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        writer = EntryWriter(
            task.stored,
            FileOutput(target, syncer, descriptor),
            options.decrypt_key,
            options.page_size_of,
            options.decoding,
            algorithms=algorithms_of(manifest),
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
    with durable.storage_errors("reading", path), below.reading(directory, stored) as source:
        while data := source.read(_READ_SIZE):
            yield Chunk(stored, TYPE_PAYLOAD, offset, offset, memoryview(data), crc32(data), length=len(data))
            offset += len(data)


def _check(
    directory: Path, manifest: Manifest, tasks: list[_Task], unpacked: dict[str, Unpacked], options: UnpackOptions
) -> None:
    """Raises what is wrong with the files: the MAC, if it is decrypted; size and digest of what is plain now."""
    if options.decrypt_key is not None and manifest.mac is not None:
        names = [*(file.stored or file.path for file in manifest.files), *manifest.discarded]
        stored = {name: _stored_digest(directory, name, unpacked.get(name)) for name in names}
        authenticated = replace(manifest, mac=None).render()
        cipher.verify_manifest_mac(options.decrypt_key, authenticated, stored, manifest.mac, str(directory))
    made = {task.final: unpacked[task.stored] for task in tasks if not options.decoding.keeps(task.stored)}
    faults: list[str] = []
    for file in manifest.files:
        if file.path in made:
            faults += made[file.path].faults(file)
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
    with durable.storage_errors("writing", directory), below.Root(directory) as root:
        for task in tasks:
            root.rename(f"{staging.name}/{task.final}", task.final)
        durable.fsync_tree(directory)
    if manifest is not None:
        packed = any(decoding.keeps(file.stored or file.path) for file in manifest.files)
        if not packed:
            _apply_schema_changes(directory, manifest)
        durable.write_file(
            directory / MANIFEST_NAME, (packed_manifest(manifest, decoding) if packed else manifest.plain()).render()
        )


def _apply_schema_changes(directory: Path, manifest: Manifest) -> None:
    """Do to the files what schema changes during the backup ask for: remove what they made void, give what came later
    its name. May be interrupted and done again."""
    with durable.storage_errors("writing", directory), below.Root(directory) as root:
        for name in manifest.discarded:
            _remove(root, name)
        for file in manifest.files:
            bare = bare_name(file.stored or file.path)
            if bare != file.path:
                # what is packed is kept under the same name
                for suffix in ("", (file.stored or "")[len(bare) :]):
                    if (directory / (bare + suffix)).exists():
                        root.rename(bare + suffix, file.path + suffix)
        durable.fsync_tree(directory)


def _remove(root: below.Root, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        root.unlink(name)
