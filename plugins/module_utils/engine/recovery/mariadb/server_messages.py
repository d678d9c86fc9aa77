# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meaning of a recovering MariaDB server's messages for the data; they have only their texts.

Seen in the logs of 10.11.19, patterns in its binary.
"""

from __future__ import annotations

import re

from ..server_messages import CHECKED, EXPLAINS, HARMLESS, UNKNOWN_LOSS, Message, file_missing, page_lost, unknown

# the first that matches wins; a name that begins with #sql is that of a table which an interrupted ALTER TABLE was
# filling, and which recovery drops
_MESSAGES: tuple[tuple[re.Pattern[str], Message], ...] = tuple(
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
            page_lost(r"page (?P<page>\d+) (?:from|in) file '?(?P<file>[^':\n]+?)'?(?::|$)"),
        ),
        (
            r"File '[^']+' is corrupted|The first page of file \S+ is corrupted",
            page_lost(r"(?:File|file) '?(?P<file>[^'\s]+)'? is corrupted"),
        ),
        (
            r"Corrupted page \[page id: space=\d+, page number=\d+\] of datafile",
            page_lost(r"page number=(?P<page>\d+)\] of datafile '(?P<file>[^']+)'"),
        ),
        (r"Could not find a valid tablespace file for", file_missing(r"tablespace file for (?P<file>.+?)\.(?: |$)")),
        (
            r"Ignoring tablespace for .* because it could not be opened",
            file_missing(r"tablespace for (?P<file>.+) because"),
        ),
        (r"\.ibd file is missing for table", file_missing(r"for table (?P<file>.+)$")),
        (r"Tablespace \d+ was not found at", file_missing(r"not found at '?(?P<file>[^\s',]+?)'?[.,]")),
        (r"InnoDB: .*(?:Table|Index|index|B-tree|Undo log|record)\b.*\b[Cc]orrupt", UNKNOWN_LOSS),
        (r"InnoDB: .*(?:is|are|appears|looks|marked as) corrupt|due to corruption|Refusing to load", UNKNOWN_LOSS),
        (r"(?:Table|table) '[^']+' is marked as crashed|Index for table '[^']+' is corrupt", UNKNOWN_LOSS),
    )
)


def meaning_of(text: str, *, error: bool) -> Message:
    """Returns the meaning of MariaDB's line ``text`` (without time and level); ``error``: it is an error to the
    server."""
    for pattern, message in _MESSAGES:
        if pattern.search(text):
            return message
    return unknown(text, error and text.startswith("InnoDB: "))
