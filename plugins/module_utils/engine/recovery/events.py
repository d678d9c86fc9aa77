# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled events of data that are to become a replica's: none of them may fire there.

A server that gets an event by replication notes it as SLAVESIDE_DISABLED (MySQL: REPLICA_SIDE_DISABLED); what the event
does arrives from the source. A copy brings the events along as the source has them, enabled. So they get that state in
the sealed run, whose server never starts its scheduler, and before any other server sees the data.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import ConnectionFailed, InvalidOption, RecoveryFailed, ServerError
from ..server.connection import Connection, version_numbers

# Its own table, as the server itself changes it; both timestamps would be set to now otherwise.
MARIADB_DISABLE = (
    "UPDATE mysql.event SET status = 'SLAVESIDE_DISABLED', created = created, modified = modified "
    "WHERE status = 'ENABLED';\n"
)
_SAYS_REPLICA = (8, 2)  # before, the statement and the state say SLAVE
_CHARSET = re.compile(r"\w+")


# The names of all enabled events, a line ``database.event`` in hexadecimal digits each, and a last empty line.
MARIADB_LIST = (
    "SELECT entry FROM (SELECT HEX(CONCAT(db, '.', name)) AS entry, 0 AS closing FROM mysql.event "
    "WHERE status = 'ENABLED' UNION ALL SELECT '', 1) AS enabled ORDER BY closing, entry"
)


def parse_mariadb_list(text: str) -> list[str] | None:
    """The names in an answer to ``MARIADB_LIST``, None when it is not all there yet."""
    if text != "\n" and not text.endswith("\n\n"):
        return None
    return [bytes.fromhex(line).decode("utf-8", "replace") for line in text.split()]


def as_wished(disabled: list[str] | None, wish: bool) -> bool:
    """Whether data of which the events ``disabled`` were disabled (None: nobody looked) are as ``wish`` wants them."""
    return disabled is not None if wish else not disabled


def require_disabled(disabled: list[str] | None, path: Path) -> None:
    """Raises InvalidOption when nobody has disabled the events of the prepared data at ``path``."""
    if disabled is None:
        raise InvalidOption(
            f"disable_events: {path} was prepared before, and its events are still enabled",
            remedy="Prepare another copy of the backup with this option, or give a target_dir.",
            option="disable_events",
            path=str(path),
        )


def warnings_of(disabled: list[str] | None, wish: bool, path: Path) -> list[str]:
    """What to say of prepared data at ``path`` whose events ``disabled`` were disabled though ``wish`` is not set:
    whoever restores them as they are misses these events."""
    if wish or not disabled:
        return []
    return [f"{path} was prepared for a replica: {len(disabled)} events are disabled on it: {', '.join(disabled[:10])}"]


def disable_mysql(connection: Connection) -> list[str]:
    """Disable every enabled event of a MySQL server, as replication does it; their names, ``database.event``.

    Definer, sql_mode, time zone, character set and originator stay. Raises RecoveryFailed when one cannot be disabled,
    ConnectionFailed when the server is gone.
    """
    word = "REPLICA" if version_numbers(connection.version_text) >= _SAYS_REPLICA else "SLAVE"
    connection.execute("SET SESSION sql_log_bin = 0")
    enabled = _enabled(connection)
    for event in enabled:
        try:
            _disable(connection, event, word)
        except ConnectionFailed:
            raise
        except ServerError as error:
            raise RecoveryFailed(
                f"event {_name(event)} cannot be disabled: {error}",
                remedy="Alter or drop this event on the source, and take a new backup.",
                event=_name(event),
            ) from error
    left = [_name(event) for event in _enabled(connection)]
    if left:
        raise RecoveryFailed(f"events are still enabled: {', '.join(left[:10])}", events=left)
    return [_name(event) for event in enabled]


def _enabled(connection: Connection) -> list[dict[str, Any]]:
    return connection.query(
        "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER, ORIGINATOR, CHARACTER_SET_CLIENT, COLLATION_CONNECTION "
        "FROM information_schema.EVENTS WHERE STATUS = 'ENABLED' ORDER BY 1, 2"
    )


def _name(event: dict[str, Any]) -> str:
    return f"{event['EVENT_SCHEMA']}.{event['EVENT_NAME']}"


def statement_of(event: dict[str, Any], word: str) -> str:
    """The statement that disables ``event`` (a row of information_schema.EVENTS) and keeps its definer."""
    user, _at, host = str(event["DEFINER"]).rpartition("@")
    definer, schema, name = f"{_quoted(user)}@{_quoted(host)}", event["EVENT_SCHEMA"], event["EVENT_NAME"]
    return f"ALTER DEFINER = {definer} EVENT {_quoted(schema)}.{_quoted(name)} DISABLE ON {word}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _disable(connection: Connection, event: dict[str, Any], word: str) -> None:
    """The statement stores character set, collation and server_id of its session with the event: it gets those that the
    event has. sql_mode and time zone are stored with a new body and a new schedule only."""
    charset = str(event["CHARACTER_SET_CLIENT"])
    if not _CHARSET.fullmatch(charset):
        raise RecoveryFailed(f"event {_name(event)}: there is no character set {charset!r}", event=_name(event))
    text = statement_of(event, word)
    # sent in the event's own character set, for that is how the server reads it then
    row = connection.row(
        f"SELECT HEX(CONVERT(%s USING {charset})) AS raw, CONVERT(CONVERT(%s USING {charset}) USING utf8mb4) AS back",
        [text, text],
    )
    if row is None or row["back"] != text:
        raise RecoveryFailed(
            f"event {_name(event)}: its names cannot be written in its own character set {charset}",
            remedy="Alter the event on the source (ALTER EVENT ... in a session with utf8mb4), and take a new backup.",
            event=_name(event),
        )
    connection.execute("SET GLOBAL server_id = %s", [int(event["ORIGINATOR"])])
    connection.execute(
        "SET SESSION character_set_client = %s, collation_connection = %s",
        [charset, str(event["COLLATION_CONNECTION"])],
    )
    try:
        connection.execute_raw(bytes.fromhex(str(row["raw"])))
    finally:
        connection.execute("SET NAMES utf8mb4")
