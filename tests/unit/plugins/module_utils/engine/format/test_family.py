# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each flavor of servers belongs to a family, and each family has its names."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import (
    Family,
    Flavor,
    flavor_of,
    recorded_flavor,
)


@pytest.mark.parametrize(
    ("flavor", "family", "name"),
    [
        (Flavor.MARIADB, Family.MARIADB, "MariaDB"),
        (Flavor.MYSQL, Family.MYSQL, "MySQL"),
        (Flavor.PERCONA, Family.MYSQL, "Percona Server"),
    ],
)
def test_a_flavor_has_a_family_and_a_name(flavor: Flavor, family: Family, name: str) -> None:
    assert (flavor.family, flavor.display_name) == (family, name)
    assert recorded_flavor({"server": {"flavor": flavor.value}}) is flavor


@pytest.mark.parametrize("record", [{}, {"server": None}, {"server": {"flavor": ""}}, {"server": {"flavor": "oracle"}}])
def test_a_record_that_names_no_known_flavor_is_one_of_mariadb(record: dict[str, Any]) -> None:
    assert recorded_flavor(record) is Flavor.MARIADB


def test_there_is_no_other_family() -> None:
    with pytest.raises(ValueError, match="oracle"):
        Family("oracle")


def test_the_names_of_the_stock_tools_are_kept() -> None:
    assert (Family.MARIADB.facts.redo_name, Family.MARIADB.facts.prepared_type) == ("ib_logfile0", "log-applied")
    assert (Family.MYSQL.facts.redo_name, Family.MYSQL.facts.prepared_type) == ("xtrabackup_logfile", "full-prepared")


def test_the_flavor_is_told_from_version_and_comment() -> None:
    assert flavor_of("10.11.19-MariaDB-log", "Debian 12") is Flavor.MARIADB
    assert flavor_of("11.4.1", "MariaDB Server") is Flavor.MARIADB
    assert flavor_of("8.0.36-28", "Percona Server (GPL)") is Flavor.PERCONA
    assert flavor_of("9.7.4", "MySQL Community Server") is Flavor.MYSQL
