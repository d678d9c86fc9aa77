# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Page-compressed tables take no more room in backups, and on restored hosts, than in the server's data directory."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.checksums import TableState, table_states
from ansible_collections.innodb.xtrabackup.tests.support.playbook import module_result, run_module, start_module
from ansible_collections.innodb.xtrabackup.tests.support.ports import free_port
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

COLUMNS = "id INT PRIMARY KEY, number INT, text VARCHAR(400), KEY (number)"
TABLES = {
    "compressed": "PAGE_COMPRESSED=1",
    "partitioned": "PAGE_COMPRESSED=1 ROW_FORMAT=DYNAMIC PARTITION BY HASH (id) PARTITIONS 3",
    "ordinary": "",
}
ROOM = 1.1  # how much more a copy may take than the original


def fill(server: MariaDBServer) -> None:
    """A few MiB in each table, all of it in the files."""
    server.execute("CREATE DATABASE holes")
    for table, options in TABLES.items():
        server.execute(
            f"CREATE TABLE {table} ({COLUMNS}) ENGINE=InnoDB {options}",
            f"INSERT INTO {table} SELECT seq, seq MOD 977, CONCAT(REPEAT(MD5(seq MOD 50), 6), seq) FROM seq_1_to_20000",
            f"DELETE FROM {table} WHERE id BETWEEN 4000 AND 6000",
            database="holes",
        )
    server.execute("SET GLOBAL innodb_max_dirty_pages_pct = 0")
    deadline = time.monotonic() + 60
    while server.status("Innodb_buffer_pool_pages_dirty") != "0":
        assert time.monotonic() < deadline, "the server did not write its pages"
        time.sleep(0.1)


def compressed_files(directory: Path) -> dict[str, int]:
    """Bytes on the disk of each page-compressed tablespace of the database below ``directory``."""
    files = [path for path in (directory / "holes").glob("*.ibd") if path.name != "ordinary.ibd"]
    assert len(files) == 4
    return {path.name: path.stat().st_blocks * 512 for path in files}


class Estate:
    """A server with page-compressed tables, and what its files take."""

    def __init__(self, make_server: ServerFactory, workdir: Path, options: dict[str, Any]) -> None:
        self.workdir = workdir
        self.layout = {name: value for name, value in options.items() if name == "innodb_page_size"}
        self.source = make_server("source", options)
        self.make_server = make_server
        fill(self.source)
        self.tables = table_states(self.source)
        self.room = compressed_files(self.source.datadir)
        logical = sum((self.source.datadir / "holes" / name).stat().st_size for name in self.room)
        assert sum(self.room.values()) < logical / 3, "the server has punched no holes"

    def backup(self, name: str, **options: Any) -> Path:
        dest = self.workdir / name
        assert run_module("xtrabackup_backup", {**self.source.login(), "dest": str(dest), **options})["changed"]
        return dest

    def extract(self, archive: Path, name: str, **options: Any) -> Path:
        dest = self.workdir / name
        assert run_module("xbstream", {"src": str(archive), "dest": str(dest), **options})["changed"]
        self.check_room(dest)
        return dest

    def check_room(self, directory: Path) -> None:
        """Every file takes about what it takes on the server."""
        found = compressed_files(directory)
        too_large = {name: (size, self.room[name]) for name, size in found.items() if size > ROOM * self.room[name]}
        assert not too_large, f"{directory}: bytes on the disk, and on the server's: {too_large}"

    def check_restored(self, backup: Path, name: str, **options: Any) -> None:
        """Prepare, restore and start; holes and content are those of the source."""
        ready = self.workdir / f"{name}.ready"
        run_module("xtrabackup_prepare", {"src": str(backup), "target_dir": str(ready), **options})
        self.check_room(ready)
        host = self.make_server(f"{name}.host", self.layout, start=False)
        run_module("xtrabackup_restore", {"src": str(ready), "defaults_file": str(host.option_file)})
        self.check_room(host.datadir)
        assert self.restored_tables(host) == self.tables
        self.check_room(host.datadir)

    @staticmethod
    def restored_tables(host: MariaDBServer) -> dict[str, TableState]:
        with host:
            return table_states(host)


@pytest.mark.parametrize(
    "options",
    [{}, {"innodb_checksum_algorithm": "crc32"}, {"innodb_page_size": "64k"}],
    ids=["full_crc32", "crc32", "64k"],
)
def test_holes_stay_holes_in_a_directory(make_server: ServerFactory, workdir: Path, options: dict[str, Any]) -> None:
    estate = Estate(make_server, workdir, options)
    directory = estate.backup("directory")
    estate.check_room(directory)
    estate.check_restored(directory, "directory")


def test_holes_stay_holes_through_every_kind_of_archive(make_server: ServerFactory, workdir: Path) -> None:
    estate = Estate(make_server, workdir, {})
    xbstream = {"format": "xbstream"}
    plain = estate.backup("plain.xbstream", **xbstream)
    sparse = estate.backup("sparse.xbstream", sparse=True, **xbstream)
    zstd = estate.backup("zstd.xbstream", compress={"algorithm": "zstd"}, **xbstream)
    assert (list_archive(source_at(plain)).sparse, list_archive(source_at(sparse)).sparse) == (False, True)
    logical = sum((estate.source.datadir / "holes" / name).stat().st_size for name in estate.room)
    left_out = plain.stat().st_size - sparse.stat().st_size
    assert left_out == pytest.approx(logical - sum(estate.room.values()), rel=0.05)

    unpacked = {archive.name: estate.extract(archive, f"{archive.stem}.unpacked") for archive in (plain, sparse, zstd)}
    for name, directory in unpacked.items():
        run_module("xbstream", {"state": "verified", "src": str(workdir / name)})
        estate.check_restored(directory, name.split(".", maxsplit=1)[0])
    estate.check_restored(zstd, "direct")
    host = make_server("straight.host", start=False)
    run_module("xtrabackup_restore", {"src": str(sparse), "defaults_file": str(host.option_file)})
    estate.check_room(host.datadir)
    assert estate.restored_tables(host) == estate.tables


def test_a_directory_is_packed_with_sparse_chunks_and_back(make_server: ServerFactory, workdir: Path) -> None:
    estate = Estate(make_server, workdir, {})
    directory, archive = estate.backup("directory"), workdir / "packed.xbstream"
    packing = {"state": "created", "src": str(directory), "dest": str(archive)}
    assert run_module("xbstream", {**packing, "sparse": True})["changed"]
    assert not run_module("xbstream", {**packing, "sparse": True})["changed"]
    assert list_archive(source_at(archive)).sparse
    estate.extract(archive, "unpacked")
    # who does not ask for sparse chunks may want to read the archive with mbstream
    assert run_module("xbstream", {**packing, "force": True})["changed"]
    assert not list_archive(source_at(archive)).sparse
    assert not run_module("xbstream", packing)["changed"]
    estate.check_restored(estate.extract(archive, "plain"), "plain")


def test_mbstream_reads_what_is_not_sparse(make_server: ServerFactory, workdir: Path) -> None:
    estate = Estate(make_server, workdir, {})
    archive, directory = estate.backup("plain.xbstream", format="xbstream"), workdir / "stock"
    directory.mkdir()
    with open(archive, "rb") as source:
        subprocess.run(["mbstream", "-x", "-C", str(directory)], stdin=source, check=True, capture_output=True)
    subprocess.run(
        ["mariadb-backup", "--prepare", f"--target-dir={directory}"], check=True, capture_output=True, timeout=300
    )
    host = make_server("host", start=False)
    directory.rename(host.datadir)
    assert estate.restored_tables(host) == estate.tables


def test_what_the_stock_tool_streams_is_unpacked_with_holes(make_server: ServerFactory, workdir: Path) -> None:
    estate = Estate(make_server, workdir, {})
    archive = workdir / "stock.mbstream"
    with open(archive, "wb") as stream:
        subprocess.run(
            ["mariadb-backup", f"--defaults-file={estate.source.option_file}", "--backup", "--stream=mbstream"],
            stdout=stream,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=300,
        )
    estate.extract(archive, "unpacked", require_manifest=False)


@pytest.mark.parametrize("sparse", [True, False])
def test_a_receiver_of_a_stream_has_the_holes(make_server: ServerFactory, workdir: Path, sparse: bool) -> None:
    estate = Estate(make_server, workdir, {})
    dest, port = workdir / "received", free_port()
    receiver = start_module("xbstream", {"dest": str(dest), "listen": {"port": port, "plain": True}})
    stream_to = {"tcp": {"host": "127.0.0.1", "port": port}}
    run_module("xtrabackup_backup", {**estate.source.login(), "stream_to": stream_to, "sparse": sparse})
    module_result("xbstream", *receiver.communicate(timeout=120))
    estate.check_room(dest)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"format": "xbstream", "compress": {"algorithm": "zstd"}}, "compressed"),
        ({"format": "xbstream", "encrypt": {"key_file": "/none", "algorithm": "AES256"}}, "encrypted"),
        ({"format": "directory"}, "directory"),
    ],
    ids=["compress", "encrypt", "directory"],
)
@pytest.mark.parametrize("check", [True, False])
def test_sparse_is_refused_where_it_means_nothing(
    workdir: Path, options: dict[str, Any], word: str, check: bool
) -> None:
    wanted = {"dest": str(workdir / "backup"), "sparse": True, "login_unix_socket": str(workdir / "none"), **options}
    failed = run_module("xtrabackup_backup", wanted, fails=True, check=check)
    assert (failed["error"]["code"], failed["error"]["details"]) == ("invalid_option", {"option": "sparse"})
    assert word in failed["error"]["message"]
    assert not list(workdir.iterdir())
