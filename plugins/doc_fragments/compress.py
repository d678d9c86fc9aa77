# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option for the compression of streams: module_support.COMPRESS_OPTION."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  compress:
    description:
      - Compress each file of the backup, in process. Without it nothing is compressed.
    type: dict
    suboptions:
      algorithm:
        description:
          - The algorithm. V(zstd) compresses better, V(lz4) takes less CPU time.
        type: str
        choices: [zstd, lz4]
        default: zstd
      level:
        description:
          - The compression level. V(1) is fastest.
        type: int
        default: 1
      threads:
        description:
          - How many threads compress.
        type: int
        default: 2
requirements:
  - zstandard (Python library on the managed host; for C(zstd))
  - lz4 (Python library on the managed host; for C(lz4))
"""
