# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources that a location can name: a new one is a file and a line here. Senders are in the module arrivals."""

from __future__ import annotations

import os

from .base import Source
from .place import ArchiveSource, DirectorySource, PipeSource

#: the first that takes a location has it; the last one is also the place where nothing is
LOCATED: list[type[Source]] = [DirectorySource, PipeSource, ArchiveSource]


def source_at(location: str | os.PathLike[str]) -> Source:
    """The source at ``location``, which may hold no backup, or nothing at all."""
    text = os.fspath(location)
    return next(source for kind in LOCATED if (source := kind.at(text)) is not None)
