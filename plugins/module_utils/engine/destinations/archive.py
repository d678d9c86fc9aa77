# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive on this host: one file in the xbstream format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import TargetNotEmpty
from ..stream.archive import ArchiveSink
from ..stream.sink import Sink
from .base import Encoding, PathDestination


@dataclass(frozen=True)
class Archive(PathDestination):
    """A file, which may replace another one but no directory."""

    encoding: Encoding = field(default_factory=Encoding)

    format: ClassVar[str] = "xbstream"

    def open(self) -> Sink:
        return ArchiveSink(self.path, **self.encoding.read())

    def _is_free(self) -> bool:
        if self.path.is_dir():
            raise TargetNotEmpty(
                f"{self.path} is a directory, an archive cannot take its place",
                remedy="Name the file that is to be written.",
                path=str(self.path),
            )
        return False
