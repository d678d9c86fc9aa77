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
    FOR_A_COPY,
    FOR_A_NEW_ONE,
    FOR_A_TRANSFER,
    problems_of,
    request_problems,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.model import (
    Host,
    Place,
    Places,
    Primary,
    PrimaryServer,
    Problem,
    Received,
    Request,
    Room,
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
UNSAFE = Problem("target_unsafe", "/data is a link", "Give it to root.")
RULES = (*ALWAYS, *FOR_A_NEW_ONE, *FOR_A_COPY, *FOR_A_TRANSFER)


def rooms(arriving: int, placing: int, device: int = 2) -> Places:
    """File systems of the place of arrival (1) and of the data directory (``device``) with so many free bytes."""
    return Places(incoming=Room("/in", 1, arriving), staging=Room("/data", device, placing))


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
    ("authority_missing", {}, {}, {"settings": {"source_ssl_verify": True}}, "MySQL on db2 would not connect"),
    ("source_login_refused", {}, {"source": SourceAnswer("refused", message="error 1045", remedy="Look.")}, {},
     "db2 cannot log in to 10.0.0.1:3306 as the replica will: error 1045"),
    ("source_is_another", {}, {"source": SourceAnswer("accepted", 3)}, {}, "they are two servers"),
    ("source_is_another", {"server_uuid": "a"}, {"source": SourceAnswer("accepted", 1, "b")}, {}, "two servers"),
    ("file_missing", {}, {"missing_files": ("/ca",)}, {}, "there is no file /ca on this host"),
    ("incoming_overlaps", {}, {"received": Received("/data/in", overlap=True)}, {}, "one inside the other"),
    ("service_unknown", {}, {"service": Service("mysqld", known=False)}, {}, "has no service mysqld"),
    ("service_of_others", {}, {"service": Service("mysql", True, "/other")}, {}, "on /other, not on /data"),
    ("target_unsafe", {}, {"places": Places(error=UNSAFE)}, {}, "db2: /data is a link"),
    ("log_directory_missing", {}, {"places": Places(missing=("/logs",))}, {}, "/logs, which the option files of db2"),
    ("no_data_directory", {}, {"places": Places(in_the_way=("thing",))}, {}, "not look like a data directory (thing)"),
    ("layout_unfit", {"layout": {"innodb_page_size": 16384}}, {"places": Places(layout={"innodb_page_size": 8192})}, {},
     "say innodb_page_size=8192, with which no server opens data of db1"),
    ("layout_unfit", {"layout": {"data_file_sizes": (9, 9)}}, {"places": Places(layout={"data_file_sizes": (12,)})}, {},
     "innodb_data_file_path with files of 12 bytes"),
    ("disk_full", {"data_bytes": 100}, {"places": rooms(99, 200)}, {},
     "the data of db1 are 100 bytes, and on db2 the file system of /in, where the copy arrives, has 99 bytes free"),
    ("disk_full", {"data_bytes": 100}, {"places": rooms(100, 99)}, {}, "/data, where it is put then, has 99 bytes"),
]  # fmt: skip


def problems(server: PrimaryServer, host: Host, request: Request) -> tuple[Problem, ...]:
    return problems_of(RULES, Primary("db1", server), host, request)


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
    assert len(RULES) == len(found) + 1 + 1


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
    # the place where it arrives is that of the data; or what is there of an earlier run makes room
    for places, stored in ((rooms(100, 0, device=1), 0), (rooms(60, 100), 40)):
        host = replace(HOST, places=places, received=Received("/in", stored_bytes=stored))
        assert problems(replace(SERVER, data_bytes=100), host, REQUEST) == ()
    for settings in ({"source_ssl_ca": "/ca"}, {"source_ssl": False}):
        verified = replace(REQUEST, settings={"source_ssl_verify": True, **settings})
        assert problems(SERVER, HOST, verified) == ()
    grown = Places(layout={"innodb_page_size": 16384, "data_file_sizes": (12, 12)})
    assert problems(replace(SERVER, layout={"data_file_sizes": (12, 76)}), replace(HOST, places=grown), REQUEST) == ()


def test_of_places_that_overlap_one_thing_is_told() -> None:
    host = replace(HOST, received=Received("/data/in", overlap=True), places=Places(error=UNSAFE))
    assert [problem.code for problem in problems(SERVER, host, REQUEST)] == ["incoming_overlaps"]


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
