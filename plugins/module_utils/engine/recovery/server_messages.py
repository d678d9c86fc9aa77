# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the messages of a recovering server mean for the data: the one table that decides, for both families.

A server can end with status 0 although it has lost rows: MariaDB goes on without a page or a file that rollback needs.
And it says much at the level of errors that does no harm. So each message is one of four things:

* ``LOST``: it names a page, a file or a table that is lost; the run has failed, however the server ends;
* ``HARMLESS``: it is known to do no harm; it is not even a warning;
* ``CHECKED``: it says of a file what ``tablespaces`` decides by the files themselves; it only explains a failure;
* ``EXPLAINS``: it may tell why a run failed, and fails none. Of a run that has ended well it is a warning.

An error of InnoDB that no row knows is ``LOST`` at the end of a run when it names a page, a file or a table.
MySQL's messages have numbers, which have stayed the same since 8.0; MariaDB's have only their texts (seen in the logs
of 10.11.19, patterns in its binary).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

from ..errors import BackupIncomplete, PageCorrupt, RecoveryFailed, XtrabackupError
from ..format.file_names import tablespace_name

_DATA_FILE = ".ibd"

OTHER_COPY = (
    "Use another copy of the backup. If every copy fails like this, the source itself is damaged: run CHECK TABLE on "
    "the named table there, repair it, load it again or drop it, then take a new backup."
)
NOT_THERE = (
    "Use another copy of the backup. If every copy lacks the file, look for it on the source: if it is gone there, "
    "too, drop the table on the source (or load it again from an older backup), then take a new backup."
)


class Verdict(enum.Enum):
    """What a message means for the data."""

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
        """What it names."""
        match = self.message.facts.search(self.text)
        return {name: value for name, value in (match.groupdict() if match else {}).items() if value is not None}

    @property
    def table(self) -> str | None:
        """The table (``database.table``) whose data file is missing, None when it is another loss."""
        file = self.facts.get("file")
        if self.message.kind is not BackupIncomplete or file is None:
            return None
        return tablespace_name(file if file.endswith(_DATA_FILE) else file + _DATA_FILE)


HARMLESS = Message(Verdict.HARMLESS)
CHECKED = Message(Verdict.CHECKED)
EXPLAINS = Message(Verdict.EXPLAINS)
UNKNOWN_LOSS = Message(
    Verdict.LOST, "it reports damage", facts=re.compile(r"(?P<file>(?:\.|[^\s'`\"]*)/[^\s'`\"]+\.(?:ibd|ibu|MA[ID]))\b")
)
_PAGE = Message(Verdict.LOST, "a page is damaged", PageCorrupt)
_MISSING = Message(Verdict.LOST, "a data file is missing", BackupIncomplete, remedy=NOT_THERE)


def _page(facts: str) -> Message:
    return Message(Verdict.LOST, _PAGE.sentence, PageCorrupt, re.compile(facts))


def _missing(facts: str) -> Message:
    return Message(Verdict.LOST, _MISSING.sentence, BackupIncomplete, re.compile(facts), NOT_THERE)


def _short(facts: str) -> Message:
    return Message(Verdict.LOST, "a data file is shorter than it must be", BackupIncomplete, re.compile(facts))


# the first that matches wins; a name that begins with #sql is that of a table which an interrupted ALTER TABLE was
# filling, and which recovery drops
_MARIADB: tuple[tuple[re.Pattern[str], Message], ...] = tuple(
    (re.compile(pattern), message)
    for pattern, message in (
        (r"Could not increase number of max_open_files|Found \d+ prepared XA transactions", HARMLESS),
        (r"Tablespace for table .* is set as discarded|because the DISCARD flag is set", HARMLESS),
        (r"Tablespace \d+ was not found at .*, but there were no modifications", HARMLESS),
        (r"InnoDB: .*[/`.]#sql", HARMLESS),
        # it has no network interface
        (r"failed to retrieve the MAC address|WSREP: (?:Failed to guess|Guessing address)", HARMLESS),
        # our own question to a table whose tablespace is discarded
        (r"Got error 194 .*when reading table", HARMLESS),
        # what follows names the file
        (r"Operating system error number \d+ in a file operation|Error number \d+ means", EXPLAINS),
        (r"Cannot open datafile for read-only", CHECKED),
        (
            r"Failed to read page \d+ from file|Unable to apply log to corrupted page",
            _page(r"page (?P<page>\d+) (?:from|in) file '?(?P<file>[^':\n]+?)'?(?::|$)"),
        ),
        (
            r"File '[^']+' is corrupted|The first page of file \S+ is corrupted",
            _page(r"(?:File|file) '?(?P<file>[^'\s]+)'? is corrupted"),
        ),
        (
            r"Corrupted page \[page id: space=\d+, page number=\d+\] of datafile",
            _page(r"page number=(?P<page>\d+)\] of datafile '(?P<file>[^']+)'"),
        ),
        (r"Could not find a valid tablespace file for", _missing(r"tablespace file for (?P<file>.+?)\.(?: |$)")),
        (
            r"Ignoring tablespace for .* because it could not be opened",
            _missing(r"tablespace for (?P<file>.+) because"),
        ),
        (r"\.ibd file is missing for table", _missing(r"for table (?P<file>.+)$")),
        (r"Tablespace \d+ was not found at", _missing(r"not found at '?(?P<file>[^\s',]+?)'?[.,]")),
        (r"InnoDB: .*(?:Table|Index|index|B-tree|Undo log|record)\b.*\b[Cc]orrupt", UNKNOWN_LOSS),
        (r"InnoDB: .*(?:is|are|appears|looks|marked as) corrupt|due to corruption|Refusing to load", UNKNOWN_LOSS),
        (r"(?:Table|table) '[^']+' is marked as crashed|Index for table '[^']+' is corrupt", UNKNOWN_LOSS),
    )
)

_MYSQL: dict[int, Message] = {
    # of a sealed server everybody knows that it has no certificates, no uuid of its own, and a redo log made by us
    10068: HARMLESS,  # a self-signed certificate
    10069: HARMLESS,  # no TLS
    10075: HARMLESS,  # a new uuid
    10225: HARMLESS,  # prepared XA transactions, which are counted
    10284: HARMLESS,  # no RSA keys
    11810: HARMLESS,  # where the pid file is
    13129: HARMLESS,  # a message for a client that nobody is: of components that are not installed here
    13412: HARMLESS,  # the last block of the redo log was cut where the backup ends
    13595: HARMLESS,  # no TLS
    13711: HARMLESS,  # the manifest of components is not read-only: root can write anything
    13892: HARMLESS,  # the creator of the redo log
    # a file that is not where the dictionary says; with names such as "con" that is not true. The files are compared
    12216: CHECKED,
    12351: CHECKED,
    13589: CHECKED,
    12202: Message(
        Verdict.LOST,
        "two data files have the same tablespace id",
        facts=re.compile(r"\['(?P<file>[^']+)'"),
        remedy="One of the files is a stray copy: information_schema.INNODB_DATAFILES of the source names the right "
        "one. Remove the other one on the source and take a new backup.",
    ),
    11906: _page(r"space=(?P<space>\d+), page number=(?P<page>\d+)"),
    12224: _page(r"datafile: (?P<file>.+?), Space"),
    12237: _page(r"page number=(?P<page>\d+)\] of datafile '(?P<file>[^']+)'"),
    12094: _short(r"tablespace file '?(?P<file>.+?)'? is only"),
    12134: _short(r"tablespace file '?(?P<file>.+?)'? is only"),
    12131: _missing(r"tablespace file for `?(?P<file>.+?)`?\. "),
    12179: _missing(r"tablespace ID: (?P<space>\d+)"),
}

# a page, a file below the data directory, a table in quotes, a tablespace
_NAMES_SOMETHING = re.compile(
    r"\bpage (?:\d|\[page id)|page number|\[page id|\.(?:ibd|ibu)\b|\bibdata\d|\bundo_?\d{3}|'?\./[^\s']|"
    r"[Tt]able(?:space)? ['`]|`[^`]+`\.`|[Tt]ablespace(?: ID:?)? \d"
)


def of_mariadb(text: str, *, error: bool) -> Message:
    """What the line ``text`` (without time and level) of MariaDB means; ``error``: it is an error to the server."""
    for pattern, message in _MARIADB:
        if pattern.search(text):
            return message
    return _unknown(text, error and text.startswith("InnoDB: "))


def of_mysql(number: int, text: str, *, error: bool, innodb: bool) -> Message:
    """What the message ``number`` of MySQL means; ``innodb``: InnoDB's own."""
    found = _MYSQL.get(number)
    return _unknown(text, error and innodb) if found is None else found


def is_known_loss(message: Message) -> bool:
    """Whether a row says that this is a loss, and not only that nothing is known of it."""
    return message.verdict is Verdict.LOST and message is not UNKNOWN_LOSS


def _unknown(text: str, error_of_innodb: bool) -> Message:
    return UNKNOWN_LOSS if error_of_innodb and _NAMES_SOMETHING.search(text) else EXPLAINS


def without_names(text: str) -> str:
    """``text`` without the names and paths in it: a database may be called ``keyring``."""
    return re.sub(r"(?<!\w)'[^'\n]*'|`[^`\n]*`|\"[^\"\n]*\"|\S*/\S*", "", text)
