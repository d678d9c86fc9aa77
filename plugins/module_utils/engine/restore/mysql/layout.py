# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layout of a MySQL server's files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InvalidOption, Option
from ...format.file_kinds import DOUBLEWRITE, MYSQL_UNDO, MYSQL_UNDO_OF_SQL, REDO_DIRECTORY, TABLESPACE, pattern_of
from ...format.tablespaces import RecordedTablespace
from .persisted import persisted_variables

if TYPE_CHECKING:
    from ..layout import HostLayout

UNDO_NAMES = pattern_of((MYSQL_UNDO, MYSQL_UNDO_OF_SQL))
TABLESPACE_NAMES = pattern_of((TABLESPACE, MYSQL_UNDO_OF_SQL))
_PLUGIN_DIRECTORIES = ("/usr/lib/mysql/plugin", "/usr/lib64/mysql/plugin", "/usr/local/mysql/lib/plugin")
_DOUBLEWRITE = pattern_of((DOUBLEWRITE,))


def server_options(datadir: Path, options: dict[str, str]) -> dict[str, str]:
    """``options`` with what the server in ``datadir`` has persisted."""
    return {**options, **persisted_variables(datadir, options)}


def own_places(datadir: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """The fields of HostLayout that MySQL alone has."""

    def absolute(path: str) -> Path:
        return Path(os.path.normpath(datadir / path))

    named = [part.strip() for part in options.get("innodb_directories", "").split(";")]
    doublewrite = options.get("innodb_doublewrite_dir")
    return {
        "innodb_directories": tuple(absolute(part) for part in named if part),
        "doublewrite_dir": absolute(doublewrite) if doublewrite else None,
    }


def redo_directory(layout: HostLayout) -> Path | None:
    """The directory that holds the redo log and nothing else."""
    return layout.log_group_home_dir / REDO_DIRECTORY


def place_of(layout: HostLayout, name: str) -> Path:
    """Returns the path on this host of the file ``name`` of a backup, which is none of the system tablespace."""
    return (layout.undo_directory if UNDO_NAMES.fullmatch(name) else layout.datadir) / name


def external_places(layout: HostLayout, tablespaces: Sequence[RecordedTablespace]) -> dict[str, Path]:
    """Returns the paths on this host of ``tablespaces``, which were not in the source's data directory, by their names
    in the backup.

    They go back to where they were; the server there must know that it has to look there. Undo tablespaces have a
    directory of their own, and in a data directory that stands alone everything is in it: the server finds them.
    """
    places: dict[str, Path] = {}
    if layout.page_size is None:
        return places
    for tablespace in tablespaces:
        if tablespace.undo:
            continue
        directory = tablespace.file_name.parent
        if not layout.finds_tablespaces_in(directory):
            raise InvalidOption(
                f"the tablespace {tablespace.tablespace_name} was at {tablespace.file_name} on the source, and this "
                "host's server would not look there",
                remedy=f"Add {directory} (or a directory above it) to innodb_directories in the server's option file, "
                f"or give a {Option('datadir')} without {Option('defaults_file')}, so that everything is put "
                "into that directory.",
                option="defaults_file",
                tablespace=tablespace.tablespace_name,
                path=str(tablespace.file_name),
            )
        places[tablespace.backup_path] = tablespace.file_name
    return places


def file_patterns(layout: HostLayout) -> list[tuple[Path, re.Pattern[str]]]:
    """Directories, and names of data files in them; but for directories of tablespaces."""
    return [(layout.undo_directory, UNDO_NAMES), (layout.doublewrite_dir or layout.datadir, _DOUBLEWRITE)]


def usual_plugin_directories() -> list[Path]:
    """Returns the usual directories of plugins whose components have their configuration beside them."""
    return [*map(Path, _PLUGIN_DIRECTORIES), *sorted(Path("/usr/lib").glob("*/mysql/plugin"))]


def shown_places(layout: HostLayout) -> dict[str, object]:
    """Returns, for results, the other directories where the server looks for tablespaces."""
    return {"innodb_directories": [str(path) for path in layout.innodb_directories]}
