# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replica channels of a MySQL server, as far as its files name them: it keeps them in tables."""

from __future__ import annotations

import os
import re
from pathlib import Path

# a member of a group always has these
_GROUP_CHANNELS = ("group_replication_applier", "group_replication_recovery")


def channels(_master_info: Path) -> list[str]:
    """The names that channels have in names of files."""
    return list(_GROUP_CHANNELS)


def state_files(_master_info: Path, relay_log_info: Path) -> list[Path]:
    """Returns the files that say what each worker of a channel has applied."""
    pattern = re.compile(rf"worker-{re.escape(relay_log_info.name)}\.\d+")
    directory = relay_log_info.parent
    try:
        return [directory / name for name in os.listdir(directory) if pattern.fullmatch(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def log_stem(path: Path) -> str:
    """The name of the log ``path`` up to its last dot."""
    return path.stem
