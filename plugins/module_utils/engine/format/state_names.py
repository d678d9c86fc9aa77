# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of this collection's own state within a directory: markers, staging places, locks, temporary files.

No entry of a stream and no file that a manifest names may have one: it would tell the next job what was never done, or
would be taken away with the staging place that has the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .file_kinds import (
    IN_PROGRESS_NAME,
    MANIFEST_NAME,
    MOVED_NOTE_SUFFIX,
    MOVING_NAME,
    PACKED,
    PART_SUFFIX,
    PARTIAL_SUFFIX,
    RENAMING_SUFFIX,
    RESTORED_NAME,
    STAGED_SUFFIX,
)

_ENCODED = f"(?:{'|'.join(map(re.escape, PACKED.suffixes))})"
_MARKERS = "|".join(map(re.escape, (IN_PROGRESS_NAME, MOVING_NAME, RESTORED_NAME)))
_TEMPORARY = "|".join(map(re.escape, (PART_SUFFIX, STAGED_SUFFIX, RENAMING_SUFFIX, MOVED_NOTE_SUFFIX)))
_PARTIAL = re.escape(PARTIAL_SUFFIX)
#: names in the top directory; what is packed unpacks to one of them, too
_TOP = re.compile(
    rf"""(?:
        {_MARKERS}
      | \.xtrabackup.*                              # markers, staging places and locks
      | \..*{_PARTIAL}                               # staging places
      | (?:xtrabackup|mariadb_backup)_.*{_PARTIAL}   # temporary names of what is replaced at once
    ){_ENCODED}*
    | {re.escape(MANIFEST_NAME)}{_ENCODED}+""",
    re.VERBOSE | re.DOTALL,
)
#: ends of temporary names of files, wherever they are
_ANYWHERE = re.compile(rf".*(?:{_TEMPORARY}){_ENCODED}*", re.DOTALL)


def is_state_name(path: str) -> bool:
    """Returns whether ``path``, relative to a backup or a data directory, is, or is in, something of this collection's
    own.

    The manifest itself is not: streams and directories hold it.
    """
    top, *rest = path.split("/")
    if _TOP.fullmatch(top) or (rest and top == MANIFEST_NAME):
        return True
    return any(_ANYWHERE.fullmatch(part) for part in (top, *rest))


def state_names(paths: Iterable[str]) -> list[str]:
    """Those of ``paths`` that are state names, sorted."""
    return sorted(filter(is_state_name, paths))
