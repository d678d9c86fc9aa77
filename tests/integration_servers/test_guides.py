# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides of the documentation: every task in them runs as it is written, and does what the text says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import verify_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import guide
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.plays import BACKUP_GRANTS
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer

STREAMING = guide.sections("guide_streaming.rst")
PASSWORD = "of the guide"


@pytest.fixture(name="source")
def _source(make_server: ServerFactory) -> MariaDBServer:
    """The server of the guide: its account, and the databases that it names."""
    server = make_server("source")
    server.create_account("backup", PASSWORD, BACKUP_GRANTS)
    for database, tables in {"shop": ["articles", "prices"], "crm": ["customers", "orders", "letters"]}.items():
        server.execute(f"CREATE DATABASE {database}")
        for table in tables:
            server.execute(
                f"CREATE TABLE {database}.{table} (id INT PRIMARY KEY, text VARCHAR(200)) PAGE_COMPRESSED=1",
                f"INSERT INTO {database}.{table} SELECT seq, REPEAT('{table}', 9) FROM mysql.seq_1_to_20000",
            )
    return server


@pytest.fixture(name="world")
def _world(source: MariaDBServer, workdir: Path) -> Iterator[guide.World]:
    world = guide.World(workdir / "world", source.socket, ("db1", "replica1", "vault"))
    try:
        keys = workdir / "world/srv/keys"
        (keys / "passphrase").write_text("correct horse battery staple\n")
        with open(workdir / "world/srv/backups/stock.xbstream", "wb") as archive:
            stock = ["mariadb-backup", f"--defaults-file={source.option_file}", "--user=root", "--backup"]
            scratch = f"--target-dir={workdir}"
            subprocess.run(
                [*stock, "--stream=mbstream", scratch], stdout=archive, stderr=subprocess.DEVNULL, check=True
            )
        yield world
    finally:
        world.close()


def test_every_row_of_the_table_has_tasks() -> None:
    text = (guide.GUIDES / "guide_streaming.rst").read_text(encoding="utf-8")
    table = text[text.index(".. list-table::") : text.index("All of them run")]
    rows = re.findall(r"^ +- `(.+)`_$", table, re.MULTILINE)
    assert rows
    assert sorted(rows) == sorted(section.title for section in STREAMING if section.tasks)


@pytest.mark.slow
def test_every_task_of_the_streaming_guide_works_as_it_is_written(
    source: MariaDBServer, world: guide.World, make_server: ServerFactory
) -> None:
    tasks: list[dict[str, Any]] = [task for section in STREAMING for task in section.tasks]
    output = world.play(tasks, STREAMING[0].named["defaults"], {"vault_backup_password": PASSWORD})
    assert PASSWORD not in output
    srv = world.root / "srv"
    _require_sound(srv)
    key = (srv / "keys/backup.key").read_bytes()
    unzip = subprocess.run(["gzip", "-dc", str(srv / "backups/full.xbstream.gz")], check=True, capture_output=True)
    _verify_bytes(unzip.stdout, srv / "unzipped")
    decode = ["openssl", "enc", "-d", "-aes-256-ctr", "-pbkdf2", "-pass", f"file:{srv}/keys/passphrase"]
    plain = subprocess.run([*decode, "-in", str(srv / "backups/full.enc")], check=True, capture_output=True)
    _verify_bytes(plain.stdout, srv / "decoded")
    summed = subprocess.run(
        ["sha256sum", str(srv / "backups/full-tee.xbstream")], check=True, capture_output=True, text=True
    )
    assert summed.stdout.split()[0] == (srv / "backups/full-tee.sha256").read_text().split()[0]
    assert verify_archive(source_at(srv / "backups/kept.xbstream"), ExtractOptions(decrypt_key=key)) is not None
    assert not (srv / "restore/some/crm/letters.ibd").exists()
    assert (srv / "restore/some/crm/orders.ibd").exists()
    restored = make_server("restored", start=False)
    _move_into(srv / "mysql", restored.datadir)
    restored.start()
    assert_tables_equal(source, restored)


@pytest.mark.slow
def test_every_task_of_the_other_guides_works_as_it_is_written(world: guide.World) -> None:
    backups = guide.sections("guide_backups.rst")
    others = [section for name in ("security", "troubleshooting") for section in guide.sections(f"guide_{name}.rst")]
    tasks = [task for section in backups + others for task in section.tasks]
    output = world.play(tasks, backups[0].named["defaults"], {"vault_backup_password": PASSWORD})
    assert PASSWORD not in output
    srv = world.root / "srv"
    (nightly,) = (srv / "backups/nightly").iterdir()
    assert verify_archive(source_at(nightly)) is not None
    assert verify_archive(
        source_at(srv / "backups/secret.xbstream"), ExtractOptions(decrypt_key=(srv / "keys/archive.key").read_bytes())
    )
    patient = srv / "backups/patient"
    manifest.verify_directory(patient, manifest.read(patient), digests=True)
    assert not (srv / "restore/proof").exists()


def _require_sound(srv: Path) -> None:
    """Every directory and every plain archive that the guide made is a whole backup."""
    directories = [path.parent for path in srv.glob("*/*/" + file_kinds.MANIFEST_NAME)]
    assert {path.name for path in directories} >= {"full", "tls", "plain", "netcat", "throttled", "parallel", "ready"}
    for directory in directories:
        manifest.verify_directory(directory, manifest.read(directory), digests=True)
    names = ["full", "full-zstd", "full-lz4", "full-tee", "packed", "ssh", "netcat", "digested", "parallel", "sparse"]
    for name in names:
        assert verify_archive(source_at(srv / f"backups/{name}.xbstream")) is not None


def _verify_bytes(archive: bytes, place: Path) -> None:
    place.write_bytes(archive)
    assert verify_archive(source_at(place)) is not None


def _move_into(source: Path, datadir: Path) -> None:
    subprocess.run(["rm", "-rf", str(datadir)], check=True)
    source.rename(datadir)
