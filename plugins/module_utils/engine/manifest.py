# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what a finished backup is. A backup exists when its manifest exists.

``xtrabackup_manifest.json`` is written last, into a directory or as the last entry of an archive. It holds the
backup's record (as modules return it) and names every file with its size (bytes, as in the data directory:
before compression and encryption) and its digest (of those bytes, hexadecimal; see format/content_digest.py).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Callable

from .errors import BackupIncomplete, BackupPartial, FormatError, NotABackup, UnknownFormat
from .format import strict_json
from .format.content_digest import OPTIONS, XXH128, checked_digest, new_digest
from .format.file_kinds import MANIFEST_NAME
from .format.names import safe_path
from .format.record import checked_record
from .host import below, state
from .host.file_states import states_of
from .host.filling import require_finished
from .host.small_files import SmallFile, read_small
from .host.state import Preparation

FORMAT_VERSION = 1
MAX_BYTES = 256 << 20  # of a stored manifest
MAX_FILES = 2_000_000
PREPARED = "prepared"
"""State in the record of a backup that was made consistent."""
PARTIAL = "partial"
"""State in the record of a directory that holds only some of a backup's files."""
_READ_SIZE = 4 << 20
_LARGEST_FILE = (1 << 63) - 1


@dataclass(frozen=True)
class FileEntry:
    """One file of a backup.

    ``path`` is relative to the data directory, ``size`` in bytes, ``digest`` of those bytes. ``stored`` is the
    name of the entry in a stream when that differs (``db/t.ibd.zst``, ``db/t.new``), otherwise None.
    """

    path: str
    size: int
    digest: str
    stored: str | None = None


@dataclass(frozen=True)
class Manifest:
    """A finished backup: its record, its files (sorted by path), and stream entries that are to be ignored
    (``discarded``: names of entries which later schema changes made void). ``digest_algorithm``: of the files' digests,
    see format/content_digest.py."""

    backup: dict[str, Any]
    files: tuple[FileEntry, ...]
    discarded: tuple[str, ...] = ()
    mac: str | None = field(default=None)
    digest_algorithm: str = XXH128
    preparation: Preparation | None = field(default=None, compare=False)
    """Of a prepared backup in a directory: what this host remembers of how it was made; None when it does not."""

    @property
    def id(self) -> str:
        """The backup's id."""
        return str(self.backup["id"])

    @property
    def total_bytes(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(entry.size for entry in self.files)

    @functools.cached_property
    def own_sha256(self) -> str:
        """SHA-256 of the manifest as it is in a directory: the same for one backup in a directory and in archives."""
        return digest_of(self.plain().render())

    @property
    def source_sha256(self) -> str:
        """Digest that names the backup as it was taken: SHA-256 of its first manifest in a directory, also when this
        manifest is that of a backup that was prepared on this host. One that was prepared elsewhere is known by its own
        manifest only: what that says of its origin, anybody can have written."""
        return self.own_sha256 if self.preparation is None else self.preparation.source_sha256

    @property
    def record(self) -> dict[str, Any]:
        """The backup's record, as it is told: with the origin of a prepared backup that is known, not what it says."""
        return self.record_of(self.source_sha256)

    def record_of(self, source_sha256: str) -> dict[str, Any]:
        """The backup's record; a prepared one was made from ``source_sha256``, whatever it says."""
        prepared = self.backup.get("prepared")
        if not prepared:
            return dict(self.backup)
        return {**self.backup, "prepared": {**prepared, "source_sha256": source_sha256}}

    @property
    def claimed_sha256(self) -> str:
        """The backup that it says to be prepared from, which nobody has looked into; "" when it says nothing."""
        return str((self.backup.get("prepared") or {}).get("source_sha256") or "")

    def require_whole(self, where: str | os.PathLike[str]) -> None:
        """Raises BackupPartial when this describes a selection of a backup's files, found at ``where``."""
        if self.backup.get("state") == PARTIAL:
            raise BackupPartial(
                f"{os.fspath(where)} holds only {len(self.files)} selected files of the backup {self.id}",
                path=os.fspath(where),
            )

    def part(self, paths: Collection[str]) -> Manifest:
        """The manifest of a directory that holds only ``paths`` of this backup."""
        record = {**self.backup, "state": PARTIAL, "partial": {"source_sha256": self.own_sha256}}
        files = tuple(entry for entry in self.files if entry.path in paths)
        return Manifest(record, files, digest_algorithm=self.digest_algorithm)

    def render(self) -> bytes:
        """The manifest as stored: UTF-8 JSON, stable order, one trailing line feed."""
        document: dict[str, Any] = {
            "format": FORMAT_VERSION,
            "digest": self.digest_algorithm,
            "backup": self.backup,
            "files": [_entry_as_dict(entry) for entry in sorted(self.files, key=lambda entry: entry.path)],
            "discarded": sorted(self.discarded),
        }
        if self.mac is not None:
            document["mac"] = self.mac
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(
            "utf-8", "surrogateescape"
        )

    def plain(self) -> Manifest:
        """This manifest as it describes the unpacked directory: no stored names, nothing discarded."""
        return replace(self, files=tuple(replace(entry, stored=None) for entry in self.files), discarded=(), mac=None)


def _entry_as_dict(entry: FileEntry) -> dict[str, Any]:
    fields: dict[str, Any] = {"path": entry.path, "size": entry.size, "digest": entry.digest}
    if entry.stored is not None:
        fields["stored"] = entry.stored
    return fields


def parse(data: bytes, where: str) -> Manifest:
    """The manifest in ``data``, found at ``where``; raises FormatError or UnknownFormat."""
    try:
        return _parsed(strict_json.parse_object(data, where, max_bytes=MAX_BYTES), where)
    except UnknownFormat:
        raise
    except FormatError as error:
        raise FormatError(
            f"{error.message} (the manifest cannot be read)",
            remedy="The backup is damaged, or somebody has changed its manifest: use another copy.",
            **{"where": where, **error.details},
        ) from error


def _parsed(document: dict[str, Any], where: str) -> Manifest:
    missing = [name for name in ("format", "digest", "backup", "files", "discarded") if name not in document]
    if missing:
        raise FormatError(f"{where}: it lacks {', '.join(missing)}")
    version, algorithm = document["format"], document["digest"]
    if version != FORMAT_VERSION or isinstance(version, bool) or algorithm not in OPTIONS.values():
        raise UnknownFormat(
            f"{where}: manifest format {str(version)[:40]} with digests {str(algorithm)[:40]}; "
            f"this collection reads format {FORMAT_VERSION} with {' or '.join(OPTIONS.values())}"
        )
    listed, discarded, mac = document["files"], document["discarded"], document.get("mac")
    for name, value in (("files", listed), ("discarded", discarded)):
        if not isinstance(value, list) or len(value) > MAX_FILES:
            raise FormatError(f"{where}: {name} is no list of at most {MAX_FILES} files")
    files = tuple(_entry(item, algorithm, where) for item in listed)
    if len({entry.path for entry in files}) != len(files):
        raise FormatError(f"{where}: the manifest names a file twice")
    return Manifest(
        checked_record(document["backup"], where),
        files,
        tuple(safe_path(name, where) for name in discarded),
        None if mac is None else strict_json.text(mac, where, "mac", 256),
        algorithm,
    )


def _entry(item: object, algorithm: str, where: str) -> FileEntry:
    if not isinstance(item, dict):
        raise FormatError(f"{where}: a file that is no object")
    stored = item.get("stored")
    return FileEntry(
        safe_path(item.get("path"), where),
        strict_json.whole(item.get("size"), where, "size", _LARGEST_FILE),
        checked_digest(item.get("digest"), algorithm, where),
        None if stored is None else safe_path(stored, where),
    )


def read_stored(directory: str | os.PathLike[str]) -> tuple[Manifest, str]:
    """The manifest in ``directory``, whatever its state is, and the SHA-256 of the file. Raises FileNotFoundError,
    FormatError, UnknownFormat, StorageError."""
    path = Path(directory) / MANIFEST_NAME
    found = read_small(path, MAX_BYTES)
    return parse_stored(found, str(path)), digest_of(found.data)


def parse_stored(found: SmallFile, where: str) -> Manifest:
    """The manifest in the file ``found``, with what this host remembers of a preparation."""
    manifest = parse(found.data, where)
    if manifest.backup.get("state") != PREPARED:
        return manifest
    preparation = state.find_preparation(digest_of(found.data), found.device, found.inode)
    return replace(manifest, preparation=preparation)


def read(directory: str | os.PathLike[str]) -> Manifest:
    """The manifest of the backup in ``directory``; raises NotABackup when there is none, BackupIncomplete while the
    directory is being written."""
    require_finished(directory)
    try:
        return read_stored(directory)[0]
    except (FileNotFoundError, NotADirectoryError):
        raise NotABackup(f"{directory} holds no {MANIFEST_NAME}", path=os.fspath(directory)) from None


def note_preparation(directory: Path, source_sha256: str) -> None:
    """Remember that the prepared backup in ``directory``, as its files are now, was made here from ``source_sha256``.
    Raises BackupIncomplete when somebody takes files away, StorageError, FormatError."""
    try:
        found = read_small(directory / MANIFEST_NAME, MAX_BYTES)
        done = state.Preparation(source_sha256, states_of(directory))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BackupIncomplete(
            f"{directory} was changed while its preparation ended: {error.filename} is gone",
            remedy="Find out who changes it, and prepare another copy of the backup.",
            path=str(directory),
        ) from error
    state.note_preparation(digest_of(found.data), found.device, found.inode, done)


def digest_of(manifest_bytes: bytes) -> str:
    """SHA-256 of a stored manifest, hexadecimal: what names exactly this backup in a restore request."""
    return hashlib.sha256(manifest_bytes).hexdigest()


def digest_file(source: BinaryIO, algorithm: str = XXH128) -> tuple[int, str]:
    """Size (bytes) and digest of the rest of ``source``."""
    digest, size = new_digest(algorithm), 0
    buffer = memoryview(bytearray(_READ_SIZE))
    while count := source.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(buffer[:count])
        size += count
    return size, digest.hexdigest()


def verify_directory(
    directory: str | os.PathLike[str],
    manifest: Manifest,
    *,
    digests: bool,
    parallel: int = 2,
    verified: Callable[[int], None] = lambda _bytes: None,
) -> None:
    """Check that every file of ``manifest`` is in ``directory`` with its size and, if ``digests``, its digest; files
    that recovery has changed have none. ``verified`` is told the bytes of each file that was looked at, by any thread.

    Raises BackupIncomplete naming the first few files that are missing or differ, UnsafeFile for a link.
    """
    root = Path(directory)

    def fault(entry: FileEntry) -> str | None:
        try:
            with below.Root(root) as opened:
                status = opened.status(entry.path)
            below.require_kind(status, root / entry.path)
            size = status.st_size
            if size != entry.size:
                return f"{entry.path}: {size} bytes instead of {entry.size}"
            if digests and entry.digest:
                with below.reading(root, entry.path) as source:
                    if digest_file(source, manifest.digest_algorithm)[1] != entry.digest:
                        return f"{entry.path}: other content than when the backup was taken"
        except FileNotFoundError:
            return f"{entry.path}: missing"
        except OSError as error:
            return f"{entry.path}: {error.strerror}"
        verified(entry.size)
        return None

    if digests and parallel > 1:
        with ThreadPoolExecutor(parallel) as pool:
            faults = [text for text in pool.map(fault, manifest.files) if text]
    else:
        faults = [text for text in map(fault, manifest.files) if text]
    if faults:
        raise BackupIncomplete(
            f"{directory} is not the backup that its manifest names: {'; '.join(faults[:5])}"
            + (f" and {len(faults) - 5} more" if len(faults) > 5 else ""),
            path=os.fspath(directory),
            files=faults[:100],
        )
