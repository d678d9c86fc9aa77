# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers on real hosts, looked at from the controller: what the playbooks of the Molecule scenarios call.

Run as a script with one word, and with JSON on standard input, which says how to log in (an account that may do
everything; no password is on a command line) and where: ``{"flavor", "user", "password", ...}``::

    fill      {"primary": ADDRESS}                            data of every kind, and the tables of the write load
    compare   {"primary": ADDRESS, "replicas": [ADDRESS...]}  each replica holds what the primary does, at one instant
    equal     {"left": ADDRESS, "right": ADDRESS}             both hold the same, now
    written   {"primary": ADDRESS, "entries": 20}             the write load makes so many more entries in its ledger

Prints one line of JSON; ends with status 1 and says what is wrong.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pymysql

from . import checksums, datasets, load, mysql_datasets
from .client import DatabaseClient

ZOO = 20  # tables of the zoo, at least
STEP_ENGINES = {"mariadb": ("MyISAM", "Aria"), "mysql": ("MyISAM",)}


class HostServer(DatabaseClient):
    """A server at a TCP address, whose binary log knows nothing of what is done here unless it ``logs``.

    Who reads the first time after a restart from a table of the engine MEMORY has the server write that it is empty;
    a transaction of a replica's own, which stops its replication in GTID strict mode.
    """

    def __init__(self, address: str, settings: dict[str, Any], *, logs: bool = False) -> None:
        self.address = address
        self._settings = {} if logs else {"sql_log_bin": 0}
        if settings["flavor"] == "mysql":
            self._settings["cte_max_recursion_depth"] = 10_000_000  # for numbers()
        self.flavor = settings["flavor"]
        self._login = {"user": settings["user"], "password": settings["password"]}

    def connect(self, **arguments: Any) -> pymysql.Connection[Any]:
        """A new connection over TCP; with TLS where the account wants it, to a server that signed its own."""
        arguments = {"autocommit": True, "charset": "utf8mb4", "connect_timeout": 30, **self._login, **arguments}
        if self.flavor == "mysql":
            arguments.setdefault("ssl", {"check_hostname": False, "verify_mode": "none"})
        if self._settings:
            values = ", ".join(f"{name} = {value}" for name, value in self._settings.items())
            arguments.setdefault("init_command", f"SET SESSION {values}")
        return pymysql.connect(host=self.address, **arguments)

    def log_tail(self, lines: int = 30) -> str:
        """Where to look: the log is on the host."""
        return f"(the last {lines} lines of the error log are on {self.address})"


def fill(settings: dict[str, Any]) -> dict[str, Any]:
    """Make data of every kind, and the tables that the write load fills."""
    primary = HostServer(settings["primary"], settings, logs=True)
    if primary.flavor == "mysql":
        mysql_datasets.create_zoo(primary)
    else:
        datasets.create_zoo(primary)
    if settings.get("mebibytes"):
        datasets.create_big(primary, settings["mebibytes"])
    load.create_load_tables(primary, "load_test", STEP_ENGINES[primary.flavor])
    return {"tables": len(checksums.base_tables(primary))}


def compare(settings: dict[str, Any]) -> dict[str, Any]:
    """Hold the primary's writes for each replica, let it reach that instant, and compare every table of both."""
    primary = HostServer(settings["primary"], settings)
    compared = {}
    for address in settings["replicas"]:
        replica = HostServer(address, settings)
        with primary.session() as connection, connection.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            checksums.wait_until_caught_up(primary, replica)
            compared[address] = checksums.assert_tables_equal(primary, replica, at_least=ZOO)
            load.check_invariants(replica)
    return {"tables": compared}


def equal(settings: dict[str, Any]) -> dict[str, Any]:
    """Compare every table of two servers on which nobody writes."""
    left, right = HostServer(settings["left"], settings), HostServer(settings["right"], settings)
    tables = checksums.assert_tables_equal(left, right, at_least=ZOO)
    load.check_invariants(left)
    return {"tables": tables}


def written(settings: dict[str, Any]) -> dict[str, Any]:
    """Wait until the write load has written so many entries more; raises LoadFailed when it does not."""
    primary = HostServer(settings["primary"], settings)
    query = "SELECT COALESCE(MAX(id), 0) FROM load_test.ledger"
    begun, deadline = primary.value(query), time.monotonic() + 60
    while primary.value(query) < begun + settings.get("entries", 20):
        if time.monotonic() > deadline:
            raise load.LoadFailed(f"nothing is written on {primary.address}")
        time.sleep(0.1)
    return {"entries": primary.value(query)}


COMMANDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "fill": fill,
    "compare": compare,
    "equal": equal,
    "written": written,
}

if __name__ == "__main__":
    try:
        print(json.dumps(COMMANDS[sys.argv[1]](json.load(sys.stdin))))
    except (AssertionError, pymysql.MySQLError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
