# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journal of the job that makes a replica: a note beside the data directory, for the run after an interrupted one.

It says that what is half-finished there is ours. It is written before anything is touched and removed at the end; the
old note or the new one is on disk, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from ..host import below, durable
from ..host.anchor import Anchor

_LARGEST = 1 << 20  # bytes


def read_journal(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The note of an earlier run: ``exists`` and ``record``; a file that holds no note is there, with an empty record.

    A file of another account is no note: the directory may belong to the server's account. Raises StorageError.
    """
    absent: dict[str, Any] = {"exists": False, "record": {}}
    with durable.storage_errors("reading", path):
        try:
            if not _is_ours(os.lstat(path)):
                return absent
        except FileNotFoundError:
            return absent
        # it may be another one by now: no link is followed, and nothing is waited for
        with below.reading_file(path) as source:
            if not _is_ours(os.fstat(source.fileno())):
                return absent
            data = source.read(_LARGEST)
    record = None
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(data.decode("utf-8", "replace"))
    return {"exists": True, "record": record if isinstance(record, dict) else {}}


def write_journal(path: str | os.PathLike[str], record: dict[str, Any]) -> None:
    """Replace the note at ``path``, which only its owner may read. Raises StorageError, TargetUnsafe."""
    path = Path(path)
    with Anchor(path.parent) as directory:
        durable.write_file(directory.path / path.name, json.dumps(record).encode(), 0o600)


def remove_journal(path: str | os.PathLike[str]) -> None:
    """Remove the note at ``path``, if it is there. Raises StorageError."""
    path = Path(path)
    with Anchor(path.parent) as directory:
        durable.remove_tree(directory.path / path.name)
        directory.fsync()


def _is_ours(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
