# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private MySQL servers for tests, as servers.py has MariaDB's: the server that tests/tools/mysql.sh unpacks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .servers import DatabaseServer, OptionValue, ServerFailed

ROOT = Path(__file__).resolve().parents[2] / ".cache" / "mysql"
SERVER_PROGRAM = ROOT / "usr" / "sbin" / "mysqld"
PLUGIN_DIR = ROOT / "usr" / "lib" / "mysql" / "plugin"

_SMALL_PERFORMANCE_SCHEMA: dict[str, OptionValue] = {
    **{f"performance_schema_max_{kind}_classes": 0 for kind in ("cond", "file", "memory", "mutex", "rwlock")},
    **{f"performance_schema_events_{kind}_history_long_size": 0 for kind in ("stages", "statements", "waits")},
    "performance_schema_digests_size": 1000,
    "performance_schema_error_size": 0,
}
"""To make room for all that it could hold takes a server a third of its start; the collection reads none of this."""

DEFAULT_OPTIONS: dict[str, OptionValue] = {
    "bind_address": "127.0.0.1",
    "skip_name_resolve": None,
    "mysqlx": "OFF",
    "secure_file_priv": "NULL",
    "performance_schema": "ON",
    **_SMALL_PERFORMANCE_SCHEMA,
    "innodb_buffer_pool_size": "64M",
    "innodb_redo_log_capacity": "64M",
    "innodb_flush_log_at_trx_commit": 2,
    "innodb_flush_method": "nosync",
    "sync_binlog": 0,
    "log_bin": "binlog",
    "relay_log": "relay",
    "gtid_mode": "ON",
    "enforce_gtid_consistency": "ON",
    "max_connections": 200,
    "cte_max_recursion_depth": 10_000_000,
}
"""What a server gets unless the test says otherwise; None is an option without a value.

No file is flushed to its disk: tests end servers, and not the machine.
"""

LAYOUT_OPTIONS = (
    "innodb_page_size",
    "innodb_data_file_path",
    "innodb_data_home_dir",
    "innodb_undo_directory",
    "innodb_log_group_home_dir",
    "innodb_directories",
    "lower_case_table_names",
    "character_set_server",
    "collation_server",
)
"""Options that a new datadir must be made with too."""

BACKUP_PRIVILEGES = "BACKUP_ADMIN, PROCESS, RELOAD, REPLICATION CLIENT"


class MySQLServer(DatabaseServer):
    """A MySQL server, with MySQL's usual account plugin (caching_sha2_password)."""

    flavor = "mysql"
    default_options = DEFAULT_OPTIONS
    layout_options = LAYOUT_OPTIONS
    backup_privileges = BACKUP_PRIVILEGES

    @classmethod
    def executable(cls) -> str:
        """mysqld, as it was unpacked."""
        if not SERVER_PROGRAM.is_file():
            raise ServerFailed(f"{SERVER_PROGRAM} is not there: run `make setup`")
        return str(SERVER_PROGRAM)

    def make_places(self, places: Sequence[str]) -> None:
        """Directories outside the datadir only: mysqld makes a new datadir itself, and wants it empty."""
        super().make_places([place for place in places if os.path.isabs(place)])

    @classmethod
    def install_datadir(cls, datadir: Path, layout: Mapping[str, OptionValue]) -> None:
        """Let mysqld make the new directory ``datadir``: root without a password."""
        options = [f"--{name}" + ("" if value is None else f"={value}") for name, value in layout.items()]
        if os.geteuid() == 0:
            options.append("--user=root")
        finished = subprocess.run(
            [
                cls.executable(),
                "--no-defaults",
                "--initialize-insecure",
                f"--datadir={datadir}",
                "--innodb-redo-log-capacity=8M",
                "--innodb-flush-method=nosync",
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        if finished.returncode != 0:
            raise ServerFailed(f"mysqld --initialize ended with {finished.returncode}\n{finished.stdout[-4000:]}")
        (datadir / "auto.cnf").unlink()  # each server made from this has a uuid of its own
