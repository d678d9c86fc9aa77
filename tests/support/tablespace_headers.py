# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of tablespaces, from first pages that are whole."""

from __future__ import annotations

from typing import Union

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import PageCorrupt
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page import PageVerifier
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    TablespaceHeader,
    is_unwritten,
    parse_tablespace_header,
)

Buffer = Union[bytes, bytearray, memoryview]


def verified_tablespace_header(first_page: Buffer, path: str, family: Family) -> TablespaceHeader:
    """The header in ``first_page`` (see parse_tablespace_header), once page 0 is verified by what it says.

    Raises FormatError or UnknownFormat, and PageCorrupt when page 0 is damaged, in the course of being written (read
    it again), or not written yet (see is_unwritten).
    """
    if is_unwritten(first_page):
        raise PageCorrupt(f"{path}: page 0 at offset 0 is not written yet", path=path, page_no=0, offset=0)
    header = parse_tablespace_header(first_page, path, family)
    faults = PageVerifier(header).faults(memoryview(first_page)[: header.physical_size], 0)
    if faults:
        raise PageCorrupt(f"{path}: page 0 at offset 0: {faults[0].reason}", path=path, page_no=0, offset=0)
    return header
