# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xtrabackup_replica between two real servers: every state a channel can be found in, and what it becomes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import RESTORED_NAME
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, run_task
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

PASSWORD = "sesam-open-me"


@dataclass(frozen=True)
class Pair:
    """A source with data, and a server that holds the same data and does not replicate yet."""

    source: MariaDBServer
    replica: MariaDBServer
    gtid: str

    def options(self, **changes: Any) -> dict[str, Any]:
        """The module's options for a replica of the source."""
        return {
            **self.replica.login(),
            "source_host": "127.0.0.1",
            "source_port": self.source.port,
            "source_user": "repl",
            "source_password": PASSWORD,
            "coordinates": {"gtid": self.gtid},
            **changes,
        }

    def run(self, *, fails: bool = False, check: bool = False, **changes: Any) -> dict[str, Any]:
        """Run the module; whatever happens, its output must not hold the password."""
        result = run_module("xtrabackup_replica", self.options(**changes), fails=fails, check=check, diff=True)
        without_invocation = {name: value for name, value in result.items() if name != "invocation"}
        assert PASSWORD not in json.dumps(without_invocation)
        return result

    def change(self, **changes: Any) -> dict[str, Any]:
        """Check mode, the run and a second run: the same prediction, the change, then nothing."""
        before = self.channel()
        predicted = self.run(check=True, **changes)
        assert self.channel() == before
        done = self.run(**changes)
        assert predicted["changed"] is done["changed"] is True
        assert predicted["diff"] == done["diff"]
        assert predicted["statements"] == done["statements"]
        again = self.run(**changes)
        assert again["changed"] is False
        assert again["statements"] == []
        assert again["diff"]["before"] == again["diff"]["after"]
        return done

    def channel(self, name: str = "") -> dict[str, Any] | None:
        """What identifies the channel and its threads on the server itself."""
        for row in self.replica.rows("SHOW ALL SLAVES STATUS"):
            if row["Connection_name"] == name:
                kept = ("Master_Host", "Master_Port", "Master_User", "Using_Gtid", "Connect_Retry")
                return {key: row[key] for key in (*kept, "Slave_IO_Running", "Slave_SQL_Running")}
        return None

    def threads(self) -> list[int]:
        """Ids of the replication threads: they change when a channel is restarted."""
        rows = self.replica.rows(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND IN ('Slave_IO', 'Slave_SQL')"
        )
        return sorted(row["ID"] for row in rows)


def fill(server: MariaDBServer) -> None:
    server.execute(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.t (a INT PRIMARY KEY, b VARCHAR(20))",
        "INSERT INTO shop.t VALUES (1, 'one'), (2, 'two')",
    )


@pytest.fixture
def pair(make_server: ServerFactory) -> Pair:
    source = make_server("source")
    fill(source)
    source.create_account("repl", PASSWORD, "REPLICATION SLAVE")
    gtid = str(source.value("SELECT @@gtid_current_pos"))
    replica = make_server("replica")
    # the same data without the same history: as a restored backup has them
    with replica.session() as session, session.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        for statement in (
            "CREATE DATABASE shop",
            "CREATE TABLE shop.t (a INT PRIMARY KEY, b VARCHAR(20))",
            "INSERT INTO shop.t VALUES (1, 'one'), (2, 'two')",
        ):
            cursor.execute(statement)
    return Pair(source, replica, gtid)


@pytest.fixture
def replicating(pair: Pair) -> Pair:
    """The pair with a channel that is up."""
    pair.run(caught_up_within="30s")
    return pair


def test_a_fresh_restore_becomes_a_replica_and_the_second_run_changes_nothing(pair: Pair) -> None:
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    done = pair.change(caught_up_within="30s")
    assert done["replication"]["state"] == "replicating"
    assert done["replication"]["gtid_slave_pos"] == pair.source.value("SELECT @@gtid_current_pos")
    assert [statement.split()[0] for statement in done["statements"]] == ["SET", "CHANGE", "START"]
    assert_tables_equal(pair.source, pair.replica)


def test_a_healthy_channel_is_not_restarted(replicating: Pair) -> None:
    threads = replicating.threads()
    assert len(threads) == 2
    assert replicating.run(caught_up_within="10s")["changed"] is False
    assert replicating.threads() == threads


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
        record = {"id": "b1", "binlog": {"file": "binlog.000001", "position": 4, "gtid": pair.gtid}, "replication": []}
        (place / RESTORED_NAME).write_text(json.dumps({"id": "b1", "backup": record}))
    else:
        place = workdir / "stock"
        place.mkdir()
        (place / "xtrabackup_binlog_info").write_text(f"binlog.000001\t4\t{pair.gtid}\n")
    pair.change(coordinates={"backup": str(place)}, caught_up_within="30s")
    assert_tables_equal(pair.source, pair.replica)


def test_a_healthy_replica_does_not_need_its_backup_any_more(replicating: Pair) -> None:
    assert replicating.run(coordinates={"backup": "/nosuch"})["changed"] is False


def test_file_and_position_serve_as_well(pair: Pair) -> None:
    row = pair.source.rows("SHOW MASTER STATUS")[0]
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    coordinates = {"file": row["File"], "position": row["Position"]}
    done = pair.change(coordinates=coordinates, caught_up_within="30s")
    assert done["replication"]["using_gtid"] == "No"
    assert_tables_equal(pair.source, pair.replica)


def test_a_gtid_target_of_the_source_is_waited_for(replicating: Pair) -> None:
    replicating.replica.execute("STOP SLAVE SQL_THREAD")
    replicating.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    target = str(replicating.source.value("SELECT @@gtid_current_pos"))
    done = replicating.run(caught_up_within="30s", caught_up_to=target)
    assert done["changed"] is True
    assert done["replication"]["gtid_slave_pos"] == target
    never = replicating.run(caught_up_within="2s", caught_up_to="0-1-999999", fails=True)
    assert never["error"]["code"] == "replication_error"
    assert "wanted 0-1-999999" in never["msg"]


def test_under_a_steady_write_load_a_replica_that_keeps_up_has_caught_up(pair: Pair) -> None:
    with WriteLoad(pair.source, threads=2, per_second=200):
        time.sleep(1)
        began = time.monotonic()
        pair.run(caught_up_within="60s")
        assert time.monotonic() - began < 50


def test_a_channel_that_was_stopped_is_started_again(replicating: Pair) -> None:
    replicating.replica.execute("STOP SLAVE")
    assert replicating.change()["statements"] == ["START SLAVE '';"]


def test_stopped_and_absent_are_states_too(replicating: Pair) -> None:
    names = ("source_host", "source_user", "source_password", "coordinates")
    only: dict[str, Any] = {**dict.fromkeys(names), "source_port": 3306}
    assert replicating.change(state="stopped", **only)["replication"]["state"] == "stopped"
    position = replicating.replica.value("SELECT @@gtid_slave_pos")
    replicating.change(state="absent", **only)
    assert replicating.channel() is None
    assert replicating.replica.value("SELECT @@gtid_slave_pos") == position


def test_a_removed_channel_comes_back_where_it_was_not_where_the_backup_is(replicating: Pair) -> None:
    replicating.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    replicating.run(caught_up_within="30s", caught_up_to=str(replicating.source.value("SELECT @@gtid_current_pos")))
    replicating.run(state="absent")
    replicating.source.execute("INSERT INTO shop.t VALUES (4, 'four')")
    done = replicating.change(caught_up_within="30s")
    assert not any("gtid_slave_pos =" in statement for statement in done["statements"])
    assert_tables_equal(replicating.source, replicating.replica)


def test_a_difference_is_changed_without_losing_the_place(replicating: Pair) -> None:
    done = replicating.change(connect_retry=7, caught_up_within="30s")
    assert done["diff"]["after"]["connect_retry"] == 7
    replicating.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    target = str(replicating.source.value("SELECT @@gtid_current_pos"))
    replicating.run(caught_up_within="30s", connect_retry=7, caught_up_to=target)
    assert_tables_equal(replicating.source, replicating.replica)


def test_channels_with_names_are_independent(replicating: Pair, make_server: ServerFactory) -> None:
    other = make_server("other", {"gtid_domain_id": 7})
    other.create_account("repl", PASSWORD, "REPLICATION SLAVE")
    threads = replicating.threads()
    start = other.rows("SHOW MASTER STATUS")[0]
    coordinates = {"file": start["File"], "position": start["Position"]}
    replicating.change(channel="side", source_port=other.port, coordinates=coordinates)
    assert set(threads) < set(replicating.threads())
    replicating.change(channel="side", state="absent", source_port=other.port)
    assert replicating.threads() == threads


# --- what must not be done -----------------------------------------------------------------------


def test_another_source_is_refused_without_consent_and_nothing_is_touched(
    replicating: Pair, make_server: ServerFactory
) -> None:
    other = make_server("other")
    threads = replicating.threads()
    for check in (True, False):
        refused = replicating.run(source_port=other.port, fails=True, check=check)
        assert refused["error"]["code"] == "replication_error"
        assert "allow_repoint" in refused["error"]["remedy"]
    assert replicating.threads() == threads


def test_with_consent_the_replica_follows_a_sibling_that_was_promoted(
    replicating: Pair, make_server: ServerFactory
) -> None:
    other = make_server("other", {"log_slave_updates": "ON"})
    sibling = Pair(replicating.source, other, "")
    sibling.run(coordinates={"gtid": ""}, caught_up_within="30s")
    other.create_account("unused", "x", "USAGE")
    sibling.run(state="absent")
    other.execute("INSERT INTO shop.t VALUES (9, 'nine')")
    replicating.change(source_port=other.port, allow_repoint=True, caught_up_within="30s")
    assert_tables_equal(other, replicating.replica)


def test_a_server_with_writes_of_its_own_is_no_fresh_restore(pair: Pair) -> None:
    for number in range(10, 40):
        pair.replica.execute(f"INSERT INTO shop.t VALUES ({number}, 'own')")
    refused = pair.run(fails=True)
    assert "transactions of its own" in refused["msg"]
    assert pair.channel() is None
    assert pair.replica.value("SELECT @@gtid_slave_pos") == ""


def test_a_position_of_another_history_is_refused(pair: Pair) -> None:
    domain, _server, sequence = pair.gtid.split("-")
    pair.replica.execute(f"SET GLOBAL gtid_slave_pos = '{domain}-99-{sequence}'")
    assert "different histories" in pair.run(fails=True)["msg"]
    assert pair.channel() is None


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
    assert [statement.split()[0] for statement in done["statements"]] == ["STOP", "CHANGE", "START"]


def test_a_duplicate_key_is_reported_with_the_servers_words_and_stays_a_failure(replicating: Pair) -> None:
    with replicating.replica.session() as session, session.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        cursor.execute("INSERT INTO shop.t VALUES (3, 'mine')")
    replicating.source.execute("INSERT INTO shop.t VALUES (3, 'yours')")
    for _attempt in range(2):
        failed = replicating.run(caught_up_within="30s", fails=True)
        assert failed["error"]["details"]["sql_errno"] == 1062
        assert "Duplicate entry '3'" in failed["msg"]
        assert "rebuild the replica" in failed["error"]["remedy"]
    # the cause is gone: the same task starts it again
    with replicating.replica.session() as session, session.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        cursor.execute("DELETE FROM shop.t WHERE a = 3")
    replicating.change(caught_up_within="30s")
    assert_tables_equal(replicating.source, replicating.replica)


def test_a_source_that_has_purged_what_is_needed_is_reported(pair: Pair) -> None:
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'x')", "FLUSH BINARY LOGS", "INSERT INTO shop.t VALUES (4, 'y')")
    log = pair.source.rows("SHOW MASTER STATUS")[0]["File"]
    deadline = time.monotonic() + 20
    while len(pair.source.rows("SHOW BINARY LOGS")) > 1:
        assert time.monotonic() < deadline
        pair.source.execute(f"PURGE BINARY LOGS TO '{log}'")
    failed = pair.run(fails=True)
    assert failed["error"]["details"]["io_errno"] == 1236
    assert "new backup" in failed["error"]["remedy"]


def test_two_servers_with_one_server_id_are_reported(pair: Pair) -> None:
    pair.replica.execute(f"SET GLOBAL server_id = {pair.source.options['server_id']}")
    failed = pair.run(fails=True)
    assert failed["error"]["details"]["io_errno"] == 1593
    assert "server_id" in failed["error"]["remedy"]


def test_a_missing_grant_on_the_source_is_reported(pair: Pair) -> None:
    pair.source.create_account("weak", PASSWORD, "USAGE")
    failed = pair.run(source_user="weak", fails=True)
    assert "REPLICATION SLAVE" in failed["error"]["remedy"] or "REPLICATION SLAVE" in failed["msg"]


def test_a_source_that_is_away_is_waited_for_and_then_reported(pair: Pair) -> None:
    pair.source.stop()
    failed = pair.run(fails=True)
    assert failed["error"]["details"]["io_errno"] in (2002, 2003)
    assert str(pair.source.port) in failed["msg"]


def test_an_account_without_privileges_gets_the_grant_before_anything_is_touched(pair: Pair) -> None:
    pair.replica.create_account("nobody", "x", "USAGE")
    failed = pair.run(login_user="nobody", login_password="x", fails=True)
    assert failed["error"]["code"] == "missing_privilege"
    pair.replica.execute(failed["error"]["details"]["grant"])
    assert pair.run(login_user="nobody", login_password="x")["changed"] is True


def test_nothing_says_where_to_begin_is_an_error(pair: Pair) -> None:
    assert "nothing says where" in pair.run(coordinates=None, fails=True)["msg"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"coordinates": {"gtid": "uuid:1-5"}}, "not a GTID position"),
        ({"coordinates": {"backup": "/nosuch"}}, "neither a backup"),
        ({"caught_up_within": "soon"}, "caught_up_within"),
        ({"source_user": None}, "source_user"),
        ({"source_user": ""}, "source_user: '' is no name"),
        ({"source_user": "u" * 129}, "no more than 128"),
        ({"source_password": "x" * 97}, "no more than 96"),
        ({"source_host": "h" * 256}, "no more than 255"),
        ({"source_host": "one two"}, "source_host: 'one two' is no name"),
        ({"source_port": 65536}, "source_port: 65536"),
        ({"connect_retry": 0}, "connect_retry: 0"),
        ({"source_ssl_ca": "/" + "d" * 511}, "no more than 511"),
    ],
)
def test_options_that_cannot_be_used_are_named(pair: Pair, changes: dict[str, Any], words: str) -> None:
    assert words in pair.run(fails=True, **changes)["msg"]
    assert pair.channel() is None


def test_the_longest_values_are_kept_as_they_are(pair: Pair) -> None:
    name, path = "c" * 191, "/" + "d" * 510
    longest: dict[str, Any] = {
        "channel": name,
        "source_host": "h" * 255,
        "source_user": "u" * 128,
        "source_password": "ü" * 48,
    }
    pair.run(state="stopped", connect_retry=4294967295, source_port=65535, source_ssl_ca=path, **longest)
    row = next(row for row in pair.replica.rows("SHOW ALL SLAVES STATUS") if row["Connection_name"] == name)
    assert (row["Master_Host"], row["Master_User"]) == (longest["source_host"], longest["source_user"])
    assert (row["Master_Port"], row["Connect_Retry"], row["Master_SSL_CA_File"]) == (65535, 4294967295, path)
