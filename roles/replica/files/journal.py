# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note of what the role is doing on a host, for the run that comes after an interrupted one.

``read PATH`` prints ``{"exists", "record"}``; a file that holds no note is there, with an empty record. What somebody
else has put there is no note: the directory may belong to the server's account.
``write PATH RECORD`` puts the JSON object RECORD there: the old note or the new one is on disk, whatever happens.
``remove PATH`` takes it away.

Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import tempfile
from typing import Any


def read(path: str) -> dict[str, Any]:
    """What ``read`` prints."""
    absent: dict[str, Any] = {"exists": False, "record": {}}
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return absent
    if not _is_ours(status):
        return absent
    # it may be another one by now: no link is followed, and nothing is waited for
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, encoding="utf-8", errors="replace") as source:
        if not _is_ours(os.fstat(handle)):
            return absent
        text = source.read()
    try:
        record = json.loads(text)
    except ValueError:
        record = {}
    return {"exists": True, "record": record if isinstance(record, dict) else {}}


def _is_ours(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1


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
    """Run one of the three commands; an error of the system ends it in one line."""
    try:
        if command == "read":
            json.dump(read(path), sys.stdout)
        elif command == "write":
            write(path, json.loads(arguments[0]))
        else:
            remove(path)
    except OSError as error:
        sys.exit(f"{path}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
