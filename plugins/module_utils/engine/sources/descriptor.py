# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file descriptor that is open already."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..errors import NotABackup
from ..host import durable
from ..manifest import Manifest
from .base import FileReading, Source, SourceKind


@dataclass(frozen=True)
class DescriptorSource(Source):
    """The file descriptor ``number``, by default standard input; it stays open. Only the command line has it."""

    number: int = 0
    name: str = "standard input"

    kind: ClassVar[SourceKind] = SourceKind.STREAM

    @property
    def location(self) -> str:
        return self.name

    def is_there(self) -> bool:
        return True

    @contextlib.contextmanager
    def reading(self) -> Iterator[FileReading]:
        with durable.storage_errors("opening", self.name):
            file = io.FileIO(self.number, closefd=False)
        with file:
            reading = FileReading(file)
            reading.skip = None  # others may have the descriptor, too
            yield reading

    def require_complete(self) -> Manifest:
        raise NotABackup(f"{self.name} is a stream, which is not known to be complete before it was read")
