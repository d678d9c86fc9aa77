# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the error log of a recovering MySQL server tells: progress, the end, and why it failed."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import RecoveryFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mysql.error_log import (
    MysqlRecoveryState,
    translate,
)

STAMP = "2026-11-21T11:04:33.695800Z 1 "

# as MySQL 9.7.4 wrote it
UP_TO_READY = """\
[System] [MY-010116] [Server] /usr/sbin/mysqld (mysqld 9.7.4-2) starting as process 20336
[Warning] [MY-010075] [Server] No existing UUID has been found, so we assume that this is the first time.
[Warning] [MY-013892] [InnoDB] Redo log files created by unknown creator xtrabkup.
[Note] [MY-013883] [InnoDB] The latest found checkpoint is at lsn = 25849049 in redo log file ./#innodb_redo/#ib_redo0.
[Note] [MY-012550] [InnoDB] Doing recovery: scanned up to log sequence number 31091712
[Note] [MY-012550] [InnoDB] Doing recovery: scanned up to log sequence number 39835470
[Note] [MY-012532] [InnoDB] Applying a batch of 1590 redo log records ...
[Note] [MY-012533] [InnoDB] 10%
[Note] [MY-013023] [InnoDB] 2 transaction(s) which must be rolled back or cleaned up in total 30000 row operations
[Note] [MY-012976] [InnoDB] 9.7.4 started; log sequence number 39840100
[Warning] [MY-010225] [Server] Found 1 prepared XA transactions
[Note] [MY-013014] [InnoDB] Starting in background the rollback of uncommitted transactions
"""


def state_after(text: str) -> MysqlRecoveryState:
    state = MysqlRecoveryState()
    for line in text.splitlines():
        state.feed(STAMP + line)
    return state


def test_the_state_follows_the_log() -> None:
    state = state_after(UP_TO_READY)
    assert (state.checkpoint_lsn, state.end_of_log_lsn, state.started_lsn) == (25849049, 39835470, 39840100)
    assert (state.rows_to_undo, state.pages_left, state.pages_most) == (30000, 1431, 1590)
    assert (state.server_version, state.phase, state.prepared_transactions) == ("9.7.4-2", "rolling back", 1)
    assert (state.warnings, state.errors, state.ready) == ([], [], False)
    state.feed(STAMP + "[System] [MY-010931] [Server] mysqld: ready for connections. Version: '9.7.4-2'")
    assert state.ready


def test_a_message_behind_the_progress_of_a_rollback_is_seen() -> None:
    state = state_after(UP_TO_READY)
    # the progress has no line feed
    state.feed(f" 98 99 100{STAMP}[Note] [MY-013012] [InnoDB] Rollback of trx with id 2062 completed")
    assert state.rolled_back == 1


def test_a_log_that_ends_at_its_checkpoint_has_an_end() -> None:
    state = state_after(
        "[Note] [MY-013883] [InnoDB] The latest found checkpoint is at lsn = 4711 in redo log file x.\n"
        "[Note] [MY-012976] [InnoDB] 9.7.4 started; log sequence number 4721\n"
    )
    assert state.end_of_log_lsn == 4711


def test_what_notes_name_explains_no_failure() -> None:
    """They speak of log records, encryption and upgrades all the time."""
    error = translate(state_after(UP_TO_READY + "[Note] [MY-010733] [Server] Shutting down keyring"), "exit status 1")
    assert error.code == RecoveryFailed.code


def test_a_crash_is_said() -> None:
    state = state_after(UP_TO_READY)
    state.feed("2026-11-21T11:39:24Z UTC - mysqld got signal 11 ;")
    assert "signal 11" in translate(state, "exit status 2").message


def test_a_damaged_page_is_hopeless() -> None:
    state = state_after("[ERROR] [MY-011906] [InnoDB] Database page corruption on disk or a failed file read of page")
    assert state.hopeless
