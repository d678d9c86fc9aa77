# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of every session, made before its first query.

A session inherits from the global variables, and from ``init_connect``, what other applications need: a limit of rows,
a time after which a statement is given up, another SQL mode. An answer that is cut short by one of these looks like any
other. So all that answers depend on is said here, in one place. Which variables those are was found by trying: each one
that a session inherits, on both families, at its extremes (test_session_settings.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ..errors import MissingPrivilege, ServerError
from ..format.family import Family

_UNLIMITED = (1 << 64) - 1

#: known to every supported server, and needed before any answer can be trusted, those of SHOW included
FIRST: Mapping[str, int | str] = {
    "sql_select_limit": _UNLIMITED,
    "max_join_size": _UNLIMITED,
    "sql_big_selects": 1,
    "sql_buffer_result": 0,
    "big_tables": 0,
    # a list that is counted is sorted
    "sort_buffer_size": 2 << 20,
}

#: without which MariaDB has no room to answer SHOW, or (10.11, with the two above) answers with nothing
FIRST_ON_MARIADB: Mapping[str, int | str] = {
    "max_session_mem_used": (1 << 63) - 1,
    "tmp_disk_table_size": _UNLIMITED,
    "tmp_memory_table_size": 16 << 20,
    "in_predicate_conversion_threshold": 0,
}

#: set where the server knows them; none needs a privilege (tested on MariaDB 10.11 and MySQL 9.7)
SETTINGS: Mapping[str, int | str] = {
    # an idle session must live through hours of copying, a statement through a slow disk
    "wait_timeout": 2147483,
    "net_read_timeout": 3600,
    "net_write_timeout": 3600,
    "idle_transaction_timeout": 0,
    "idle_readonly_transaction_timeout": 0,
    "idle_write_transaction_timeout": 0,
    "max_statement_time": 0,
    "max_execution_time": 0,
    # what has no deadline of its own waits like this; the server gives up before the client does
    "lock_wait_timeout": 3000,
    # a node of a cluster must answer at once, not wait for the others
    "wsrep_sync_wait": 0,
    "group_replication_consistency": "EVENTUAL",
    # statements and literals are written for the plain SQL mode, each is a transaction of its own, and may write
    "sql_mode": "",
    "sql_safe_updates": 0,
    "autocommit": 1,
    "completion_type": 0,
    "transaction_read_only": 0,
    "tx_read_only": 0,
    "transaction_isolation": "REPEATABLE-READ",
    "tx_isolation": "REPEATABLE-READ",
    # times, messages and states in the words that are looked for
    "time_zone": "+00:00",
    "lc_messages": "en_US",
    "terminology_use_previous": "NONE",
    # a channel without a name is the one without a name
    "default_master_connection": "",
}

#: the character set that paths are shown in; MySQL wants a privilege for another one than the global one
PATHS, _PLAIN = "character_set_filesystem", "binary"
_NOT_FOR_US = (1193, 1227)  # ER_UNKNOWN_SYSTEM_VARIABLE, ER_SPECIFIC_ACCESS_DENIED_ERROR
_NOT_ASCII = ("ucs2", "utf16", "utf32")  # in which no path can be read

Query = Callable[[str, Sequence[Any]], Sequence[Mapping[str, Any]]]


def prepare(query: Query, escape: Callable[[Any], str], family: Family) -> None:
    """Set the session of ``query`` up; ``escape`` makes an SQL literal of a value. Raises what ``query`` raises, and
    MissingPrivilege."""

    def assign(settings: Mapping[str, int | str]) -> None:
        assignments = [f"SESSION {name} = {escape(value)}" for name, value in settings.items()]
        try:
            query(f"SET {', '.join(assignments)}", ())
        except ServerError as error:
            if error.details.get("errno") not in _NOT_FOR_US:
                raise
            for name, assignment in zip(settings, assignments):
                _assign_if_possible(query, name, assignment)

    query("SET NAMES utf8mb4", ())
    assign({**FIRST, **(FIRST_ON_MARIADB if family is Family.MARIADB else {})})
    rows = query("SHOW SESSION VARIABLES WHERE Variable_name IN %s", [(*SETTINGS, PATHS)])
    known = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
    if not known:
        raise ServerError("the server shows no variables of this session, so that none of its answers can be trusted")
    assign({name: value for name, value in SETTINGS.items() if name in known})
    paths = known.get(PATHS, _PLAIN)
    if paths == _PLAIN:
        return
    try:
        query(f"SET SESSION {PATHS} = {_PLAIN}", ())
    except ServerError as error:
        if paths.startswith(_NOT_ASCII):
            raise MissingPrivilege(
                f"the server shows paths in the character set {paths} ({PATHS}), and this account may not ask for "
                "another one",
                remedy=f"SET GLOBAL {PATHS} = '{_PLAIN}', or GRANT SESSION_VARIABLES_ADMIN to the account.",
                character_set=paths,
            ) from error


def _assign_if_possible(query: Query, name: str, assignment: str) -> None:
    """One setting of a server that does not take all of them: newer ones drop variables, or keep them to themselves."""
    try:
        query(f"SET {assignment}", ())
    except ServerError as error:
        # of what is too little the server says so; only an answer that is cut short looks like one that is whole
        if error.details.get("errno") not in _NOT_FOR_US or name == "sql_select_limit":
            raise
