# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full or incremental: which pages a backup has, and how the files and the record of a backup say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BackupKind:
    """A full backup has all pages; an incremental one has the pages that were changed since the LSN ``from_lsn``, and
    needs the backup ``parent`` (its id, None when that is not known)."""

    from_lsn: int = 0
    parent: str | None = None

    @property
    def is_full(self) -> bool:
        """Returns whether the backup needs no other one."""
        return self.from_lsn == 0 and self.parent is None

    @property
    def copied_type(self) -> str:
        """The ``backup_type`` of a backup that is not prepared, in its checkpoints file:
        docs/internals/formats-backup-files.md#checkpoints-file."""
        return "full-backuped" if self.is_full else "incremental"

    @property
    def info_word(self) -> str:
        """The value of ``incremental`` in ``xtrabackup_info``."""
        return "N" if self.is_full else "Y"

    def record(self) -> dict[str, Any]:
        """The fields of the backup's record."""
        fields: dict[str, Any] = {"type": "full" if self.is_full else "incremental", "from_lsn": self.from_lsn}
        return fields if self.parent is None else {**fields, "parent": self.parent}


#: the only kind that is taken and prepared today
FULL = BackupKind()
