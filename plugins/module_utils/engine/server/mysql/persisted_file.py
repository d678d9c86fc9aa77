# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables in ``mysqld-auto.cnf``, in which SET PERSIST keeps them; which of them count, the reader decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

LARGEST = 16 << 20  # bytes that are read of the file
# microseconds: a server takes no smaller number for a time
_SMALLEST_TIME = 1 << 32


class PersistedVariable(NamedTuple):
    """A variable: ``static``, in a group that becomes options of the server's command line; ``in_form``, as a server
    writes it. The ``name`` has underscores, and no ``loose_``."""

    name: str
    value: str
    static: bool
    in_form: bool


def variables_in(node: Any, name: str = "", *, static: bool = False) -> Iterator[PersistedVariable]:
    """Yields the variables in an object of the file, whose groups differ between the versions of the server: each
    variable is an object with a ``Value``."""
    if not isinstance(node, dict):
        return
    if name and "Value" in node:
        normal = name.replace("-", "_")
        normal = normal[len("loose_") :] if normal.startswith("loose_") else normal
        yield PersistedVariable(normal, str(node["Value"]), static, _in_form(node))
        return
    for key, child in node.items():
        yield from variables_in(child, key, static=static or "static" in key)


def _in_form(node: dict[str, Any]) -> bool:
    metadata = node.get("Metadata")
    if not isinstance(node["Value"], str) or not isinstance(metadata, dict):
        return False
    time = metadata.get("Timestamp")
    texts = all(isinstance(metadata.get(key), str) for key in ("Host", "User"))
    return texts and isinstance(time, int) and not isinstance(time, bool) and time >= _SMALLEST_TIME
