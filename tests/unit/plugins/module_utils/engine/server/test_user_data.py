# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a data directory holds anything of a user: no state that holds something is ever taken for none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.user_data import (
    DIRECTORY,
    FILE,
    FOUND,
    NONE,
    OTHER,
    SOCKET,
    UNKNOWN,
    Entry,
    ServerObjects,
    classify,
    entries_of,
    sees_all,
)


def files(*names: str, head: bytes = b"") -> list[Entry]:
    return [Entry(name, FILE, head) for name in names]


def directories(*names: str) -> list[Entry]:
    return [Entry(name, DIRECTORY) for name in names]


BINLOGS = [*files("binlog.000001", head=b"\xfebin"), *files("crypt.000002", head=b"\xfdbin"), *files("binlog.index")]
# as the servers themselves have made them (MariaDB 10.11 and 11.8, MySQL 9.7)
MARIADB = [
    *files("aria_log.00000001", "aria_log_control", "ib_buffer_pool", "ib_logfile0", "ibdata1", "ibtmp1", "undo001"),
    *files("multi-master.info", "mysql_upgrade_info", "debian-10.11.flag", "host.pid", "host.err", "binlog.state"),
    *BINLOGS,
    *files("binlog.000002.idx"),
    *files("binlog.000001.idx", head=b"\xfe\xfe\x0c\x01\x01"),
    *directories("#binlog_cache_files"),
    *files("#binlog_cache_files/ML_131554982772456"),
    Entry("mysqld.sock", SOCKET),
    *directories("mysql", "performance_schema", "sys", "test", "lost+found"),
    *files("mysql/db.opt", "mysql/db.frm", "mysql/db.MAD", "mysql/db.MAI", "mysql/gtid_slave_pos.ibd"),
    *files("mysql/general_log.CSM", "mysql/general_log.CSV", "mysql/general_log.frm", "performance_schema/db.opt"),
    *files("sys/db.opt", "sys/sys_config.frm", "sys/sys_config.MAI", "sys/sys_config.TRG", "test/db.opt"),
    *files("sys/host_summary.frm", head=b"TYPE=VIEW\nquery"),
]
MYSQL = [
    *files("auto.cnf", "ca-key.pem", "ca.pem", "client-cert.pem", "private_key.pem", "server-key.pem"),
    *files("#ib_16384_0.dblwr", "#ib_16384_1.bdblwr", "#ib_16384_1.ddblwr", "ib_buffer_pool", "ibdata1", "ibtmp1"),
    *files("mysql.ibd"),
    *files("mysql_upgrade_history", "undo_001", "undo_002", "mysqlx.sock.lock"),
    *BINLOGS,
    Entry("mysqlx.sock", SOCKET),
    *directories("mysql", "performance_schema", "sys", "#innodb_redo", "#innodb_temp"),
    *files("#innodb_redo/#ib_redo74", "#innodb_redo/#ib_redo75_tmp", "#innodb_temp/temp_1.ibt", "sys/sys_config.ibd"),
    *files("mysql/general_log.CSM", "mysql/general_log_224.sdi", "performance_schema/cond_instances_87.sdi"),
]
SILENT = ServerObjects(complete=True)

names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20)
# what a user's object can look like on disk, each beside what the server has made itself
objects = st.one_of(
    st.builds(Entry, names.map("db_{}".format), st.sampled_from([DIRECTORY, OTHER])),  # a database, here or by a link
    st.builds(Entry, st.sampled_from(["mysql", "sys", "ibdata1", "mysql.ibd", "test"]), st.just(OTHER)),
    st.builds(Entry, names.map("u_{}.ibd".format), st.just(FILE)),  # a general tablespace
    st.builds(
        Entry,
        st.tuples(st.sampled_from(["mysql", "sys", "test"]), names, st.sampled_from(["frm", "ibd", "MYD", "MAD"])).map(
            lambda parts: f"{parts[0]}/u_{parts[1].replace('.', '@')}.{parts[2]}"
        ),
        st.just(FILE),
    ),
    st.builds(Entry, names.map("lost+found/{}".format), st.sampled_from([FILE, DIRECTORY])),
    st.builds(Entry, names.map("#innodb_redo/{}".format), st.sampled_from([DIRECTORY, OTHER])),
    # no binary log, and no index of one
    st.builds(Entry, st.sampled_from(["dump.000001", "a.000001", "a.000001.idx"]), st.just(FILE), st.just(b"rows")),
    st.builds(Entry, names.map("#binlog_cache_files/{}".format), st.sampled_from([DIRECTORY, OTHER])),
    st.builds(Entry, st.sampled_from(["mysqld-auto.cnf", "mysqld.my", "component_keyring_file", "crm"]), st.just(FILE)),
)
servers = st.one_of(
    st.none(),
    st.builds(
        ServerObjects,
        st.lists(names, max_size=2).map(tuple),
        st.lists(names, max_size=2).map(tuple),
        st.booleans(),
    ),
)


@pytest.mark.parametrize("entries", [MARIADB, MYSQL], ids=["mariadb", "mysql"])
def test_a_fresh_server_that_was_asked_holds_nothing(entries: list[Entry]) -> None:
    assert classify(entries, running=True, server=SILENT).as_dict() == {
        "state": NONE,
        "running": True,
        "databases": [],
        "objects": [],
        "unknown": [],
    }


@given(st.sampled_from([MARIADB, MYSQL]), st.lists(objects, min_size=1, max_size=3), st.booleans(), servers)
def test_no_directory_with_a_users_object_is_free(
    own: list[Entry], others: list[Entry], running: bool, server: ServerObjects | None
) -> None:
    replaced = {entry.path for entry in others}
    entries = [*(entry for entry in own if entry.path not in replaced), *others]
    assert classify(entries, running=running, server=server).state == FOUND


@given(st.one_of(st.none(), st.sampled_from([MARIADB, MYSQL])), st.booleans(), servers)
def test_only_two_witnesses_who_know_everything_make_it_free(
    entries: list[Entry] | None, running: bool, server: ServerObjects | None
) -> None:
    classified = classify(entries, running=running, server=server)
    reported = server is not None and (server.databases or server.objects)
    silent = entries is not None and server == SILENT
    assert classified.state == (FOUND if reported else NONE if silent else UNKNOWN)
    assert bool(classified.unknown) == (entries is None or server is None or not server.complete)


def test_every_kind_of_entry_is_seen_and_links_are_not_followed(tmp_path: Path) -> None:
    datadir, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for directory in (datadir / "mysql", datadir / "shop", elsewhere):
        directory.mkdir(parents=True)
    (datadir / "ibdata1").write_bytes(b"x")
    (datadir / "binlog.000001").write_bytes(b"\xfebin....")
    (datadir / "mysql" / "notes.frm").write_bytes(b"x")
    (datadir / "shop" / "not_looked_into").write_bytes(b"")
    (datadir / "crm").symlink_to(elsewhere)
    (datadir / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(datadir / "pipe")
    entries = {entry.path: entry for entry in entries_of(datadir)}
    assert {path: entry.kind for path, entry in entries.items()} == {
        "ibdata1": FILE,
        "binlog.000001": FILE,
        "mysql": DIRECTORY,
        "mysql/notes.frm": FILE,
        "shop": DIRECTORY,
        "crm": OTHER,
        "gone": OTHER,
        "pipe": OTHER,
    }
    classified = classify(list(entries.values()), running=True, server=SILENT)
    assert classified.databases == ("crm", "gone", "pipe", "shop")
    assert classified.objects == ("mysql/notes.frm",)


def test_who_sees_everything() -> None:
    assert sees_all({"ALL PRIVILEGES"})
    assert sees_all({"SELECT", "SHOW DATABASES", "SHOW VIEW", "EVENT", "TRIGGER", "PROCESS", "RELOAD"})
    assert not sees_all({"SELECT", "SHOW DATABASES", "SHOW VIEW", "EVENT", "PROCESS"})
    assert not sees_all({"ALL PRIVILEGES", "REVOKE"})
