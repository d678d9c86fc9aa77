# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that somebody else may have put there: read from regular files only, and never more than fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FormatError, UnsafeFile
from ..format import strict_json
from . import below, durable


@dataclass(frozen=True)
class SmallFile:
    """The content of a file, and its device and inode."""

    data: bytes
    device: int
    inode: int


def read_small(path: Path, max_bytes: int, *, follow: bool = False) -> SmallFile:
    """The file ``path``. Raises FileNotFoundError (NotADirectoryError) when there is none, FormatError for a link, if
    not to ``follow``, for what is no regular file (which is not waited for), for more than ``max_bytes``;
    StorageError."""
    with durable.storage_errors("reading", path):
        try:
            source = below.reading_file(os.path.realpath(path) if follow else path)
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = error
        except UnsafeFile as error:
            # what a link leads to has another name
            message = error.message if str(path) in error.message else f"{path}: {error.message}"
            raise FormatError(message, remedy=error.remedy, path=str(path)) from error
        else:
            with source:
                status = os.fstat(source.fileno())
                data = source.read(max_bytes + 1)
            if len(data) > max_bytes:
                raise FormatError(f"{path} has more than {max_bytes} bytes", path=str(path))
            return SmallFile(data, status.st_dev, status.st_ino)
    raise missing


def read_object(path: Path, max_bytes: int) -> dict[str, Any]:
    """The JSON object in the file ``path``; raises as ``read_small``, FormatError for anything else, too."""
    found = strict_json.parse_object(read_small(path, max_bytes).data, str(path), max_bytes=max_bytes)
    strict_json.require_plain(found, str(path))
    return found
