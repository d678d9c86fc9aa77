# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meaning of a recovering MySQL server's messages for the data; their numbers have stayed the same since 8.0."""

from __future__ import annotations

import re

from ..server_messages import CHECKED, HARMLESS, Message, Verdict, file_missing, file_short, page_lost, unknown

_MESSAGES: dict[int, Message] = {
    # of a recovery server everybody knows that it has no certificates, no uuid of its own, and a redo log made by us
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
    11906: page_lost(r"space=(?P<space>\d+), page number=(?P<page>\d+)"),
    12224: page_lost(r"datafile: (?P<file>.+?), Space"),
    12237: page_lost(r"page number=(?P<page>\d+)\] of datafile '(?P<file>[^']+)'"),
    12094: file_short(r"tablespace file '?(?P<file>.+?)'? is only"),
    12134: file_short(r"tablespace file '?(?P<file>.+?)'? is only"),
    12131: file_missing(r"tablespace file for `?(?P<file>.+?)`?\. "),
    12179: file_missing(r"tablespace ID: (?P<space>\d+)"),
}


def meaning_of(number: int, text: str, *, error: bool, innodb: bool) -> Message:
    """Returns the meaning of MySQL's message ``number``; ``innodb``: InnoDB's own."""
    found = _MESSAGES.get(number)
    return unknown(text, error and innodb) if found is None else found
