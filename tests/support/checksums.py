# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are two servers equal: every table's checksum and row count, every definition, and replication's progress."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from .client import DatabaseClient

SYSTEM_DATABASES = ("mysql", "information_schema", "performance_schema", "sys")


class NotEqual(AssertionError):
    """Two servers that must hold the same do not."""


class NotCaughtUp(AssertionError):
    """A replica did not reach its source's position."""


@dataclass(frozen=True)
class TableState:
    """What one table holds."""

    engine: str
    checksum: int | None
    rows: int


def base_tables(server: DatabaseClient) -> list[tuple[str, str, str]]:
    """(database, table, engine) of every table that is not the system's own, in order of name."""
    hidden = ", ".join(f"'{name}'" for name in SYSTEM_DATABASES)
    found = server.rows(
        "SELECT table_schema AS d, table_name AS t, engine AS e FROM information_schema.tables "
        f"WHERE table_type IN ('BASE TABLE', 'SEQUENCE') AND table_schema NOT IN ({hidden}) ORDER BY 1, 2"
    )
    return [(row["d"], row["t"], row["e"]) for row in found]


def table_states(server: DatabaseClient) -> dict[str, TableState]:
    """The state of every user table, by ``database.table``; each table is read in full."""
    states = {}
    with server.session() as connection, connection.cursor() as cursor:
        for database, table, engine in base_tables(server):
            name = f"`{database}`.`{table}`"
            cursor.execute(_checksum_query(cursor, database, table))
            checksum = cursor.fetchone()
            cursor.execute(f"SELECT COUNT(*) FROM {name}")
            count = cursor.fetchone()
            assert checksum is not None
            assert count is not None
            states[f"{database}.{table}"] = TableState(engine, checksum[1], count[0])
    return states


def _checksum_query(cursor: Any, database: str, table: str) -> str:
    """A query whose second column tells whether two tables hold the same.

    CHECKSUM TABLE does not compute VIRTUAL columns (10.11: it sums up what the record buffer happens to hold), so it
    differs between equal tables that have some; their rows are summed up here.
    """
    cursor.execute(
        "SELECT column_name, COALESCE(generation_expression, '') <> '' AND extra LIKE 'VIRTUAL%%' "
        "FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        [database, table],
    )
    columns = cursor.fetchall()
    name = f"`{database}`.`{table}`"
    if not any(virtual for _column, virtual in columns):
        return f"CHECKSUM TABLE {name} EXTENDED"
    row = ", ".join(f"COALESCE(HEX(`{column}`), 'NULL')" for column, _virtual in columns)
    return (
        f"SELECT '{name}', COALESCE(BIT_XOR(CONV(LEFT(SHA2(CONCAT_WS('|', {row}), 256), 15), 16, 10)), 0) FROM {name}"
    )


def assert_tables_equal(left: DatabaseClient, right: DatabaseClient, *, at_least: int = 1) -> int:
    """Check that both servers hold the same user tables with the same content.

    Returns how many tables were compared; raises NotEqual, also when they are fewer than ``at_least``, so that a
    comparison of nothing with nothing is no success.
    """
    one, other = table_states(left), table_states(right)
    wrong = [
        f"{name}: {one.get(name)} != {other.get(name)}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name) or one[name].checksum is None
    ]
    if wrong:
        raise NotEqual(f"{len(wrong)} of {len(one.keys() | other.keys())} tables differ: " + "; ".join(wrong[:20]))
    if len(one) < at_least:
        raise NotEqual(f"only {len(one)} tables were compared, {at_least} or more were expected")
    return len(one)


_DEFINITION_QUERIES = {
    "columns": "SELECT table_schema, table_name, column_name, column_type, column_default, is_nullable, extra "
    "FROM information_schema.columns WHERE table_schema NOT IN {hidden} ORDER BY 1, 2, ordinal_position",
    "indexes": "SELECT table_schema, table_name, index_name, seq_in_index, column_name, non_unique "
    "FROM information_schema.statistics WHERE table_schema NOT IN {hidden} ORDER BY 1, 2, 3, 4",
    "partitions": "SELECT table_schema, table_name, partition_name, partition_method, partition_expression "
    "FROM information_schema.partitions WHERE table_schema NOT IN {hidden} ORDER BY 1, 2, 3",
    "views": "SELECT table_schema, table_name, view_definition, definer, security_type "
    "FROM information_schema.views WHERE table_schema NOT IN {hidden} ORDER BY 1, 2",
    "triggers": "SELECT trigger_schema, trigger_name, event_manipulation, event_object_table, action_statement, "
    "definer FROM information_schema.triggers WHERE trigger_schema NOT IN {hidden} ORDER BY 1, 2",
    "routines": "SELECT routine_schema, routine_name, routine_type, routine_definition, definer "
    "FROM information_schema.routines WHERE routine_schema NOT IN {hidden} ORDER BY 1, 2",
    "events": "SELECT event_schema, event_name, event_definition, interval_value, interval_field, definer "
    "FROM information_schema.events WHERE event_schema NOT IN {hidden} ORDER BY 1, 2",
    "databases": "SELECT * FROM information_schema.schemata WHERE schema_name NOT IN {hidden} ORDER BY schema_name",
    "accounts": "SELECT user, host, plugin, authentication_string FROM mysql.user ORDER BY 1, 2",
}


def definitions(server: DatabaseClient) -> dict[str, list[dict[str, Any]]]:
    """Everything that is defined on a server beside rows: columns, indexes, views, triggers, routines, accounts..."""
    hidden = "(" + ", ".join(f"'{name}'" for name in SYSTEM_DATABASES) + ")"
    return {kind: server.rows(query.format(hidden=hidden)) for kind, query in _DEFINITION_QUERIES.items()}


def assert_definitions_equal(left: DatabaseClient, right: DatabaseClient) -> None:
    """Check that both servers define the same; raises NotEqual with the first differences of each kind."""
    one, other = definitions(left), definitions(right)
    for kind, rows in one.items():
        if rows != other[kind]:
            only_left = [row for row in rows if row not in other[kind]][:3]
            only_right = [row for row in other[kind] if row not in rows][:3]
            raise NotEqual(f"{kind} differ: only in the first {only_left}, only in the second {only_right}")


def wait_until_caught_up(source: DatabaseClient, replica: DatabaseClient, *, timeout: float = 120) -> float:
    """Wait until ``replica`` has applied everything that ``source`` has in its binary log now.

    Returns the seconds that it took; raises NotCaughtUp with the replica's own errors.
    """
    begun = time.monotonic()
    mysql = source.flavor == "mysql"
    position = source.value("SELECT @@gtid_executed" if mysql else "SELECT @@gtid_binlog_pos")
    wait = "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)" if mysql else "SELECT MASTER_GTID_WAIT(%s, %s)"
    while True:
        left = timeout - (time.monotonic() - begun)
        reached = replica.value(wait, [position, max(0.01, min(1.0, left))])
        if reached == 0:
            return time.monotonic() - begun
        status = replica.rows("SHOW REPLICA STATUS" if mysql else "SHOW ALL SLAVES STATUS")
        errors = [row[name] for row in status for name in ("Last_IO_Error", "Last_SQL_Error") if row[name]]
        stopped = any((row.get("Replica_SQL_Running") or row.get("Slave_SQL_Running")) != "Yes" for row in status)
        if left <= 0 or not status or stopped:
            here = replica.value("SELECT @@gtid_executed" if mysql else "SELECT @@gtid_slave_pos")
            raise NotCaughtUp(
                f"the replica is at {here} and not at {position} after {timeout} s; channels: {len(status)}, "
                f"errors: {errors}\n{replica.log_tail()}"
            )
