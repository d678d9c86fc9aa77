# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that select a part of an archive: module_support.SELECTION_OPTIONS."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  databases:
    description:
      - Unpack, or list, only what belongs to these databases. Together with O(tables) and O(files), what any of them
        names; without any of the three, or with empty lists, everything.
      - Names are given as they are in SQL (V(shop), V(my-shop)), not as their directories are called. Each of them must
        be in the archive.
      - What is unpacked in this way is no backup that a server could be started on, and the other modules of this
        collection refuse it. Its manifest names only what is there. If O(dest) holds the very same selection of that
        backup already, nothing is done.
      - Of a plain archive the rest is skipped, unread. Of an encrypted one, with O(decrypt), all is read, so that it is
        known to be authentic.
      - Only with O(state=extracted) and O(state=listed), and not together with O(listen).
    type: list
    elements: str
  tables:
    description:
      - Unpack, or list, only these tables, given as C(database.table). The first dot ends the name of the database, so
        names of tables may contain dots; a table of a database whose name does can be named in O(files).
      - A table is all its files, those of its partitions and its triggers' (C(.TRG)) included. The auxiliary tables of
        a full-text index of InnoDB (C(FTS_*.ibd)) are not; name them in O(files).
      - See O(databases).
    type: list
    elements: str
  files:
    description:
      - Unpack, or list, only the files whose paths within the backup match one of these patterns, in which V(*), V(?)
        and V([...]) do not match a C(/), and V(**) does (V(mysql/*.frm), V(**/*.MYD), V(xtrabackup_*)).
      - Paths are those of the unpacked files, without the suffixes of compression and encryption, and with the names of
        databases and tables as the server writes them into its file system (C(a@002db) for C(a-b)).
      - See O(databases).
    type: list
    elements: str
"""
