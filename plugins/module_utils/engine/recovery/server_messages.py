# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meaning of a recovering server's messages for the data: the rules for both families.

A server can end with status 0 although it has lost rows: MariaDB goes on without a page or a file that rollback needs.
And it says much at the level of errors that does no harm. So each message is one of four things:

* ``LOST``: it names a page, a file or a table that is lost; the run has failed, however the server ends;
* ``HARMLESS``: it is known to do no harm; it is not even a warning;
* ``CHECKED``: it says of a file what ``tablespaces`` decides by the files themselves; it only explains a failure;
* ``EXPLAINS``: it may tell why a run failed, and fails none. Of a run that has ended well it is a warning.

An error of InnoDB that no row knows is ``LOST`` at the end of a run when it names a page, a file or a table.
The rows of the messages are in ``mariadb/server_messages.py`` and ``mysql/server_messages.py``.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

from ..errors import BackupIncomplete, PageCorrupt, RecoveryFailed, XtrabackupError
from ..format.file_kinds import (
    ARIA,
    DATA_SUFFIX,
    MARIADB_UNDO,
    MYSQL_UNDO,
    MYSQL_UNDO_OF_SQL,
    SYSTEM_PREFIX,
    TABLESPACE,
    extensions_of,
)
from ..format.file_names import tablespace_name

OTHER_COPY = (
    "Use another copy of the backup. If every copy fails like this, the source itself is damaged: run CHECK TABLE on "
    "the named table there, repair it, load it again or drop it, then take a new backup."
)
NOT_THERE = (
    "Use another copy of the backup. If every copy lacks the file, look for it on the source: if it is gone there, "
    "too, drop the table on the source (or load it again from an older backup), then take a new backup."
)


class Verdict(enum.Enum):
    """Meaning of a message for the data."""

    LOST = "lost"
    HARMLESS = "harmless"
    CHECKED = "checked"
    EXPLAINS = "explains"


_ANYTHING = re.compile("")


@dataclass(frozen=True)
class Message:
    """A row of the table: what a message means; for what is lost also which error it is, in a sentence, and a pattern
    whose groups are the facts (``file``, ``page``, ``space``)."""

    verdict: Verdict
    sentence: str = ""
    kind: type[XtrabackupError] = RecoveryFailed
    facts: re.Pattern[str] = field(default=_ANYTHING)
    remedy: str = OTHER_COPY


@dataclass(frozen=True)
class Loss:
    """A message that something is lost: its text, and its row."""

    text: str
    message: Message

    @property
    def facts(self) -> dict[str, str]:
        """Things that the message names, by kind."""
        match = self.message.facts.search(self.text)
        return {name: value for name, value in (match.groupdict() if match else {}).items() if value is not None}

    @property
    def table(self) -> str | None:
        """The table (``database.table``) whose data file is missing, None when it is another loss."""
        file = self.facts.get("file")
        if self.message.kind is not BackupIncomplete or file is None:
            return None
        return tablespace_name(file if file.endswith(DATA_SUFFIX) else file + DATA_SUFFIX)


HARMLESS = Message(Verdict.HARMLESS)
CHECKED = Message(Verdict.CHECKED)
EXPLAINS = Message(Verdict.EXPLAINS)
_DATA_FILES = extensions_of(TABLESPACE, MYSQL_UNDO_OF_SQL, ARIA)
UNKNOWN_LOSS = Message(
    Verdict.LOST,
    "it reports damage",
    facts=re.compile(rf"(?P<file>(?:\.|[^\s'`\"]*)/[^\s'`\"]+\.(?:{_DATA_FILES}))\b"),
)


def page_lost(facts: str) -> Message:
    """A row: a page is damaged; ``facts`` is the pattern of what the message names."""
    return Message(Verdict.LOST, "a page is damaged", PageCorrupt, re.compile(facts))


def file_missing(facts: str) -> Message:
    """A row: a data file is missing."""
    return Message(Verdict.LOST, "a data file is missing", BackupIncomplete, re.compile(facts), NOT_THERE)


def file_short(facts: str) -> Message:
    """A row: a data file is shorter than it must be."""
    return Message(Verdict.LOST, "a data file is shorter than it must be", BackupIncomplete, re.compile(facts))


# a page, a file below the data directory, a table in quotes, a tablespace
_NAMES_SOMETHING = re.compile(
    r"\bpage (?:\d|\[page id)|page number|\[page id|'?\./[^\s']|"
    rf"\.(?:{extensions_of(TABLESPACE, MYSQL_UNDO_OF_SQL)})\b|\b{SYSTEM_PREFIX}\d|\b{MARIADB_UNDO.expression}|"
    rf"\b{MYSQL_UNDO.expression}|"
    r"[Tt]able(?:space)? ['`]|`[^`]+`\.`|[Tt]ablespace(?: ID:?)? \d"
)


def is_known_loss(message: Message) -> bool:
    """Returns whether a row says that this is a loss, and not only that nothing is known of it."""
    return message.verdict is Verdict.LOST and message is not UNKNOWN_LOSS


def unknown(text: str, error_of_innodb: bool) -> Message:
    """Returns the meaning of a message that no row knows."""
    return UNKNOWN_LOSS if error_of_innodb and _NAMES_SOMETHING.search(text) else EXPLAINS


def without_names(text: str) -> str:
    """``text`` without the names and paths in it: a database may be called ``keyring``."""
    return re.sub(r"(?<!\w)'[^'\n]*'|`[^`\n]*`|\"[^\"\n]*\"|\S*/\S*", "", text)
