# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's flavor is told from what it says of its version."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Flavor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.identity import flavor_of


def test_the_flavor_is_told_from_version_and_comment() -> None:
    assert flavor_of("10.11.19-MariaDB-log", "Debian 12") is Flavor.MARIADB
    assert flavor_of("11.4.1", "MariaDB Server") is Flavor.MARIADB
    assert flavor_of("8.0.36-28", "Percona Server (GPL)") is Flavor.PERCONA
    assert flavor_of("9.7.4", "MySQL Community Server") is Flavor.MYSQL
