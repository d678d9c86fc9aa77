# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What DDL did to InnoDB's files while they were copied, found by comparing, not by parsing redo.

Under BLOCK_DDL the directory is listed again: a file is as it was copied when path, file identity (inode and its
generation) and tablespace id are equal. All that changed *inside* such a file since is in the redo log.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..errors import DdlConflict
from ..server.connection import Connection
from .copier import CopiedTablespace, CopierContext, UnstableFile, read_identity
from .inventory import InnodbFile

#: information_schema.INNODB_SYS_TABLESPACES lists the system and the temporary tablespace, too
_TEMPORARY_SPACE_ID = 0xFFFFFFFE

#: of a copy whose page 0 the server has not written yet; its id is in the redo log only
_UNWRITTEN_SPACE_ID = 0

#: of the tables of a fulltext index, named after the ids of table and index; no user's table may be called so
_FULLTEXT_NAME = re.compile(r"FTS_[0-9a-f]{16}_(?:[0-9a-f]{16}_INDEX_[1-6]|(?:BEING_)?DELETED(?:_CACHE)?|CONFIG)\.ibd")


@dataclass(frozen=True)
class DdlChanges:
    """What has to be done under the lock: ``add`` and ``replace`` are copied, ``discard`` are paths to drop."""

    add: tuple[InnodbFile, ...]
    replace: tuple[InnodbFile, ...]
    discard: tuple[str, ...]

    @property
    def bytes_to_copy(self) -> int:
        """Bytes of the files that are copied (again)."""
        return sum(file.size for file in self.add + self.replace)


def compare(
    copied: Mapping[str, CopiedTablespace],
    void: Iterable[str],
    now: Iterable[InnodbFile],
    context: CopierContext,
    altered: Collection[int] = (),
) -> DdlChanges:
    """What changed between the copies and the files that are there ``now`` (DDL is blocked).

    ``void`` are paths whose copy was given up half-way; their entries have gone to the sink.
    ``altered`` are the ids of tablespaces that DDL has written to without redo.
    """
    void = set(void)
    add: list[InnodbFile] = []
    replace: list[InnodbFile] = []
    present = set()
    for file in now:
        present.add(file.path)
        if file.path in void:
            replace.append(file)
        elif file.path not in copied:
            add.append(file)
        elif copied[file.path].space_id in altered or not _unchanged(copied[file.path], file, context, altered):
            replace.append(file)
    gone = sorted((set(copied) | void) - present)
    return DdlChanges(tuple(add), tuple(replace), tuple(gone))


def _unchanged(copy: CopiedTablespace, file: InnodbFile, context: CopierContext, altered: Collection[int]) -> bool:
    if not file.replaceable:
        # system and undo tablespaces keep their files; a truncated undo tablespace is smaller than its copy
        return file.size >= copy.entry.size
    try:
        identity, space_id = read_identity(file, context)
    except UnstableFile as error:
        raise DdlConflict(f"{file.source} changes although schema changes are blocked: {error}") from error
    # page 0 that was not written when it was copied is in the redo log since before the backup's first LSN
    same = identity == copy.identity and copy.space_id in (space_id, _UNWRITTEN_SPACE_ID)
    return same and space_id not in altered


def check_dictionary(connection: Connection, copied: Mapping[str, CopiedTablespace]) -> None:
    """Every tablespace that the server's dictionary names must have been copied, under its id.

    The last word on DDL: raises DdlConflict naming the tablespaces for which that is not so.
    """
    wrong = []
    by_path = {path: copy.space_id for path, copy in copied.items()}
    for row in connection.listing("SELECT SPACE, NAME, FILENAME FROM information_schema.INNODB_SYS_TABLESPACES"):
        space_id, file_name = int(row["SPACE"]), str(row["FILENAME"] or "")
        if space_id in (0, _TEMPORARY_SPACE_ID) or not file_name.endswith(".ibd"):
            continue
        path = "/".join(PurePosixPath(file_name).parts[-2:])
        if path not in by_path and _is_intermediate(path):
            continue
        if by_path.get(path) not in (space_id, _UNWRITTEN_SPACE_ID):
            wrong.append(f"{path} (tablespace {space_id}, copied {by_path.get(path)})")
    if wrong:
        raise DdlConflict(
            f"the dictionary names tablespaces that were not copied as such: {', '.join(wrong[:5])}"
            + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""),
            tablespaces=wrong[:100],
        )


def _is_intermediate(path: str) -> bool:
    """Whether ``path`` is what a running ALTER TABLE fills, which BLOCK_DDL does not hold up: a copy of its table, or
    the tables of a fulltext index.

    One that was made after the files were listed is in the redo log from its first byte, so recovery can make it
    without a copy; then it rolls the ALTER back.
    """
    name = path.rpartition("/")[2]
    return name.startswith("#sql") or bool(_FULLTEXT_NAME.fullmatch(name))
