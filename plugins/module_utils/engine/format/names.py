# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of files as manifests and streams may give them: inside their directory, and never one of our own state."""

from __future__ import annotations

from ..errors import FormatError
from .file_kinds import MANIFEST_NAME
from .state_names import is_state_name

LONGEST_PATH = 4096  # bytes, as the kernel has it
DEEPEST = 64
"""Directories in each other; a data directory has two."""

STATE_NAME = "a name that this collection keeps for its own state, which no backup holds"


def fault_of(path: object) -> str | None:
    """Returns the fault of ``path`` as the name of an entry or a file of a backup; None when it is a relative path that
    stays in the directory it is unpacked into, and is none of our own state there. The manifest is one."""
    if not isinstance(path, str) or not is_text(path, LONGEST_PATH):
        return "not the name of a file"
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        return "an unsafe file name"
    if path.count("/") > DEEPEST:
        return f"more than {DEEPEST} directories deep"
    return STATE_NAME if is_state_name(path) else None


def safe_path(path: object, where: str) -> str:
    """``path``, of a file that the backup at ``where`` names as its content; raises FormatError for one in which
    ``fault_of`` finds a fault, and for the manifest."""
    fault = STATE_NAME if path == MANIFEST_NAME else fault_of(path)
    if fault or not isinstance(path, str):
        raise FormatError(
            f"{where}: {str(path)[:LONGEST_PATH]!r} is {fault}", where=where, path=str(path)[:LONGEST_PATH]
        )
    return path


def safe_name(name: object, where: str) -> str:
    """``name`` when it is that of one file, without directories; raises FormatError."""
    path = safe_path(name, where)
    if "/" in path:
        raise FormatError(f"{where}: {path!r} is not the name of one file, without directories", where=where, path=path)
    return path


def is_text(text: str, longest: int) -> bool:
    """Returns whether ``text`` can be written as UTF-8 (undecodable bytes of names included), in at most ``longest``
    bytes."""
    try:
        return len(text) <= longest and len(text.encode("utf-8", "surrogateescape")) <= longest
    except UnicodeEncodeError:
        return False
