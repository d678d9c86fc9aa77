# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error log of a recovering MariaDB server: lines in, the state of the recovery and typed errors out.

The texts are those that MariaDB 10.11.19 and 11.8.6 write (seen in their logs; patterns in their binaries). Their order
differs, and lines of different threads come in any order, so nothing is concluded from the lack of a line.
"""

from __future__ import annotations

import re
from typing import Callable

from ...errors import (
    RecoveryIncomplete,
    UnsupportedTable,
    XtrabackupError,
)
from ..error_log import DAMAGED, UNKNOWN_OPTION, RecoveryState, Translation, translated, trouble_here, wrong_version
from .server_messages import meaning_of

_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d +\d+:\d\d:\d\d \d+ \[(Note|Warning|ERROR|FATAL)\] ?")
_STARTING = re.compile(r"Starting MariaDB (\S+)")
_CHECKPOINT = re.compile(r"Starting crash recovery from checkpoint LSN=(\d+)")
_SCANNED = re.compile(r"(?:Read|Parsed) redo log up to LSN=(\d+)|Multi-batch recovery needed at LSN (\d+)")
_END_OF_LOG = re.compile(r"End of log at LSN=(\d+)")
_TO_RECOVER = re.compile(r"To recover: (?:LSN (\d+)/\d+; )?(\d+) pages")
_TO_UNDO = re.compile(r"(\d+) transaction\(s\) which must be rolled back or cleaned up in total (\d+) row operations")
_TO_ROLL_BACK = re.compile(r"To roll back: (\d+) transactions?, (\d+) rows")
_PREPARED = re.compile(r"Found (\d+) prepared XA transactions")
_STARTED = re.compile(r"InnoDB: log sequence number (\d+)")


class MariadbRecoveryState(RecoveryState):
    """State of a recovery, as far as the log of a MariaDB server has told."""

    def feed(self, line: str) -> None:
        """Take in one line of the log."""
        self.lines += 1
        self.keep(line)
        severity = _PREFIX.match(line)
        text = line[severity.end() :] if severity else line
        if severity and severity.group(1) != "Note":
            error = severity.group(1) != "Warning"
            self.note_message(meaning_of(text, error=error), text, error=error)
        for pattern, action in _ACTIONS:
            match = pattern.search(text)
            if match:
                action(self, match)
                return


def _checkpoint(state: RecoveryState, match: re.Match[str]) -> None:
    state.checkpoint_lsn = state.scanned_lsn = int(match.group(1))
    state.phase = "reading redo"


def _scanned(state: RecoveryState, match: re.Match[str]) -> None:
    state.scanned_lsn = int(match.group(1) or match.group(2))
    state.phase = "reading redo"


def _end_of_log(state: RecoveryState, match: re.Match[str]) -> None:
    state.end_of_log_lsn = state.scanned_lsn = int(match.group(1))
    state.phase = "applying redo"


def _to_recover(state: RecoveryState, match: re.Match[str]) -> None:
    state.phase = "applying redo"
    if match.group(1):
        state.scanned_lsn = int(match.group(1))
    state.pages_left = int(match.group(2))
    state.pages_most = max(state.pages_most, state.pages_left)


def _to_undo(state: RecoveryState, match: re.Match[str]) -> None:
    state.rows_to_undo = int(match.group(2))


def _rollback_started(state: RecoveryState, _match: re.Match[str]) -> None:
    state.phase = "rolling back"


def _rolled_back(state: RecoveryState, _match: re.Match[str]) -> None:
    state.rolled_back += 1


def _prepared(state: RecoveryState, match: re.Match[str]) -> None:
    state.prepared_transactions = int(match.group(1))


def _started(state: RecoveryState, match: re.Match[str]) -> None:
    state.started_lsn = int(match.group(1))


def _version(state: RecoveryState, match: re.Match[str]) -> None:
    state.server_version = match.group(1)


_ACTIONS: list[tuple[re.Pattern[str], Callable[[RecoveryState, re.Match[str]], None]]] = [
    (_STARTING, _version),
    (_CHECKPOINT, _checkpoint),
    (_SCANNED, _scanned),
    (_END_OF_LOG, _end_of_log),
    (_TO_RECOVER, _to_recover),
    (_TO_UNDO, _to_undo),
    (_TO_ROLL_BACK, _to_undo),
    (re.compile(r"Starting in background the rollback of recovered transactions"), _rollback_started),
    (re.compile(r"Rolled back recovered transaction \d+"), _rolled_back),
    (_PREPARED, _prepared),
    (_STARTED, _started),
]


# the first that matches anywhere in the log wins, so: causes before consequences
_TRANSLATIONS = [
    Translation(
        re.compile(
            r"Missing FILE_CHECKPOINT|Log scan aborted|log was only scanned up to|Missing FILE_CREATE|is in the future|"
            r"Invalid log header checksum|No valid checkpoint|Malformed log record|Unknown log record"
        ),
        RecoveryIncomplete,
        "the redo log is damaged or ends too early",
    ),
    Translation(
        re.compile(r"(?:Decrypt|decrypt|encrypt|Encrypt|key_version|keyserver)"),
        UnsupportedTable,
        "the data is encrypted, which is not supported yet",
    ),
    wrong_version(
        re.compile(r"Unsupported redo log format|Upgrade after a crash is not supported|Downgrade|downgrade"),
    ),
    DAMAGED,
    UNKNOWN_OPTION,
]


def translate(state: RecoveryState, how_it_ended: str) -> XtrabackupError:
    """The error for a recovery by MariaDB that failed, with the few lines of the log that tell why.

    ``how_it_ended`` says what became of the process (``exit status 1``).
    """
    return translated(state, how_it_ended, trouble_here("mariadbd"), _TRANSLATIONS, [*state.errors, *state.tail])
