# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that travel as a stream: read by the stock tools and by our own, under load and with schema changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import CommandFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
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
from ansible_collections.innodb.xtrabackup.tests.support.backups import Slow, options_for
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
            extract_archive(archive, workdir / "backup")
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
        extract_archive(archive, workdir / "backup", decrypt_key=key)
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
        extract_archive(archive, workdir / "backup")
        our_prepare(workdir / "backup")
        prove(make_server, source, workdir / "backup", record, load)


@pytest.mark.parametrize("broken", [["false"], ["head", "-c", "1000000"], ["sh", "-c", "cat >/dev/null; exit 3"]])
def test_a_backup_whose_reader_fails_is_a_failure(make_server: ServerFactory, workdir: Path, broken: list[str]) -> None:
    source = make_server("source")
    datasets.create_big(source, 50)
    with pytest.raises(CommandFailed):
        job.take_backup(options_for(source), CommandSink([broken]), Progress("backup"))
    assert_nothing_is_left(source, workdir / "backup")
