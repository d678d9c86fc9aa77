# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes of this user's restores about a data directory, in a directory of its own below the state directory.

Files in a data directory belong to the server's account, and code that runs as that account writes what it likes into
them. They are hints. What a restore acts on is read from here, and only while the data directory is the one that it was
written about.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import durable, state
from .small_files import read_object

RESTORES = "restores"
RESTORED = "restored.json"
IN_PROGRESS = "in_progress.json"
ACCEPTED = "accepted.json"
"""A copy of the marker in the data directory, put here by somebody who vouches for it."""

_LOCK = "lock"
_MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Identity:
    """Device and inode of a directory. ``ours``: it belongs to the user who runs us."""

    device: int
    inode: int
    ours: bool

    @classmethod
    def of(cls, path: Path) -> Identity | None:
        """That of the directory ``path``; None when there is none, or a link."""
        try:
            status = os.lstat(path)
        except OSError:
            return None
        return (
            cls(status.st_dev, status.st_ino, status.st_uid == os.geteuid()) if stat.S_ISDIR(status.st_mode) else None
        )

    def as_dict(self) -> dict[str, int]:
        """Returns the fields of a note."""
        return {"device": self.device, "inode": self.inode}


class Journal:
    """The notes about one data directory. ``directory`` is there after the first one."""

    def __init__(self, datadir: Path) -> None:
        self.datadir = Path(os.path.abspath(datadir))
        self.id = hashlib.sha256(os.fsencode(self.datadir)).hexdigest()[:32]
        self._name = f"{RESTORES}/{self.id}"

    @property
    def directory(self) -> Path:
        """Path of the directory of the notes."""
        return state.state_directory() / self._name

    def read(self, name: str) -> dict[str, Any] | None:
        """The note ``name`` about this data directory, None when there is none; raises FormatError, StorageError."""
        found = self._read(name)
        return found if found is not None and found.get("datadir") == str(self.datadir) else None

    def write(self, name: str, fields: Mapping[str, Any]) -> None:
        """Replace the note ``name``, durably. Raises StorageError."""
        data = json.dumps({**fields, "datadir": str(self.datadir)}, indent=1, sort_keys=True)
        durable.write_file(state.own_directory(self._name) / name, data.encode("utf-8", "surrogateescape"), 0o600)

    def remove(self, name: str) -> None:
        """Take the note ``name`` away, durably. Raises StorageError."""
        place = state.existing_directory(self._name)
        if place is not None:
            with durable.storage_errors("removing", place / name):
                (place / name).unlink(missing_ok=True)
                durable.fsync_directory(place)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other restore of this user into this data directory; raises TargetBusy when there is one."""
        with durable.exclusive_lock(state.own_directory(self._name) / _LOCK, str(self.datadir)):
            yield

    def proven(self, hint: Mapping[str, Any]) -> dict[str, Any] | None:
        """Returns the note about the restore that has left ``hint`` as its marker in the data directory; None when
        nobody here knows of it.

        A data directory that was emptied since is the same directory without the marker. Numbers of devices may change
        when a host boots: then the whole marker has to be what was noted.
        """
        if self._read(ACCEPTED) == hint:
            return dict(hint)
        note, place = self._note_here()
        known = note.get("restored") if note else None
        if note is None or place is None or not isinstance(known, dict):
            return None
        if known == hint:
            return known
        names = ("id", "finished_at")
        same = note.get("device") == place.device and all(known.get(name) == hint.get(name) for name in names)
        return known if same else None

    def knows_directory(self) -> bool:
        """Returns whether this user has restored something into this very directory; raises FormatError,
        StorageError."""
        return self._note_here()[0] is not None

    def _note_here(self) -> tuple[dict[str, Any] | None, Identity | None]:
        """The note about what was restored, if it is about the directory that is there, and that directory."""
        note, place = self.read(RESTORED), Identity.of(self.datadir)
        same = note is not None and place is not None and note.get("inode") == place.inode
        return (note if same else None), place

    def _read(self, name: str) -> dict[str, Any] | None:
        place = state.existing_directory(self._name)
        if place is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            return read_object(place / name, _MAX_BYTES)
        return None


def is_at_work(journal_id: str) -> bool:
    """Returns whether a restore that notes what it does in the journal of this id is running."""
    try:
        descriptor = os.open(state.state_directory() / RESTORES / journal_id / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
