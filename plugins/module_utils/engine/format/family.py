# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The families of servers, and what differs between them: one table.

A flavor is the product that a server is. Flavors of one family share file formats, locks and statements: Percona Server
is one of MySQL's. Manifests, results and options name both as strings, the values of these enums.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FamilyFacts:
    """Names and words that differ between the families; what differs in behaviour is in their folders.

    ``redo_name``: the copied redo log in a backup. ``prepared_type``: the backup_type of a prepared backup.
    ``server_programs``: the names of the server's program, the usual one first. ``server_package``: what installs it.
    ``log_updates_variable``: makes a replica write to its binary log what it applies.
    ``binary_log_in_backup``: the backup holds the binary log, which recovery looks into.
    ``compression_plugins``: pages may need plugins to be read. ``series_options``: option files have groups for each
    series of servers.
    """

    display_name: str
    redo_name: str
    prepared_type: str
    server_programs: tuple[str, ...]
    server_package: str
    log_updates_variable: str
    binary_log_in_backup: bool
    compression_plugins: bool
    series_options: bool


class Family(enum.Enum):
    """Servers that share file formats, locks and statements. The value is the name in manifests and options."""

    MARIADB = "mariadb"
    MYSQL = "mysql"

    @property
    def facts(self) -> FamilyFacts:
        """The row of this family."""
        return _FACTS[self]

    @property
    def display_name(self) -> str:
        """The name for a person: ``MariaDB``."""
        return self.facts.display_name


_FACTS = {
    Family.MARIADB: FamilyFacts(
        display_name="MariaDB",
        redo_name="ib_logfile0",  # the name that its server wants
        prepared_type="log-applied",
        server_programs=("mariadbd", "mysqld"),
        server_package="mariadb-server (or mariadb-server-core)",
        log_updates_variable="log_slave_updates",
        binary_log_in_backup=False,
        compression_plugins=True,
        series_options=False,
    ),
    Family.MYSQL: FamilyFacts(
        display_name="MySQL",
        redo_name="xtrabackup_logfile",  # prepare gives it its place
        prepared_type="full-prepared",
        server_programs=("mysqld",),
        server_package="mysql-server (or mysql-server-core)",
        log_updates_variable="log_replica_updates",
        binary_log_in_backup=True,
        compression_plugins=False,
        series_options=True,
    ),
}


class Flavor(enum.Enum):
    """The product that a server is. The value is the name in manifests and results."""

    MARIADB = "mariadb"
    MYSQL = "mysql"
    PERCONA = "percona"

    @property
    def family(self) -> Family:
        """The family that it belongs to."""
        return Family.MARIADB if self is Flavor.MARIADB else Family.MYSQL

    @property
    def display_name(self) -> str:
        """The name for a person: ``Percona Server``."""
        return "Percona Server" if self is Flavor.PERCONA else self.family.display_name


def flavor_of(version: str, comment: str) -> Flavor:
    """The flavor that a server's version and version_comment tell of."""
    both = f"{version} {comment}".lower()
    if "mariadb" in both:
        return Flavor.MARIADB
    return Flavor.PERCONA if "percona" in both else Flavor.MYSQL


def recorded_flavor(record: Mapping[str, Any]) -> Flavor:
    """The flavor of the server that a backup's record names; MariaDB where it names none that is known."""
    name = (record.get("server") or {}).get("flavor")
    return next((flavor for flavor in Flavor if flavor.value == name), Flavor.MARIADB)
