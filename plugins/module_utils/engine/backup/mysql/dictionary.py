# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tablespaces in MySQL's dictionary, read before the files are copied and when DDL is blocked.

An index that ALTER TABLE builds in place is written to the tablespace without redo, and neither name nor identity of
the file changes. But the redo log tells that one was built, and each gets a new id: tablespaces of which the log says
so, or whose set of index ids or whose flags differ, are copied again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ...errors import DdlConflict
from ...innodb.mysql.redo_index_load import IndexLoad
from ...server.connection import Connection
from ..copier import CopiedTablespace

_NAMED = 5

#: how many indexes may have been made and dropped again since the newest one that is there
_VANISHED_INDEXES = 1_000_000


@dataclass(frozen=True)
class MysqlDictionary:
    """Tablespaces by id: name, flags, and the ids of the indexes in them."""

    names: Mapping[int, str]
    flags: Mapping[int, int]
    indexes: Mapping[int, frozenset[int]]

    def altered_since(self, before: MysqlDictionary) -> frozenset[int]:
        """The ids of the tablespaces that have other indexes or flags than ``before``, or were not there then: of those
        it is not known with which indexes they were copied."""
        return frozenset(
            space_id
            for space_id in {*before.names, *self.names}
            if space_id not in before.names
            or self.indexes.get(space_id) != before.indexes.get(space_id)
            or self.flags.get(space_id) != before.flags.get(space_id)
        )

    def loaded(self, before: MysqlDictionary, loads: Iterable[IndexLoad]) -> frozenset[int]:
        """The ids of the tablespaces of ``loads``, but for those of indexes that were there ``before`` or that no
        server with this dictionary can have: bytes of the log that only look like a record."""
        newest = max((max(ids) for ids in self.indexes.values() if ids), default=0) + _VANISHED_INDEXES
        return frozenset(
            load.space_id
            for load in loads
            if load.index_id <= newest and load.index_id not in before.indexes.get(load.space_id, ())
        )


def read_dictionary(connection: Connection, *, with_indexes: bool = True) -> MysqlDictionary:
    """The dictionary now; needs PROCESS. ``with_indexes``: raises ServerError when the file of any table is missing."""
    spaces = connection.listing(
        "SELECT SPACE, NAME, FLAG FROM information_schema.INNODB_TABLESPACES "
        # the system tablespace is not listed; of its type is the temporary one. A discarded one has no file
        "WHERE SPACE_TYPE <> 'System' AND COALESCE(STATE, '') <> 'discarded'"
    )
    indexes: dict[int, set[int]] = defaultdict(set)
    rows = connection.listing("SELECT SPACE, INDEX_ID FROM information_schema.INNODB_INDEXES") if with_indexes else ()
    for row in rows:
        indexes[int(row["SPACE"])].add(int(row["INDEX_ID"]))
    return MysqlDictionary(
        {int(row["SPACE"]): str(row["NAME"]) for row in spaces},
        {int(row["SPACE"]): int(row["FLAG"]) for row in spaces},
        {space_id: frozenset(ids) for space_id, ids in indexes.items()},
    )


def require_all_copied(
    dictionary: MysqlDictionary, copied: Mapping[str, CopiedTablespace], left_out: Collection[int] = ()
) -> None:
    """The last word on DDL: raises DdlConflict naming tablespaces of the dictionary that were not copied, but for those
    with the ids ``left_out``."""
    ids = {*(copy.space_id for copy in copied.values()), *left_out}
    wrong = sorted(name for space_id, name in dictionary.names.items() if space_id not in ids)
    if wrong:
        raise DdlConflict(
            f"the dictionary names tablespaces that were not copied: {', '.join(wrong[:_NAMED])}"
            + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""),
            tablespaces=wrong[:100],
        )
