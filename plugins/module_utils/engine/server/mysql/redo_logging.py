# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that a MySQL server wrote redo for everything between two moments.

``ALTER INSTANCE DISABLE INNODB REDO_LOG`` and ``ENABLE`` may follow each other within milliseconds. All that is left in
the log's files is that the pages written in between are not in it. What lasts is the server's count of such statements,
``Com_alter_instance``: it is counted before the statement does anything, also in a procedure, an event or a prepared
statement, and no FLUSH or TRUNCATE resets it (tested on 9.7.4).

The count has all kinds of ALTER INSTANCE. Which ones they were, the statement digests tell, where the account may read
them: RELOAD TLS and a new master key leave the redo log alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ServerError, UnsupportedServer
from ..connection import Connection
from ..privileges import quoted_account

DIGESTS = "performance_schema.events_statements_summary_by_digest"

_COUNTER = "Com_alter_instance"
_TABLE_ACCESS_DENIED = 1142  # ER_TABLEACCESS_DENIED_ERROR
# what ended with an error has changed nothing: DISABLE and ENABLE are refused before they begin
_HARMLESS = (
    "SELECT CAST(COALESCE(SUM(IF("
    "DIGEST_TEXT LIKE '%ALTER INSTANCE RELOAD %' OR DIGEST_TEXT LIKE '%ALTER INSTANCE ROTATE %', "
    "COUNT_STAR, SUM_ERRORS)), 0) AS SIGNED) AS harmless "
    "FROM performance_schema.events_statements_summary_by_digest "
    "WHERE DIGEST_TEXT LIKE 'ALTER INSTANCE %' OR DIGEST_TEXT LIKE 'EXECUTE ALTER INSTANCE %'"
)


@dataclass(frozen=True)
class AlterInstance:
    """Number of ALTER INSTANCE statements that a server has begun since it started, and how many have ended that
    certainly did not touch the redo log (None: the account may not see them)."""

    begun: int
    harmless: int | None


def read_alter_instance(connection: Connection) -> AlterInstance:
    """The counts now, for ``require_logged_since``; read them before looking whether logging is enabled."""
    begun = _begun(connection)
    return AlterInstance(begun, _harmless(connection))


def require_logged_since(before: AlterInstance, connection: Connection) -> None:
    """Raises UnsupportedServer unless redo logging was enabled all the time since ``before``, when it was.

    The backup lock must be held: it keeps such statements waiting.
    """
    # the other way round than before: a statement in between must never make up for one that is looked for
    harmless = _harmless(connection)
    begun = _begun(connection) - before.begun
    if begun == 0:
        return
    if harmless is not None and before.harmless is not None and harmless - before.harmless == begun:
        return
    unseen = harmless is None or before.harmless is None
    grant = f"GRANT SELECT ON {DIGESTS} TO {quoted_account(connection)};"
    raise UnsupportedServer(
        "redo logging may have been disabled for a moment during the backup, and what was written then cannot be "
        f"recovered: the server has counted {begun} ALTER INSTANCE statements since the backup began ({_COUNTER})"
        + (f", and this account may not see which ones (that needs {grant})" if unseen else ""),
        remedy="Run the backup again, and no ALTER INSTANCE while it copies."
        + (f" With {grant} those that leave the redo log alone, such as RELOAD TLS, are told apart." if unseen else ""),
        statements=begun,
    )


def _begun(connection: Connection) -> int:
    counted = connection.status(_COUNTER)
    if _COUNTER not in counted:
        raise UnsupportedServer(
            f"the server {connection.version_text} does not count ALTER INSTANCE statements ({_COUNTER}), so that "
            "nobody can tell whether redo logging was disabled for a moment"
        )
    return int(counted[_COUNTER])


def _harmless(connection: Connection) -> int | None:
    try:
        return int(connection.scalar(_HARMLESS))
    except ServerError as error:
        if error.details.get("errno") == _TABLE_ACCESS_DENIED:
            return None
        raise
