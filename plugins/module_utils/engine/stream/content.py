# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The digests of what was unpacked: which ones to compute on the way, and the comparison with the manifest, which is
the last entry of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..errors import FormatError, StreamCorrupt, StreamError
from ..format.content_digest import SHA256, XXH128, algorithm_of
from ..host import below, durable
from ..manifest import FileEntry, Manifest, digest_file
from ..units import some_of
from .entry import Unpacked
from .listing import list_archive
from .readable import Readable

#: for a stream of which nothing is known and nothing is kept
ALL = (XXH128, SHA256)


def algorithms_of(manifest: Manifest | None) -> tuple[str, ...]:
    """The algorithms of the digests that ``manifest`` will be compared with."""
    return (manifest.digest_algorithm if manifest else XXH128,)


def algorithms_in(source: Readable) -> tuple[str, ...]:
    """``algorithms_of`` the archive ``source``; all of them where that cannot be told before it is read."""
    if not source.is_stored:
        return ALL
    try:
        return algorithms_of(list_archive(source).manifest)
    except (StreamError, FormatError):
        return ALL  # whoever reads it will tell


def require_content(
    manifest: Manifest, found: Mapping[str, Unpacked], root: Path | None, parallel: int, where: str
) -> None:
    """Raises StreamCorrupt when what was unpacked is not what ``manifest`` says. ``found``: by the names of its entries
    those files that are to be compared, below ``root`` where their digests may have to be computed yet."""
    wanted = [(file, found[name]) for file in manifest.files if (name := file.stored or file.path) in found]
    if root is not None:
        wanted = _with_digests(wanted, root, parallel)
    faults = [fault for file, unpacked in wanted for fault in unpacked.faults(file)]
    if faults:
        raise StreamCorrupt(f"{where}: {some_of(faults)}", where=where, files=faults[:100])


def _with_digests(
    wanted: Iterable[tuple[FileEntry, Unpacked]], root: Path, parallel: int
) -> list[tuple[FileEntry, Unpacked]]:
    def complete(pair: tuple[FileEntry, Unpacked]) -> tuple[FileEntry, Unpacked]:
        file, unpacked = pair
        algorithm = algorithm_of(file.digest)
        if not file.digest or algorithm in unpacked.digests or unpacked.size != file.size:
            return pair
        with durable.storage_errors("reading", root / unpacked.name), below.reading(root, unpacked.name) as source:
            size, digest = digest_file(source, algorithm)
        return file, replace(unpacked, size=size, digests={algorithm: digest})

    with ThreadPoolExecutor(max(parallel, 1), thread_name_prefix="digest") as pool:
        return list(pool.map(complete, wanted))
