# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories and files of a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..format.file_kinds import REDO_DIRECTORY, REDO_NAME
from .connection import Connection
from .data_files import parse_data_files
from .named_places import named_places


@dataclass(frozen=True)
class ServerLayout:
    """Absolute paths of each kind of a server's files, and the sizes and formats of its files.

    What a flavor does not know is that of a server without it: "", 0, no directory, or the datadir.
    """

    datadir: Path
    innodb_data_home_dir: Path
    innodb_data_file_path: str
    innodb_log_group_home_dir: Path
    innodb_undo_directory: Path
    aria_log_dir_path: Path
    innodb_undo_tablespaces: int
    innodb_page_size: int
    innodb_log_file_size: int
    innodb_checksum_algorithm: str
    innodb_compression_level: int
    innodb_buffer_pool_filename: str
    lower_case_table_names: int
    log_bin_basename: str
    plugin_dir: str
    pid_file: str
    tmpdir: str
    innodb_directories: tuple[Path, ...] = ()
    gtid_mode: str = ""
    log_bin_index: str = ""
    relay_log_basename: str = ""
    #: names in the datadir that lead to directories of logs, temporary files, keys and the like: no databases, unless
    #: they hold tables
    not_databases: frozenset[str] = frozenset()
    log_slave_updates: str = ""
    log_replica_updates: str = ""

    @property
    def system_tablespace_files(self) -> tuple[Path, ...]:
        """The files of innodb_data_file_path, in order; raises UnsupportedServer for raw devices."""
        files = parse_data_files(self.innodb_data_file_path, "the server")
        return tuple(Path(os.path.normpath(self.innodb_data_home_dir / file.path)) for file in files)

    @property
    def redo_log(self) -> Path:
        """MariaDB's one redo log file."""
        return self.innodb_log_group_home_dir / REDO_NAME

    @property
    def redo_directory(self) -> Path:
        """The directory of MySQL's redo log files (8.0.30 and newer)."""
        return self.innodb_log_group_home_dir / REDO_DIRECTORY

    @property
    def by_gtid(self) -> bool:
        """Returns whether every transaction of this MySQL server gets a GTID."""
        return self.gtid_mode.upper() == "ON"

    @property
    def logs_replica_updates(self) -> bool:
        """Returns whether the binary log gets what the server replicates from others."""
        # the old name is MariaDB's only one; MySQL has had the new one since 8.0.26
        return (self.log_replica_updates or self.log_slave_updates).upper() in ("ON", "1")

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> ServerLayout:
        """The layout that these variables (as the server shows them) mean: relative paths start at the datadir."""
        datadir = Path(os.path.normpath(variables["datadir"]))

        def inside(value: str) -> Path:
            return Path(os.path.normpath(os.path.join(datadir, value)))

        def place(name: str) -> Path:
            value = variables.get(name, "")
            return inside("" if value == "NULL" else value)

        def places(name: str) -> tuple[Path, ...]:
            # MySQL takes a list with semicolons, each item with or without quotes
            items = (item.strip().strip("\"'") for item in variables.get(name, "").split(";"))
            return tuple(inside(item) for item in items if item)

        def number(name: str) -> int:
            return int(variables.get(name) or 0)

        def text(name: str) -> str:
            return variables.get(name, "")

        def file(name: str) -> str:
            # MySQL shows the base name of its logs as it was given
            return str(inside(text(name))) if text(name) else ""

        return cls(
            datadir=datadir,
            innodb_data_home_dir=place("innodb_data_home_dir"),
            innodb_data_file_path=text("innodb_data_file_path"),
            innodb_log_group_home_dir=place("innodb_log_group_home_dir"),
            innodb_undo_directory=place("innodb_undo_directory"),
            aria_log_dir_path=place("aria_log_dir_path"),
            innodb_undo_tablespaces=number("innodb_undo_tablespaces"),
            innodb_page_size=number("innodb_page_size"),
            innodb_log_file_size=number("innodb_log_file_size"),
            innodb_checksum_algorithm=text("innodb_checksum_algorithm"),
            innodb_compression_level=number("innodb_compression_level"),
            innodb_buffer_pool_filename=text("innodb_buffer_pool_filename"),
            lower_case_table_names=number("lower_case_table_names"),
            log_bin_basename=file("log_bin_basename"),
            plugin_dir=text("plugin_dir"),
            pid_file=text("pid_file"),
            tmpdir=text("tmpdir"),
            innodb_directories=places("innodb_directories"),
            gtid_mode=text("gtid_mode"),
            log_bin_index=file("log_bin_index"),
            relay_log_basename=file("relay_log_basename"),
            not_databases=named_places(datadir, variables).entries(datadir)
            | frozenset(text("ignore_db_dirs").split(",")),
            log_slave_updates=text("log_slave_updates"),
            log_replica_updates=text("log_replica_updates"),
        )


def read_layout(connection: Connection) -> ServerLayout:
    """The layout of the server that ``connection`` talks to."""
    # all of them: many can name a directory
    return ServerLayout.from_variables(connection.variables())
