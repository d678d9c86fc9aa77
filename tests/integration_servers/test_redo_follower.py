# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The followers of both families' redo logs on real servers: what they copy is recovered by a server to exactly its
end; what they cannot copy is an error."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import RedoOverwritten
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import AnyServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.held_still import held_still
from ansible_collections.innodb.xtrabackup.tests.support.load import AS_FAST_AS_IT_CAN, WriteLoad, check_invariants
from ansible_collections.innodb.xtrabackup.tests.support.mysql_redo import MIB, wait_for, write_redo
from ansible_collections.innodb.xtrabackup.tests.support.redo_following import REDO_FOLLOWING, RedoFollowing
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer


@pytest.fixture(params=list(Family), ids=[family.value for family in Family])
def family(request: pytest.FixtureRequest) -> Family:
    wanted: Family = request.param
    return wanted


@pytest.fixture
def redo(family: Family) -> RedoFollowing:
    return REDO_FOLLOWING[family]


def load_on(server: DatabaseServer, redo: RedoFollowing, *, may_lose_server: bool = False) -> WriteLoad:
    return WriteLoad(
        server, payload=3000, threads=redo.threads, per_second=AS_FAST_AS_IT_CAN, may_lose_server=may_lose_server
    )


@pytest.mark.parametrize(
    ("family", "flush", "size", "mebibytes", "consumer"),
    [
        # the log goes round five times, twice, and never
        pytest.param(Family.MARIADB, 0, "4M", 20, None, id="mariadb-0-4M"),
        pytest.param(Family.MARIADB, 1, "4M", 10, None, id="mariadb-1-4M"),
        pytest.param(Family.MARIADB, 2, "8M", 40, None, id="mariadb-2-8M"),
        pytest.param(Family.MARIADB, 2, "256M", 10, None, id="mariadb-2-256M"),
        pytest.param(Family.MYSQL, 0, "8M", 12, True, id="mysql-0-8M-held"),
        pytest.param(Family.MYSQL, 1, "8M", 12, False, id="mysql-1-8M"),
        pytest.param(Family.MYSQL, 2, "64M", 4, False, id="mysql-2-64M"),
    ],
)
def test_a_hot_copy_with_the_copied_log_is_recovered_to_that_very_instant(
    make_any: AnyServerFactory,
    redo: RedoFollowing,
    workdir: Path,
    flush: int,
    size: str,
    mebibytes: int,
    consumer: bool | None,
) -> None:
    source = make_any("source", redo.sized(size, innodb_flush_log_at_trx_commit=flush))
    restored = make_any("restored", redo.restored, start=False)
    log = workdir / "log"
    options = {} if consumer is None else {"consumer": consumer}
    with load_on(source, redo) as load, redo.following(source, log, **options) as copy:
        instant = redo.copy_to_instant(copy, restored.datadir, mebibytes * MIB, load)
        load.wait_for(10)
    assert copy.failures == []
    redo.require_whole(log, copy, instant.lsn)

    redo.recover(restored, log)
    assert redo.recovered_to(restored) == instant.lsn
    assert redo.transactions(restored) == instant.transactions
    check_invariants(restored)
    for table in ("accounts", "ledger"):
        assert restored.rows(f"CHECK TABLE load_test.{table} EXTENDED")[-1]["Msg_text"] == "OK"
    # the server goes on with a log of its own
    write_redo(restored, 12)
    restored.stop()


def test_a_follower_that_was_held_up_for_a_lap_fails_and_copies_nothing_wrong(
    make_any: AnyServerFactory, redo: RedoFollowing, workdir: Path
) -> None:
    source = make_any("source", redo.sized(redo.small, innodb_max_dirty_pages_pct=5))
    log = workdir / "log"
    with load_on(source, redo) as load, redo.following(source, log) as copy:
        wait_for(lambda: bool(copy.has_copied(MIB)))
        with held_still(copy.follower):
            held_at = redo.lsn(source)
            wait_for(lambda: redo.lsn(source) > held_at + redo.one_lap, 120)
            copied = copy.follower.copied_bytes
        wait_for(lambda: bool(copy.failures), 10)
        load.wait_for(1)
        (error,) = copy.failures
        assert isinstance(error, RedoOverwritten)
        assert error.details["behind"] > max(error.details["capacity"] - 4096, redo.one_lap)
        assert redo.size_option in error.remedy
        # one window may have been read before it stood still
        assert copied <= copy.follower.copied_bytes <= copied + redo.read_late
        with pytest.raises(RedoOverwritten):
            copy.follower.follow_until(error.details["current_lsn"], 1)
    # what was copied before is intact to its last byte
    redo.require_whole(log, copy, copy.follower.lsn)


@pytest.mark.parametrize(
    ("family", "consumer"),
    [(Family.MARIADB, None), (Family.MYSQL, True)],
    ids=["mariadb", "mysql"],
)
def test_an_idle_server_is_followed_to_its_current_lsn_at_once(
    make_any: AnyServerFactory, redo: RedoFollowing, workdir: Path, consumer: bool | None
) -> None:
    source = make_any("source", redo.sized("8M"))
    options = {} if consumer is None else {"consumer": consumer}
    with redo.following(source, workdir / "log", **options) as copy:
        time.sleep(1.2)  # the consumer is told every half second, though nothing is new
        begun = time.monotonic()
        copy.finish()
        assert time.monotonic() - begun < 1
        if consumer is not None:
            assert copy.consumer.held


@pytest.mark.parametrize("size", ["small", "64M"])
def test_the_log_of_a_killed_server_ends_where_its_own_recovery_does(
    make_any: AnyServerFactory, redo: RedoFollowing, workdir: Path, size: str
) -> None:
    size = redo.small if size == "small" else size
    server = make_any("server", redo.sized(size, innodb_flush_log_at_trx_commit=1, innodb_max_dirty_pages_pct=90))
    with load_on(server, redo, may_lose_server=True) as load:
        load.wait_for(redo.killed_after)
        server.kill()
    checkpoint_lsn, end_lsn = redo.end_of_dead_log(server, workdir)
    assert end_lsn > checkpoint_lsn
    server.start()
    assert redo.checkpoint_words.format(checkpoint_lsn) in server.log_text()
    assert redo.recovered_to(server) == end_lsn
    server.stop()
    redo.require_clean_end(server)
