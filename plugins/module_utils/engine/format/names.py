# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of files as manifests and streams may give them: inside their directory, and never one of our own state."""

from __future__ import annotations

from ..errors import FormatError

LONGEST_PATH = 4096  # bytes, as the kernel has it

#: files by which this collection remembers what it has begun in a directory: what is in a backup cannot say it
STATE_NAMES = frozenset(
    {
        ".unpacking.partial",
        ".xbstream.partial",
        "xtrabackup_prepare_in_progress",
        "xtrabackup_restore_in_progress.json",
        "xtrabackup_restored.json",
    }
)
#: of everything else that is ours: markers, staging directories, locks
STATE_PREFIX = ".xtrabackup"


def safe_path(path: object, where: str) -> str:
    """``path`` when it is a relative path that stays in the directory it is unpacked into, and is none of our own
    state there; raises FormatError."""
    if not isinstance(path, str) or not is_text(path, LONGEST_PATH):
        raise FormatError(f"{where}: {str(path)[:100]!r} is not the name of a file", where=where)
    parts = path.split("/")
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise FormatError(f"{where}: unsafe file name {path!r}", where=where, path=path)
    if parts[0] in STATE_NAMES or parts[0].startswith(STATE_PREFIX):
        raise FormatError(
            f"{where}: {path!r} is a name that this collection keeps for its own state, and no file of a backup",
            where=where,
            path=path,
        )
    return path


def safe_name(name: object, where: str) -> str:
    """``name`` when it is that of one file, without directories; raises FormatError."""
    path = safe_path(name, where)
    if "/" in path:
        raise FormatError(f"{where}: {path!r} is not the name of one file, without directories", where=where, path=path)
    return path


def is_text(text: str, longest: int) -> bool:
    """Whether ``text`` can be written as UTF-8 (undecodable bytes of names included), in at most ``longest`` bytes."""
    try:
        return len(text) <= longest and len(text.encode("utf-8", "surrogateescape")) <= longest
    except UnicodeEncodeError:
        return False
