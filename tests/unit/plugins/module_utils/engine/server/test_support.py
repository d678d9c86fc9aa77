# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that cannot be backed up safely are refused by name; layouts become absolute paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.support import refusals_of_redo_log
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.support import (
    Flavor,
    Layout,
    ServerIdentity,
    flavor_of,
    refusal_of_version,
    refusals_of_configuration,
)


def identity(version: str, comment: str = "") -> ServerIdentity:
    return ServerIdentity(flavor_of(version, comment), version, comment, 1, "uid", "host", 3306, Path("/var/lib/mysql"))


@pytest.mark.parametrize(
    "version",
    ["10.11.0-MariaDB", "10.11.19-MariaDB-0+deb12u1-log", "11.4.5-MariaDB", "11.8.2-MariaDB", "12.3.1-MariaDB"],
)
def test_mariadb_with_the_redo_format_of_10_8_is_supported(version: str) -> None:
    assert refusal_of_version(identity(version)) is None


@pytest.mark.parametrize(
    ("version", "comment", "reason"),
    [
        ("10.6.21-MariaDB", "", "older"),
        ("10.10.9-MariaDB", "", "older"),
        ("13.0.1-MariaDB", "", "newer"),
        ("5.7.44", "MySQL Community Server (GPL)", "older"),
        ("8.0.29", "MySQL Community Server - GPL", "8.0.30 and newer"),
        ("8.0.29-21", "Percona Server (GPL)", "older"),
        ("10.0.0", "MySQL Community Server - GPL", "newer"),
    ],
)
def test_other_versions_and_flavors_are_refused_with_the_reason(version: str, comment: str, reason: str) -> None:
    assert reason in str(refusal_of_version(identity(version, comment)))


@pytest.mark.parametrize(
    ("version", "comment"),
    [
        ("8.0.30", "MySQL Community Server - GPL"),
        ("8.0.36-28", "Percona Server (GPL), Release 28"),
        ("8.1.0", "MySQL Community Server - GPL"),
        ("8.4.5", "MySQL Community Server - GPL"),
        ("9.7.4-2", "(Debian)"),
    ],
)
def test_mysql_with_the_redo_log_of_8_0_30_is_supported(version: str, comment: str) -> None:
    assert refusal_of_version(identity(version, comment)) is None


def test_the_flavor_is_told_from_version_and_comment() -> None:
    assert flavor_of("10.11.19-MariaDB-log", "Debian 12") is Flavor.MARIADB
    assert flavor_of("11.4.1", "MariaDB Server") is Flavor.MARIADB
    assert flavor_of("8.0.36-28", "Percona Server (GPL)") is Flavor.PERCONA
    assert flavor_of("9.7.4", "MySQL Community Server") is Flavor.MYSQL


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("innodb_encrypt_log", "ON"),
        ("innodb_encrypt_tables", "FORCE"),
        ("innodb_encrypt_tables", "ON"),
        ("aria_encrypt_tables", "ON"),
        ("innodb_log_archive", "ON"),
        ("innodb_force_recovery", "3"),
        ("innodb_read_only", "ON"),
        ("innodb_log_checksums", "OFF"),
        ("binlog_storage_engine", "innodb"),
        ("innodb_data_file_path", "/dev/sda:10Graw"),
        ("innodb_data_file_path", "ibdata1:10M;/dev/sdb:3Gnewraw"),
    ],
)
def test_settings_that_make_a_backup_unsafe_are_named(name: str, value: str) -> None:
    (reason,) = refusals_of_configuration({"innodb_encrypt_log": "OFF", name: value})
    assert name in reason


def test_an_ordinary_configuration_is_not_refused() -> None:
    ordinary = {
        "innodb_encrypt_log": "OFF",
        "innodb_encrypt_tables": "OFF",
        "aria_encrypt_tables": "OFF",
        "innodb_force_recovery": "0",
        "innodb_read_only": "OFF",
        "innodb_data_file_path": "ibdata1:12M:autoextend",
        "innodb_log_checksums": "ON",
        "binlog_storage_engine": "",
    }
    assert refusals_of_configuration(ordinary) == []


def test_relative_places_start_at_the_datadir() -> None:
    layout = Layout.from_variables(
        {
            "datadir": "/srv/db/",
            "innodb_data_home_dir": "",
            "innodb_log_group_home_dir": "./",
            "innodb_undo_directory": "undo",
            "aria_log_dir_path": "/srv/aria/",
            "innodb_data_file_path": "ibdata1:12M;/fast/ibdata2:1G:autoextend",
            "innodb_page_size": "16384",
        }
    )
    assert layout.innodb_data_home_dir == Path("/srv/db")
    assert layout.redo_log == Path("/srv/db/ib_logfile0")
    assert layout.innodb_undo_directory == Path("/srv/db/undo")
    assert layout.aria_log_dir_path == Path("/srv/aria")
    assert layout.system_tablespace_files == (Path("/srv/db/ibdata1"), Path("/fast/ibdata2"))
    assert layout.innodb_page_size == 16384


def test_a_home_directory_of_the_system_tablespace_is_respected() -> None:
    layout = Layout.from_variables(
        {"datadir": "/d", "innodb_data_home_dir": "/home/ib", "innodb_data_file_path": "ibdata1:12M:autoextend"}
    )
    assert layout.system_tablespace_files == (Path("/home/ib/ibdata1"),)


def test_a_mysql_server_lists_more_directories_in_one_variable() -> None:
    layout = Layout.from_variables(
        {
            "datadir": "/srv/db/",
            "innodb_log_group_home_dir": "./",
            "innodb_directories": "/more/;'/with a blank';./here;;",
            "gtid_mode": "ON",
            "log_bin_index": "/logs/binlog.index",
        }
    )
    assert layout.innodb_directories == (Path("/more"), Path("/with a blank"), Path("/srv/db/here"))
    assert layout.redo_directory == Path("/srv/db/#innodb_redo")
    assert layout.log_bin_index == "/logs/binlog.index"
    assert layout.by_gtid
    assert Layout.from_variables({"datadir": "/srv/db"}).innodb_directories == ()
    assert not Layout.from_variables({"datadir": "/srv/db", "gtid_mode": "ON_PERMISSIVE"}).by_gtid


def test_a_redo_log_that_records_nothing_or_cannot_grow_is_a_reason_to_refuse() -> None:
    assert refusals_of_redo_log({"Innodb_redo_log_enabled": "ON", "Innodb_redo_log_read_only": "OFF"}) == []
    (reason,) = refusals_of_redo_log({"Innodb_redo_log_enabled": "OFF", "Innodb_redo_log_read_only": "OFF"})
    assert "ENABLE INNODB REDO_LOG" in reason
    (reason,) = refusals_of_redo_log({"Innodb_redo_log_enabled": "ON", "Innodb_redo_log_read_only": "ON"})
    assert "read-only" in reason
