# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that disable the events of MariaDB data in the table that holds them; the recovery server runs them."""

from __future__ import annotations

# Its own table, as the server itself changes it; both timestamps would be set to now otherwise.
DISABLE = (
    "UPDATE mysql.event SET status = 'SLAVESIDE_DISABLED', created = created, modified = modified "
    "WHERE status = 'ENABLED';\n"
)
# The names of all enabled events, a line ``database.event`` in hexadecimal digits each, and a last empty line.
LIST = (
    "SELECT entry FROM (SELECT HEX(CONCAT(db, '.', name)) AS entry, 0 AS closing FROM mysql.event "
    "WHERE status = 'ENABLED' UNION ALL SELECT '', 1) AS enabled ORDER BY closing, entry"
)


def parse_list(text: str) -> list[str] | None:
    """The names in an answer to ``LIST``, None when it is not all there yet."""
    if text != "\n" and not text.endswith("\n\n"):
        return None
    return [bytes.fromhex(line).decode("utf-8", "replace") for line in text.split()]
