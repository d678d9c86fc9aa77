# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error log of a recovering server: what it has told so far, and the typed error for a recovery that failed."""

from __future__ import annotations

import abc
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

from ..errors import DiskFull, Option, RecoveryFailed, TargetBusy, UnsupportedServer, XtrabackupError
from .server_messages import OTHER_COPY, Loss, Message, Verdict, is_known_loss, without_names

FIRST_ERRORS = 20  # a damaged file makes thousands of lines; the first ones tell what happened
_LAST_LINES = 100
LONGEST_LINE = 1000  # characters that are kept of a line: a damaged page is printed in one, 48 KiB long
_Kept = TypeVar("_Kept")
_LINES_IN_MESSAGE = 4
ENDED_WELL = "exit status 0"


@dataclass
class RecoveryState(abc.ABC):
    """State of a recovery, as far as the server's log has told. LSNs in bytes of redo; None: not said (yet).

    ``losses`` are messages that a page, a file or a table is lost; ``checked`` those of errors and warnings that a look
    at the files proves or refutes. ``tablespaces``: the path that the recovered
    dictionary has for each tablespace id, without those that are discarded; asked, not read in the log.
    """

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
    enabled_events: int | None = None
    events_disabled: list[str] | None = None
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    tablespaces: dict[int, str] = field(default_factory=dict)
    lines: int = 0
    hopeless: bool = False  # the server cannot go on, but may not end either
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    scan_is_proof: ClassVar[bool] = False
    """Whether ``scanned_lsn`` says how far the log is whole, before any page is changed."""

    @abc.abstractmethod
    def feed(self, line: str) -> None:
        """Take in one line of the log."""

    def keep(self, line: str) -> None:
        """Keep ``line``, shortened, among the last ones."""
        self.tail.append(line[:LONGEST_LINE])

    def note_message(self, message: Message, text: str, *, error: bool) -> None:
        """Keep the line ``text``, an error or a warning of the server's, by what it means (``message``)."""
        if message.verdict is Verdict.HARMLESS:
            return
        if message.verdict is Verdict.CHECKED:
            keep(self.checked, text[:LONGEST_LINE])
        keep(self.errors if error else self.warnings, text[:LONGEST_LINE])
        if message.verdict is Verdict.LOST:
            keep(self.losses, Loss(text, message))


def keep(found: list[_Kept], one: _Kept) -> None:
    """Add ``one`` unless it is there, or there are enough."""
    if len(found) < FIRST_ERRORS and one not in found:
        found.append(one)


@dataclass(frozen=True)
class Translation:
    """One kind of failure: how the log says it, which error it is, and what the operator can do. ``names``: the pattern
    is meant for the names in a line, too."""

    pattern: re.Pattern[str]
    kind: type[XtrabackupError]
    sentence: str
    remedy: str | None = None
    names: bool = False

    def search(self, text: str) -> re.Match[str] | None:
        """Returns the match of the pattern in ``text``, None without one."""
        return self.pattern.search(text if self.names else without_names(text))


def trouble_here(server_program: str) -> list[Translation]:
    """Returns the messages of every server about what this host lacks. Such a lack also makes a server say that it
    cannot read or write, so these rows come before those of losses."""
    return [
        Translation(
            re.compile(r"No space left|Disk (?:is )?full|(?:errno|Errcode|error)(?: number)?:? 28\b", re.IGNORECASE),
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
            re.compile(
                r"[Cc]annot allocate memory|[Oo]ut of memory|allocate memory for the buffer pool|"
                r"Cannot (?:map|allocate|commit) .*buffer_pool"
            ),
            RecoveryFailed,
            "there is not enough memory for the buffer pool",
            f"Give less memory ({Option('use_memory')}), or free some on this host.",
        ),
        Translation(
            re.compile(r"Permission denied|(?:errno|Errcode|error)(?: number)?:? 13\b", re.IGNORECASE),
            RecoveryFailed,
            "the server may not use a file or directory",
            "Look at owner and permissions of the named file. Where AppArmor or SELinux confines "
            f"{server_program}, allow it this directory, or prepare in a place that it may use (such as below "
            "/var/lib/mysql).",
        ),
    ]


def wrong_version(pattern: re.Pattern[str]) -> Translation:
    """A version of the server that cannot recover the backup says ``pattern``."""
    return Translation(
        pattern,
        UnsupportedServer,
        "this server's version cannot recover this backup",
        "Install the server series that the backup was taken from.",
    )


DAMAGED = Translation(
    re.compile(r"corrupt", re.IGNORECASE), RecoveryFailed, "the server found damaged data", OTHER_COPY
)
UNKNOWN_OPTION = Translation(
    re.compile(r"unknown (?:variable|option)"),
    RecoveryFailed,
    "the server does not know an option",
    "Report this, with the version of the server.",
)


def translated(
    state: RecoveryState,
    how_it_ended: str,
    trouble_here: Sequence[Translation],
    translations: Sequence[Translation],
    logged: Sequence[str],
) -> XtrabackupError:
    """The error by the first that fits: of ``trouble_here`` in the lines ``logged``, the messages of what is lost, of
    ``translations`` in ``logged``; RecoveryFailed when none does.

    What is lost is in ``details["lost"]``, unless this host is to blame: then another run may find all of it.
    """
    text = "\n".join(logged)
    shown = " | ".join(state.errors[:_LINES_IN_MESSAGE] or list(state.tail)[-_LINES_IN_MESSAGE:])
    here = _first(trouble_here, text)
    if here is not None:
        return _error(state, how_it_ended, here[0], here[1], shown)
    loss = next((loss for loss in state.losses if is_known_loss(loss.message)), None)
    if loss is None and how_it_ended == ENDED_WELL and state.losses:
        loss = _named(state.losses[0], translations)
    if loss is not None:
        return loss.message.kind(
            f"the server could not recover the backup, {loss.message.sentence} ({how_it_ended}): "
            + " | ".join(_shown_losses(state, loss)),
            remedy=loss.message.remedy,
            log=list(state.tail),
            lost=[one.text for one in state.losses],
            **loss.facts,
        )
    found = _first(translations, text)
    if found is not None:
        return _error(state, how_it_ended, found[0], found[1], shown)
    return RecoveryFailed(
        f"the server could not recover the backup ({how_it_ended}): {shown or 'it said nothing'}",
        remedy="The details hold the end of the server's log.",
        log=list(state.tail),
    )


def _first(translations: Sequence[Translation], text: str) -> tuple[Translation, re.Match[str]] | None:
    for translation in translations:
        match = translation.search(text)
        if match:
            return translation, match
    return None


def _named(loss: Loss, translations: Sequence[Translation]) -> Loss:
    """``loss``, of which no row knows more, as the first of ``translations`` that fits has it."""
    found = _first(translations, loss.text)
    if found is None:
        return loss
    known = found[0]
    remedy = known.remedy or known.kind.default_remedy
    return replace(loss, message=replace(loss.message, kind=known.kind, sentence=known.sentence, remedy=remedy))


def _shown_losses(state: RecoveryState, first: Loss) -> list[str]:
    others = [loss.text for loss in state.losses if loss.text != first.text]
    crashes = [text for text in state.errors if "got signal" in text]
    return [first.text, *others][: _LINES_IN_MESSAGE - len(crashes[:1])] + crashes[:1]


def _error(
    state: RecoveryState, how_it_ended: str, translation: Translation, match: re.Match[str], shown: str
) -> XtrabackupError:
    return translation.kind(
        f"the server could not recover the backup, {translation.sentence} ({how_it_ended}): {shown}",
        remedy=translation.remedy,
        log=list(state.tail),
        **match.groupdict(),
    )
