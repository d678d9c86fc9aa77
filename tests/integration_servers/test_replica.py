# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xtrabackup_replica between two real servers of each family: every state of a channel, and what it becomes.

The data of both are those of one server: as a restore leaves them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import RESTORED_NAME
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import AnyServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_task
from ansible_collections.innodb.xtrabackup.tests.support.replica_pairs import (
    OTHER_UUID,
    PAIRS,
    PASSWORD,
    Pair,
    Stopped,
)


@pytest.fixture(scope="module", params=list(Family), ids=[family.value for family in Family])
def family(request: pytest.FixtureRequest) -> Family:
    wanted: Family = request.param
    return wanted


# --- a new channel -------------------------------------------------------------------------------


def first_words(done: dict[str, Any]) -> list[str]:
    return [statement.split()[0] for statement in done["statements"]]


def test_a_restored_server_becomes_a_replica_and_a_healthy_channel_is_not_restarted(pair: Pair) -> None:
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    target = pair.position_of(pair.source)
    done = pair.change(caught_up_within="30s", caught_up_to=target)
    assert first_words(done) == pair.statements
    assert done["replication"]["state"] == "replicating"
    assert done["replication"]["using_gtid"] == pair.using_gtid
    assert done["replication"][pair.position_key] == pair.reached() == target
    assert_tables_equal(pair.source, pair.replica)
    threads = pair.threads()
    assert len(threads) == 2
    assert pair.run(caught_up_within="10s")["changed"] is False
    # nor does it need its backup any more
    assert pair.run(coordinates={"backup": "/nosuch"})["changed"] is False
    assert pair.threads() == threads


def test_through_ansible_the_same_with_check_mode_and_diff(pair: Pair) -> None:
    options = pair.options(caught_up_within="30s")
    predicted = run_task("xtrabackup_replica", options, check=True, diff=True)
    assert pair.channel() is None
    done = run_task("xtrabackup_replica", options, diff=True)
    assert predicted["changed"] is done["changed"] is True
    assert predicted["diff"] == done["diff"]
    assert PASSWORD not in json.dumps([predicted, done])
    assert run_task("xtrabackup_replica", options)["changed"] is False


@pytest.mark.parametrize("kind", ["marker", "stock"])
def test_the_place_is_read_from_the_backup(pair: Pair, kind: str, workdir: Path) -> None:
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    place = pair.replica.datadir
    if kind == "marker":
        pair.write_record(place / RESTORED_NAME, {"file": "binlog.000001", "position": 4, "gtid": pair.gtid})
    else:
        place = workdir / "stock"
        place.mkdir()
        (place / "xtrabackup_binlog_info").write_text(f"binlog.000001\t4\t{pair.gtid}\n")
    pair.change(coordinates={"backup": str(place)}, caught_up_within="30s")
    assert_tables_equal(pair.source, pair.replica)


def test_file_and_position_serve_as_well(pair: Pair) -> None:
    coordinates = pair.log_position()
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    done = pair.change(coordinates=coordinates, caught_up_within="30s")
    assert done["replication"]["using_gtid"] == "No"
    assert_tables_equal(pair.source, pair.replica)


def test_under_a_steady_write_load_a_replica_that_keeps_up_has_caught_up(pair: Pair) -> None:
    with WriteLoad(pair.source, threads=2, per_second=200):
        time.sleep(1)
        began = time.monotonic()
        pair.run(caught_up_within="60s")
        assert time.monotonic() - began < 50


# --- a channel that is there ---------------------------------------------------------------------


def test_a_position_of_the_source_is_waited_for(replicating: Pair) -> None:
    replicating.replica.execute(f"STOP {replicating.word} SQL_THREAD")
    replicating.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    target = replicating.position_of(replicating.source)
    done = replicating.run(caught_up_within="30s", caught_up_to=target)
    assert done["changed"] is True
    assert done["replication"][replicating.position_key] == target
    never = replicating.run(caught_up_within="2s", caught_up_to=replicating.unreachable, fails=True)
    assert never["error"]["code"] == "replication_error"
    assert f"wanted {replicating.unreachable}" in never["msg"]


def test_states_differences_and_the_place_of_a_channel_that_was_removed(replicating: Pair, family: Family) -> None:
    names = ("source_host", "source_user", "source_password", "source_ssl", "coordinates")
    only: dict[str, Any] = {**dict.fromkeys(names), "source_port": 3306}
    replicating.replica.execute(f"STOP {replicating.word}")
    start = {Family.MARIADB: "START SLAVE '';", Family.MYSQL: "START REPLICA FOR CHANNEL '';"}
    assert replicating.change()["statements"] == [start[family]]
    done = replicating.change(connect_retry=7, caught_up_within="30s")
    assert first_words(done) == ["STOP", "CHANGE", "START"]
    assert done["diff"]["after"]["connect_retry"] == 7
    # the place is not lost
    replicating.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    target = replicating.position_of(replicating.source)
    replicating.run(caught_up_within="30s", connect_retry=7, caught_up_to=target)
    assert_tables_equal(replicating.source, replicating.replica)
    assert replicating.change(state="stopped", **only)["replication"]["state"] == "stopped"
    replicating.source.execute("INSERT INTO shop.t VALUES (4, 'four')")
    target = replicating.position_of(replicating.source)
    replicating.run(caught_up_within="30s", caught_up_to=target)
    replicating.change(state="absent", **only)
    assert replicating.channel() is None
    assert replicating.reached() == target
    replicating.source.execute("INSERT INTO shop.t VALUES (5, 'five')")
    # it goes on where it was, not where the backup is
    done = replicating.change(caught_up_within="30s")
    assert first_words(done) == ["CHANGE", "START"]
    assert_tables_equal(replicating.source, replicating.replica)


def test_channels_with_names_are_independent(replicating: Pair, make_any: AnyServerFactory, family: Family) -> None:
    other = make_any("other", {"gtid_domain_id": 7} if family is Family.MARIADB else None)
    other.create_account("repl", PASSWORD, "REPLICATION SLAVE")
    threads = replicating.threads()
    replicating.change(channel="side", source_port=other.port, coordinates=replicating.log_position(other))
    assert set(threads) < set(replicating.threads())
    if family is Family.MYSQL:  # its GTIDs are not those that the server stands at
        foreign = {"gtid": f"{replicating.gtid},{OTHER_UUID}:1"}
        refused = replicating.run(channel="third", source_port=other.port, coordinates=foreign, fails=True)
        assert "already replicates through '', 'side'" in refused["msg"]
    replicating.change(channel="side", state="absent", source_port=other.port)
    assert replicating.threads() == threads


def test_another_source_is_refused_without_consent_and_nothing_is_touched(
    replicating: Pair, make_any: AnyServerFactory
) -> None:
    other = make_any("other")
    threads = replicating.threads()
    for check in (True, False):
        refused = replicating.run(source_port=other.port, fails=True, check=check)
        assert refused["error"]["code"] == "replication_error"
        assert "allow_repoint" in refused["error"]["remedy"]
    assert replicating.threads() == threads


# --- options -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lone(stopped: Stopped, family: Family) -> Iterator[Pair]:
    """A restored server that nothing is done to; its source is itself."""
    server = PAIRS[family].kind(stopped.datadir.parent.parent / "lone")
    stopped.restore_to(server.datadir)
    with server:
        yield PAIRS[family](server, server, stopped.gtid)


BOTH: list[tuple[dict[str, Any], str]] = [
    ({"coordinates": {"backup": "/nosuch"}}, "neither a backup"),
    ({"caught_up_within": "soon"}, "caught_up_within"),
    ({"source_user": None}, "source_user"),
    ({"source_user": ""}, "source_user: '' is no name"),
    ({"source_host": "h" * 256}, "no more than 255"),
    ({"source_host": "one two"}, "source_host: 'one two' is no name"),
    ({"source_port": 65536}, "source_port: 65536"),
    ({"connect_retry": 0}, "connect_retry: 0"),
    ({"source_ssl_ca": "/" + "d" * 511}, "no more than 511"),
]
OWN: dict[Family, list[tuple[dict[str, Any], str]]] = {
    Family.MARIADB: [
        ({"coordinates": {"gtid": "uuid:1-5"}}, "not a GTID position"),
        ({"source_user": "u" * 129}, "no more than 128"),
        ({"source_password": "x" * 97}, "no more than 96"),
    ],
    Family.MYSQL: [
        ({"coordinates": {"gtid": "0-1-100"}}, "not a GTID set"),
        ({"caught_up_within": "1s", "caught_up_to": "0-1-5"}, "caught_up_to"),
        ({"source_password": "x" * 33}, "no more than 32"),
        ({"source_password": "ü" * 17}, "no more than 32"),
        ({"source_user": "u" * 33}, "no more than 32"),
        ({"channel": "c" * 65}, "no more than 64"),
        ({"channel": "group_replication_applier"}, "belongs to group replication"),
    ],
}


def test_options_that_cannot_be_used_are_named(lone: Pair, family: Family) -> None:
    for changes, words in BOTH + OWN[family]:
        assert words in lone.run(fails=True, **changes)["msg"]
        assert lone.channel() is None


def test_the_longest_values_are_kept_as_they_are(lone: Pair, family: Family) -> None:
    name, user, password, retry = {
        Family.MARIADB: ("c" * 191, "u" * 128, "ü" * 48, 4294967295),
        Family.MYSQL: ("c" * 64, "u" * 32, "ü" * 16, 2147483647),
    }[family]
    host, path = "h" * 255, "/" + "d" * 510
    given: dict[str, Any] = {"source_host": host, "source_user": user, "source_password": password}
    given |= {"source_port": 65535, "source_ssl_ca": path, "connect_retry": retry}
    lone.run(state="stopped", channel=name, coordinates={"file": "binlog.000001", "position": 4}, **given)
    (row,) = lone.rows()
    assert row[lone.channel_column] == name
    word = lone.source_word
    assert (row[f"{word}_Host"], row[f"{word}_User"]) == (host, user)
    assert (row[f"{word}_Port"], row["Connect_Retry"], row[f"{word}_SSL_CA_File"]) == (65535, retry, path)
    lone.run(state="absent", channel=name)
    assert not lone.rows()


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_password_of_any_characters_reaches_the_source(pair: Pair) -> None:
    odd = " ü€ пар 'q\"u`o\\%s#{{ }} "
    pair.source.create_account("repl", odd, "REPLICATION SLAVE")
    assert pair.run(source_password=odd, caught_up_within="30s")["changed"] is True
    assert pair.run(source_password=odd)["changed"] is False


def test_a_wrong_password_is_named_at_once_and_the_right_one_repairs_it(pair: Pair) -> None:
    began = time.monotonic()
    failed = pair.run(source_password="not-the-one", fails=True)
    assert time.monotonic() - began < 15
    assert failed["error"]["details"]["io_errno"] == 1045
    assert "source_password" in failed["error"]["remedy"]
    assert "not-the-one" not in json.dumps({**failed, "invocation": None})
    done = pair.change(caught_up_within="30s")
    assert first_words(done) == ["STOP", "CHANGE", "START"]


def test_a_duplicate_key_is_reported_with_the_appliers_words_and_stays_a_failure(replicating: Pair) -> None:
    replicating.without_log("INSERT INTO shop.t VALUES (3, 'mine')")
    replicating.source.execute("INSERT INTO shop.t VALUES (3, 'yours')")
    for _attempt in range(2):
        failed = replicating.run(caught_up_within="30s", fails=True)
        assert failed["error"]["details"]["sql_errno"] == 1062
        assert "Duplicate entry '3'" in failed["msg"]
        assert "rebuild the replica" in failed["error"]["remedy"]
    replicating.without_log("DELETE FROM shop.t WHERE a = 3")  # the cause is gone: the same task starts it again
    replicating.change(caught_up_within="30s")
    assert_tables_equal(replicating.source, replicating.replica)


def test_a_source_that_has_purged_what_is_needed_is_reported(pair: Pair) -> None:
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'x')", "FLUSH BINARY LOGS", "INSERT INTO shop.t VALUES (4, 'y')")
    log = pair.log_position()["file"]
    deadline = time.monotonic() + 20
    while len(pair.source.rows("SHOW BINARY LOGS")) > 1:
        assert time.monotonic() < deadline
        pair.source.execute(f"PURGE BINARY LOGS TO '{log}'")
    failed = pair.run(fails=True)
    assert failed["error"]["details"]["io_errno"] == pair.errno_purged
    assert "new backup" in failed["error"]["remedy"]


def test_two_servers_with_one_server_id_are_reported(pair: Pair) -> None:
    pair.replica.execute(f"SET GLOBAL server_id = {pair.source.options['server_id']}")
    failed = pair.run(fails=True)
    assert failed["error"]["details"]["io_errno"] == pair.errno_same_id
    assert "server_id" in failed["error"]["remedy"]


def test_a_missing_grant_on_the_source_is_reported(pair: Pair) -> None:
    pair.source.create_account("weak", PASSWORD, "USAGE")
    assert "GRANT REPLICATION SLAVE" in pair.run(source_user="weak", fails=True)["error"]["remedy"]


def test_a_source_that_is_away_is_waited_for_and_then_reported(pair: Pair) -> None:
    pair.source.stop()
    failed = pair.run(fails=True)
    assert failed["error"]["details"]["io_errno"] in (2002, 2003)
    assert str(pair.source.port) in failed["msg"]
