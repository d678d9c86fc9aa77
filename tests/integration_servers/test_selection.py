# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some tables out of real archives: the very files that a server made for them, whatever they are called."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_names import decode_name, encode_name
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import ConnectionParameters
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.tests.support.datasets import create_zoo
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer
from ansible_collections.innodb.xtrabackup.tests.support.streams import fingerprints

KEY = bytes(range(32))
ODD_DATABASE = "größe-1.neu"


@dataclass(frozen=True)
class Zoo:
    """A running server, archives of it, plain and packed, and all that each unpacks to.

    Between the two backups the server may have written pages, so that files of one are not those of the other.
    """

    server: MariaDBServer
    place: Path
    whole: dict[str, dict[str, str]]

    def archive(self, kind: str) -> dict[str, Any]:
        """Options of the module for one of the two archives."""
        key = {"decrypt": {"key_file": str(self.place / "key")}} if kind == "packed" else {}
        return {"src": str(self.place / f"{kind}.xbstream"), **key}

    def files_of(self, database: str, table: str, kind: str = "plain") -> dict[str, str]:
        """The files of a table in one of the archives, found by the name that the server itself gives them."""
        query = "SELECT CAST(CONVERT(CONVERT(%s USING utf8mb3) USING filename) AS BINARY)"
        directory, stem = (self.server.value(query, [name]).decode() for name in (database, table))
        stem += "@@@" if table == "con" else ""
        begins = (f"{directory}/{stem}.", f"{directory}/{stem}#P#", f"{directory}/{stem}#p#")
        return {path: digest for path, digest in self.whole[kind].items() if path.startswith(begins)}


@pytest.fixture(name="zoo", scope="module")
def _zoo() -> Iterator[Zoo]:
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")))
    server = MariaDBServer(place / "server")
    try:
        server.start()
        create_zoo(server)
        server.execute(
            f"CREATE DATABASE `{ODD_DATABASE}`",
            f"CREATE TABLE `{ODD_DATABASE}`.`con` (a INT) ENGINE=MyISAM",
            f"INSERT INTO `{ODD_DATABASE}`.`con` VALUES (815)",
        )
        connection = ConnectionParameters(unix_socket=str(server.socket), user="root")
        for kind, compress, key in (("plain", None, None), ("packed", Compression("zstd", 1, 2), KEY)):
            job.take_backup(
                job.BackupOptions(connection=connection, tool_version="0.1.0", compressed=compress is not None),
                ArchiveSink(place / f"{kind}.xbstream", compress=compress, encrypt_key=key),
                Progress("backup"),
            )
        (place / "key").write_bytes(KEY)
        (place / "key").chmod(0o600)
        whole = {}
        for kind, key in (("plain", None), ("packed", KEY)):
            extract_archive(source_at(place / f"{kind}.xbstream"), place / kind, ExtractOptions(decrypt_key=key))
            whole[kind] = fingerprints(place / kind)
        yield Zoo(server, place, whole)
    finally:
        server.kill()
        shutil.rmtree(place, ignore_errors=True)


def unpacked(directory: Path) -> dict[str, str]:
    found = fingerprints(directory)
    found.pop(MANIFEST_NAME)
    return found


def test_each_table_is_exactly_its_own_files(zoo: Zoo, workdir: Path) -> None:
    tables = zoo.server.rows("SELECT table_name AS t FROM information_schema.tables WHERE table_schema = 'zoo'")
    assert len(tables) >= 20
    for row in tables:
        answer = run_module("xbstream", {**zoo.archive("plain"), "state": "listed", "tables": [f"zoo.{row['t']}"]})
        assert {entry["path"] for entry in answer["entries"]} == set(zoo.files_of("zoo", row["t"])), row["t"]


@pytest.mark.parametrize("kind", ["plain", "packed"])
def test_odd_names_and_partitions_come_out_as_they_went_in(zoo: Zoo, workdir: Path, kind: str) -> None:
    wanted = {
        **zoo.archive(kind),
        "dest": str(workdir / "part"),
        "tables": [
            "zoo.strange näme #1 / $",
            "zoo.mit-strich.und punkt",
            "zoo.innodb_partitioned",
            "zoo.myisam_partitioned",
            "zoo.innodb_page_compressed",
        ],
        "databases": [ODD_DATABASE],
        "files": ["xtrabackup_*", "mysql/global_priv.*"],
    }
    predicted = run_module("xbstream", wanted, check=True, diff=True)
    assert not (workdir / "part").exists()
    done = run_module("xbstream", wanted, diff=True)
    assert done == {**predicted, **{name: done[name] for name in done if name not in predicted}}
    assert done["changed"]
    found = unpacked(workdir / "part")
    expected = {path: digest for path, digest in zoo.whole[kind].items() if path.startswith("mysql/global_priv.")}
    for table in wanted["tables"]:
        files = zoo.files_of("zoo", table.partition(".")[2], kind)
        assert files
        expected.update(files)
    expected.update(zoo.files_of(ODD_DATABASE, "con", kind))
    directory = encode_name(ODD_DATABASE)
    expected[f"{directory}/db.opt"] = zoo.whole[kind][f"{directory}/db.opt"]
    assert {path: digest for path, digest in found.items() if not path.startswith("xtrabackup_")} == expected
    assert "xtrabackup_checkpoints" in found
    assert len([path for path in found if "innodb_partitioned#" in path]) == 6
    again = run_module("xbstream", wanted)
    assert not again["changed"]
    other = {**wanted, "databases": []}
    assert run_module("xbstream", other, fails=True)["error"]["code"] == "target_not_empty"
    for module, options in (
        ("xtrabackup_prepare", {"src": str(workdir / "part")}),
        ("xtrabackup_restore", {"src": str(workdir / "part"), "datadir": str(workdir / "data"), "owner": "root"}),
        ("xbstream", {"state": "created", "src": str(workdir / "part"), "dest": str(workdir / "made")}),
    ):
        refused = run_module(module, options, fails=True)
        assert refused["error"]["code"] == "backup_partial", module
        assert "databases, tables and files" in refused["error"]["remedy"]
    facts = run_module("xtrabackup_info", {"src": str(workdir / "part")})["source"]
    assert (facts["kind"], facts["state"], facts["complete"]) == ("backup", "partial", False)


def test_a_server_reads_what_was_fetched(zoo: Zoo, workdir: Path) -> None:
    run_module(
        "xbstream", {**zoo.archive("packed"), "dest": str(workdir / "part"), "tables": ["zoo.mit-strich.und punkt"]}
    )
    zoo.server.execute("CREATE OR REPLACE DATABASE fetched")
    for path in (workdir / "part" / "zoo").iterdir():
        shutil.copy(path, zoo.server.datadir / "fetched" / path.name)
    assert zoo.server.rows("SELECT a FROM fetched.`mit-strich.und punkt`") == [{"a": 3}]


def test_what_is_not_there_is_named_and_nothing_is_written(zoo: Zoo, workdir: Path) -> None:
    wanted = {**zoo.archive("plain"), "dest": str(workdir / "part"), "tables": ["zoo.innodb_dynamics", "zoo.merged"]}
    for check in (True, False):
        refused = run_module("xbstream", wanted, fails=True, check=check)
        assert refused["error"]["details"]["missing"] == {"tables": ["zoo.innodb_dynamics"]}
        assert "zoo.innodb_dynamic" in refused["msg"].replace("innodb_dynamics", "")
    assert list(workdir.iterdir()) == []


def test_every_name_is_encoded_as_the_server_encodes_it(zoo: Zoo) -> None:
    zoo.server.execute(
        "CREATE OR REPLACE DATABASE characters",
        "USE characters",
        "CREATE TABLE t (code INT, c VARCHAR(4) CHARACTER SET utf8mb3)",
        "INSERT INTO t SELECT seq, CONVERT(UNHEX(LPAD(HEX(seq), 4, '0')) USING ucs2) FROM seq_1_to_65535 "
        "WHERE seq NOT BETWEEN 0xD800 AND 0xDFFF",
    )
    rows = zoo.server.rows("SELECT code, CAST(CONVERT(c USING filename) AS BINARY) AS f FROM characters.t")
    assert len(rows) == 65535 - 2048
    wrong = [row for row in rows if encode_name(chr(row["code"])) != row["f"].decode()]
    assert wrong == []
    assert [row for row in rows if decode_name(row["f"].decode()) != chr(row["code"])] == []
