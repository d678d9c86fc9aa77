# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note of what the role is doing on a host, for the run that comes after an interrupted one, which
xtrabackup_info reads.

``write PATH RECORD`` puts the JSON object RECORD there: the old note or the new one is on disk, whatever happens.
``remove PATH`` takes it away.

Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from typing import Any


def write(path: str, record: dict[str, Any]) -> None:
    """Replace the note at ``path``, which only its owner may read."""
    directory = os.path.dirname(path)
    handle, name = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=directory)
    try:
        with open(handle, "w", encoding="utf-8") as target:
            json.dump(record, target)
            target.flush()
            os.fsync(target.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    _sync(directory)


def remove(path: str) -> None:
    """Take the note at ``path`` away, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        _sync(os.path.dirname(path))


def _sync(directory: str) -> None:
    """Make what has happened to names in ``directory`` last."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def main(command: str, path: str, *arguments: str) -> None:
    """Run one of the two commands; an error of the system ends it in one line."""
    try:
        if command == "write":
            write(path, json.loads(arguments[0]))
        else:
            remove(path)
    except OSError as error:
        sys.exit(f"{path}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
