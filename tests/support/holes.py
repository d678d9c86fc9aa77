# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of either family with page-compressed tables, and what their files take in backups and on restored hosts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family

from .checksums import TableState, table_states
from .mysql import SERVER_PROGRAM
from .playbook import run_module
from .servers import DatabaseServer

ROOM = 1.1  # how much more a copy may take than the original


@dataclass(frozen=True)
class PageCompression:
    """Tables of one family. ``tables``: their options; the one that is called ordinary is not compressed. ``files``:
    how many there are. ``text``: an expression for what compresses well. ``after``: statements for each table.
    ``share``: what the compressed files take at most of their size; ``saved``: bytes that the holes of all files save
    at least. ``spare``: bytes that a copy of a file may take more. ``program``: an option of the modules."""

    tables: dict[str, str]
    files: int
    text: str
    after: tuple[str, ...]
    share: float
    saved: int
    spare: int
    program: dict[str, str]


PAGE_COMPRESSION = {
    Family.MARIADB: PageCompression(
        tables={
            "compressed": "PAGE_COMPRESSED=1",
            "partitioned": "PAGE_COMPRESSED=1 ROW_FORMAT=DYNAMIC PARTITION BY HASH (id) PARTITIONS 3",
            "ordinary": "",
        },
        files=5,
        text="REPEAT(MD5(seq MOD 50), 6)",
        after=("DELETE FROM {} WHERE id BETWEEN 4000 AND 6000",),
        share=1 / 3,
        saved=0,
        spare=0,
        program={},
    ),
    Family.MYSQL: PageCompression(
        tables={
            "zlib": "COMPRESSION='zlib'",
            "lz4": "COMPRESSION='lz4'",
            "partitioned": "COMPRESSION='zlib' PARTITION BY HASH (id) PARTITIONS 2",
            "ordinary": "",
        },
        files=5,
        text="REPEAT(SHA2(seq MOD 50, 256), 4)",
        after=(),
        share=1,
        saved=8 << 20,
        spare=8192,
        program={"server_program": str(SERVER_PROGRAM)},
    ),
}


class Holes:
    """A server with page-compressed tables, and what its files take; backups go below ``workdir``."""

    def __init__(
        self, make: Callable[..., DatabaseServer], workdir: Path, family: Family, options: dict[str, Any]
    ) -> None:
        self.kind = PAGE_COMPRESSION[family]
        self.workdir = workdir
        self.make = make
        self.layout = {name: value for name, value in options.items() if name == "innodb_page_size"}
        self.source = make("source", options)
        self._fill()
        self.tables = table_states(self.source)
        self.room = self.files(self.source.datadir)
        self.logical = {name: (self.source.datadir / "holes" / name).stat().st_size for name in self.room}
        #: bytes that the holes save
        self.saved = sum(self.logical.values()) - sum(self.room.values())
        compressed = [name for name in self.room if name != "ordinary.ibd"]
        taken, whole = (sum(sizes[name] for name in compressed) for sizes in (self.room, self.logical))
        assert taken < whole * self.kind.share, "the server has punched no holes"
        assert self.saved > self.kind.saved

    def _fill(self) -> None:
        """A few MiB in each table, all of it in the files."""
        self.source.execute("CREATE DATABASE holes")
        columns = "id INT PRIMARY KEY, number INT, text VARCHAR(400), KEY (number)"
        numbers = self.source.numbers(20000)
        for table, options in self.kind.tables.items():
            self.source.execute(
                f"CREATE TABLE {table} ({columns}) ENGINE=InnoDB {options}",
                f"INSERT INTO {table} SELECT seq, seq MOD 977, CONCAT({self.kind.text}, seq) FROM {numbers}",
                *(statement.format(table) for statement in self.kind.after),
                database="holes",
            )
        self.source.execute("SET GLOBAL innodb_max_dirty_pages_pct = 0")
        deadline = time.monotonic() + 60
        while self.source.status("Innodb_buffer_pool_pages_dirty") != "0":
            assert time.monotonic() < deadline, "the server did not write its pages"
            time.sleep(0.1)

    def files(self, directory: Path) -> dict[str, int]:
        """Bytes on the disk of each tablespace of the database below ``directory``."""
        files = list((directory / "holes").glob("*.ibd"))
        assert len(files) == self.kind.files
        return {path.name: path.stat().st_blocks * 512 for path in files}

    def backup(self, name: str, **options: Any) -> Path:
        """A backup of the server."""
        dest = self.workdir / name
        assert run_module("xtrabackup_backup", {**self.source.login(), "dest": str(dest), **options})["changed"]
        return dest

    def extract(self, archive: Path, name: str, **options: Any) -> Path:
        """Unpack ``archive``, holes and all."""
        dest = self.workdir / name
        assert run_module("xbstream", {"src": str(archive), "dest": str(dest), **options})["changed"]
        self.check_room(dest)
        return dest

    def check_room(self, directory: Path) -> None:
        """Every file takes about what it takes on the server."""
        found = self.files(directory)
        too_large = {
            name: (size, self.room[name])
            for name, size in found.items()
            if size > ROOM * self.room[name] + self.kind.spare
        }
        assert not too_large, f"{directory}: bytes on the disk, and on the server's: {too_large}"
        # what the server has allocated for later stays allocated
        assert found["ordinary.ibd"] >= self.logical["ordinary.ibd"]

    def check_restored(self, backup: Path, name: str, **options: Any) -> None:
        """Prepare, restore and start; holes and content are those of the source."""
        ready = self.workdir / f"{name}.ready"
        prepare = {"src": str(backup), "target_dir": str(ready), **self.kind.program, **options}
        run_module("xtrabackup_prepare", prepare)
        self.check_room(ready)
        self.check_restore_of(ready, f"{name}.host")

    def check_restore_of(self, backup: Path, name: str) -> None:
        """Restore ``backup`` for a server ``name`` and start it."""
        host = self.make(name, self.layout, start=False)
        wanted = {"src": str(backup), "defaults_file": str(host.option_file), **self.kind.program}
        run_module("xtrabackup_restore", wanted)
        self.check_room(host.datadir)
        assert self.restored_tables(host) == self.tables
        self.check_room(host.datadir)

    @staticmethod
    def restored_tables(host: DatabaseServer) -> dict[str, TableState]:
        """What a restored server holds; it is stopped again."""
        with host:
            return table_states(host)
