# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that somebody else may have put there: read from regular files only, and never more than fits."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .. import durable
from ..errors import FormatError


@dataclass(frozen=True)
class SmallFile:
    """The content of a file, and its device and inode."""

    data: bytes
    device: int
    inode: int


@contextlib.contextmanager
def open_regular(path: Path, *, follow: bool = False) -> Iterator[BinaryIO]:
    """The file ``path``, to be read. Raises FormatError for a link, if not to ``follow``, and for what is no regular
    file (which is not waited for); OSError."""
    if path.is_symlink() and not follow:
        raise FormatError(f"{path} is a symbolic link, which is not followed", path=str(path))
    # links again: it may have become one since
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as source:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FormatError(f"{path} is not a regular file", path=str(path))
        yield source


def read_small(path: Path, max_bytes: int, *, follow: bool = False) -> SmallFile:
    """The file ``path``. Raises FileNotFoundError (NotADirectoryError) when there is none, FormatError for a link, if
    not to ``follow``, for what is no regular file (which is not waited for), for more than ``max_bytes``;
    StorageError."""
    with durable.storage_errors("reading", path):
        try:
            with open_regular(path, follow=follow) as source:
                status = os.fstat(source.fileno())
                data = source.read(max_bytes + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = error
        else:
            if len(data) > max_bytes:
                raise FormatError(f"{path} has more than {max_bytes} bytes", path=str(path))
            return SmallFile(data, status.st_dev, status.st_ino)
    raise missing
