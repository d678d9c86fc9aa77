# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface of a source for the readers of streams; the sources themselves are in engine/sources."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Callable, Protocol

from .xbstream import ByteSource


class Reading(ByteSource, Protocol):
    """An open source: one descriptor, read once from its beginning to its end."""

    @property
    def skip(self) -> Callable[[int], object] | None:
        """Moves forward by so many bytes; None when they can only be read."""


class Readable(Protocol):
    """Source of a stream. ``location`` names it in messages; ``path``: where it is on this host, None when it is
    elsewhere."""

    @property
    def location(self) -> str: ...

    @property
    def path(self) -> Path | None: ...

    @property
    def is_stored(self) -> bool:
        """Returns whether it is a stream that is kept: each time that it is opened, it is read from its beginning."""

    def reading(self) -> AbstractContextManager[Reading]:
        """Open it for one reading. Raises StorageError."""
