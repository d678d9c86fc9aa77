# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints, as a JSON list, which of the libraries given as JSON are missing or too old for the Python that runs this.

The argument is the role's list ``xtrabackup_install_libraries``. Runs before anything is installed: standard
library only.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from importlib import metadata


def version_numbers(version: str) -> list[int]:
    """The leading numbers of a version: ``2.3.post0`` is [2, 3]."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return [int(number) for number in match.group().split(".")] if match else []


def usable(library: dict[str, str]) -> bool:
    """Returns whether ``library`` can be imported and is recent enough.

    Either what its package says counts or what it says itself: Debian's python3-xxhash is packaged as 0.0.0.
    """
    try:
        module = importlib.import_module(library["module"])
        versions = [metadata.version(library["pypi"]), str(getattr(module, "VERSION", ""))]
        return max(map(version_numbers, versions)) >= version_numbers(library["minimum"])
    except Exception:  # noqa: BLE001  a broken library may raise anything while it is imported
        return False


if __name__ == "__main__":
    json.dump([library for library in json.loads(sys.argv[1]) if not usable(library)], sys.stdout)
