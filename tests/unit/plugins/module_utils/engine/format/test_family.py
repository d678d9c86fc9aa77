# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each flavor of servers belongs to a family, and each family has its names."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family, Flavor, family_of


@pytest.mark.parametrize(
    ("flavor", "family", "name"),
    [
        (Flavor.MARIADB, Family.MARIADB, "MariaDB"),
        (Flavor.MYSQL, Family.MYSQL, "MySQL"),
        (Flavor.PERCONA, Family.MYSQL, "Percona Server"),
    ],
)
def test_a_flavor_has_a_family_and_a_name(flavor: Flavor, family: Family, name: str) -> None:
    assert flavor.family is family is family_of(flavor.value)
    assert flavor.display_name == name


def test_a_flavor_that_nobody_writes_is_read_as_mariadb() -> None:
    assert family_of("") is family_of("oracle") is Family.MARIADB


def test_the_names_of_the_stock_tools_are_kept() -> None:
    assert (Family.MARIADB.facts.redo_name, Family.MARIADB.facts.prepared_type) == ("ib_logfile0", "log-applied")
    assert (Family.MYSQL.facts.redo_name, Family.MYSQL.facts.prepared_type) == ("xtrabackup_logfile", "full-prepared")
