# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``innodb_data_file_path``: the files of InnoDB's system tablespace, in order.

``ibdata1:12M;/disk2/ibdata2:50M:autoextend:max:10G`` (MariaDB documentation, innodb_data_file_path).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import InvalidOption, UnsupportedServer
from ..units import parse_size


@dataclass(frozen=True)
class DataFile:
    """One file: its path as written, its size in bytes, and what follows the size (``autoextend``, ``max:...``)."""

    path: str
    size: int
    attributes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name without directories: how a backup stores it."""
        return os.path.basename(self.path)

    @property
    def autoextend(self) -> bool:
        """Returns whether the file may be larger than its size."""
        return "autoextend" in self.attributes


def parse_data_files(text: str, where: str) -> tuple[DataFile, ...]:
    """The files that an innodb_data_file_path names; raises InvalidOption or, for raw devices, UnsupportedServer."""
    files = []
    for item in text.split(";"):
        path, *rest = item.strip().split(":")
        if not path or not rest:
            raise InvalidOption(f"{where}: innodb_data_file_path={text!r} cannot be understood", where=where)
        if "raw" in rest[0].lower() or "new" in rest[0].lower() or (len(rest) > 1 and rest[1] in ("raw", "newraw")):
            raise UnsupportedServer(f"{where}: {path} is a raw device, which is not supported", where=where)
        files.append(
            DataFile(path, parse_size(rest[0], "innodb_data_file_path"), tuple(part.lower() for part in rest[1:]))
        )
    names = {file.name for file in files}
    if len(names) != len(files):
        raise UnsupportedServer(
            f"{where}: two files of innodb_data_file_path={text!r} have the same name; a backup keeps names only",
            where=where,
        )
    return tuple(files)


def render_names(files: tuple[DataFile, ...]) -> str:
    """An innodb_data_file_path with the names only, for files that are all in one directory."""
    return ";".join(":".join([file.name, str(file.size), *file.attributes]) for file in files)
