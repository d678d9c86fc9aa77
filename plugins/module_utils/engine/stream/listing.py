# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content of an archive by its headers and its manifest; payloads are skipped."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from ..errors import Clause, DecryptionFailed, Option, StreamCorrupt, StreamTruncated
from ..format.file_kinds import MANIFEST_NAME
from ..manifest import MAX_BYTES, Manifest, parse
from ..units import some_of
from .entry import output_name
from .output import MemoryOutput
from .readable import Readable
from .selection import Selection
from .xbstream import TYPE_SPARSE, ChunkReader, EntryLedger

_FOREIGN = Clause(f" For an archive that another tool made, say {Option('require_manifest', False)}.")
_MAX_KEPT = 1 << 20  # bytes of a small entry


@dataclass(frozen=True)
class Listing:
    """Content that an archive says that it has: stored names with stored sizes (bytes), and its manifest if it has one.

    Nothing but the manifest and the framing was read, so nothing was verified. ``content``: that of small entries that
    were asked for. ``sparse``: whether there are sparse chunks, which not all tools read.
    """

    entries: dict[str, int]
    manifest: Manifest | None
    size: int
    content: dict[str, bytes] = field(default_factory=dict)
    sparse: bool = False

    def part(self, selection: Selection, where: str) -> Listing:
        """Returns the selected part of the archive: those entries, and the manifest of the directory that they make.

        Raises InvalidOption when something that is selected is not there.
        """
        if self.manifest is None:
            stored = {output_name(name): name for name in self.entries}
            names = {stored[path] for path in selection.choose(stored, where)}
            return replace(self, entries={name: size for name, size in self.entries.items() if name in names})
        layout = self.manifest.backup.get("layout") or {}
        lower_case = layout.get("lower_case_table_names") == 1
        paths = selection.choose((file.path for file in self.manifest.files), where, lower_case=lower_case)
        manifest = self.manifest.part(paths)
        entries = {name: self.entries[name] for name in (file.stored or file.path for file in manifest.files)}
        return replace(self, entries=entries, manifest=manifest)


def list_archive(source: Readable, keep: Collection[str] = ()) -> Listing:
    """Lists what the archive ``source`` says that it holds; payloads are skipped, except those of the small entries
    ``keep``.

    Raises StreamError for broken framing, StreamTruncated when an entry has no end, FormatError for a manifest that
    cannot be read, StorageError.
    """
    where, ledger = source.location, EntryLedger()
    kept = {MANIFEST_NAME: MemoryOutput(MANIFEST_NAME, MAX_BYTES)}
    kept.update((name, MemoryOutput(name, _MAX_KEPT)) for name in keep)
    with source.reading() as reading:
        sparse = False
        reader = ChunkReader(reading, where, skip=reading.skip, wanted=kept.__contains__)
        for chunk in reader:
            ledger.accept(chunk, where)
            sparse = sparse or chunk.kind == TYPE_SPARSE
            if chunk.path in kept:
                kept[chunk.path].write(chunk.payload)
        size = reader.position
    entries = ledger.finish(where)
    content = {name: bytes(output.data) for name, output in kept.items() if name in entries}
    data = content.pop(MANIFEST_NAME, None)
    manifest = None if data is None else parse(data, f"{where}: {MANIFEST_NAME}")
    return Listing(entries, manifest, size, content, sparse)


def checked_listing(source: Readable, *, require_manifest: bool = True, keep: Collection[str] = ()) -> Listing:
    """``list_archive``, refused when its headers show already that the archive is incomplete."""
    listing = list_archive(source, keep)
    if listing.manifest is not None:
        require_entries(listing.manifest, listing.entries, source.location)
    elif require_manifest:
        raise no_manifest(source.location)
    return listing


def no_manifest(where: str) -> StreamTruncated:
    """The error for the stream ``where``, which ends between two entries but before its manifest."""
    return StreamTruncated(
        f"{where}: ends without the manifest of a complete backup",
        remedy=f"The sending side stopped early: look at its error.{_FOREIGN}",
        where=where,
    )


def require_no_key(manifest: Manifest, where: str) -> None:
    """Raises DecryptionFailed when the archive ``where`` cannot be read without a key."""
    if manifest.mac is not None:
        raise DecryptionFailed(
            f"{where}: the archive is encrypted and no key was given",
            remedy=f"Give {Option('decrypt', '{key_file: ...}')}.",
            where=where,
        )


def require_entries(manifest: Manifest, entries: Iterable[str], where: str) -> None:
    """Compare the names of a stream's ``entries`` with ``manifest``: StreamTruncated for missing ones, StreamCorrupt
    for ones that it does not know."""
    present = set(entries) - {MANIFEST_NAME}
    stored = [file.stored or file.path for file in manifest.files]
    known = {*stored, *manifest.discarded}
    if len(known) != len(stored) + len(set(manifest.discarded)):
        raise StreamCorrupt(f"{where}: the manifest names an entry twice", where=where)
    missing = sorted(known - present)
    if missing:
        raise StreamTruncated(f"{where}: lacks {some_of(missing)}", where=where, entries=missing[:100])
    extra = sorted(present - known)
    if extra:
        raise StreamCorrupt(f"{where}: holds what its manifest does not name: {some_of(extra)}", entries=extra[:100])
