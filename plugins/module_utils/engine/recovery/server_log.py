# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error log of a recovering MariaDB server: lines in, the state of the recovery and typed errors out.

The texts are those that MariaDB 10.11.19 and 11.8.6 write (seen in their logs; patterns in their binaries). Their order
differs, and lines of different threads come in any order, so nothing is concluded from the lack of a line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Callable, ClassVar

from ..errors import (
    DiskFull,
    PageCorrupt,
    RecoveryFailed,
    RecoveryIncomplete,
    TargetBusy,
    UnsupportedServer,
    UnsupportedTable,
    XtrabackupError,
)

FIRST_ERRORS = 20  # a damaged file makes thousands of lines; the first ones tell what happened
_LAST_LINES = 100
_LINES_IN_MESSAGE = 4

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
_HARMLESS = re.compile(r"Could not increase number of max_open_files|Found \d+ prepared XA transactions")


@dataclass
class RecoveryState:
    """What the log has told so far. LSNs in bytes of redo; None: not said (yet)."""

    server_version: str = ""
    phase: str = "starting"
    checkpoint_lsn: int | None = None
    scanned_lsn: int | None = None
    end_of_log_lsn: int | None = None
    pages_left: int | None = None
    pages_most: int = 0
    rows_to_undo: int | None = None
    started_lsn: int | None = None
    rolled_back: int = 0
    prepared_transactions: int = 0
    gtid_executed: str | None = None
    events_disabled: list[str] | None = None
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lines: int = 0
    hopeless: bool = False  # the server cannot go on, but may not end either
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    scan_is_proof: ClassVar[bool] = False
    """Whether ``scanned_lsn`` says how far the log is whole, before any page is changed."""

    def feed(self, line: str) -> None:
        """Take in one line of the log."""
        self.lines += 1
        self.tail.append(line)
        severity = _PREFIX.match(line)
        text = line[severity.end() :] if severity else line
        if severity and severity.group(1) in ("ERROR", "FATAL") and len(self.errors) < FIRST_ERRORS:
            self.errors.append(text)
        elif severity and severity.group(1) == "Warning":
            self._warn(text)
        for pattern, action in _ACTIONS:
            match = pattern.search(text)
            if match:
                action(self, match)
                return

    def _warn(self, text: str) -> None:
        if len(self.warnings) < FIRST_ERRORS and not _HARMLESS.search(text):
            self.warnings.append(text)


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


@dataclass(frozen=True)
class Translation:
    """One kind of failure: how the log says it, which error it is, and what the operator can do."""

    pattern: re.Pattern[str]
    kind: type[XtrabackupError]
    sentence: str
    remedy: str | None = None


OTHER_COPY = "The backup is damaged or incomplete: use another copy of it."

# the first that matches anywhere in the log wins, so: causes before consequences
_TRANSLATIONS = [
    Translation(
        re.compile(r"No space left|Disk (?:is )?full|(?:Errcode|error)(?: number)?:? 28\b", re.IGNORECASE),
        DiskFull,
        "the file system is full",
    ),
    Translation(
        re.compile(r"Unable to lock|Can't lock aria control file"),
        TargetBusy,
        "another server has these files open",
        "End the other server, then run this again.",
    ),
    Translation(
        re.compile(r"Cannot (?:map|allocate|commit) .*buffer_pool|Cannot allocate memory|[Oo]ut of memory"),
        RecoveryFailed,
        "there is not enough memory for the buffer pool",
        "Give less memory (use_memory), or free some on this host.",
    ),
    Translation(
        re.compile(r"Permission denied|(?:Errcode|error)(?: number)?:? 13\b", re.IGNORECASE),
        RecoveryFailed,
        "the server may not use a file or directory",
        "Look at owner and permissions of the named file. Where AppArmor or SELinux confines mariadbd, allow it this "
        "directory, or prepare in a place that it may use (such as below /var/lib/mysql).",
    ),
    Translation(
        re.compile(
            r"Missing FILE_CHECKPOINT|Log scan aborted|log was only scanned up to|Missing FILE_CREATE|is in the future|"
            r"Invalid log header checksum|No valid checkpoint|Malformed log record|Unknown log record"
        ),
        RecoveryIncomplete,
        "the redo log is damaged or ends too early",
    ),
    Translation(
        re.compile(r"Tablespace \d+ was not found at (?P<file>\S+)"),
        RecoveryFailed,
        "a data file that the redo log names is missing",
        OTHER_COPY,
    ),
    Translation(
        re.compile(r"Unable to apply log to corrupted page (?P<page>\d+) in file (?P<file>\S+)"),
        PageCorrupt,
        "a page is damaged",
        OTHER_COPY,
    ),
    Translation(
        re.compile(r"(?:Decrypt|decrypt|encrypt|Encrypt|key_version|keyserver)"),
        UnsupportedTable,
        "the data is encrypted, which is not supported yet",
    ),
    Translation(
        re.compile(r"Unsupported redo log format|Upgrade after a crash is not supported|Downgrade|downgrade"),
        UnsupportedServer,
        "this server's version cannot recover this backup",
        "Install the server series that the backup was taken from.",
    ),
    Translation(
        re.compile(r"[Cc]orrupt"),
        RecoveryFailed,
        "the server found damaged data",
        OTHER_COPY,
    ),
    Translation(
        re.compile(r"unknown (?:variable|option)"),
        RecoveryFailed,
        "the server does not know an option",
        "Report this, with the version of the server.",
    ),
]


def translate(state: RecoveryState, how_it_ended: str) -> XtrabackupError:
    """The error for a recovery by MariaDB that failed, with the few lines of the log that tell why.

    ``how_it_ended`` says what became of the process (``exit status 1``).
    """
    return translated(state, how_it_ended, _TRANSLATIONS)


def translated(
    state: RecoveryState,
    how_it_ended: str,
    translations: Sequence[Translation],
    told: Sequence[str] | None = None,
) -> XtrabackupError:
    """The error by the first of ``translations`` that fits the log, or the lines ``told`` of it; RecoveryFailed when
    none does."""
    text = "\n".join([*state.errors, *state.tail] if told is None else told)
    lines = state.errors[:_LINES_IN_MESSAGE] or list(state.tail)[-_LINES_IN_MESSAGE:]
    shown = " | ".join(lines)
    for translation in translations:
        match = translation.pattern.search(text)
        if match:
            return translation.kind(
                f"the server could not recover the backup, {translation.sentence} ({how_it_ended}): {shown}",
                remedy=translation.remedy,
                log=list(state.tail),
                **match.groupdict(),
            )
    return RecoveryFailed(
        f"the server could not recover the backup ({how_it_ended}): {shown or 'it said nothing'}",
        remedy="The details hold the end of the server's log.",
        log=list(state.tail),
    )
