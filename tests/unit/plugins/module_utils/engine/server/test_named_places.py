# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which options name directories and keys below a data directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.named_places import (
    holds_tables,
    named_places,
)

DATA = Path("/data")


@pytest.mark.parametrize(
    ("name", "value", "directories"),
    [
        ("log_bin", "logs/bin", ["logs"]),
        ("log_bin", "ON", []),
        ("log_bin", "bin", []),
        ("log_bin_basename", "/data/logs/deep/bin", ["logs/deep"]),
        ("relay_log", "/data/relay/r", ["relay"]),
        ("relay_log_index", "elsewhere/r.index", ["elsewhere"]),
        ("log_error", "./err/error.log", ["err"]),
        ("general_log_file", "/var/log/general.log", []),
        ("tmpdir", "/data/one:/data/two:/tmp", ["one", "two"]),
        ("secure_file_priv", "NULL", []),
        ("secure_file_priv", "/data/files/", ["files"]),
        ("datadir", "/data/", []),
        ("innodb_undo_directory", "./", []),
        ("innodb_log_group_home_dir", "redo", ["redo"]),
        ("innodb_data_file_path", "ibdata1:12M;far/ibdata2:1G:autoextend", ["far"]),
        ("innodb_temp_data_file_path", "temp/ibtmp1:12M:autoextend", ["temp"]),
        ("innodb_directories", "/data/ext;/elsewhere", ["ext"]),
        ("innodb_redo_log_archive_dirs", "a:/data/archive;b:/elsewhere", ["archive"]),
        ("wsrep_cluster_address", "gcomm://10.0.0.1,10.0.0.2", []),
        ("wsrep_provider_options", "gcache.dir = /data/gcache; gmcast.segment=1", ["gcache"]),
        ("key_buffer_size", "16777216", []),
        ("ssl_key", "tls/key.pem", ["tls"]),
        ("init_connect", "SET NAMES utf8mb4 /* a/b */", []),
    ],
)
def test_directories(name: str, value: str, directories: list[str]) -> None:
    assert named_places(DATA, {name: value}).directories == tuple(DATA / one for one in directories)


def test_a_directory_is_named_once_however_deep() -> None:
    places = named_places(DATA, {"log_bin": "logs/bin/b", "tmpdir": "/data/logs", "relay_log": "logs/relay/r"})
    assert places.directories == (DATA / "logs/bin", DATA / "logs/relay")
    assert places.entries(DATA) == {"logs"}


@pytest.mark.parametrize(
    ("name", "value", "own"),
    [
        ("ssl_key", "key.pem", "key.pem"),
        ("admin_ssl_cert", "/data/tls/cert.pem", "tls/cert.pem"),
        ("caching_sha2_password_private_key_path", "private_key.pem", "private_key.pem"),
        ("keyring_file_data", "/data/keyring/keyring", "keyring/keyring"),
        ("file_key_management_filename", "/data/keys", "keys"),
        ("file_key_management_filekey", "FILE:/data/key of keys", "key of keys"),
        ("wsrep_provider_options", "socket.ssl_key=/data/galera.pem;gcache.size=1G", "galera.pem"),
        ("init_file", "/data/init.sql", "init.sql"),
    ],
)
def test_what_is_the_hosts_own(name: str, value: str, own: str) -> None:
    assert DATA / own in named_places(DATA, {name: value}).hosts_own


def test_what_holds_tables_is_a_database_whatever_names_it(tmp_path: Path) -> None:
    assert not holds_tables(tmp_path / "absent")
    (tmp_path / "binlog.000001").touch()
    assert not holds_tables(tmp_path)
    (tmp_path / "db.opt").touch()
    assert holds_tables(tmp_path)


def test_logs_have_absolute_places_however_they_were_given() -> None:
    layout = ServerLayout.from_variables({"datadir": "/data/", "log_bin_basename": "logs/bin", "ignore_db_dirs": "a,b"})
    assert layout.log_bin_basename == "/data/logs/bin"
    assert layout.relay_log_basename == ""
    assert layout.not_databases >= {"logs", "a", "b"}
