# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xtrabackup_replica between two real MySQL servers, whose data are those of one server: as a restore leaves them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import RESTORED_NAME
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module, run_task
from ansible_collections.innodb.xtrabackup.tests.support.servers import OptionValue

PASSWORD = "sesam-open-me"
OTHER_UUID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
PairFactory = Callable[..., "Pair"]


@dataclass(frozen=True)
class Pair:
    """A source with data, and a server that holds the same data and does not replicate yet."""

    source: MySQLServer
    replica: MySQLServer
    gtid: str

    def options(self, **changes: Any) -> dict[str, Any]:
        """The module's options for a replica of the source, over TLS."""
        return {
            **self.replica.login(),
            "source_host": "127.0.0.1",
            "source_port": self.source.port,
            "source_user": "repl",
            "source_password": PASSWORD,
            "source_ssl": True,
            "coordinates": {"gtid": self.gtid},
            **changes,
        }

    def run(self, *, fails: bool = False, check: bool = False, **changes: Any) -> dict[str, Any]:
        """Run the module; whatever happens, neither its output nor the server's log may hold the password."""
        result = run_module("xtrabackup_replica", self.options(**changes), fails=fails, check=check, diff=True)
        without_invocation = {name: value for name, value in result.items() if name != "invocation"}
        assert PASSWORD not in json.dumps(without_invocation)
        assert PASSWORD not in self.replica.log_text()
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
        for row in self.replica.rows("SHOW REPLICA STATUS"):
            if row["Channel_Name"] == name:
                kept = ("Source_Host", "Source_Port", "Source_User", "Auto_Position", "Connect_Retry")
                return {key: row[key] for key in (*kept, "Replica_IO_Running", "Replica_SQL_Running")}
        return None

    def threads(self) -> list[int]:
        """Ids of the replication threads: they change when a channel is restarted."""
        rows = self.replica.rows(
            "SELECT THREAD_ID FROM performance_schema.threads WHERE NAME IN "
            "('thread/sql/replica_io', 'thread/sql/replica_sql', 'thread/sql/slave_io', 'thread/sql/slave_sql')"
        )
        return sorted(row["THREAD_ID"] for row in rows)

    def executed(self) -> str:
        """The replica's gtid_executed, without line feeds."""
        return executed(self.replica)

    def without_log(self, *statements: str) -> None:
        """Run ``statements`` on the replica, unknown to its binary log and its GTIDs."""
        self.replica.execute("SET SESSION sql_log_bin = 0", *statements)


def executed(server: MySQLServer) -> str:
    return "".join(str(server.value("SELECT @@GLOBAL.gtid_executed")).split())


@pytest.fixture(scope="module")
def stopped() -> Iterator[tuple[Path, str]]:
    """The data directory of a server that was shut down, and its gtid_executed."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    try:
        with MySQLServer(place / "server") as server:
            server.execute(
                "CREATE DATABASE shop",
                "CREATE TABLE shop.t (a INT PRIMARY KEY, b VARCHAR(20))",
                "INSERT INTO shop.t VALUES (1, 'one'), (2, 'two')",
            )
            server.create_account("repl", PASSWORD, "REPLICATION SLAVE")
            gtid = executed(server)
        yield server.datadir, gtid
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def make_pair(make_mysql: MySQLFactory, stopped: tuple[Path, str]) -> PairFactory:
    """A function that makes a pair; options of the source, of the replica."""
    datadir, gtid = stopped

    def make(
        source: Mapping[str, OptionValue | bool] | None = None, replica: Mapping[str, OptionValue | bool] | None = None
    ) -> Pair:
        servers = make_mysql("source", source, start=False), make_mysql("replica", replica, start=False)
        shutil.copytree(datadir, servers[0].datadir)
        # as a restore: no identity, no binary logs
        shutil.copytree(datadir, servers[1].datadir, ignore=shutil.ignore_patterns("auto.cnf", "binlog.*"))
        with ThreadPoolExecutor() as starting:
            list(starting.map(MySQLServer.start, servers))
        return Pair(*servers, gtid)

    return make


@pytest.fixture
def pair(make_pair: PairFactory) -> Pair:
    return make_pair()


@pytest.fixture
def replicating(pair: Pair) -> Pair:
    """The pair with a channel that is up."""
    pair.run(caught_up_within="30s")
    return pair


# --- a new channel -------------------------------------------------------------------------------


def test_a_restored_server_becomes_a_replica_and_the_second_run_changes_nothing(pair: Pair) -> None:
    assert pair.executed() == pair.gtid  # the data brought it with them
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    target = executed(pair.source)
    done = pair.change(caught_up_within="30s", caught_up_to=target)
    assert [statement.split()[0] for statement in done["statements"]] == ["CHANGE", "START"]
    assert done["replication"]["state"] == "replicating"
    assert done["replication"]["using_gtid"] == "Auto_Position"
    assert done["replication"]["gtid_executed"] == pair.executed() == target
    assert_tables_equal(pair.source, pair.replica)
    threads = pair.threads()
    assert len(threads) == 2
    assert pair.run(caught_up_within="10s", coordinates={"backup": "/nosuch"})["changed"] is False
    assert pair.threads() == threads
    never = pair.run(caught_up_within="1s", caught_up_to=f"{OTHER_UUID}:1-9", fails=True)
    assert f"wanted {OTHER_UUID}:1-9" in never["msg"]


def test_through_ansible_the_same_with_check_mode_and_diff(pair: Pair) -> None:
    options = pair.options(caught_up_within="30s")
    predicted = run_task("xtrabackup_replica", options, check=True, diff=True)
    assert pair.channel() is None
    done = run_task("xtrabackup_replica", options, diff=True)
    assert predicted["changed"] is done["changed"] is True
    assert predicted["diff"] == done["diff"]
    assert PASSWORD not in json.dumps([predicted, done])
    assert run_task("xtrabackup_replica", options)["changed"] is False


def test_what_a_restored_server_lacks_of_the_set_becomes_purged_exactly(pair: Pair) -> None:
    pair.replica.execute("RESET BINARY LOGS AND GTIDS")  # the data stay, what is known of them goes
    lost = str(int(pair.gtid.rpartition("-")[2]) - 2)
    known = f"{pair.gtid.rpartition('-')[0]}-{lost}"
    pair.replica.execute(f"SET GLOBAL gtid_purged = '{known}'")
    done = pair.run(caught_up_within="30s")
    assert [statement.split()[0] for statement in done["statements"]] == ["SET", "CHANGE", "START"]
    assert known not in done["statements"][0]
    assert pair.executed() == pair.gtid
    assert "".join(str(pair.replica.value("SELECT @@GLOBAL.gtid_purged")).split()) == pair.gtid
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    pair.run(caught_up_within="30s", caught_up_to=executed(pair.source))
    assert_tables_equal(pair.source, pair.replica)


@pytest.mark.parametrize("kind", ["marker", "stock"])
def test_the_place_is_read_from_the_backup(pair: Pair, kind: str, workdir: Path) -> None:
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    place = pair.replica.datadir
    if kind == "marker":
        record = {
            "id": "b1",
            "server": {"flavor": "mysql"},
            "binlog": {"file": "binlog.000001", "position": 4, "gtid": pair.gtid},
            "replication": [],
        }
        (place / RESTORED_NAME).write_text(json.dumps({"id": "b1", "backup": record}))
    else:
        place = workdir / "stock"
        place.mkdir()
        (place / "xtrabackup_binlog_info").write_text(f"binlog.000001\t4\t{pair.gtid}\n")
    pair.change(coordinates={"backup": str(place)}, caught_up_within="30s")
    assert_tables_equal(pair.source, pair.replica)


def test_without_gtids_the_backups_file_and_position_are_the_place(make_pair: PairFactory) -> None:
    off: Mapping[str, OptionValue | bool] = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}
    pair = make_pair(off, off)
    row = pair.source.rows("SHOW BINARY LOG STATUS")[0]
    pair.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    binlog = {"file": row["File"], "position": row["Position"], "gtid": ""}
    record = {"id": "b1", "server": {"flavor": "mysql"}, "binlog": binlog, "replication": []}
    (pair.replica.datadir / RESTORED_NAME).write_text(json.dumps({"id": "b1", "backup": record}))
    done = pair.change(coordinates={"backup": str(pair.replica.datadir)}, caught_up_within="30s")
    assert done["replication"]["using_gtid"] == "No"
    assert_tables_equal(pair.source, pair.replica)
    pair.run(state="absent")
    assert "gtid_mode is OFF" in pair.run(fails=True)["msg"]


def test_file_and_position_serve_as_well_and_a_tagged_transaction_can_be_waited_for(pair: Pair) -> None:
    row = pair.source.rows("SHOW BINARY LOG STATUS")[0]
    pair.source.execute("SET SESSION gtid_next = 'AUTOMATIC:nightly'", "INSERT INTO shop.t VALUES (3, 'three')")
    target = executed(pair.source)
    assert ":nightly:1" in target
    coordinates = {"file": row["File"], "position": row["Position"]}
    done = pair.change(coordinates=coordinates, caught_up_within="30s", caught_up_to=target)
    assert done["replication"]["using_gtid"] == "No"
    assert done["replication"]["gtid_executed"] == target
    assert_tables_equal(pair.source, pair.replica)


def test_an_account_with_the_documented_privileges_is_enough(pair: Pair) -> None:
    pair.replica.execute("RESET BINARY LOGS AND GTIDS")
    pair.without_log(
        "CREATE USER manager@localhost IDENTIFIED BY 'x'",
        "GRANT REPLICATION_SLAVE_ADMIN, REPLICATION CLIENT ON *.* TO manager@localhost",
    )
    login: dict[str, Any] = {"login_user": "manager", "login_password": "x"}
    for asked in ({"state": "absent"}, {}):
        lacking = pair.run(**{**login, **asked}, fails=True)["error"]
        assert lacking["code"] == "missing_privilege"
        assert pair.executed() == ""
        pair.without_log(lacking["details"]["grant"])
    assert pair.run(**login, caught_up_within="30s")["changed"] is True
    assert pair.run(**login, state="absent")["changed"] is True
    pair.without_log("CREATE USER nobody@localhost IDENTIFIED BY 'x'")
    refused = pair.run(login_user="nobody", login_password="x", fails=True)
    assert refused["error"]["code"] == "missing_privilege"
    pair.without_log(refused["error"]["details"]["grant"])
    assert pair.run(login_user="nobody", login_password="x")["changed"] is True


# --- a channel that is there ---------------------------------------------------------------------


def test_states_differences_and_the_place_of_a_channel_that_was_removed(replicating: Pair) -> None:
    names = ("source_host", "source_user", "source_password", "source_ssl", "coordinates")
    only: dict[str, Any] = {**dict.fromkeys(names), "source_port": 3306}
    replicating.replica.execute("STOP REPLICA")
    assert replicating.change()["statements"] == ["START REPLICA FOR CHANNEL '';"]
    done = replicating.change(connect_retry=7, caught_up_within="30s")
    assert [statement.split()[0] for statement in done["statements"]] == ["STOP", "CHANGE", "START"]
    assert done["diff"]["after"]["connect_retry"] == 7
    assert replicating.change(state="stopped", **only)["replication"]["state"] == "stopped"
    replicating.source.execute("INSERT INTO shop.t VALUES (3, 'three')")
    replicating.run(caught_up_within="30s", caught_up_to=executed(replicating.source))
    replicating.change(state="absent", **only)
    assert replicating.channel() is None
    assert replicating.executed() == executed(replicating.source)
    replicating.source.execute("INSERT INTO shop.t VALUES (4, 'four')")
    # it goes on where it was, not where the backup is
    done = replicating.change(caught_up_within="30s")
    assert [statement.split()[0] for statement in done["statements"]] == ["CHANGE", "START"]
    assert_tables_equal(replicating.source, replicating.replica)


def test_under_a_steady_write_load_a_replica_that_keeps_up_has_caught_up(pair: Pair) -> None:
    with WriteLoad(pair.source, threads=2, per_second=200):
        time.sleep(1)
        began = time.monotonic()
        pair.run(caught_up_within="60s")
        assert time.monotonic() - began < 50


def test_channels_with_names_are_independent(replicating: Pair, make_mysql: MySQLFactory) -> None:
    other = make_mysql("other")
    other.create_account("repl", PASSWORD, "REPLICATION SLAVE")
    threads = replicating.threads()
    start = other.rows("SHOW BINARY LOG STATUS")[0]
    coordinates = {"file": start["File"], "position": start["Position"]}
    replicating.change(channel="side", source_port=other.port, coordinates=coordinates)
    assert set(threads) < set(replicating.threads())
    # its GTIDs are not those that the server stands at
    refused = replicating.run(
        channel="third", source_port=other.port, coordinates={"gtid": f"{replicating.gtid},{OTHER_UUID}:1"}, fails=True
    )
    assert "already replicates through '', 'side'" in refused["msg"]
    replicating.change(channel="side", state="absent", source_port=other.port)
    assert replicating.threads() == threads


def test_another_source_needs_consent_and_a_promoted_sibling_is_followed_with_it(
    replicating: Pair, make_mysql: MySQLFactory, stopped: tuple[Path, str]
) -> None:
    other = make_mysql("other", start=False)
    shutil.copytree(stopped[0], other.datadir, ignore=shutil.ignore_patterns("auto.cnf", "binlog.*"))
    other.start()
    sibling = Pair(replicating.source, other, replicating.gtid)
    sibling.run(caught_up_within="30s")
    sibling.run(state="absent")
    other.execute("INSERT INTO shop.t VALUES (9, 'nine')")
    threads = replicating.threads()
    for check in (True, False):
        refused = replicating.run(source_port=other.port, fails=True, check=check)
        assert refused["error"]["code"] == "replication_error"
        assert "allow_repoint" in refused["error"]["remedy"]
    assert replicating.threads() == threads
    replicating.change(source_port=other.port, allow_repoint=True, caught_up_within="30s")
    assert_tables_equal(other, replicating.replica)


# --- what must not be done -----------------------------------------------------------------------


def test_positions_that_are_not_proven_are_refused_and_nothing_is_touched(pair: Pair) -> None:
    behind = pair.gtid.rpartition("-")[0] + "-3"
    pair.replica.execute("RESET BINARY LOGS AND GTIDS", f"SET GLOBAL gtid_purged = '{OTHER_UUID}:1-5'")
    assert "different histories" in pair.run(fails=True)["msg"]
    # a transaction of the source that it has executed itself: its data have moved on since they were put there
    uuid, _colon, _rest = pair.gtid.partition(":")
    pair.replica.execute(
        "RESET BINARY LOGS AND GTIDS",
        f"SET GLOBAL gtid_purged = '{behind}'",
        f"SET SESSION gtid_next = '{uuid}:4'",
        "INSERT INTO shop.t VALUES (40, 'applied')",
    )
    assert "is no fresh restore" in pair.run(fails=True)["msg"]
    pair.replica.execute("RESET BINARY LOGS AND GTIDS", f"SET GLOBAL gtid_purged = '{pair.gtid}'")
    pair.replica.execute("INSERT INTO shop.t VALUES (41, 'own')")
    refused = pair.run(fails=True)
    assert "transactions of its own" in refused["msg"]
    pair.replica.execute("RESET BINARY LOGS AND GTIDS")
    assert "nothing says where" in pair.run(coordinates=None, fails=True)["msg"]
    assert pair.executed() == ""
    assert pair.channel() is None


def test_a_member_of_group_replication_is_never_given_gtids(make_pair: PairFactory) -> None:
    group = {"plugin_load_add": "group_replication.so", "loose_group_replication_group_name": OTHER_UUID}
    pair = make_pair(replica={**group, "loose_group_replication_start_on_boot": "OFF"})
    pair.replica.execute("RESET BINARY LOGS AND GTIDS")
    assert "group replication" in pair.run(fails=True)["msg"]
    assert pair.executed() == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"coordinates": {"gtid": "0-1-100"}}, "not a GTID set"),
        ({"coordinates": {"backup": "/nosuch"}}, "neither a backup"),
        ({"caught_up_within": "1s", "caught_up_to": "0-1-5"}, "caught_up_to"),
        ({"source_user": None}, "source_user"),
        ({"source_password": "x" * 33}, "no more than 32"),
        ({"source_password": "ü" * 17}, "no more than 32"),
        ({"source_user": "u" * 33}, "no more than 32"),
        ({"source_host": "h" * 256}, "no more than 255"),
        ({"source_port": 65536}, "source_port: 65536"),
        ({"connect_retry": 0}, "connect_retry: 0"),
        ({"channel": "c" * 65}, "no more than 64"),
        ({"channel": "group_replication_applier"}, "belongs to group replication"),
    ],
)
def test_options_that_cannot_be_used_are_named(stopped_replica: Pair, changes: dict[str, Any], words: str) -> None:
    assert words in stopped_replica.run(fails=True, **changes)["msg"]
    assert stopped_replica.channel() is None


def test_the_longest_values_are_kept_as_they_are(stopped_replica: Pair) -> None:
    name, path = "c" * 64, "/" + "d" * 510
    longest: dict[str, Any] = {
        "channel": name,
        "source_host": "h" * 255,
        "source_user": "u" * 32,
        "source_password": "ü" * 16,
    }
    place: dict[str, Any] = {"coordinates": {"file": "binlog.000001", "position": 4}, "source_ssl_ca": path}
    stopped_replica.run(state="stopped", connect_retry=2147483647, source_port=65535, **place, **longest)
    row = stopped_replica.replica.rows("SHOW REPLICA STATUS")[0]
    assert (row["Source_Host"], row["Source_User"]) == (longest["source_host"], longest["source_user"])
    assert (row["Source_Port"], row["Connect_Retry"], row["Source_SSL_CA_File"]) == (65535, 2147483647, path)
    stopped_replica.run(state="absent", channel=name)
    assert not stopped_replica.replica.rows("SHOW REPLICA STATUS")


@pytest.fixture(scope="module")
def stopped_replica(stopped: tuple[Path, str]) -> Iterator[Pair]:
    """A server that nothing is done to; its source is itself."""
    with MySQLServer(stopped[0].parent) as server:
        yield Pair(server, server, stopped[1])


# --- what goes wrong -----------------------------------------------------------------------------


def test_without_tls_an_account_needs_the_public_key_which_is_said_at_once(pair: Pair) -> None:
    began = time.monotonic()
    failed = pair.run(source_ssl=False, fails=True)
    assert time.monotonic() - began < 15
    assert failed["error"]["details"]["io_errno"] == 2061
    assert "get_source_public_key" in failed["error"]["remedy"]
    done = pair.change(source_ssl=False, get_source_public_key=True, caught_up_within="30s")
    assert [statement.split()[0] for statement in done["statements"]] == ["STOP", "CHANGE", "START"]
    assert done["diff"]["after"]["get_source_public_key"] is True


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


def test_a_certificate_that_is_not_the_sources_is_refused(pair: Pair) -> None:
    verified: dict[str, Any] = {"source_ssl_verify": True, "source_ssl_ca": str(pair.source.datadir / "ca.pem")}
    failed = pair.run(**verified, fails=True)  # the certificate that a server makes for itself names no host
    assert "source_ssl" in failed["error"]["remedy"]
    own: dict[str, Any] = {"source_ssl_verify": False, "source_ssl_ca": str(pair.source.datadir / "ca.pem")}
    assert pair.run(**own, caught_up_within="30s")["changed"] is True


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
    log = pair.source.rows("SHOW BINARY LOG STATUS")[0]["File"]
    pair.source.execute(f"PURGE BINARY LOGS TO '{log}'")
    failed = pair.run(fails=True)
    assert failed["error"]["details"]["io_errno"] == 13114
    assert "new backup" in failed["error"]["remedy"]


def test_two_servers_with_one_server_id_are_reported(pair: Pair) -> None:
    pair.replica.execute(f"SET GLOBAL server_id = {pair.source.options['server_id']}")
    failed = pair.run(fails=True)
    assert failed["error"]["details"]["io_errno"] == 13117
    assert "server_id" in failed["error"]["remedy"]


def test_a_missing_grant_on_the_source_is_reported(pair: Pair) -> None:
    pair.source.create_account("weak", PASSWORD, "USAGE")
    assert "GRANT REPLICATION SLAVE" in pair.run(source_user="weak", fails=True)["error"]["remedy"]
