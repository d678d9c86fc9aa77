# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which server a backup is, and so whose option files tell where its files belong."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from ..errors import Cancelled, InvalidOption, XtrabackupError
from ..format.family import Family, recorded_flavor
from ..recovery.backup_source import read_backup
from ..recovery.program import find_server
from ..sources.registry import source_at
from .journal import RestoreJournal
from .layout import HostLayout, read_layout


def layout_for(
    src: str | os.PathLike[str], defaults_file: Path | None, datadir: Path | None, server_program: str | None = None
) -> HostLayout:
    """The layout of this host for the backup ``src``; for one that was moved away, of what was restored from it.

    MySQL's option files have groups for each series: that of the installed server counts (``server_program``, or the
    one that is found), or else the backup's. Raises what ``read_layout`` does.
    """
    record = _record_of(src)
    if record is None:
        try:
            layout = read_layout(defaults_file, datadir, Family.MARIADB)
        except InvalidOption:
            # MySQL's my_print_defaults does not know what MariaDB's does
            if defaults_file is not None and not defaults_file.is_file():
                raise
            return read_layout(defaults_file, datadir, Family.MYSQL, _installed(Family.MYSQL, server_program))
        with contextlib.suppress(XtrabackupError):
            restored = RestoreJournal(layout.datadir).restored()
            record = restored.backup if restored else None
        if record is None:
            return layout
    family = recorded_flavor(record).family
    version = ""
    if family.facts.series_options:
        version = _installed(family, server_program) or str((record.get("server") or {}).get("version") or "")
    return read_layout(defaults_file, datadir, family, version)


def _record_of(src: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The record of the backup ``src``; None when it cannot be read, which the restore will tell."""
    try:
        return read_backup(source_at(src), being_moved=True).record
    except Cancelled:
        raise
    except XtrabackupError:
        return None


def _installed(family: Family, server_program: str | None) -> str:
    """The version of the server that is installed here, "" when there is none."""
    with contextlib.suppress(XtrabackupError):
        return find_server(server_program, family).version
    return ""
