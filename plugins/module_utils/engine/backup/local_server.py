# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup is taken on the host of the server: the files that are copied must be those of the server that answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable

from ..errors import UnsupportedServer

_ATTEMPTS = 20  # a checkpoint may be written between two of the looks
_PAUSE = 0.1  # seconds between them


def require_own_redo_log(
    path: Path, checkpoint_on_disk: Callable[[], int], checkpoint_of_server: Callable[[], int], files: str
) -> None:
    """Raises UnsupportedServer unless the newest checkpoint LSN in the redo log at ``path`` is the server's.

    ``files`` says what is there: ``file`` or ``files``.
    """
    seen = ""
    for _attempt in range(_ATTEMPTS):
        before = checkpoint_of_server()
        found = checkpoint_on_disk()
        if before <= found <= checkpoint_of_server():
            return
        seen = f"checkpoint LSN {found} in the {files}, {before} in the server"
        time.sleep(_PAUSE)
    raise UnsupportedServer(
        f"{path} is not the redo log of the server that was connected to ({seen})",
        remedy="Take the backup on the host that the server runs on, with a login to that very server.",
        path=str(path),
    )
