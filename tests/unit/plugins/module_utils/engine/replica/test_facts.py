# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of modules become values once, and what is no such result is an error that names the place."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.facts import (
    parse_host,
    parse_journal,
    parse_primary,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.model import (
    Channel,
    Journal,
    Place,
    PrimaryServer,
    Problem,
    Received,
    Service,
    UserData,
)

SERVER: dict[str, Any] = {
    "flavor": "percona",
    "version_tuple": [8, 4, 3],
    "server_id": 1,
    "server_uuid": "u",
    "supported": True,
    "refusal": None,
    "privileges_missing": ["A", "B"],
    "privileges_missing_for_replication": ["B", "C"],
    "privileges_missing_on_read_only": ["D"],
    "log_bin": True,
    "log_replica_updates": True,
    "gtid": "u:1-5",
    "gtid_mode": "ON",
}
CHANNEL: dict[str, Any] = {
    "channel": "main",
    "source_host": "db1",
    "source_port": 3306,
    "state": "replicating",
    "last_error": "",
    "source_server_id": 1,
    "source_uuid": "u",
    "gtid_executed": "u:1-4",
    "source_user": "repl",
    "source_ssl": True,
    "seconds_behind": None,
}
NOTHING_SEEN = {"state": "unknown", "running": True, "databases": [], "objects": [], "unknown": ["why"]}
NONE_SEEN = {"state": "none", "running": True, "databases": [], "objects": [], "unknown": []}
HOST: dict[str, Any] = {
    "host": {
        "installed": True,
        "flavor": "mysql",
        "version": "8.4.3",
        "datadir": "/data",
        "options": {"server_id": "7", "gtid_mode": "on"},
        "running": True,
        "service": "mysql",
        "service_known": True,
        "service_datadir": "",
        "missing_files": [],
    },
    "source": {"kind": "datadir", "complete": True, "restored": True, "proven": True},
    "backup": {"id": "x"},
    "user_data": NOTHING_SEEN,
    "server": None,
    "replication": None,
    "administrator": {"server": SERVER, "replication": [CHANNEL], "user_data": NONE_SEEN},
    "journal": {
        "exists": True,
        "record": {"source": "db1:3306", "phase": "place", "id": "x", "time": 5, "consent": True},
    },
    "incoming": {"path": "/in", "overlap": False, "source": {"kind": "backup", "complete": True, "id": "x"}},
}


def test_a_primary() -> None:
    assert parse_primary("db1", {"server": SERVER, "replication": []}).server == PrimaryServer(
        family=Family.MYSQL, version=(8, 4, 3), server_id=1, server_uuid="u", privileges_missing=("A", "B", "C"),
        privileges_missing_on_read_only=("D",),
        gtid="u:1-5", gtid_mode="ON",
    )  # fmt: skip
    replica = parse_primary("db1", {"server": SERVER, "replication": [CHANNEL]}).server
    assert replica is not None
    assert replica.replicates


def test_a_primary_that_could_not_be_asked_has_the_error() -> None:
    error = {"code": "connection_failed", "message": "refused", "remedy": "Start it.", "details": {}}
    primary = parse_primary("db1", {"server": None, "server_error": error})
    assert (primary.server, primary.error) == (None, Problem("connection_failed", "refused", "Start it."))


def test_a_host_as_its_administrator_sees_it() -> None:
    host = parse_host("db2", HOST)
    assert (host.installed, host.family, host.version) == (True, Family.MYSQL, (8, 4, 3))
    assert (host.server_id, host.gtid_mode, host.running, host.answered) == (7, "on", True, True)
    assert host.place == Place("datadir", True, True, True, "x")
    assert host.data == UserData("none", running=True)
    assert host.channels == (
        Channel(
            "main", "db1", 3306, "replicating", source_server_id=1, source_uuid="u", executed="u:1-4",
            settings={"source_user": "repl", "source_ssl": True},
        ),
    )  # fmt: skip
    assert host.service == Service("mysql", True, "")
    assert host.received == Received("/in", "backup", True, "x")
    assert parse_journal("db2", HOST) == Journal(True, "db1:3306", "place", "x", 5, consent=True)


def test_what_any_account_has_found_counts() -> None:
    found = {**NOTHING_SEEN, "state": "found", "databases": ["crm"]}
    assert parse_host("db2", {**HOST, "user_data": found}).data.databases == ("crm",)
    administrator = {**HOST["administrator"], "user_data": found}
    assert parse_host("db2", {**HOST, "user_data": NONE_SEEN, "administrator": administrator}).data.state == "found"


def test_a_host_of_which_little_is_known() -> None:
    bare = {"host": {"flavor": "mariadb", "datadir": "/data"}, "source": {"kind": "absent"}}
    host = parse_host("db2", bare)
    assert (host.installed, host.version, host.channels, host.answered) == (False, (), None, False)
    assert (host.data, host.server_id) == (UserData(), 1)
    assert parse_journal("db2", bare) == Journal()


@pytest.mark.parametrize("path", ["host", "source", "journal", "incoming", "administrator", "user_data", "backup"])
def test_what_is_no_result_of_the_module_names_the_host_and_the_key(path: str) -> None:
    with pytest.raises(FormatError, match=f"db2.*{path}.*instead of facts"):
        (parse_journal if path == "journal" else parse_host)("db2", {**HOST, path: "text"})


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("host", "installed", "yes"),
        ("host", "version", 8),
        ("host", "missing_files", "x"),
        ("host", "flavor", "sqlite"),
        ("source", "complete", 1),
        ("user_data", "databases", {"a": 1}),
    ],
)
def test_a_value_of_another_type_is_an_error(part: str, key: str, value: object) -> None:
    with pytest.raises(FormatError, match="db2"):
        parse_host("db2", {**HOST, part: {**HOST[part], key: value}})


def test_a_server_id_that_is_no_number_is_an_error() -> None:
    host = {**HOST["host"], "options": {"server_id": "many"}}
    with pytest.raises(FormatError, match="server_id is 'many', not a whole number"):
        parse_host("db2", {**HOST, "host": host})


@pytest.mark.parametrize("value", [["8"], "8.4"])
def test_a_version_that_is_no_list_of_numbers_is_an_error(value: object) -> None:
    with pytest.raises(FormatError, match="version_tuple"):
        parse_primary("db1", {"server": {**SERVER, "version_tuple": value}})
