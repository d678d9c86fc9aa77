# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that travel as a stream: read by the stock tools and by our own, under load and with schema changes."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import CommandFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.command import CommandSink
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.integration_servers.test_backup import (
    EVERY_ENGINE,
    assert_nothing_is_left,
    our_prepare,
    prove,
    stock_prepare,
)
from ansible_collections.innodb.xtrabackup.tests.support import datasets
from ansible_collections.innodb.xtrabackup.tests.support.backups import Slow, SlowArchive, options_for
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad


def mbstream_extract(archive: Path, directory: Path) -> None:
    """What the stock reader makes of ``archive``; it creates one level of directories only, as ours has."""
    directory.mkdir()
    with open(archive, "rb") as source:
        subprocess.run(["mbstream", "-x", "-C", str(directory)], stdin=source, check=True, capture_output=True)


@pytest.mark.parametrize("reader", ["stock", "ours"])
def test_an_archive_taken_during_schema_changes_is_read_by(
    make_server: ServerFactory, workdir: Path, reader: str
) -> None:
    source = make_server("source")
    datasets.create_zoo(source)
    datasets.create_big(source, 100)
    with WriteLoad(source, step_engines=EVERY_ENGINE, schema_changes=True) as load:
        load.wait_for(100)
        archive = workdir / "backup.xbstream"
        sink = ArchiveSink(archive)
        record = job.take_backup(options_for(source, throttle=Slow(60 << 20)), sink, Progress("backup"))
        if reader == "stock":
            mbstream_extract(archive, workdir / "backup")
            stock_prepare(workdir / "backup")
        else:
            extract_archive(source_at(archive), workdir / "backup")
            our_prepare(workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)


def test_a_compressed_and_encrypted_archive_is_unpacked_to_the_same_backup(
    make_server: ServerFactory, workdir: Path
) -> None:
    source = make_server("source")
    datasets.create_zoo(source)
    key = bytes(range(32))
    with WriteLoad(source, step_engines=EVERY_ENGINE) as load:
        load.wait_for(100)
        archive = workdir / "backup.xbstream"
        sink = ArchiveSink(archive, compress=Compression("zstd", 1, 2), encrypt_key=key)
        record = job.take_backup(options_for(source, compressed=True), sink, Progress("backup"))
        extract_archive(source_at(archive), workdir / "backup", ExtractOptions(decrypt_key=key))
        our_prepare(workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)


def test_a_backup_through_a_pipeline_arrives_whole(make_server: ServerFactory, workdir: Path) -> None:
    source = make_server("source")
    datasets.create_zoo(source)
    with WriteLoad(source) as load:
        load.wait_for(100)
        archive = workdir / "backup.xbstream"
        copy = f"import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, open({str(archive)!r}, 'wb'))"
        sink = CommandSink([["zstd", "-q", "-1"], ["zstd", "-q", "-d"], [sys.executable, "-c", copy]])
        record = job.take_backup(options_for(source), sink, Progress("backup"))
        extract_archive(source_at(archive), workdir / "backup")
        our_prepare(workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)


def test_undo_tablespaces_that_are_truncated_during_a_slow_stream_are_right(
    make_server: ServerFactory, workdir: Path
) -> None:
    options = {"innodb_undo_tablespaces": 3, "innodb_max_undo_log_size": "10M", "innodb_log_file_size": "200M"}
    source = make_server("source", {**options, "innodb_purge_rseg_truncate_frequency": 1})
    source.execute(
        "CREATE DATABASE undone",
        "USE undone",
        "CREATE TABLE t (id INT PRIMARY KEY, content VARCHAR(2000))",
        "INSERT INTO t SELECT seq, REPEAT('x', 1500) FROM seq_1_to_6000",
    )
    datasets.create_big(source, 60)
    undo = [source.datadir / f"undo00{number}" for number in (1, 2, 3)]
    with WriteLoad(source, per_second=50) as load, source.session(database="undone") as reader:
        with reader.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            for letter in "abcdef":
                source.execute(f"UPDATE t SET content = REPEAT('{letter}', 1500)", database="undone")
            sizes = {path: path.stat().st_size for path in undo}
            assert max(sizes.values()) > 20 << 20, "no undo tablespace is large enough to be truncated"
            source.execute("SET GLOBAL innodb_undo_log_truncate = ON")
            archive = workdir / "backup.xbstream"
            with ThreadPoolExecutor(1) as pool:
                sink = SlowArchive(archive, 10 << 20)
                taken = pool.submit(job.take_backup, options_for(source), sink, Progress("backup"))
                while archive.with_name(archive.name + ".partial").stat().st_size < max(sizes.values()):
                    time.sleep(0.05)
                cursor.execute("ROLLBACK")
                record = taken.result(400)
        truncated = [path.name for path in undo if path.stat().st_size < sizes[path]]
        extract_archive(source_at(archive), workdir / "backup")
        copied = {path.name: (workdir / "backup" / path.name).stat().st_size for path in undo}
        assert any(copied[path.name] > path.stat().st_size for path in undo), (truncated, copied)
        our_prepare(workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)


@pytest.mark.parametrize("broken", [["false"], ["head", "-c", "1000000"], ["sh", "-c", "cat >/dev/null; exit 3"]])
def test_a_backup_whose_reader_fails_is_a_failure(make_server: ServerFactory, workdir: Path, broken: list[str]) -> None:
    source = make_server("source")
    datasets.create_big(source, 50)
    with pytest.raises(CommandFailed):
        job.take_backup(options_for(source), CommandSink([broken]), Progress("backup"))
    assert_nothing_is_left(source, workdir / "backup")
