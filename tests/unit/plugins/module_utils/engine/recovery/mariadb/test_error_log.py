# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the error log of a recovering server tells: progress, the end, and why it failed."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb.error_log import (
    MariadbRecoveryState,
)

STAMP = "2026-11-21  3:33:54 0 "

# as MariaDB 10.11.19 wrote it
UP_TO_ROLLBACK = """\
[Warning] Could not increase number of max_open_files to more than 20000 (request: 32184)
[Note] Starting MariaDB 10.11.19-MariaDB-0+deb12u1 source revision 5843d84 server_uid fXdYp7ZW= as process 9060
[Note] InnoDB: Starting crash recovery from checkpoint LSN=15139755
[Note] InnoDB: Multi-batch recovery needed at LSN 18209813
[Note] InnoDB: End of log at LSN=81016843
[Note] InnoDB: To recover: LSN 18684842/81016843; 221 pages
[Note] InnoDB: 2 transaction(s) which must be rolled back or cleaned up in total 100002 row operations to undo
[Note] InnoDB: To recover: 382 pages
[Note] InnoDB: Resizing redo log from 62.837MiB to 96.000MiB; LSN=81016843
[Note] InnoDB: Starting in background the rollback of recovered transactions
[Note] InnoDB: Rolled back recovered transaction 652
[Note] InnoDB: log sequence number 81016843; transaction id 660
"""


def state_after(text: str) -> MariadbRecoveryState:
    state = MariadbRecoveryState()
    for line in text.splitlines():
        state.feed(STAMP + line)
    return state


def test_the_state_follows_the_log() -> None:
    state = state_after(UP_TO_ROLLBACK)
    assert (state.checkpoint_lsn, state.end_of_log_lsn, state.started_lsn) == (15139755, 81016843, 81016843)
    assert (state.rows_to_undo, state.pages_left, state.pages_most) == (100002, 382, 382)
    assert state.server_version == "10.11.19-MariaDB-0+deb12u1"
    assert state.phase == "rolling back"
    assert state.rolled_back == 1


def test_a_clean_log_has_an_end_and_no_checkpoint_to_recover_from() -> None:
    state = state_after(
        "[Note] InnoDB: End of log at LSN=97444464\n[Note] InnoDB: log sequence number 97444464; transaction id 687\n"
    )
    assert state.checkpoint_lsn is None
    assert (state.end_of_log_lsn, state.started_lsn) == (97444464, 97444464)


def test_progress_follows_the_scan_through_a_long_log() -> None:
    state = state_after("[Note] InnoDB: Starting crash recovery from checkpoint LSN=1000\n")
    for line, scanned in (
        ("[Note] InnoDB: Read redo log up to LSN=2000", 2000),
        ("[Note] InnoDB: Parsed redo log up to LSN=3000; to recover: 17 pages", 3000),
        ("[Note] InnoDB: Multi-batch recovery needed at LSN 3500", 3500),
    ):
        state.feed(STAMP + line)
        assert (state.phase, state.scanned_lsn) == ("reading redo", scanned)


def test_prepared_xa_transactions_are_counted_and_no_warning_of_the_server() -> None:
    state = state_after("[Warning] Found 3 prepared XA transactions\n")
    assert state.prepared_transactions == 3
    assert state.warnings == []
