# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``mysqld-auto.cnf``: what SET PERSIST has set for a MySQL host, which its server reads after the option files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidOption, XtrabackupError
from ..host.small_files import read_small

PERSISTED_NAME = "mysqld-auto.cnf"
_MAX_BYTES = 16 << 20
_OFF = ("0", "OFF", "FALSE")


def persisted_variables(datadir: Path, options: Mapping[str, str]) -> dict[str, str]:
    """Name and value of each persisted variable of the host; {} when there are none, or ``options`` say not to load
    them. Raises InvalidOption for a file that cannot be read, with which the server would not start."""
    path = datadir / PERSISTED_NAME
    if options.get("persisted_globals_load", "ON").upper() in _OFF:
        return {}
    try:
        found = json.loads(read_small(path, _MAX_BYTES).data)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (XtrabackupError, ValueError, RecursionError) as error:
        raise InvalidOption(
            f"{path}, which holds this host's persisted variables, cannot be read: {error}",
            remedy="Mend it, or move it away: without it only the option files count.",
            path=str(path),
        ) from error
    return dict(_values(found))


def _values(node: Any, name: str = "") -> list[tuple[str, str]]:
    """The pairs in an object of the file, whose groups differ between the versions of the server: each variable is an
    object with a ``Value``."""
    if not isinstance(node, dict):
        return []
    if name and "Value" in node:
        return [(name, str(node["Value"]))]
    return [pair for key, child in node.items() for pair in _values(child, key)]
