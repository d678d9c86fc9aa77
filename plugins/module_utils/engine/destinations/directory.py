# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories on this host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..host.staging import is_fillable, require_renamable
from ..stream.packed_directory import PackedDirectorySink
from ..stream.sink import DirectorySink, Sink
from .base import Encoding, PathDestination


@dataclass(frozen=True)
class _AnyDirectory(PathDestination):
    fills_directories: ClassVar[bool] = True

    def _is_free(self) -> bool:
        return is_fillable(self.path)

    def _require_replaceable(self) -> None:
        require_renamable(self.path)


@dataclass(frozen=True)
class Directory(_AnyDirectory):
    """A plain directory, whose files are as the server's."""

    format: ClassVar[str] = "directory"

    def open(self) -> Sink:
        return DirectorySink(self.path, replace=self.force)


@dataclass(frozen=True)
class PackedDirectory(_AnyDirectory):
    """A directory whose files are compressed or encrypted, each one for itself. Only the command line makes it."""

    encoding: Encoding = field(default_factory=Encoding)

    format: ClassVar[str] = "packed"

    def open(self) -> Sink:
        options = self.encoding.read()
        return PackedDirectorySink(self.path, compress=options["compress"], encrypt_key=options["encrypt_key"])
