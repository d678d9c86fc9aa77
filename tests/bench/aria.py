# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long commits are blocked where the Aria log is large and the stream slow."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.tests.bench.comparison import Bench
from ansible_collections.innodb.xtrabackup.tests.support.aria_load import AriaLoad, fill_log
from ansible_collections.innodb.xtrabackup.tests.support.backups import SlowArchive, options_for

LOG_MIB = 1024
STREAM_MIB = 30  # a second


def aria_log(bench: Bench) -> float:
    """Milliseconds under BLOCK_COMMIT of a streamed backup, with a log of LOG_MIB MiB and writes to Aria tables."""
    fill_log(bench.server, LOG_MIB)
    with AriaLoad(bench.server):
        sink = SlowArchive(bench.fresh("ours"), STREAM_MIB << 20)
        record = job.take_backup(options_for(bench.server), sink, Progress("backup"))
    return float(record["locks"]["block_commit"])
