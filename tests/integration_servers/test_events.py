# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events in data that are to become a replica's, and in a plain restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.tests.support.estate import KINDS
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

DISABLED = {"mariadb": "SLAVESIDE_DISABLED", "mysql": "REPLICA_SIDE_DISABLED"}
PLAIN, ODD, LATE, PAST = "shop.tick", 'a`b.e`"1 \u00fc', "shop.late", "shop.past"
# all that an event has, except when it was altered
COLUMNS = (
    "EVENT_SCHEMA, EVENT_NAME, DEFINER, TIME_ZONE, EVENT_BODY, EVENT_DEFINITION, EVENT_TYPE, EXECUTE_AT, "
    "INTERVAL_VALUE, INTERVAL_FIELD, SQL_MODE, STARTS, ENDS, ON_COMPLETION, CREATED, EVENT_COMMENT, "
    "ORIGINATOR, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION"
)
MADE = (
    "CREATE DATABASE shop",
    "CREATE TABLE shop.ticks (id INT AUTO_INCREMENT PRIMARY KEY)",
    "CREATE DATABASE `a``b`",
    "CREATE USER `o'w``n`@'%' IDENTIFIED BY 'x'",
    "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND ENDS NOW() + INTERVAL 1 DAY DO INSERT INTO shop.ticks VALUES ()",
    "CREATE EVENT shop.off ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO shop.ticks VALUES ()",
    "CREATE EVENT shop.past ON SCHEDULE AT NOW() + INTERVAL 1 SECOND ON COMPLETION PRESERVE DO SELECT 1",
    "CREATE EVENT shop.late ON SCHEDULE AT NOW() + INTERVAL 1 DAY DO SELECT 1",
)


def make_events(server: DatabaseServer) -> None:
    """Events with everything that could get lost; the scheduler is off, so the one of a second from now stays."""
    with server.session() as connection, connection.cursor() as cursor:
        for statement in MADE:
            cursor.execute(statement)
        cursor.execute("SET GLOBAL server_id = 77")
        cursor.execute("SET time_zone = '+05:00', sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
        cursor.execute("SET NAMES latin1 COLLATE latin1_german2_ci")
        odd = (
            'CREATE DEFINER = `o\'w``n`@\'%\' EVENT "a`b"."e`""1 \u00fc" ON SCHEDULE EVERY 2 HOUR '
            "STARTS '2030-01-01 00:00:00' ON COMPLETION PRESERVE COMMENT 'it''s \u00e4' DO SELECT '\u00f6\\', NOW()"
        )
        cursor.execute(odd.encode("latin1"))
    server.execute("DROP USER `o'w``n`@'%'")  # nobody needs to be there while an event is disabled


def events_of(server: DatabaseServer) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Everything of each event, and its state by name."""
    rows = server.rows(f"SELECT {COLUMNS} FROM information_schema.EVENTS ORDER BY 1, 2")
    states = server.rows(
        "SELECT CONCAT(EVENT_SCHEMA, '.', EVENT_NAME) AS name, STATUS AS s FROM information_schema.EVENTS"
    )
    return rows, {row["name"]: row["s"] for row in states}


@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_events_are_disabled_for_a_replica_whole_otherwise_and_stay_in_a_plain_restore(
    workdir: Path, flavor: str
) -> None:
    backup, ready, plain = (str(workdir / name) for name in ("backup", "ready", "plain"))
    with KINDS[flavor](workdir / "source", {"event_scheduler": "OFF"}) as source:
        make_events(source)
        made, states = events_of(source)
        run_module("xtrabackup_backup", {"dest": backup, **source.login()})
    for_replica = {"disable_events": True, "server_program": source.executable()}
    prepared = run_module("xtrabackup_prepare", {"src": backup, "target_dir": ready, **for_replica})
    assert sorted(prepared["recovery"]["events_disabled"]) == sorted([PLAIN, ODD, LATE, PAST])
    again = run_module("xtrabackup_prepare", {"src": backup, "target_dir": ready, **for_replica})
    assert not again["changed"]
    # neither is taken for the other
    reported = run_module("xtrabackup_prepare", {"src": ready})
    assert not reported["changed"]
    assert "was prepared for a replica: 4 events are disabled on it" in str(reported["warnings"])
    other = run_module("xtrabackup_prepare", {"src": backup, "target_dir": ready}, fails=True)
    assert other["error"]["code"] == "target_not_empty"
    run_module("xtrabackup_prepare", {"src": backup, "target_dir": plain, "server_program": source.executable()})
    refused = run_module("xtrabackup_prepare", {"src": plain, **for_replica}, fails=True)
    assert "its events are still enabled" in refused["msg"]
    off = {"event_scheduler": "OFF"}
    for directory, expected in (
        (plain, states),
        (ready, {name: DISABLED[flavor] if state == "ENABLED" else state for name, state in states.items()}),
    ):
        with restored(KINDS[flavor](workdir / f"of_{Path(directory).name}", off, server_id=5), directory) as server:
            assert events_of(server) == (made, expected)


def restored(server: DatabaseServer, directory: str) -> DatabaseServer:
    """``server`` on the data in ``directory``."""
    server.write_option_file()
    place = {"datadir": str(server.datadir), "server_program": server.executable()}
    run_module("xtrabackup_restore", {"src": directory, "method": "move", **place})
    return server.start()
