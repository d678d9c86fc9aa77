# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for unpacking and verifying streams."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..format.holes import PageSizeOf
from .entry import EVERYTHING, Decoding
from .selection import Selection


@dataclass(frozen=True)
class ExtractOptions:
    """Options for unpacking a stream, or for verifying it without writing anything.

    ``decrypt_key``: of encrypted entries; without one they are an error, unless ``keep_encrypted``: then they are
    compared with the checksums of their chunks only. ``parallel``: worker threads. ``require_manifest``: refuse a
    stream that has none, as those of other tools; with ``any_files`` one that is no backup is taken, too.
    ``selection``: only that part of a stored archive. ``page_size_of`` tells whose zeros become holes (see
    EntryWriter). What ``decoding`` leaves encoded becomes files as they are stored, with a manifest that says so.
    ``force``: replace the backup that is at the destination."""

    decrypt_key: bytes | None = field(default=None, repr=False)
    parallel: int = 2
    require_manifest: bool = True
    selection: Selection | None = None
    page_size_of: PageSizeOf | None = None
    decoding: Decoding = EVERYTHING
    keep_encrypted: bool = False
    any_files: bool = False
    force: bool = False


DEFAULTS = ExtractOptions()
