# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that a MySQL server archives its redo log in, read while it grows.

4096 bytes of zeros, then the log's blocks, from the one that was being written when archiving began, without a gap
(tested on MySQL 9.7; blocks of an encrypted log are encrypted here, too). They are numbered and have checksums as in
the log's own files, which prove them. The server writes 4096 bytes at a time: the tail of the log is not here.
"""

from __future__ import annotations

import os

from ...host import below
from ...host.durable import storage_errors
from ...innodb.mysql.redo_format import BLOCK_SIZE, RedoFormat
from .redo_files import read_blocks

_BLOCKS_START = 4096  # bytes in front of the first block


class ArchivedRedo:
    """The open file, whose blocks are of the log's ``redo_format``; it can be read on when it was removed. Raises
    StorageError."""

    def __init__(self, path: str, redo_format: RedoFormat) -> None:
        self.path = path
        self._format = redo_format
        self._start_lsn = 0  # not known yet
        with storage_errors("opening", path):
            self._descriptor = below.open_file(path)

    @property
    def start_lsn(self) -> int:
        """The LSN of the first block; 0 when there is none yet."""
        if not self._start_lsn:
            with storage_errors("reading", self.path):
                block = os.pread(self._descriptor, BLOCK_SIZE, _BLOCKS_START)
            self._start_lsn = self._format.block_lsn(block) if len(block) == BLOCK_SIZE else 0
        return self._start_lsn

    def reaches_back_to(self, lsn: int) -> bool:
        """Returns whether the block of ``lsn`` is here, or will be."""
        return 0 < self.start_lsn <= lsn

    def read(self, lsn: int, size: int) -> bytearray:
        """At most ``size`` bytes from ``lsn`` on, whole blocks; none when the archive is not there yet."""
        return read_blocks(self._descriptor, _BLOCKS_START + lsn - self.start_lsn, size, self.path)

    def close(self) -> None:
        """Close the file; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
