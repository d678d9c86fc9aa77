# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error log of a recovering MySQL server: lines in, the state of the recovery and typed errors out.

Lines carry numbers (``MY-012550``) that have stayed the same since 8.0, so those are looked at, not the texts. Seen in
the log of MySQL 9.7.4 with log_error_verbosity=3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Callable, ClassVar

from ...errors import (
    BackupIncomplete,
    DecryptionFailed,
    Option,
    PageCorrupt,
    RecoveryFailed,
    RecoveryIncomplete,
    XtrabackupError,
)
from ..error_log import (
    DAMAGED,
    FIRST_ERRORS,
    LONGEST_LINE,
    UNKNOWN_OPTION,
    RecoveryState,
    Translation,
    translated,
    trouble_here,
    wrong_version,
)
from ..server_messages import NOT_THERE, OTHER_COPY
from .server_messages import meaning_of

# progress of a rollback is printed without a line feed, so a line may begin in the middle
_LINE = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+\S* \d+ \[(?P<severity>Note|Warning|ERROR|System)\] "
    r"\[MY-(?P<number>\d+)\] \[(?P<part>\w+)\] ?"
)
_NUMBER = re.compile(r"\d+")
_CRASH = re.compile(r"mysqld got (?:signal|exception)")

_HOPELESS = {11906}  # a damaged page: the server may wait for it, for ever


@dataclass
class MysqlRecoveryState(RecoveryState):
    """State of a recovery, as far as the log of a MySQL server has told. ``ready``: it takes connections;
    ``unnumbered``: what other parts of it print, above all when they fail."""

    ready: bool = False
    unnumbered: list[str] = field(default_factory=list)
    scan_is_proof: ClassVar[bool] = True

    def feed(self, line: str) -> None:
        """Take in one line of the log."""
        self.lines += 1
        self.keep(line)
        found = _LINE.search(line)
        if not found:
            if _CRASH.search(line):
                self.errors.append(line)
            elif len(self.unnumbered) < FIRST_ERRORS:
                self.unnumbered.append(line[:LONGEST_LINE])
            return
        text, number = line[found.end() :], int(found.group("number"))
        self.hopeless = self.hopeless or number in _HOPELESS
        if found.group("severity") in ("ERROR", "Warning"):
            self._take(found, f"[MY-{found.group('number')}] {text}")
        action = _ACTIONS.get(number)
        if action:
            action(self, text)

    def _take(self, found: re.Match[str], text: str) -> None:
        error, innodb = found.group("severity") == "ERROR", found.group("part") == "InnoDB"
        message = meaning_of(int(found.group("number")), text, error=error, innodb=innodb)
        self.note_message(message, text, error=error)


def _first_number(text: str) -> int | None:
    match = _NUMBER.search(text)
    return int(match.group()) if match else None


def _version(state: MysqlRecoveryState, text: str) -> None:
    match = re.search(r"\(mysqld (\S+)\)", text)
    if match:
        state.server_version = match.group(1)


def _checkpoint(state: MysqlRecoveryState, text: str) -> None:
    state.checkpoint_lsn = state.scanned_lsn = _first_number(text)
    state.phase = "reading redo"


def _scanned(state: MysqlRecoveryState, text: str) -> None:
    state.scanned_lsn = _first_number(text)
    state.phase = "reading redo"


def _batch(state: MysqlRecoveryState, text: str) -> None:
    # pages with records, in truth: each percent below is one of them done
    state.pages_left = state.pages_most = _first_number(text) or 0
    state.phase = "applying redo"


def _percent(state: MysqlRecoveryState, text: str) -> None:
    state.pages_left = state.pages_most * (100 - min(_first_number(text) or 0, 100)) // 100


def _to_undo(state: MysqlRecoveryState, text: str) -> None:
    numbers = _NUMBER.findall(text)
    state.rows_to_undo = int(numbers[1]) if len(numbers) > 1 else None


def _rollback_started(state: MysqlRecoveryState, _text: str) -> None:
    state.phase = "rolling back"


def _rolled_back(state: MysqlRecoveryState, _text: str) -> None:
    state.rolled_back += 1


def _prepared(state: MysqlRecoveryState, text: str) -> None:
    state.prepared_transactions = _first_number(text) or 0


def _started(state: MysqlRecoveryState, text: str) -> None:
    match = re.search(r"log sequence number (\d+)", text)
    state.started_lsn = int(match.group(1)) if match else 0
    # nothing is said of a scan that found no record behind the checkpoint
    state.end_of_log_lsn = state.scanned_lsn if state.scanned_lsn is not None else state.started_lsn


def _ready(state: MysqlRecoveryState, _text: str) -> None:
    state.ready = True


_ACTIONS: dict[int, Callable[[MysqlRecoveryState, str], None]] = {
    10116: _version,  # ER_STARTING_AS
    13883: _checkpoint,  # ER_IB_MSG_LOG_CHECKPOINT_FOUND
    12550: _scanned,  # ER_IB_MSG_725: scanned up to log sequence number
    12532: _batch,  # ER_IB_MSG_707: applying a batch
    12533: _percent,  # ER_IB_MSG_708
    13023: _to_undo,  # ER_IB_MSG_1198: transactions which must be rolled back
    13014: _rollback_started,  # ER_IB_MSG_1189
    13012: _rolled_back,  # ER_IB_MSG_1187: rollback of one completed
    10225: _prepared,  # ER_XA_RECOVER_FOUND_XA_TRX
    12976: _started,  # ER_IB_MSG_1151: started; log sequence number
    10931: _ready,  # ER_SERVER_STARTUP_MSG: ready for connections
}

_ENCRYPTED = "tablespaces or the redo log are encrypted, and their keys are not known"
_KEYRING_REMEDY = (
    f"Give the file of the source's component_keyring_file with {Option('keyring_file')}; the keys in it must be those "
    "that the server had when the backup was taken."
)

# a tablespace whose key is not known; then it is called missing, too
_NO_KEY = Translation(re.compile(r"\[MY-012226\]"), DecryptionFailed, _ENCRYPTED, _KEYRING_REMEDY)

# the first that matches anywhere in the errors wins, so: causes before consequences
_TRANSLATIONS = [
    Translation(
        re.compile(r"Different lower_case_table_names"),
        RecoveryFailed,
        "its data dictionary was made with another lower_case_table_names",
        "Set lower_case_table_names in the backup's backup-my.cnf to that of the source, and start again from a copy "
        "of the backup.",
    ),
    Translation(
        re.compile(r"keyring|encrypt|decrypt|master key", re.IGNORECASE),
        DecryptionFailed,
        _ENCRYPTED,
        _KEYRING_REMEDY,
    ),
    wrong_version(
        re.compile(r"Unsupported redo log format|downgrade|upgrade|newer version of", re.IGNORECASE),
    ),
    Translation(
        re.compile(
            r"is in the future|(?:[Mm]issing|[Ii]nvalid|[Cc]orrupt\w*|not found)[^\n]*(?:redo log|checkpoint|ib_redo)|"
            r"(?:redo log|checkpoint|ib_redo)[^\n]*(?:[Mm]issing|[Ii]nvalid|[Cc]orrupt|not found)|log record"
        ),
        RecoveryIncomplete,
        "the redo log is damaged or ends too early",
        names=True,
    ),
    Translation(
        re.compile(r"corruption[^\n]*page \[page id: space=(?P<space>\d+), page number=(?P<page>\d+)\]"),
        PageCorrupt,
        "a page is damaged",
        OTHER_COPY,
        names=True,
    ),
    Translation(
        re.compile(r"associated with the tablespace ID: (?P<space>\d+)|file '(?P<file>[^'\n]+)' is missing"),
        BackupIncomplete,
        "a data file that the redo log or the data dictionary names is missing",
        NOT_THERE,
        names=True,
    ),
    Translation(
        re.compile(r"size of tablespace file '?(?P<file>[^'\s]+)'? is only"),
        BackupIncomplete,
        "a data file is shorter than it must be",
        OTHER_COPY,
        names=True,
    ),
    DAMAGED,
    UNKNOWN_OPTION,
]


def translate(state: MysqlRecoveryState, how_it_ended: str) -> XtrabackupError:
    """The error for a recovery by MySQL that failed, with the few lines of the log that tell why.

    ``how_it_ended`` says what became of the process (``exit status 1``).
    """
    # notes name much that has nothing to do with a failure
    logged = [*state.errors, *state.warnings, *state.unnumbered]
    return translated(state, how_it_ended, [_NO_KEY, *trouble_here("mysqld")], _TRANSLATIONS, logged)
