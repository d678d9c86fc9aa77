# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that a recovery used all of a backup's redo, also when it takes more than one run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ..errors import FormatError, RecoveryFailed
from ..format import strict_json
from ..format.file_kinds import IN_PROGRESS_NAME
from ..host import durable, state
from ..host.small_files import read_small
from ..server.mysql.applied_positions import AppliedPosition
from .backup_directory import BackupDirectory

_SIGNATURE = "seal"
_MAX_MARKER = 16 << 20  # bytes


class PrepareMarker:
    """``xtrabackup_prepare_in_progress``: this directory is being prepared, and how far the proof of its redo went.

    The log of a directory whose recovery was killed is not the backup's any more, so its end proves nothing; what
    counts is whether the first run had found the backup's last LSN. For MySQL the marker tells too whether the backup's
    log has become the server's (``log_in_place``), and the report of a run that ended well (``recovered``), for then
    the log is removed.

    Much is believed because of it, so it is signed (``host.state``): whoever else can write to the directory, or has
    made the backup, cannot have written it. Raises RecoveryFailed for one that this user has not written on this host
    about this directory.
    """

    def __init__(self, backup: BackupDirectory) -> None:
        self.path = backup.path / IN_PROGRESS_NAME
        self._content: dict[str, Any] = {"id": backup.id, "redo_proven": None}
        try:
            data = read_small(self.path, _MAX_MARKER).data
        except FileNotFoundError:
            return
        except FormatError as error:
            raise self._not_ours() from error
        try:
            found = strict_json.parse_object(data, str(self.path), max_bytes=_MAX_MARKER)
        except FormatError as error:
            raise self._not_ours() from error
        signed = found.pop(_SIGNATURE, None)
        if not isinstance(signed, str) or not state.is_signed(self.path.parent, _rendered(found), signed):
            raise self._not_ours()
        if found.get("id") == backup.id:
            self._content = found

    def _not_ours(self) -> RecoveryFailed:
        return RecoveryFailed(
            f"{self.path} says that a preparation of this directory was begun, and no run of this user on this host "
            "has written it about this directory",
            remedy="Start again from another copy of the backup. Without that file the directory is taken for one that "
            "nobody has begun to prepare, and its files are compared with the manifest.",
            path=str(self.path),
        )

    @property
    def log_in_place(self) -> bool:
        """Returns whether the backup's log was given to the server: from then on the server's own log counts."""
        return self._content.get("log_in_place") is True

    @property
    def recovered(self) -> dict[str, Any] | None:
        """Report of a recovery that ended well, None without one."""
        found = self._content.get("recovered")
        return found if isinstance(found, dict) else None

    @property
    def positions(self) -> list[AppliedPosition]:
        """Positions up to which replica channels had applied, as a run has found them; the run then made the server
        forget them."""
        return [AppliedPosition(**position) for position in self._content.get("positions") or []]

    def note_positions(self, positions: list[AppliedPosition]) -> None:
        """Remember what replica channels had applied, durably."""
        self.note(positions=[position.as_dict() for position in positions])

    @property
    def incomplete(self) -> bool:
        """Returns whether a run has found that the log ends too early."""
        return self._content.get("incomplete") is True

    @property
    def proven_lsn(self) -> int | None:
        """The end of the backup's redo log, if a run has seen it to be at or after the backup's last LSN."""
        value = self._content.get("redo_proven")
        return value if isinstance(value, int) else None

    @property
    def lost(self) -> list[str]:
        """Losses that a run has found. The data were changed since, so the next run would not find them again."""
        found = self._content.get("lost")
        return [str(text) for text in found] if isinstance(found, list) else []

    def begin(self) -> None:
        self._content.setdefault("started", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        self._write()

    def redo_proven(self, lsn: int) -> None:
        if self.proven_lsn is None:
            self._content["redo_proven"] = lsn
            self._write()

    def note(self, **facts: Any) -> None:
        """Remember ``facts`` (``log_in_place``, ``recovered``, ``incomplete``, ``lost``, ``positions``), durably."""
        self._content.update(facts)
        self._write()

    def end(self) -> None:
        with durable.storage_errors("removing", self.path):
            self.path.unlink(missing_ok=True)
            durable.fsync_directory(self.path.parent)

    def copy_to(self, directory: Path) -> None:
        """Say the same of the copy in ``directory``."""
        self._write_to(directory)

    def _write(self) -> None:
        self._write_to(self.path.parent)

    def _write_to(self, directory: Path) -> None:
        signed = {**self._content, _SIGNATURE: state.sign(directory, _rendered(self._content))}
        durable.write_file(directory / IN_PROGRESS_NAME, json.dumps(signed).encode())


def _rendered(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
