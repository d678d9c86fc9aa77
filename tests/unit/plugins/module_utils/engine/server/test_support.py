# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that cannot be backed up safely are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import flavor_of
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.identity import ServerIdentity
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.support import (
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("innodb_force_recovery", "3"),
        ("innodb_read_only", "ON"),
        ("innodb_log_checksums", "OFF"),
        ("innodb_data_file_path", "/dev/sda:10Graw"),
        ("innodb_data_file_path", "ibdata1:10M;/dev/sdb:3Gnewraw"),
    ],
)
def test_settings_that_make_a_backup_unsafe_are_named(name: str, value: str) -> None:
    (reason,) = refusals_of_configuration({"innodb_read_only": "OFF", name: value})
    assert name in reason


def test_an_ordinary_configuration_is_not_refused() -> None:
    ordinary = {
        "innodb_force_recovery": "0",
        "innodb_read_only": "OFF",
        "innodb_data_file_path": "ibdata1:12M:autoextend",
        "innodb_log_checksums": "ON",
    }
    assert refusals_of_configuration(ordinary) == []
