# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a host and its primary no pair: each rule on its own, and nothing wrong where nothing is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.compatibility import (
    ALWAYS,
    FOR_A_NEW_ONE,
    problems_of,
    request_problems,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.model import (
    Host,
    Place,
    Primary,
    PrimaryServer,
    Problem,
    Received,
    Request,
    Service,
    SourceAnswer,
)

SERVER = PrimaryServer(Family.MYSQL, (8, 4, 3), 1, gtid_mode="ON")
PRIMARY = Primary("db1", SERVER)
HOST = Host("db2", "/data", True, Family.MYSQL, (8, 4, 3), Place("absent"), server_id=2, gtid_mode="ON")
ACCOUNTS: dict[str, Any] = {
    "backup_user": "b",
    "backup_password": "b",
    "replication_user": "r",
    "replication_password": "r",
}
REQUEST = Request("10.0.0.1", **ACCOUNTS)
MARIADB: dict[str, Any] = {"family": Family.MARIADB, "version": (10, 11, 6)}

# code, change of the primary's server, of the host, of the request, words of the message
CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ("server_not_installed", {}, {"installed": False}, {}, "mysqld is not installed on db2"),
    ("unsupported_server", {"supported": False, "refusal": "too old"}, {}, {}, "db1: too old"),
    ("privileges_missing", {"privileges_missing": ("A", "B", "SELECT ON x.y")}, {}, {},
     "run there: GRANT A, B ON *.* TO its account; GRANT SELECT ON x.y TO its account"),
    ("read_only_privileges_missing", {"privileges_missing_on_read_only": ("A", "B")}, {"read_only": True}, {},
     "the option files of db2 say read_only, and b lacks A, B"),
    ("binary_log_off", {"log_bin": False}, {}, {}, "its binary log is off"),
    ("replica_updates_not_logged", {"replicates": True, "log_replica_updates": False}, {}, {},
     "its log_replica_updates is OFF"),
    ("server_id_taken", {}, {"server_id": 1}, {}, "server_id 1 (the default), which is that of db1"),
    ("server_id_taken", {}, {"server_id": 7}, {"peers": (("db3", 7), ("db4", 8))}, "server_id 7, which is that of db3"),
    ("server_version_unfit", {}, MARIADB, {}, "is MariaDB 10.11, db1 runs MySQL 8.4"),
    ("server_version_unfit", {}, {"version": (8, 0, 40)}, {}, "is MySQL 8.0, db1 runs MySQL 8.4"),
    ("server_version_unfit", {}, {"version": (8, 4, 2)}, {}, "is MySQL 8.4.2, db1 runs MySQL 8.4.3"),
    ("gtid_mode_off", {}, {"gtid_mode": "off"}, {}, "do not say so"),
    ("variable_empty", {}, {}, {"replication_user": ""}, "xtrabackup_replication_user is empty"),
    ("variable_empty", {}, {}, {"replication_password": ""}, "xtrabackup_replication_password is empty"),
    ("invalid_option", {}, {}, {"replication_password": "x" * 33}, "can use no more than 32"),
    ("source_login_refused", {}, {"source": SourceAnswer("refused", message="error 1045", remedy="Look.")}, {},
     "db2 cannot log in to 10.0.0.1:3306 as the replica will: error 1045"),
    ("source_is_another", {}, {"source": SourceAnswer("accepted", 3)}, {}, "they are two servers"),
    ("source_is_another", {"server_uuid": "a"}, {"source": SourceAnswer("accepted", 1, "b")}, {}, "two servers"),
    ("file_missing", {}, {"missing_files": ("/ca",)}, {}, "there is no file /ca on this host"),
    ("incoming_overlaps", {}, {"received": Received("/data/in", overlap=True)}, {}, "one inside the other"),
    ("service_unknown", {}, {"service": Service("mysqld", known=False)}, {}, "has no service mysqld"),
    ("service_of_others", {}, {"service": Service("mysql", True, "/other")}, {}, "on /other, not on /data"),
]  # fmt: skip


def problems(server: PrimaryServer, host: Host, request: Request) -> tuple[Problem, ...]:
    return problems_of((*ALWAYS, *FOR_A_NEW_ONE), Primary("db1", server), host, request)


@pytest.mark.parametrize(
    ("code", "server", "host", "request_", "words"),
    CASES,
    ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)],
)
def test_each_thing_that_cannot_work_is_told_by_its_own_code(
    code: str, server: dict[str, Any], host: dict[str, Any], request_: dict[str, Any], words: str
) -> None:
    found = problems(replace(SERVER, **server), replace(HOST, **host), replace(REQUEST, **request_))
    assert [problem.code for problem in found] == [code]
    assert words in found[0].message
    assert found[0].remedy


def test_every_rule_has_a_case() -> None:
    found = {code for code, *_rest in CASES}
    # that of the primary's connection has a test of its own; the empty variables share a code
    assert len(ALWAYS) + len(FOR_A_NEW_ONE) == len(found) + 1 + 1


def test_a_pair_that_fits_has_no_problem() -> None:
    assert problems(SERVER, HOST, REQUEST) == ()
    assert problems(SERVER, replace(HOST, version=(8, 4, 9), gtid_mode="3"), REQUEST) == ()
    mariadb = replace(SERVER, **MARIADB, gtid_mode="", replicates=True)
    assert problems(mariadb, replace(HOST, family=Family.MARIADB, version=(10, 11, 2), gtid_mode="OFF"), REQUEST) == ()
    for answer in (SourceAnswer("unknown", message="x"), SourceAnswer("accepted", 1), SourceAnswer("accepted", 1, "a")):
        assert problems(replace(SERVER, server_uuid="a"), replace(HOST, source=answer), REQUEST) == ()
    known = Service("mysql", known=True, datadir="/data")
    for service in (known, replace(known, datadir=""), Service("mysql")):
        assert problems(SERVER, replace(HOST, service=service), REQUEST) == ()


def test_a_primary_that_cannot_be_asked_has_the_error_of_its_connection() -> None:
    error = Problem("connection_failed", "it does not accept the login", "Correct it.")
    found = problems_of(ALWAYS, Primary("db1", None, error), HOST, REQUEST)
    assert found == (Problem("connection_failed", "db1: it does not accept the login", "Correct it."),)


def test_of_a_host_without_a_server_nothing_else_is_said() -> None:
    host = replace(HOST, installed=False, version=(), server_id=1, gtid_mode="OFF")
    assert [problem.code for problem in problems(SERVER, host, REQUEST)] == ["server_not_installed"]


@pytest.mark.parametrize(
    ("primary", "candidates", "said", "request_", "codes"),
    [
        ("db1", ["db1"], False, REQUEST, []),
        ("db1", ["db1", "db2"], True, REQUEST, []),
        ("db1", ["db1", "db2"], False, REQUEST, ["primary_unknown"]),
        ("nobody", ["db1"], True, REQUEST, ["primary_unknown"]),
        ("", [], False, REQUEST, ["primary_unknown"]),
        ("db2", ["db1"], True, REQUEST, ["primary_is_itself"]),
        ("db1", ["db1"], False, Request("x"), ["variable_empty", "variable_empty"]),
        ("", [], False, Request("x"), ["primary_unknown", "variable_empty", "variable_empty"]),
    ],
)
def test_what_inventory_and_variables_get_wrong(
    primary: str, candidates: list[str], said: bool, request_: Request, codes: list[str]
) -> None:
    found = request_problems(
        primary=primary, host="db2", known_hosts=["db1", "db2"], candidates=candidates, said=said, request=request_
    )
    assert [problem.code for problem in found] == codes
