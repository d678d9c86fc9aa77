# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB's files that are not InnoDB's: tables of Aria, and those that the server writes until BLOCK_COMMIT.

From stage FLUSH on the server grants no new write locks on non-transactional tables, so tables that nobody is
writing can be copied there; BLOCK_DDL has waited for the last writers and for DDL. A transactional Aria table can be
copied at any time: what is written meanwhile is in Aria's log, but for what is loaded in bulk or repaired.
"""

from __future__ import annotations

import re
from typing import Callable

from ...errors import DdlConflict
from ...format.aria import Horizon
from ...format.file_kinds import ARIA_DATA_SUFFIX, ARIA_INDEX_SUFFIX
from ...manifest import FileEntry
from ...stream.sink import Sink
from ..copier import CopierContext
from ..inventory import Kind, PlainFile, PlainFiles
from ..tables import PlainCopies
from ..workers import CopyPool
from .aria_tables import OnlineCopy, changed_outside_the_log, copy_online, online_table

#: Tables that MariaDB counts as its own (sql/table.cc, is_system_table_name) and writes to until BLOCK_COMMIT. They are
#: transactional unless an upgrade left them as they were.
_SERVERS_OWN = re.compile(r"mysql/(proc|event|func|servers|help_\w+|time_zone\w*|innodb_\w+_stats)\.\w+")


class MariadbPlainCopies(PlainCopies):
    """As the base class, with the tables of Aria."""

    def __init__(self, find: Callable[[], PlainFiles], sink: Sink, pool: CopyPool, context: CopierContext) -> None:
        super().__init__(find, sink, pool, context)
        self._online: dict[str, OnlineCopy] = {}
        self._horizon: Horizon | None = None

    def copy_all(self, horizon: Horizon | None = None) -> None:
        """Stage BLOCK_DDL. ``horizon`` is that of the checkpoint with which Aria's recovery begins."""
        self._horizon = horizon
        super().copy_all()

    def copy_late_tables(self, buffer: memoryview) -> None:
        """Stage BLOCK_COMMIT: also the tables of which the log does not tell everything.

        Raises DdlConflict when the sink cannot rewrite these.
        """
        open_source = self._context.open_source
        changed = [copy.file for copy in self._online.values() if changed_outside_the_log(copy, open_source)]
        if changed and not self._sink.can_rewrite:
            names = ", ".join(file.path.rpartition(".")[0] for file in changed[:5])
            raise DdlConflict(
                f"Aria tables were loaded in bulk or repaired while they were copied into a stream: {names}",
                remedy="Run the backup again while no such statement is running, or take it into a directory.",
                tables=[file.path for file in changed[:100]],
            )
        super().copy_late_tables(buffer)
        parts = {file.path: file for file in self.files}
        for index in changed:
            for path in (index.path, index.path[: -len(ARIA_INDEX_SUFFIX)] + ARIA_DATA_SUFFIX):
                if path in parts:
                    self._sink.discard(path)
                    self._entries[path] = self._copy(parts[path], buffer)

    def _can_be_copied_early(self, file: PlainFile) -> bool:
        """Returns False for the index file of an Aria table that is copied online: its content is known under the lock
        only."""
        return not (file.path.endswith(ARIA_INDEX_SUFFIX) and online_table(file, self._context.open_source))

    def _is_written_until_the_end(self, file: PlainFile) -> bool:
        own = file.kind is Kind.TABLE and bool(_SERVERS_OWN.fullmatch(file.path))
        return own and online_table(file, self._context.open_source) is None

    def _copy(self, file: PlainFile, buffer: memoryview) -> FileEntry:
        table = online_table(file, self._context.open_source)
        if table is None:
            return super()._copy(file, buffer)
        if file.path.endswith(ARIA_INDEX_SUFFIX):
            # the older of two readings: a change between them is one that happened during the copy
            self._online[file.path] = OnlineCopy(file, table.create_rename_lsn)
        return copy_online(file, table, self._horizon, self._context, buffer)
