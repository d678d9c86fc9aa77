# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what a finished backup is. A backup exists when its manifest exists.

``xtrabackup_manifest.json`` is written last, into a directory or as the last entry of an archive. It holds the
backup's record (as modules return it) and names every file with its size (bytes, as in the data directory:
before compression and encryption) and its digest (xxh3 of those bytes, 128 bits, hexadecimal).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Callable

from . import libraries
from .errors import BackupIncomplete, BackupPartial, FormatError, NotABackup, UnknownFormat
from .filling import require_finished

MANIFEST_NAME = "xtrabackup_manifest.json"
FORMAT_VERSION = 1
DIGEST_ALGORITHM = "xxh3_128"
PARTIAL = "partial"
"""State in the record of a directory that holds only some of a backup's files."""
_READ_SIZE = 4 << 20


def new_digest() -> Any:
    """A fresh hash object of the manifest's digest algorithm (update, hexdigest); needs the library xxhash."""
    return libraries.require("xxhash").xxh3_128()


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
    (``discarded``: names of entries which later schema changes made void)."""

    backup: dict[str, Any]
    files: tuple[FileEntry, ...]
    discarded: tuple[str, ...] = ()
    mac: str | None = field(default=None)

    @property
    def id(self) -> str:
        """The backup's id."""
        return str(self.backup["id"])

    @property
    def total_bytes(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(entry.size for entry in self.files)

    @property
    def source_sha256(self) -> str:
        """What names the backup as it was taken: SHA-256 of its first manifest in a directory, also when this manifest
        is that of the prepared backup."""
        prepared = self.backup.get("prepared")
        if isinstance(prepared, dict) and "source_sha256" in prepared:
            return str(prepared["source_sha256"])
        return digest_of(self.plain().render())

    def require_whole(self, where: str | os.PathLike[str]) -> None:
        """Raises BackupPartial when this describes a selection of a backup's files, found at ``where``."""
        if self.backup.get("state") == PARTIAL:
            raise BackupPartial(
                f"{os.fspath(where)} holds only {len(self.files)} selected files of the backup {self.id}",
                path=os.fspath(where),
            )

    def part(self, paths: Collection[str]) -> Manifest:
        """The manifest of a directory that holds only ``paths`` of this backup."""
        record = {**self.backup, "state": PARTIAL, "partial": {"source_sha256": digest_of(self.plain().render())}}
        return Manifest(record, tuple(entry for entry in self.files if entry.path in paths))

    def render(self) -> bytes:
        """The manifest as stored: UTF-8 JSON, stable order, one trailing line feed."""
        document: dict[str, Any] = {
            "format": FORMAT_VERSION,
            "digest": DIGEST_ALGORITHM,
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
        document = json.loads(data.decode("utf-8", "surrogateescape"))
        version = document["format"]
        if version != FORMAT_VERSION or document["digest"] != DIGEST_ALGORITHM:
            raise UnknownFormat(
                f"{where}: manifest format {version} with digests {document['digest']}; "
                f"this collection reads format {FORMAT_VERSION} with {DIGEST_ALGORITHM}"
            )
        files = tuple(
            FileEntry(
                safe_path(item["path"], where),
                int(item["size"]),
                str(item["digest"]),
                None if item.get("stored") is None else safe_path(item["stored"], where),
            )
            for item in document["files"]
        )
        if len({entry.path for entry in files}) != len(files):
            raise FormatError(f"{where}: the manifest names a file twice", where=where)
        if not document["backup"]["id"]:
            raise FormatError(f"{where}: the manifest has no backup id", where=where)
        discarded = tuple(safe_path(name, where) for name in document["discarded"])
        _require_plain_binlog_name(document["backup"], where)
        return Manifest(document["backup"], files, discarded, document.get("mac"))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(
            f"{where}: the manifest cannot be read: {error!r}",
            remedy="The backup is damaged: use another copy.",
            where=where,
        ) from error


def _require_plain_binlog_name(record: dict[str, Any], where: str) -> None:
    """The copied binary log lies beside the data: what names it is the name of a file, and no path."""
    name = (record.get("binlog") or {}).get("file")
    if name and "/" in safe_path(name, where):
        raise FormatError(f"{where}: unsafe file name {name!r}", where=where, path=name)


def safe_path(path: str, where: str) -> str:
    """``path`` when it stays inside the directory it is unpacked into; raises FormatError."""
    parts = path.split("/")
    if not path or "\0" in path or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise FormatError(f"{where}: unsafe file name {path!r}", where=where, path=path)
    return path


def read(directory: str | os.PathLike[str]) -> Manifest:
    """The manifest of the backup in ``directory``; raises NotABackup when there is none, BackupIncomplete while the
    directory is being written."""
    require_finished(directory)
    path = Path(directory) / MANIFEST_NAME
    try:
        return parse(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise NotABackup(f"{directory} holds no {MANIFEST_NAME}", path=os.fspath(directory)) from None


def digest_of(manifest_bytes: bytes) -> str:
    """SHA-256 of a stored manifest, hexadecimal: what names exactly this backup in a restore request."""
    return hashlib.sha256(manifest_bytes).hexdigest()


def digest_file(source: BinaryIO) -> tuple[int, str]:
    """Size (bytes) and digest of the rest of ``source``."""
    digest, size = new_digest(), 0
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

    Raises BackupIncomplete naming the first few files that are missing or differ.
    """
    root = Path(directory)

    def fault(entry: FileEntry) -> str | None:
        path = root / entry.path
        try:
            size = path.stat().st_size
            if size != entry.size:
                return f"{entry.path}: {size} bytes instead of {entry.size}"
            if digests and entry.digest:
                with open(path, "rb", buffering=0) as source:
                    if digest_file(source)[1] != entry.digest:
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
