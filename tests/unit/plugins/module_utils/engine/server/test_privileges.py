# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What SHOW GRANTS means."""

from __future__ import annotations

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.privileges import (
    BACKUP_PRIVILEGES,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.privileges import (
    BACKUP_PRIVILEGES as MYSQL_BACKUP_PRIVILEGES,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.privileges import (
    ALL,
    grants_of,
    lacking,
    parse_global_privileges,
    parse_roles,
)

# as MariaDB 10.11 prints them for an account with an active role
WITH_ROLE = [
    "GRANT `backuprole` TO `bk`@`localhost`",
    "GRANT USAGE ON *.* TO `bk`@`localhost` IDENTIFIED BY PASSWORD '*B69027D44F6E5EDC07F1AEAD1477967B16F28227'",
    "GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO `backuprole`",
    "GRANT SELECT, INSERT ON `test`.* TO PUBLIC",
    "SET DEFAULT ROLE `backuprole` FOR `bk`@`localhost`",
]


def test_privileges_of_an_active_role_count() -> None:
    held = parse_global_privileges(WITH_ROLE, Family.MARIADB)
    assert held == {"RELOAD", "PROCESS", "BINLOG MONITOR", "SLAVE MONITOR"}
    assert lacking(held, BACKUP_PRIVILEGES, (10, 11), Family.MARIADB) == []
    assert parse_roles(WITH_ROLE) == ["backuprole"]


def test_privileges_on_one_database_and_proxies_do_not_count() -> None:
    grants = [
        "GRANT USAGE ON *.* TO `a`@`%`",
        "GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`",
        "GRANT PROXY ON ``@`%` TO `a`@`%` WITH GRANT OPTION",
    ]
    assert parse_global_privileges(grants, Family.MARIADB) == frozenset()
    assert lacking(frozenset(), BACKUP_PRIVILEGES, (10, 11), Family.MARIADB) == list(BACKUP_PRIVILEGES)


def test_all_privileges_lack_nothing() -> None:
    held = parse_global_privileges(
        ["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"], Family.MARIADB
    )
    assert held == {ALL}
    assert lacking(held, BACKUP_PRIVILEGES, (11, 8), Family.MARIADB) == []


def test_older_names_mean_the_same_privilege() -> None:
    held = parse_global_privileges(
        ["GRANT RELOAD, PROCESS, REPLICATION CLIENT, REPLICA MONITOR ON *.* TO `a`@`b`"], Family.MARIADB
    )
    assert lacking(held, BACKUP_PRIVILEGES, (10, 11), Family.MARIADB) == []


def test_super_stood_for_the_monitor_privileges_only_before_11() -> None:
    held = parse_global_privileges(["GRANT RELOAD, PROCESS, SUPER ON *.* TO `a`@`b`"], Family.MARIADB)
    assert lacking(held, BACKUP_PRIVILEGES, (10, 11, 19), Family.MARIADB) == []
    assert lacking(held, BACKUP_PRIVILEGES, (11, 4), Family.MARIADB) == ["BINLOG MONITOR", "SLAVE MONITOR"]


def test_only_what_lacks_is_named() -> None:
    held = parse_global_privileges(["GRANT RELOAD, SLAVE MONITOR ON *.* TO `a`@`b`"], Family.MARIADB)
    assert lacking(held, BACKUP_PRIVILEGES, (10, 11), Family.MARIADB) == ["PROCESS", "BINLOG MONITOR"]


# as MySQL 9.7 prints them for an account with an active role
MYSQL_WITH_ROLE = [
    "GRANT RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO `w`@`localhost`",
    "GRANT BACKUP_ADMIN,CLONE_ADMIN ON *.* TO `w`@`localhost`",
    "GRANT SELECT ON `performance_schema`.`log_status` TO `w`@`localhost`",
    "GRANT `taker`@`%` TO `w`@`localhost`",
    "REVOKE SELECT ON `mysql`.* FROM `w`@`localhost`",
]


def test_mysql_has_names_of_its_own_and_dynamic_privileges_in_a_line_of_theirs() -> None:
    held = parse_global_privileges(MYSQL_WITH_ROLE, family=Family.MYSQL)
    assert held == {"RELOAD", "PROCESS", "REPLICATION CLIENT", "BACKUP_ADMIN", "CLONE_ADMIN"}
    on_all = [name for name in MYSQL_BACKUP_PRIVILEGES if " ON " not in name]
    assert lacking(held, on_all, (9, 7), family=Family.MYSQL) == []
    assert parse_roles(MYSQL_WITH_ROLE) == ["taker`@`%"]


def test_super_of_mysql_shows_replication_but_locks_no_instance() -> None:
    held = parse_global_privileges(["GRANT SUPER ON *.* TO `a`@`b`"], family=Family.MYSQL)
    assert lacking(held, ["BACKUP_ADMIN", "REPLICATION CLIENT"], (9, 7), family=Family.MYSQL) == ["BACKUP_ADMIN"]


def test_global_privileges_are_granted_in_one_statement_and_tables_one_by_one() -> None:
    assert grants_of(["PROCESS", "SELECT ON a.b", "RELOAD"], "'x'@'y'") == [
        "GRANT PROCESS, RELOAD ON *.* TO 'x'@'y';",
        "GRANT SELECT ON a.b TO 'x'@'y';",
    ]
    assert grants_of(["SELECT ON a.b"], "'x'@'y'") == ["GRANT SELECT ON a.b TO 'x'@'y';"]
