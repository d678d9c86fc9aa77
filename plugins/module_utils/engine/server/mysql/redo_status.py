# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status of a MySQL server's redo log."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import UnsupportedServer
from ..connection import Connection

_CURRENT = "Innodb_redo_log_current_lsn"
_CHECKPOINT = "Innodb_redo_log_checkpoint_lsn"
_ENABLED = "Innodb_redo_log_enabled"
_UUID = "Innodb_redo_log_uuid"


@dataclass(frozen=True)
class RedoStatus:
    """Position of a server's redo log: its newest LSN, written or not, and that of its checkpoint. ``log_uuid`` is in
    all its files (0: not known)."""

    current_lsn: int
    checkpoint_lsn: int
    log_uuid: int = 0


def read_redo_status(connection: Connection) -> RedoStatus:
    """The server's log now. Raises UnsupportedServer when it has none, or logging is disabled."""
    values = connection.status(_CURRENT, _CHECKPOINT, _ENABLED, _UUID)
    if _CURRENT not in values or _CHECKPOINT not in values:
        raise UnsupportedServer(
            f"the server {connection.version_text} does not say where its redo log is; MySQL 8.0.30 or newer does"
        )
    if values.get(_ENABLED, "ON") != "ON":
        raise UnsupportedServer(
            "redo logging is disabled on this server: what is written now cannot be recovered",
            remedy="Run ALTER INSTANCE ENABLE INNODB REDO_LOG, then back up.",
        )
    return RedoStatus(int(values[_CURRENT]), int(values[_CHECKPOINT]), int(values.get(_UUID) or 0))
