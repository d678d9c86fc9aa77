# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layout of a MariaDB server's files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...format.file_kinds import ARIA_CONTROL, ARIA_LOG, MARIADB_REDO, MARIADB_UNDO, pattern_of
from ...format.tablespaces import RecordedTablespace

if TYPE_CHECKING:
    from ..layout import HostLayout

_ARIA = pattern_of((ARIA_CONTROL, ARIA_LOG))
_REDO = pattern_of((MARIADB_REDO,))
_UNDO = pattern_of((MARIADB_UNDO,))


def server_options(_datadir: Path, options: dict[str, str]) -> dict[str, str]:
    """``options``: the server persists none."""
    return options


def own_places(_datadir: Path, _options: Mapping[str, str]) -> dict[str, Any]:
    """No fields of HostLayout: Aria's directory is in every layout."""
    return {}


def redo_directory(_layout: HostLayout) -> Path | None:
    """None: the redo log is a file among others."""
    return None


def place_of(layout: HostLayout, name: str) -> Path:
    """Returns the path on this host of the file ``name`` of a backup, which is none of the system tablespace."""
    places = (directory for directory, pattern in file_patterns(layout) if pattern.fullmatch(name))
    return next(places, layout.datadir) / name


def external_places(_layout: HostLayout, _tablespaces: Sequence[RecordedTablespace]) -> dict[str, Path]:
    """None: all tablespaces are in the usual places."""
    return {}


def file_patterns(layout: HostLayout) -> list[tuple[Path, re.Pattern[str]]]:
    """Directories, and names of data files in them."""
    return [(layout.log_group_home_dir, _REDO), (layout.undo_directory, _UNDO), (layout.aria_log_dir, _ARIA)]


def usual_plugin_directories() -> list[Path]:
    """None: there are no components."""
    return []


def shown_places(layout: HostLayout) -> dict[str, object]:
    """Aria's directory, for results."""
    return {"aria_log_dir_path": str(layout.aria_log_dir)}
