# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that DDL made to InnoDB's files while they were copied; found by comparing, not by parsing redo.

Under BLOCK_DDL the directory is listed again: a file is as it was copied when path, file identity (inode and its
generation) and tablespace id are equal. All that changed *inside* such a file since is in the redo log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..errors import DdlConflict
from .copier import CopiedTablespace, CopierContext, UnstableFile, read_identity
from .inventory import InnodbFile

#: of a copy whose page 0 the server has not written yet; its id is in the redo log only
UNWRITTEN_SPACE_ID = 0


@dataclass(frozen=True)
class DdlChanges:
    """Work that is left for the time under the lock: ``add`` and ``replace`` are copied, ``discard`` are paths to
    drop."""

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
    """Returns what changed between the copies and the files that are there ``now`` (DDL is blocked).

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
        # system and undo tablespaces keep their files. A truncated undo tablespace is smaller than its copy, and that
        # is what a crash leaves: the truncation and all that the file holds since are in the redo log
        return True
    try:
        identity, space_id = read_identity(file, context)
    except UnstableFile as error:
        raise DdlConflict(f"{file.source} changes although schema changes are blocked: {error}") from error
    # page 0 that was not written when it was copied is in the redo log since before the backup's first LSN
    same = identity == copy.identity and copy.space_id in (space_id, UNWRITTEN_SPACE_ID)
    return same and space_id not in altered
