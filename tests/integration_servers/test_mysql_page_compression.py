# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's compressed tables take no more room in backups, and on restored hosts, than they do on the server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import table_states
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module

TABLES = {
    "zlib": "COMPRESSION='zlib'",
    "lz4": "COMPRESSION='lz4'",
    "partitioned": "COMPRESSION='zlib' PARTITION BY HASH (id) PARTITIONS 2",
    "ordinary": "",
}
ROOM = 1.1  # how much more a copy may take than the original


def fill(server: MySQLServer) -> None:
    """Some MiB in each table, all of it in the files."""
    server.execute("CREATE DATABASE holes")
    for table, options in TABLES.items():
        server.execute(
            f"CREATE TABLE {table} (id INT PRIMARY KEY, number INT, text VARCHAR(400), KEY (number)) {options}",
            f"INSERT INTO {table} SELECT seq, seq MOD 977, CONCAT(REPEAT(SHA2(seq MOD 50, 256), 4), seq) "
            f"FROM {server.numbers(20000)}",
            database="holes",
        )
    server.execute("SET GLOBAL innodb_max_dirty_pages_pct = 0")
    deadline = time.monotonic() + 60
    while server.status("Innodb_buffer_pool_pages_dirty") != "0":
        assert time.monotonic() < deadline, "the server did not write its pages"
        time.sleep(0.1)


def room(directory: Path) -> dict[str, int]:
    """Bytes on the disk of each tablespace of the database below ``directory``."""
    files = list((directory / "holes").glob("*.ibd"))
    assert len(files) == 5
    return {path.name: path.stat().st_blocks * 512 for path in files}


@pytest.mark.parametrize("page_size", ["16k", "64k"])
def test_holes_stay_holes_from_the_source_to_the_restored_host(
    make_mysql: MySQLFactory, workdir: Path, page_size: str
) -> None:
    layout = {"innodb_page_size": page_size}
    source = make_mysql("source", layout)
    fill(source)
    before, tables = room(source.datadir), table_states(source)
    logical = {name: (source.datadir / "holes" / name).stat().st_size for name in before}
    assert sum(logical.values()) - sum(before.values()) > 8 << 20, "the server has punched no holes"

    def check(directory: Path) -> None:
        found = room(directory)
        assert all(found[name] <= ROOM * before[name] + 8192 for name in before), (directory, found, before)
        # what the server has allocated for later stays allocated
        assert found["ordinary.ibd"] >= logical["ordinary.ibd"]

    archives: dict[str, dict[str, Any]] = {
        "plain": {},
        "sparse": {"sparse": True},
        "zstd": {"compress": {"algorithm": "zstd"}},
    }
    for name, options in archives.items():
        archive = workdir / f"{name}.xbstream"
        run_module("xtrabackup_backup", {**source.login(), "dest": str(archive), "format": "xbstream", **options})
        run_module("xbstream", {"src": str(archive), "dest": str(workdir / name)})
        check(workdir / name)
    assert list_archive(source_at(workdir / "sparse.xbstream")).sparse
    assert not list_archive(source_at(workdir / "plain.xbstream")).sparse
    sizes = {name: (workdir / f"{name}.xbstream").stat().st_size for name in ("plain", "sparse")}
    assert sizes["plain"] - sizes["sparse"] > (sum(logical.values()) - sum(before.values())) * 0.9

    run_module("xtrabackup_backup", {**source.login(), "dest": str(workdir / "directory")})
    check(workdir / "directory")
    prepare = {"target_dir": str(workdir / "ready"), "server_program": MySQLServer.executable()}
    run_module("xtrabackup_prepare", {"src": str(workdir / "directory"), **prepare})
    check(workdir / "ready")
    host = make_mysql("host", layout, start=False)
    run_module("xtrabackup_restore", {"src": str(workdir / "ready"), "defaults_file": str(host.option_file)})
    check(host.datadir)
    with host:
        assert table_states(host) == tables
    check(host.datadir)
