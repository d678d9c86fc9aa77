# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of MariaDB about its replica channels: a list of them is beside the state of the one without a name."""

from __future__ import annotations

from pathlib import Path

from ...errors import InvalidOption
from ...format.file_names import encode_name
from ...host import below

_LIST_LIMIT = 1 << 20  # bytes of the list of channels that are read


def channels(master_info: Path) -> list[str]:
    """The names that channels have in names of files. Raises OSError for what cannot be read."""
    try:
        with below.reading_file(_list_of_channels(master_info)) as file:
            lines = file.read(_LIST_LIMIT).decode("utf-8", "replace").split("\n")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []
    return [name for line in lines if line for name in _encoded(line.lower())]


def state_files(master_info: Path, _relay_log_info: Path) -> list[Path]:
    """The list of channels."""
    return [_list_of_channels(master_info)]


def log_stem(path: Path) -> str:
    """The name of the log ``path`` up to its first dot."""
    return path.name.split(".", 1)[0]


def _list_of_channels(master_info: Path) -> Path:
    return master_info.with_name(f"multi-{master_info.name}")


def _encoded(channel: str) -> list[str]:
    """A channel's name in names of files, [] for what is no name. Devices' names are not marked in it."""
    try:
        return [encode_name(channel).removesuffix("@@@")]
    except InvalidOption:
        return []
