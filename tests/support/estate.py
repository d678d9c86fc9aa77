# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A primary and hosts that may become its replicas, all of them this machine, for tests of the playbooks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from . import plays, service
from .checksums import assert_tables_equal, wait_until_caught_up
from .mysql import MySQLServer
from .ports import free_port
from .servers import DatabaseServer, MariaDBServer, OptionValue

KINDS: dict[str, type[DatabaseServer]] = {"mariadb": MariaDBServer, "mysql": MySQLServer}

PASSWORDS = {
    "xtrabackup_backup_password": "canary-backup-password",
    "xtrabackup_replication_password": "canary-replication-password",
}
ACCOUNTS = {"xtrabackup_backup_user": "backup", "xtrabackup_replication_user": "repl"}


class Estate:
    """A primary with some data, and hosts that may become its replicas; of one ``flavor``, mariadb or mysql."""

    def __init__(
        self,
        directory: Path,
        options: Mapping[str, OptionValue] | None = None,
        *,
        flavor: str = "mariadb",
        passwords: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.kind = KINDS[flavor]
        self.passwords = dict(passwords or PASSWORDS)
        self.echo: Callable[[str], None] | None = None  # gets each line of a play's output as it comes
        self.servers: dict[str, DatabaseServer] = {}
        self.ports: dict[str, int] = {}
        self.primary = self.host("primary", options)
        self.primary.start()
        plays.create_accounts(self.primary, self.passwords)
        self.primary.execute(
            "CREATE DATABASE shop",
            "USE shop",
            "CREATE TABLE shop.items (id INT PRIMARY KEY, name VARCHAR(100)) ENGINE=InnoDB",
            f"INSERT INTO shop.items SELECT seq, REPEAT('x', seq % 100) FROM {self.primary.numbers(5000)}",
        )

    def host(self, name: str, options: Mapping[str, OptionValue] | None = None) -> DatabaseServer:
        """One more host: an option file, no data."""
        server = self.kind(self.directory / name, options, server_id=len(self.servers) + 1)
        server.write_option_file()
        self.servers[name], self.ports[name] = server, free_port()
        return server

    def play(
        self,
        *arguments: str,
        playbook: str = "provision_replica.yml",
        controller: str = "ansible",
        **variables: Any,
    ) -> plays.PlayResult:
        """Run a playbook; ``variables`` beside the accounts and their passwords.

        Plays at the same time need each a ``controller`` of its own, the name of a directory.
        """
        scratch = self.directory / controller
        scratch.mkdir(mode=0o700, exist_ok=True)
        inventory = scratch / "inventory.yml"
        hosts = {
            name: {**plays.host_variables(server), "xtrabackup_transfer_port": self.ports[name]}
            for name, server in self.servers.items()
        }
        groups = {
            "primaries": {"hosts": {"primary": hosts.pop("primary")}},
            "replicas": {"hosts": hosts},
        }
        common = {**plays.common_variables(), **ACCOUNTS, "xtrabackup_primary_port": self.primary.port}
        plays.write_private(inventory, {"all": {"vars": common, "children": groups}})
        return plays.run_playbook(
            playbook,
            *arguments,
            inventory=inventory,
            scratch=scratch,
            variables={**self.passwords, **variables},
            echo=self.echo,
        )

    def assert_replica(self, replica: DatabaseServer) -> None:
        """``replica`` follows the primary and holds the same, table by table, at one instant of the primary."""
        with self.primary.session() as connection, connection.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            wait_until_caught_up(self.primary, replica)
            assert_tables_equal(self.primary, replica)

    def create_ticking_event(self) -> None:
        """An event that fires on the primary every second, into a table that says on which server."""
        self.primary.execute(
            "SET GLOBAL event_scheduler = ON",
            "CREATE TABLE shop.ticks (id INT AUTO_INCREMENT PRIMARY KEY, server INT)",
            "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND ENDS NOW() + INTERVAL 1 DAY "
            "DO INSERT INTO shop.ticks (server) VALUES (@@server_id)",
        )

    def assert_events_fire_on_the_primary_only(self, replica: DatabaseServer) -> None:
        """Both schedulers are on."""
        servers = (self.primary, replica)
        assert [server.value("SELECT @@GLOBAL.event_scheduler") for server in servers] == ["ON", "ON"]
        states = [server.value("SELECT STATUS FROM information_schema.EVENTS") for server in servers]
        disabled = {"mariadb": "SLAVESIDE_DISABLED", "mysql": "REPLICA_SIDE_DISABLED"}[self.primary.flavor]
        assert states == ["ENABLED", disabled]
        own = self.primary.value("SELECT @@server_id")
        assert replica.rows("SELECT server, COUNT(*) > 0 AS some FROM shop.ticks GROUP BY server") == [
            {"server": own, "some": 1}
        ]

    def leftovers(self) -> list[str]:
        """Files of a transfer or of an unfinished run that are still there."""
        found: list[Path] = []
        for server in self.servers.values():
            run = server.directory / "run"
            # the directory of jobs stays; a job that failed has its log there
            found += [path for path in (*run.glob("*"), *run.glob("jobs/*")) if path != run / "jobs"]
            found += [path for path in server.directory.glob("data*") if path.name != "data"]
        asynchronous = self.directory / "ansible" / "async"
        found += asynchronous.glob("*") if asynchronous.exists() else []
        return sorted(str(path.relative_to(self.directory)) for path in found)

    def close(self) -> None:
        """End all servers, whoever started them."""
        for server in self.servers.values():
            with contextlib.suppress(Exception):
                server.kill()
            with contextlib.suppress(Exception):
                service.stop(server.directory, 30)
