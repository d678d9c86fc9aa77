# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the demo plays: its directory, its ports, its two servers. Run as a program, it removes all of that.

Everything is below one directory: ``.demo`` in the project, or $DEMO_DIR. Ports are counted from $DEMO_PORT (26000).
$FLAVOR says what the servers are: mariadb (the installed one) or mysql (the one that `make setup` unpacks).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible_collections.innodb.xtrabackup.tests.support import service
from ansible_collections.innodb.xtrabackup.tests.support.mysql import ROOT, MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, MariaDBServer, OptionValue

DIRECTORY = Path(os.environ.get("DEMO_DIR") or Path(__file__).parents[1] / ".demo").resolve()
BASE_PORT = int(os.environ.get("DEMO_PORT", "26000"))
PORTS = {"primary": BASE_PORT + 1, "replica": BASE_PORT + 2, "transfer": BASE_PORT + 10}
# proof that a directory is the demo's own to remove
STAMP = DIRECTORY / "this-is-the-demo"

FLAVOR = os.environ.get("FLAVOR") or "mariadb"
OPTIONS: dict[str, dict[str, OptionValue]] = {
    "mariadb": {
        "innodb_buffer_pool_size": "128M",
        "innodb_log_file_size": "64M",
        "gtid_strict_mode": "ON",
        "log_slave_updates": "ON",
    },
    "mysql": {"innodb_buffer_pool_size": "128M", "innodb_redo_log_capacity": "64M"},
}
NAMES = {"mariadb": "MariaDB", "mysql": "MySQL"}
CLIENTS = {"mariadb": "mariadb", "mysql": str(ROOT / "usr" / "bin" / "mysql")}
# tables without transactions that must stay in step with InnoDB's
STEP_ENGINES = {"mariadb": ("MyISAM", "Aria"), "mysql": ("MyISAM",)}


class DemoServer(DatabaseServer):
    """The primary or the replica, whichever program started it."""

    def __init__(self, name: str, server_id: int) -> None:
        super().__init__(DIRECTORY / name, OPTIONS[self.flavor], server_id=server_id)
        self.port = PORTS[name]

    def stop(self, timeout: float = 120) -> None:
        service.stop(self.directory, timeout)


class MariaDBDemoServer(DemoServer, MariaDBServer):
    """A MariaDB server of the demo."""


class MySQLDemoServer(DemoServer, MySQLServer):
    """A MySQL server of the demo."""


def _make(name: str, server_id: int) -> DemoServer:
    kinds: dict[str, type[DemoServer]] = {"mariadb": MariaDBDemoServer, "mysql": MySQLDemoServer}
    if FLAVOR not in kinds:
        raise SystemExit(f"demo: FLAVOR is {FLAVOR!r}, not one of: {', '.join(kinds)}")
    return kinds[FLAVOR](name, server_id)


def make_primary() -> DemoServer:
    """The primary, not started."""
    return _make("primary", 1)


def make_replica() -> DemoServer:
    """The replica: a host with an option file, and no data."""
    replica = _make("replica", 2)
    replica.write_option_file()
    return replica


def make_directory() -> None:
    """Make the demo's directory, for this user only."""
    DIRECTORY.mkdir(mode=0o700, parents=True)
    STAMP.write_text("make demo-down removes this directory and the servers that run in it\n", encoding="utf-8")


def remove() -> None:
    """Stop both servers and remove the directory; refuses a directory that the demo did not make."""
    if not DIRECTORY.exists():
        return
    if not STAMP.exists():
        raise SystemExit(f"demo: {DIRECTORY} was not made by the demo: look what it is, and remove it yourself")
    for name in ("replica", "primary"):
        service.stop(DIRECTORY / name)
    shutil.rmtree(DIRECTORY)


if __name__ == "__main__":
    remove()
