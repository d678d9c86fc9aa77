# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives are exchanged with the stock tools in both directions: mbstream, mariadb-backup, zstd, lz4."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import StreamTruncated
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_zoo
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer, program
from ansible_collections.innodb.xtrabackup.tests.support.streams import fingerprints, make_archive, prints, tree

ServerFactory = Callable[..., MariaDBServer]


def sample_files() -> dict[str, bytes]:
    """Files as a backup has them; mbstream makes one level of directories only."""
    source = random.Random(11)
    return {
        "ibdata1": bytes(12 << 20) + source.randbytes(1 << 20),
        "shop/large.ibd": source.randbytes(4 << 20) * 6 + b"tail",
        "shop/small.frm": source.randbytes(700),
        "shop/empty.csv": b"",
        "shop/one.MYD": b"1",
        "xtrabackup_checkpoints": b"backup_type = full-backuped\n",
        "xtrabackup_info": b"uuid = 1\n",
    }


def mbstream_unpack(archive: Path, dest: Path) -> dict[str, str]:
    """What mbstream makes of ``archive``. Its exit status says nothing: compare the files."""
    dest.mkdir()
    with open(archive, "rb") as source:
        subprocess.run([program("mbstream"), "-x", "-C", str(dest), "-p", "2"], stdin=source, check=True)
    return fingerprints(dest)


def mbstream_pack(directory: Path, archive: Path, prefix: str = "") -> None:
    names = [prefix + str(path.relative_to(directory)) for path in sorted(directory.rglob("*")) if path.is_file()]
    with open(archive, "wb") as target:
        subprocess.run([program("mbstream"), "-c", *names], stdout=target, cwd=directory, check=True)


def write_tree(directory: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)


def test_mbstream_unpacks_our_archive(workdir: Path) -> None:
    make_archive(workdir / "ours", sample_files())
    unpacked = mbstream_unpack(workdir / "ours", workdir / "theirs")
    assert unpacked.pop(MANIFEST_NAME)
    assert unpacked == prints(sample_files())


@pytest.mark.parametrize("prefix", ["", "./"])
def test_we_unpack_what_mbstream_packs(workdir: Path, prefix: str) -> None:
    write_tree(workdir / "files", sample_files())
    mbstream_pack(workdir / "files", workdir / "theirs", prefix)
    with pytest.raises(StreamTruncated, match="manifest"):
        extract_archive(source_at(workdir / "theirs"), workdir / "dest")
    extract_archive(source_at(workdir / "theirs"), workdir / "dest", ExtractOptions(require_manifest=False))
    assert fingerprints(workdir / "dest") == prints(sample_files())


def test_we_unpack_our_archive_after_the_stock_tools_repacked_it(workdir: Path) -> None:
    make_archive(workdir / "ours", sample_files(), algorithm="zstd", key=bytes(32))
    mbstream_unpack(workdir / "ours", workdir / "theirs")
    mbstream_pack(workdir / "theirs", workdir / "repacked")
    extract_archive(source_at(workdir / "repacked"), workdir / "dest", ExtractOptions(decrypt_key=bytes(32)))
    unpacked = fingerprints(workdir / "dest")
    assert unpacked.pop(MANIFEST_NAME)
    assert unpacked == prints(sample_files())


@pytest.mark.parametrize(("algorithm", "suffix"), [("zstd", ".zst"), ("lz4", ".lz4")])
def test_the_stock_programs_decompress_our_entries(workdir: Path, algorithm: str, suffix: str) -> None:
    make_archive(workdir / "ours", sample_files(), algorithm=algorithm)
    mbstream_unpack(workdir / "ours", workdir / "theirs")
    for path in sorted((workdir / "theirs").rglob("*" + suffix)):
        with open(path.with_suffix(""), "wb") as target:
            subprocess.run([program(algorithm), "-d", "-c", "-q", str(path)], stdout=target, check=True)
        path.unlink()
    unpacked = fingerprints(workdir / "theirs")
    assert unpacked.pop(MANIFEST_NAME)
    assert unpacked == prints(sample_files())


@pytest.mark.parametrize(
    ("command", "suffix"),
    [
        (["zstd", "-1"], ".zst"),
        (["zstd", "-19", "-T2"], ".zst"),
        (["zstd", "--no-check", "--no-content-size"], ".zst"),
        (["zstd", "--fast=5"], ".zst"),
        (["lz4", "-1"], ".lz4"),
        (["lz4", "-9", "-B4", "-BD"], ".lz4"),
        (["lz4", "--no-frame-crc", "--content-size"], ".lz4"),
    ],
)
def test_we_decompress_what_the_stock_programs_compress(workdir: Path, command: list[str], suffix: str) -> None:
    write_tree(workdir / "files", sample_files())
    for path in [path for path in (workdir / "files").rglob("*") if path.is_file()]:
        if not path.name.startswith("xtrabackup_checkpoints"):
            output = ["-o", f"{path}{suffix}"] if command[0] == "zstd" else [f"{path}{suffix}"]
            subprocess.run([program(command[0]), *command[1:], "-q", str(path), *output], check=True)
            path.unlink()
    mbstream_pack(workdir / "files", workdir / "theirs")
    extract_archive(source_at(workdir / "theirs"), workdir / "dest", ExtractOptions(require_manifest=False))
    assert fingerprints(workdir / "dest") == prints(sample_files())


def test_the_stock_tool_finds_its_own_names_for_replaced_and_dropped_tables(workdir: Path) -> None:
    sink = ArchiveSink(workdir / "ours")
    for path in ("db/changed.ibd", "db/dropped.ibd"):
        with sink.open(path) as file:
            file.write(b"old")
            file.close()
    with sink.replace("db/changed.ibd") as file:
        file.write(b"new")
        changed = file.close()
    sink.discard("db/dropped.ibd")
    sink.publish(Manifest({"id": "1"}, (changed,)))
    theirs = mbstream_unpack(workdir / "ours", workdir / "theirs")
    del theirs[MANIFEST_NAME]
    assert theirs == prints(
        {
            "db/changed.ibd": b"old",
            "db/changed.new": b"new",
            "db/dropped.ibd": b"old",
            "db/dropped.del": b"",
        }
    )
    extract_archive(source_at(workdir / "ours"), workdir / "dest")
    ours = fingerprints(workdir / "dest")
    del ours[MANIFEST_NAME]
    assert ours == prints({"db/changed.ibd": b"new"})


@pytest.fixture
def stock_stream(workdir: Path, make_server: ServerFactory) -> tuple[Path, MariaDBServer]:
    """A stream of the stock tool, from a server with every kind of table."""
    server = make_server("source")
    create_zoo(server)
    with open(workdir / "stock.mbstream", "wb") as target:
        subprocess.run(
            [
                program("mariadb-backup"),
                "--no-defaults",
                "--backup",
                "--stream=mbstream",
                "--parallel=2",
                f"--socket={server.socket}",
                f"--datadir={server.datadir}",
                "--user=root",
                f"--target-dir={workdir}/unused",
            ],
            stdout=target,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    return workdir / "stock.mbstream", server


def test_a_stock_backup_stream_unpacks_to_the_same_files_and_can_be_restored(
    workdir: Path, stock_stream: tuple[Path, MariaDBServer], make_server: ServerFactory
) -> None:
    archive, source = stock_stream
    extract_archive(source_at(archive), workdir / "ours", ExtractOptions(require_manifest=False))
    assert fingerprints(workdir / "ours") == mbstream_unpack(archive, workdir / "theirs")
    assert list_archive(source_at(archive)).entries.keys() == fingerprints(workdir / "ours").keys()
    prepare = [program("mariadb-backup"), "--no-defaults", "--prepare", f"--target-dir={workdir}/ours"]
    subprocess.run(prepare, stderr=subprocess.DEVNULL, check=True)
    restored = make_server("restored", start=False)
    os.rename(workdir / "ours", restored.datadir)
    restored.start()
    assert_tables_equal(source, restored, at_least=20)


def test_a_stock_stream_that_was_cut_is_refused(workdir: Path, stock_stream: tuple[Path, MariaDBServer]) -> None:
    archive, _source = stock_stream
    size = archive.stat().st_size
    for length in (size - 1, size - 200, size // 2, 100):
        os.truncate(archive, length)
        with pytest.raises(StreamTruncated):
            extract_archive(source_at(archive), workdir / "ours", ExtractOptions(require_manifest=False))
        assert not (workdir / "ours").exists()


def test_a_packed_stock_backup_keeps_all_its_bytes_through_zstd(
    workdir: Path, stock_stream: tuple[Path, MariaDBServer]
) -> None:
    archive, _source = stock_stream
    extract_archive(source_at(archive), workdir / "plain", ExtractOptions(require_manifest=False))
    files = tree(workdir / "plain")
    sink = ArchiveSink(workdir / "packed", compress=Compression("zstd", 1, 2))
    entries = []
    for path, content in files.items():
        with sink.open(path) as file:
            file.write(content)
            entries.append(file.close())
    sink.publish(Manifest({"id": "1"}, tuple(entries)))
    extract_archive(source_at(workdir / "packed"), workdir / "dest", ExtractOptions(parallel=4))
    unpacked = fingerprints(workdir / "dest")
    del unpacked[MANIFEST_NAME]
    assert unpacked == prints(files)
