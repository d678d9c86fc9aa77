# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disables the events of MySQL data: by a statement for each, in the recovery server."""

from __future__ import annotations

import re
from typing import Any

from ...errors import ConnectionFailed, RecoveryFailed, ServerError
from ...server.connection import Connection, version_numbers

_SAYS_REPLICA = (8, 2)  # before, the statement and the state say SLAVE
_CHARSET = re.compile(r"\w+")


def disable_all(connection: Connection) -> list[str]:
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
