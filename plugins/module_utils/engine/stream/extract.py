# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reading side of streams: unpack in parallel, in bounded memory, and believe nothing that the manifest denies.

Readers (one a connection, or one for a file) cut their streams into chunks; workers check, decrypt, decompress,
digest and write them. The chunks of one file are handled in order by one worker at a time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Callable, Protocol

from ..errors import Cancelled, InvalidOption, StreamCorrupt, StreamTruncated
from ..format.content_digest import XXH128
from ..format.file_kinds import CHECKPOINTS_NAMES, INFO_NAMES, MANIFEST_NAME
from ..host import durable
from ..host.replaceable import require_source_apart
from ..manifest import MAX_BYTES, Manifest, parse
from ..progress import Progress
from . import cipher, content
from .apply_manifest import apply_manifest, looks_like_backup
from .buffers import BufferPool, DecoderMemory
from .digests import DigestingSource, StreamDigests
from .entry import EntrySkipper, EntryWriter, Unpacked, bare_name
from .extract_options import DEFAULTS, ExtractOptions
from .key_proof import require_proof
from .listing import (
    Listing,
    checked_listing,
    no_manifest,
    require_entries,
    require_no_key,
)
from .output import EntryOutput, FileOutput, FileSyncer, MemoryOutput, NoOutput
from .readable import Readable
from .staging import replaceable_by, staging_directory
from .xbstream import TYPE_END, ByteSource, Chunk, ChunkReader, EntryLedger

_log = logging.getLogger(__name__)

_MEMORY = 64 << 20  # bytes of payloads between readers and workers
_MAX_QUEUED = 4096  # chunks; those with many ranges count for more
_RANGES_A_CHUNK = 16  # ranges of a sparse chunk, which take as much memory as another chunk

#: a stream of the stock tools is complete, as far as can be told, when it holds one of each
_FOREIGN_FILES = (
    CHECKPOINTS_NAMES,
    INFO_NAMES,
)


class _OpenEntry:
    """An entry between its first chunk and its end."""

    def __init__(self, stored: str) -> None:
        self.stored = stored
        self.chunks: deque[tuple[Chunk, str]] = deque()
        self.scheduled = False
        self.writer: EntryWriter | EntrySkipper | None = None


def _weight(chunk: Chunk) -> int:
    """For how many chunks ``chunk`` counts while it is queued."""
    return 1 + len(chunk.ranges) // _RANGES_A_CHUNK


class ChunkSource(Protocol):
    """The chunks of one stream, in order; ``where`` names it."""

    where: str

    def __iter__(self) -> Iterator[Chunk]: ...


class Extractor:
    """Unpacks streams into ``staging`` (an existing, empty directory of its own; None to check only).

    Feed it from any number of threads (``feed``, or ``run`` with readers), then call ``finish`` once, or ``abort``.
    Each uses ``reader`` to make its ChunkReader. The first error of any thread ends all. With ``part`` (see
    ``Listing.part``) only its entries are unpacked: what ``options.selection`` chooses in a stored archive.
    ``left_encrypted`` says afterwards whether encrypted entries were only compared with the checksums of their chunks.
    ``algorithms``: of the digests that the manifest will have, where that is known; others are computed from what was
    unpacked."""

    def __init__(
        self,
        staging: str | os.PathLike[str] | None,
        options: ExtractOptions = DEFAULTS,
        *,
        part: Listing | None = None,
        algorithms: Sequence[str] | None = None,
        progress: Progress | None = None,
        where: str = "the stream",
    ) -> None:
        self.left_encrypted = False
        self._options = options
        self._algorithms = algorithms or ((XXH128,) if staging else content.ALL)
        self._staging = None if staging is None else Path(staging)
        self._part = part
        self._keep_encrypted = options.keep_encrypted and options.decrypt_key is None
        self._progress = progress
        self._where = where
        self._pool = BufferPool(_MEMORY)
        self._memory = DecoderMemory()
        self._ledger = EntryLedger()
        self._changed = threading.Condition()
        self._open: dict[str, _OpenEntry] = {}
        self._ready: deque[_OpenEntry] = deque()
        self._unpacked: dict[str, Unpacked] = {}
        self._names: set[str] = set()
        self._writing: set[EntryWriter | EntrySkipper] = set()
        self._queued = 0
        self._manifest_output = MemoryOutput(MANIFEST_NAME, MAX_BYTES)
        self._failure: BaseException | None = None
        self._stopped = False
        self._syncer = FileSyncer()
        self._made: set[Path] = set()
        self._directory_lock = threading.Lock()
        self._workers = [
            threading.Thread(target=self._work, name=f"unpack {number}", daemon=True)
            for number in range(max(options.parallel, 1))
        ]
        for worker in self._workers:
            worker.start()

    # -- the readers' side

    def reader(self, source: ByteSource, where: str, skip: Callable[[int], object] | None = None) -> ChunkReader:
        """A reader of ``source`` for this extractor: its payloads are pooled and are verified by the workers.

        ``skip`` moves the source forward over what is not wanted, unless the MAC needs it (see ChunkReader).
        """
        if self._options.decrypt_key is not None:
            skip = None
        return ChunkReader(source, where, allocate=self._pool.take, verify=False, skip=skip, wanted=self._wanted)

    def _wanted(self, stored: str) -> bool:
        return self._part is None or stored == MANIFEST_NAME or stored in self._part.entries

    def run(self, readers: Sequence[ChunkSource]) -> None:
        """Read all of ``readers`` to their ends, each in a thread of its own; raises the first error."""

        def consume(reader: ChunkSource) -> None:
            try:
                for chunk in reader:
                    self.feed(chunk, reader.where)
            except BaseException as error:  # noqa: BLE001 - the other threads must learn of it, whatever it is
                self._fail(error)

        if len(readers) == 1:
            consume(readers[0])
        else:
            threads = [threading.Thread(target=consume, args=(reader,), daemon=True) for reader in readers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self._raise_failure()

    def feed(self, chunk: Chunk, where: str) -> None:
        """Take the next chunk of the stream ``where``; waits when the workers are behind. Raises what any of them
        met."""
        self._ledger.accept(chunk, where)
        with self._changed:
            while self._queued >= _MAX_QUEUED and self._failure is None:
                self._changed.wait()
            self._raise_failure()
            entry = self._open.get(chunk.path)
            if entry is None:
                entry = self._open_entry(chunk, where)
            if chunk.kind == TYPE_END:
                del self._open[chunk.path]
            entry.chunks.append((chunk, where))
            self._queued += _weight(chunk)
            if not entry.scheduled:
                entry.scheduled = True
                self._ready.append(entry)
                self._changed.notify_all()

    def _open_entry(self, chunk: Chunk, where: str) -> _OpenEntry:
        name = self._options.decoding.output_name(chunk.path)
        if name in self._names:
            raise StreamCorrupt(f"{where}: two entries unpack to {name}", where=where, entry=chunk.path)
        self._names.add(name)
        entry = self._open[chunk.path] = _OpenEntry(chunk.path)
        return entry

    # -- the workers

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._ready and not self._stopped:
                    self._changed.wait()
                if not self._ready:
                    return
                entry = self._ready.popleft()
            try:
                self._work_on(entry)
            except BaseException as error:  # noqa: BLE001 - it is raised again by whoever feeds or finishes
                self._fail(error)

    def _work_on(self, entry: _OpenEntry) -> None:
        while True:
            with self._changed:
                if not entry.chunks or self._failure is not None:
                    entry.scheduled = False
                    self._changed.notify_all()
                    return
                chunk, where = entry.chunks.popleft()
                was_full = self._queued >= _MAX_QUEUED
                self._queued -= _weight(chunk)
                if was_full and self._queued < _MAX_QUEUED:
                    self._changed.notify_all()
            try:
                self._unpack(entry, chunk, where)
            finally:
                self._pool.give(chunk.payload)

    def _unpack(self, entry: _OpenEntry, chunk: Chunk, where: str) -> None:
        if entry.writer is None:
            if self._wanted(entry.stored) and not self._is_kept_encrypted(entry.stored):
                entry.writer = EntryWriter(
                    entry.stored,
                    self._output(entry.stored),
                    self._options.decrypt_key,
                    self._options.page_size_of,
                    self._options.decoding,
                    self._memory,
                    self._algorithms,
                )
            else:
                entry.writer = EntrySkipper(entry.stored, self._options.decrypt_key)
            with self._changed:
                self._writing.add(entry.writer)
        if chunk.kind == TYPE_END:
            unpacked = entry.writer.finish()
            with self._changed:
                self._writing.discard(entry.writer)
                self._unpacked[entry.stored] = unpacked
            _log.debug("unpacked %s", entry.stored)
        else:
            written = entry.writer.take(chunk, where)
            if self._progress:
                self._progress.advance(written)

    def _is_kept_encrypted(self, stored: str) -> bool:
        return self._keep_encrypted and stored.endswith(cipher.SUFFIX)

    def _output(self, stored: str) -> EntryOutput:
        if stored == MANIFEST_NAME:
            return self._manifest_output
        if self._staging is None:
            return NoOutput()
        target = self._staging / self._options.decoding.output_name(stored)
        with self._directory_lock:
            if target.parent not in self._made:
                with durable.storage_errors("creating", target.parent):
                    durable.make_directories(target.parent, 0o750)
                self._made.add(target.parent)
        return FileOutput(target, self._syncer)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            _log.debug("unpacking stops: %s: %s", type(error).__name__, error)
            # who was only stopped by an error is not its cause
            if self._failure is None or (isinstance(self._failure, Cancelled) and not isinstance(error, Cancelled)):
                self._failure = error
            self._changed.notify_all()
        self._pool.close()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _stop(self) -> None:
        """Let the workers do what is queued (nothing, after a failure) and end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()
        self._pool.close()

    # -- the end

    def abort(self, reason: BaseException) -> None:
        """Stop unpacking: who feeds gets ``reason``, files are closed. What is in staging is the caller's to remove."""
        self._fail(reason)
        self._stop()
        while self._writing:
            self._writing.pop().abandon()
        with contextlib.suppress(Exception):  # the reason is what the caller must see
            self._syncer.finish()

    def finish(self) -> Manifest | None:
        """All streams have ended: returns the manifest that everything was compared with, now in staging as well.

        Without ``require_manifest`` a stream that has none gives None, if it looks complete otherwise. Raises
        StreamTruncated for what is missing, StreamCorrupt for what is too much or differs, DecryptionFailed.
        """
        try:
            self._stop()
            self._raise_failure()
            self._syncer.finish()
            return self._finish()
        except BaseException as error:
            self.abort(error)
            raise

    def _finish(self) -> Manifest | None:
        entries = set(self._ledger.finish(self._where))
        self.left_encrypted = any(map(self._is_kept_encrypted, entries))
        require_proof(((one.stored, one.key_proven) for one in self._unpacked.values()), self._where)
        manifest = None
        if MANIFEST_NAME in entries:
            manifest = parse(bytes(self._manifest_output.data), f"{self._where}: {MANIFEST_NAME}")
            require_entries(manifest, entries, self._where)
            self._verify_mac(manifest)
        elif self._options.require_manifest:
            raise no_manifest(self._where)
        elif not self._options.any_files or looks_like_backup(self._unpacked):
            self._require_stock_files()
        if self._part is not None:
            manifest = self._chosen(self._part.manifest, manifest)
        if manifest is not None:
            self._verify_content(manifest)
        if self._staging is not None:
            apply_manifest(self._staging, manifest, self._unpacked, self._options.decoding, self._where)
        return manifest.plain() if manifest else None

    def _verify_mac(self, manifest: Manifest) -> None:
        if self._options.decrypt_key is not None:
            stored = {one.stored: one.stored_digest or b"" for one in self._unpacked.values()}
            stored.pop(MANIFEST_NAME)
            authenticated = replace(manifest, mac=None).render()
            cipher.verify_manifest_mac(self._options.decrypt_key, authenticated, stored, manifest.mac, self._where)
        elif not self._keep_encrypted and self._options.decoding.decrypt:
            require_no_key(manifest, self._where)

    def _chosen(self, chosen: Manifest | None, found: Manifest | None) -> Manifest | None:
        """The manifest of what is unpacked; raises StreamCorrupt when the choice was made in another archive."""
        expected = chosen and chosen.backup["partial"]["source_sha256"]
        if expected != (found and found.own_sha256):
            raise StreamCorrupt(f"{self._where}: became another archive while it was read", where=self._where)
        return chosen

    def _verify_content(self, manifest: Manifest) -> None:
        plain = {
            stored: unpacked
            for stored, unpacked in self._unpacked.items()
            if not self._is_kept_encrypted(stored) and not self._options.decoding.keeps(stored)
        }
        content.require_content(manifest, plain, self._staging, self._options.parallel, self._where)

    def _require_stock_files(self) -> None:
        names = {bare_name(stored) for stored in self._unpacked}
        for alternatives in _FOREIGN_FILES:
            if not names.intersection(alternatives):
                raise StreamTruncated(
                    f"{self._where}: ends before {' or '.join(alternatives)}, which every complete backup holds",
                    where=self._where,
                )


# --- archives ------------------------------------------------------------------------------------


def _unpack(source: Readable, extractor: Extractor, digests: StreamDigests | None) -> Manifest | None:
    try:
        with source.reading() as reading:
            if digests is None:
                reader = extractor.reader(reading, source.location, reading.skip)
            else:
                reader = extractor.reader(DigestingSource(reading, digests.update), source.location)
            extractor.run([reader])
        if digests is not None:
            digests.check(source.location)
        return extractor.finish()
    except BaseException as error:
        extractor.abort(error)
        raise


def verify_archive(
    source: Readable,
    options: ExtractOptions = DEFAULTS,
    *,
    digests: StreamDigests | None = None,
    progress: Progress | None = None,
) -> Manifest | None:
    """Read, unpack and compare all of the archive ``source`` without writing anything; returns its manifest (as of the
    unpacked directory). ``digests`` get its bytes and are checked. Raises StreamError, DecryptionFailed, FormatError,
    StorageError."""
    algorithms = content.algorithms_in(source)
    extractor = Extractor(None, options, algorithms=algorithms, progress=progress, where=source.location)
    return _unpack(source, extractor, digests)


def extract_archive(
    source: Readable,
    dest: str | os.PathLike[str],
    options: ExtractOptions = DEFAULTS,
    *,
    digests: StreamDigests | None = None,
    progress: Progress | None = None,
) -> Manifest | None:
    """Unpack the archive ``source`` into the directory ``dest``, which appears only when all is there and right.

    With ``options.selection`` only that part of a stored archive; what else it holds is skipped, or read for the MAC.
    ``digests`` get all bytes of the archive and are checked before anything is published.
    Returns the manifest, None for an archive of another tool (without ``require_manifest``). Raises StreamError,
    DecryptionFailed, FormatError, StorageError (DiskFull before anything is written, when the manifest tells),
    InvalidOption for a selection of what is not there. With ``force`` a backup that is at ``dest`` is replaced, or what
    was unpacked there; TargetNotEmpty for anything else.
    """
    if options.force and source.path is not None:
        require_source_apart(source.path, Path(dest))
    replaceable = replaceable_by(source, options.require_manifest)
    with staging_directory(dest, force=options.force, replaceable=replaceable) as staging:
        part = algorithms = None
        if source.is_stored:
            listing, part = _preflight(source, staging, options, progress)
            algorithms = content.algorithms_of(listing.manifest)
        elif options.selection:
            raise InvalidOption(f"{source.location} is not a file, so it can only be unpacked as a whole", option="src")
        extractor = Extractor(
            staging, options, part=part, algorithms=algorithms, progress=progress, where=source.location
        )
        return _unpack(source, extractor, digests)


def _preflight(
    source: Readable, staging: Path, options: ExtractOptions, progress: Progress | None
) -> tuple[Listing, Listing | None]:
    """A look at the headers is cheap, and refuses at once what could only fail after hours; returns what is there and
    what of it is selected, None for all."""
    listing = checked_listing(source, require_manifest=options.require_manifest)
    part = listing.part(options.selection, source.location) if options.selection else None
    wanted = part or listing
    needed = wanted.manifest.total_bytes if wanted.manifest else sum(wanted.entries.values())
    durable.require_space(staging, needed, f"unpacking {source.location}")
    if progress:
        progress.phase("unpacking", needed)
    return listing, part
