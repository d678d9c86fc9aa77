# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small files beside the data, named and filled as the stock tools' own, so that these read our backups.

Keys, order and spelling: docs/internals/formats-backup-files.md#checkpoints-file,
docs/internals/formats-backup-files.md#info-file and docs/internals/formats-backup-files.md#configuration-file; compared
with mariadb-backup 10.11.19's output, and for MySQL written as Percona XtraBackup 8.x is documented to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ..errors import FormatError
from .backup_kind import BackupKind
from .coordinates import BinlogCoordinates, render_binlog_pos
from .family import Family, Flavor
from .strict_json import whole_of

#: of a prepared backup of each family
PREPARED_TYPES = frozenset(family.facts.prepared_type for family in Family)
#: of a backup of MySQL that Percona's tool has prepared with --apply-log-only
APPLY_LOG_ONLY = "log-applied"

_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Checkpoints:
    """``xtrabackup_checkpoints``: the state of a backup and its LSNs (bytes of redo).

    ``backup_type`` tells the state: that of a copied backup is its kind's ``copied_type``. ``flushed_lsn`` is in
    MySQL's form of the file only (None: MariaDB's form).
    """

    backup_type: str
    kind: BackupKind
    to_lsn: int
    last_lsn: int
    recover_binlog_info: int = 0
    flushed_lsn: int | None = None

    def render(self) -> bytes:
        """The file's text."""
        lines = [
            f"backup_type = {self.backup_type}",
            f"from_lsn = {self.kind.from_lsn}",
            f"to_lsn = {self.to_lsn}",
            f"last_lsn = {self.last_lsn}",
        ]
        if self.flushed_lsn is None:
            lines.append(f"recover_binlog_info = {self.recover_binlog_info}")
        else:
            # memory is chosen when the backup is prepared, not estimated here
            lines += [f"flushed_lsn = {self.flushed_lsn}", "redo_memory = 0", "redo_frames = 0"]
        return ("\n".join(lines) + "\n").encode()


def parse_checkpoints(data: bytes, where: str) -> Checkpoints:
    """The values in ``xtrabackup_checkpoints``; raises FormatError naming ``where`` it was read."""
    values = dict(re.findall(r"^(\w+) = (\S+)$", data.decode(errors="replace"), re.MULTILINE))

    def number(name: str) -> int:
        return whole_of(values[name], where, f"{name} in the checkpoints file")

    try:
        return Checkpoints(
            values["backup_type"],
            BackupKind(number("from_lsn")),
            number("to_lsn"),
            number("last_lsn"),
            number("recover_binlog_info") if "recover_binlog_info" in values else 0,
            number("flushed_lsn") if "flushed_lsn" in values else None,
        )
    except (KeyError, ValueError) as error:
        raise FormatError(f"{where}: no readable {error} in the checkpoints file", where=where) from error


@dataclass(frozen=True)
class BackupInfo:
    """Facts about a run in ``xtrabackup_info``."""

    id: str
    tool_version: str
    server_version: str
    started: datetime
    ended: datetime
    binlog: BinlogCoordinates | None
    kind: BackupKind
    to_lsn: int
    stream: bool
    compressed: bool
    flavor: Flavor = Flavor.MARIADB
    encrypted: bool = False
    lock_ddl: str = "reduced"
    lock_seconds: int = 0

    def render(self) -> bytes:
        """The file's text, one ``key = value`` line each, in the order of the flavor's stock tool."""
        mariadb = self.flavor.family is Family.MARIADB
        position = "" if self.binlog is None else render_binlog_pos(self.binlog)
        lines = {
            "uuid": self.id,
            "name": "",
            "tool_name": "innodb.xtrabackup",
            "tool_command": "",
            "tool_version": self.tool_version,
            "ibbackup_version": self.tool_version,
            "server_version": self.server_version,
            # Percona's prepare counts lines: each of these must be in its place
            **({} if mariadb else {"server_flavor": self.flavor.display_name}),
            "start_time": self.started.strftime(_TIME_FORMAT),
            "end_time": self.ended.strftime(_TIME_FORMAT),
            "lock_time": str(self.lock_seconds),
            "binlog_pos": position,
            "innodb_from_lsn": str(self.kind.from_lsn),
            "innodb_to_lsn": str(self.to_lsn),
            "partial": "N",
            "incremental": self.kind.info_word,
            "format": "xbstream" if self.stream else "file",
            "compressed": "compressed" if self.compressed else "N",
        }
        if not mariadb:
            lines["encrypted"] = "Y" if self.encrypted else "N"
            lines["lock_ddl_type"] = self.lock_ddl.upper()
        return "".join(f"{key} = {value}\n" for key, value in lines.items()).encode()


class DataLayout(Protocol):
    """Facts about a server's files in ``backup-my.cnf``: its layout, as the server names its variables."""

    @property
    def innodb_checksum_algorithm(self) -> str: ...

    @property
    def innodb_compression_level(self) -> int: ...

    @property
    def innodb_data_file_path(self) -> str: ...

    @property
    def innodb_log_file_size(self) -> int: ...

    @property
    def innodb_page_size(self) -> int: ...

    @property
    def innodb_undo_tablespaces(self) -> int: ...

    @property
    def lower_case_table_names(self) -> int: ...

    @property
    def plugin_dir(self) -> str: ...


def render_configuration(layout: DataLayout, providers: Sequence[str] = ()) -> bytes:
    """``backup-my.cnf``: what a MariaDB server needs to know to recover the files. ``providers`` are the plugins for
    page compression that it had loaded, written as the stock tool does, which loads them."""
    lines = {
        "innodb_checksum_algorithm": layout.innodb_checksum_algorithm,
        "innodb_data_file_path": layout.innodb_data_file_path,
        "innodb_log_file_size": str(layout.innodb_log_file_size),
        "innodb_page_size": str(layout.innodb_page_size),
        "innodb_undo_directory": "./",
        "innodb_undo_tablespaces": str(layout.innodb_undo_tablespaces),
        "innodb_compression_level": str(layout.innodb_compression_level),
        "lower_case_table_names": str(layout.lower_case_table_names),
    }
    if providers:
        lines["plugin_dir"] = f'"{layout.plugin_dir}"'
        lines["plugin_load"] = ";".join(f"{name}={name}" for name in providers)
    return _option_file(lines)


@dataclass(frozen=True)
class MysqlConfiguration:
    """Facts about a MySQL server in ``backup-my.cnf``, beside the layout of its files."""

    layout: DataLayout
    server_id: int
    server_uuid: str
    redo_log_encrypt: bool = False
    undo_log_encrypt: bool = False
    master_key_id: int = 0

    def render(self) -> bytes:
        """The file's text: the keys of Percona's tool in its order, then ours."""
        lines = {
            "innodb_checksum_algorithm": self.layout.innodb_checksum_algorithm or "crc32",
            "innodb_log_checksums": "1",
            "innodb_data_file_path": self.layout.innodb_data_file_path,
            "innodb_log_file_size": str(self.layout.innodb_log_file_size),
            "innodb_page_size": str(self.layout.innodb_page_size),
            "innodb_undo_directory": "./",
            "innodb_undo_tablespaces": str(self.layout.innodb_undo_tablespaces),
            "server_id": str(self.server_id),
            "innodb_redo_log_encrypt": "ON" if self.redo_log_encrypt else "OFF",
            "innodb_undo_log_encrypt": "ON" if self.undo_log_encrypt else "OFF",
            "server_uuid": self.server_uuid,
            "master_key_id": str(self.master_key_id),
            "lower_case_table_names": str(self.layout.lower_case_table_names),
        }
        return _option_file(lines)


def _option_file(lines: dict[str, str]) -> bytes:
    text = "# Read by the recovery of this backup; made by innodb.xtrabackup\n[mysqld]\n"
    return (text + "".join(f"{key}={value}\n" for key, value in lines.items())).encode()
