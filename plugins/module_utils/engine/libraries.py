# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The third-party libraries, imported in one place.

A module must be importable on a host that lacks them (to say so in a sentence), so nothing else in
the engine imports them directly: ``libraries.require("zstandard")`` returns the imported library or
raises MissingLibrary with the names of its packages.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from .errors import INSTALL, Clause, MissingLibrary


@dataclass(frozen=True)
class Library:
    """One library: how Python, PyPI and Debian name it, and why it is needed."""

    module: str
    pypi: str
    debian: str
    reason: str


LIBRARIES = {
    library.module: library
    for library in (
        Library("pymysql", "PyMySQL", "python3-pymysql", "talking to the server"),
        Library("crc32c", "crc32c", "python3-crc32c", "checksums of InnoDB pages and redo, in hardware"),
        Library("xxhash", "xxhash", "python3-xxhash", "digests of files in the manifest"),
        Library("zstandard", "zstandard", "python3-zstandard", "zstd compression of streams"),
        Library("lz4.frame", "lz4", "python3-lz4", "lz4 compression of streams"),
        Library("lz4.block", "lz4", "python3-lz4", "MySQL's tables with COMPRESSION='lz4'"),
        Library(
            "cryptography",
            "cryptography",
            "python3-cryptography",
            "encrypted streams, certificates, logins to MySQL without TLS",
        ),
    )
}


def require(module: str) -> Any:
    """The imported library ``module`` (a key of LIBRARIES); raises MissingLibrary."""
    library = LIBRARIES[module]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingLibrary(
            f"the Python library {library.pypi} is needed for {library.reason}, and cannot be imported: {error}",
            remedy=f"Install the package {library.debian} (Debian) or {library.pypi} (PyPI) for this Python"
            f"{Clause(f', or run the role {INSTALL} on this host')}.",
            library=library.pypi,
        ) from error


def missing() -> list[Library]:
    """The libraries that cannot be imported here."""
    absent = []
    for library in LIBRARIES.values():
        try:
            importlib.import_module(library.module)
        except ImportError:
            absent.append(library)
    return absent
