# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Page compression of MariaDB's data files, and the server's plugins that read it.

zlib is in the server. Since 10.7 each of the others is a plugin of its own, a provider; without it the server takes
such pages for damaged ones.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ...errors import FormatError, StorageError
from ...format.family import Family
from ...format.file_kinds import ARIA_DATA_SUFFIX, SYSTEM_DATABASE
from ...host import below
from ..tablespace import FIRST_BYTES, FIRST_PAGE_SIZE, TablespaceHeader, compressed_page_size, parse_tablespace_header
from .tablespace import COMPRESSION_ALGORITHMS

PROVIDERS = {f"provider_{name}": name for name in ("lz4", "lzo", "lzma", "bzip2", "snappy")}
"""The algorithm of each plugin."""

_PLUGIN_TABLE = (SYSTEM_DATABASE, f"plugin{ARIA_DATA_SUFFIX}")
_PLUGIN_TABLE_SIZE = 1 << 20  # bytes: its rows are names
_PAGE_COMPRESSED = b"\x86\x32"  # page type 34354 at byte 24; the algorithm is a number of 8 bytes behind it
_PAGE_HEADER = 34


@dataclass(frozen=True)
class Providers:
    """Plugins by name: those that the server had ``loaded``, those that its files ``need``, and those that its table
    mysql.plugin names (``installed``), which are loaded wherever the data are."""

    loaded: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        """As a backup's record has it."""
        return {"loaded": list(self.loaded), "needed": list(self.needed), "installed": list(self.installed)}

    @classmethod
    def from_dict(cls, found: Any) -> Providers:
        """Returns the plugins that a record names; none when it is not of this form."""
        values = found if isinstance(found, dict) else {}
        return cls(*(_known(values.get(name) or ()) for name in ("loaded", "needed", "installed")))


def providers_of(
    paths: Iterable[Path],
    datadir: Path,
    loaded: Collection[str],
    open_source: Callable[[Path], int] = below.open_file,
) -> Providers:
    """The plugins that the data files at ``paths`` need; ``datadir`` is where mysql.plugin is. ``open_source`` opens
    these files."""
    algorithms: set[str] = set()
    for path in paths:
        algorithms |= algorithms_in(path, open_source)
    needed = [plugin for plugin, algorithm in PROVIDERS.items() if algorithm in algorithms]
    table = b""
    with (
        contextlib.suppress(OSError, StorageError),
        os.fdopen(open_source(datadir.joinpath(*_PLUGIN_TABLE)), "rb") as file,
    ):
        table = file.read(_PLUGIN_TABLE_SIZE)
    return Providers(_known(loaded), _known(needed), tuple(name for name in PROVIDERS if name.encode() in table))


def parse_plugin_load(text: str) -> list[str]:
    """The names of the plugins in a value of ``plugin_load``: ``provider_lz4=provider_lz4.so;provider_lzo``."""
    names = (item.strip().strip("\"'").partition("=")[0].strip() for item in re.split("[;\n]", text))
    return [name[: -len(".so")] if name.endswith(".so") else name for name in names if name]


def algorithms_in(path: Path, open_source: Callable[[Path], int] = below.open_file) -> set[str]:
    """The algorithms of the compressed pages in a data file, by name; none for a file that is gone or no tablespace."""
    with contextlib.suppress(OSError, FormatError, StorageError), os.fdopen(open_source(path), "rb") as file:
        first = file.read(FIRST_BYTES)
        if compressed_page_size(first) is None:
            return set()  # most files: no need to read more of them
        header = parse_tablespace_header(first + file.read(FIRST_PAGE_SIZE - len(first)), str(path), Family.MARIADB)
        if header.page_compression is None:
            return set()
        if header.page_compression != "unknown":
            return {header.page_compression}
        return _of_pages(file.fileno(), header)
    return set()


def _of_pages(descriptor: int, header: TablespaceHeader) -> set[str]:
    """The algorithms in the pages of a file of the older format, which may have several."""
    found: set[str] = set()
    for offset in range(header.page_size, os.fstat(descriptor).st_size, header.page_size):
        start = os.pread(descriptor, _PAGE_HEADER, offset)
        if start[24:26] == _PAGE_COMPRESSED and start[33] < len(COMPRESSION_ALGORITHMS):
            found.add(COMPRESSION_ALGORITHMS[start[33]])
    return found


def _known(names: Iterable[Any]) -> tuple[str, ...]:
    wanted = {str(name) for name in names}
    return tuple(name for name in PROVIDERS if name in wanted)
