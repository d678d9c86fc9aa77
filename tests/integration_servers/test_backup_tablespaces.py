# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tablespace files that come, go, and are not what they look like, on servers of both families."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup import job
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import TableFileMissing, UnsupportedTable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.prepare import PrepareOptions, prepare
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mariadb.locks import BackupStages
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.locks import MysqlLocks
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import checksums, console, playbook
from ansible_collections.innodb.xtrabackup.tests.support.backups import options_for, take
from ansible_collections.innodb.xtrabackup.tests.support.mysql import SERVER_PROGRAM
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer

FAMILIES = ("mariadb", "mysql")
Factory = Callable[..., DatabaseServer]


@pytest.fixture(params=FAMILIES)
def make(request: pytest.FixtureRequest, make_server: ServerFactory, make_mysql: MySQLFactory) -> Factory:
    """What makes servers, of each family in turn."""
    return make_server if request.param == "mariadb" else make_mysql


def start_copy(make: Factory, directory: Path) -> DatabaseServer:
    """Prepare ``directory`` and start a server of its own on it."""
    copy = make("copy", start=False)
    options = PrepareOptions() if copy.flavor == "mariadb" else PrepareOptions(server_program=str(SERVER_PROGRAM))
    prepare(directory, None, options, Progress("prepare"))
    shutil.move(str(directory), copy.datadir)
    return copy.start()


def create_tables(server: DatabaseServer, *names: str, rows: int = 2000) -> None:
    server.execute("CREATE DATABASE IF NOT EXISTS d")
    for name in names:
        server.execute(
            f"CREATE TABLE `{name}` (id INT PRIMARY KEY, k INT, text VARCHAR(2000), KEY k (k)) ENGINE=InnoDB",
            f"INSERT INTO `{name}` SELECT seq, seq % 97, REPEAT('x', 1500) FROM {server.numbers(rows)}",
            database="d",
        )


class Exported:
    """The files of a table, exported and kept; the table goes on, its indexes get other ids."""

    def __init__(self, server: DatabaseServer, table: str, directory: Path) -> None:
        self._server, self._table, self._directory = server, table, directory / f"exported-{table}"
        self._directory.mkdir()
        with server.session(database="d") as session, session.cursor() as cursor:
            cursor.execute(f"FLUSH TABLES {table} FOR EXPORT")
            for ending in ("ibd", "cfg"):
                shutil.copy(server.datadir / "d" / f"{table}.{ending}", self._directory)
            cursor.execute("UNLOCK TABLES")
        server.execute(
            f"ALTER TABLE {table} DROP INDEX k, ALGORITHM=INPLACE",
            f"ALTER TABLE {table} ADD INDEX k (k), ALGORITHM=INPLACE",
            database="d",
        )

    def discard(self) -> None:
        """Discard the table's tablespace, and put the exported files in its place."""
        self._server.execute(f"ALTER TABLE {self._table} DISCARD TABLESPACE", database="d")
        for path in self._directory.iterdir():
            shutil.copy(path, self._server.datadir / "d")

    def import_(self) -> None:
        """The other half of it."""
        self._server.execute(f"ALTER TABLE {self._table} IMPORT TABLESPACE", database="d")


class Once:
    """A throttle that lets something happen before the read with that number, while a file is copied."""

    def __init__(self, number: int, action: Callable[[], None]) -> None:
        self._left, self._action = number, action

    def take(self, count: int, cancelled: threading.Event) -> None:
        """Wait for nothing."""
        self._left -= 1
        if not self._left:
            self._action()


def before_ddl_is_blocked(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Let ``action`` happen when all InnoDB files have been copied, and schema changes are not blocked yet."""
    for kind, name in ((BackupStages, "flush"), (MysqlLocks, "lock_instance")):
        real_method: Callable[[Any], None] = getattr(kind, name)

        def act(locks: Any, real: Callable[[Any], None] = real_method) -> None:
            action()
            real(locks)

        monkeypatch.setattr(kind, name, act)


def test_imported_tablespaces_are_in_the_backup_and_files_of_no_table_are_not(
    make: Factory, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("source")
    create_tables(source, "during", rows=20_000)  # the largest file, so it is copied first
    create_tables(source, "later", "half_done", "other")
    during, later, half_done = (Exported(source, name, workdir) for name in ("during", "later", "half_done"))
    later.discard()
    half_done.discard()
    source.execute("FLUSH TABLES other FOR EXPORT", "UNLOCK TABLES", database="d")
    copies = [("d/other.ibd", "d/somebodys_copy.ibd")]
    if source.flavor == "mysql":
        copies += [("undo_001", "undo_009"), ("d/other.ibd", "somebodys.ibd")]
    for path, name in copies:
        shutil.copy(source.datadir / path, source.datadir / name)

    def replace() -> None:
        during.discard()
        during.import_()

    before_ddl_is_blocked(monkeypatch, later.import_)
    record = take(source, workdir / "backup", throttle=Once(3, replace), parallel=1)

    (warning,) = [text for text in record["warnings"] if "left out" in text and "tablespace" in text]
    assert warning.endswith("left out: " + "; ".join(sorted(["d/half_done.ibd", *(name for _path, name in copies)])))
    files = {entry.path for entry in manifest.read(workdir / "backup").files}
    assert {path for path in files if path.endswith(".ibd") and path.startswith("d/")} == {
        "d/during.ibd",
        "d/later.ibd",
        "d/other.ibd",
    }
    copy = start_copy(make, workdir / "backup")
    for server in (source, copy):
        server.execute("DROP TABLE half_done", database="d")
    for table in ("during", "later", "other"):
        assert copy.rows(f"CHECK TABLE d.{table} EXTENDED")[0]["Msg_text"] == "OK"
        assert copy.value(f"SELECT COUNT(*) FROM d.{table} FORCE INDEX (k) WHERE k >= 0") >= 2000
    checksums.assert_tables_equal(source, copy, at_least=3)


def updates(server: DatabaseServer, stop: threading.Event) -> None:
    with server.session(database="d") as session, session.cursor() as cursor:
        while not stop.is_set():
            cursor.execute("UPDATE t SET k = k + 1, text = REPEAT(CHAR(65 + k % 26), 1500) WHERE id % 7 = k % 7")


def test_pages_without_a_checksum_are_read_twice_and_counted(make: Factory, workdir: Path) -> None:
    """Of MySQL's old setting, and of page_compressed tables whose algorithm only MariaDB's server has."""
    source = make("source")
    if source.flavor == "mariadb":
        source.restart({"innodb_checksum_algorithm": "crc32", "plugin_load_add": "provider_lz4"})
        source.execute("SET GLOBAL innodb_compression_algorithm = 'lz4'", "SET GLOBAL innodb_compression_default = ON")
    else:
        source.restart({"innodb_checksum_algorithm": "none"})
    create_tables(source, "t", rows=4000)
    source.execute("FLUSH TABLES t FOR EXPORT", "UNLOCK TABLES", database="d")  # not in the buffer pool alone
    stop = threading.Event()
    writer = threading.Thread(target=updates, args=(source, stop))
    writer.start()
    try:
        record = take(source, workdir / "backup")
    finally:
        stop.set()
        writer.join()
    pages = record["pages"]
    assert pages["checked"] > pages["unverified"] > 100
    (warning,) = [text for text in record["warnings"] if "no checksum that could be verified" in text]
    assert warning.startswith(f"{pages['unverified']} pages")
    assert "d/t.ibd" in warning
    if source.flavor == "mysql":
        copy = start_copy(make, workdir / "backup")
        assert copy.rows("CHECK TABLE d.t EXTENDED")[0]["Msg_text"] == "OK"


def test_a_table_whose_file_is_gone_is_named_and_left_out_only_on_request(make: Factory, workdir: Path) -> None:
    source = make("source")
    create_tables(source, "good", "gone-1")
    source.execute("CREATE TABLE parts (a INT PRIMARY KEY) PARTITION BY HASH (a) PARTITIONS 2", database="d")
    source.stop()
    (source.datadir / "d" / "gone@002d1.ibd").unlink()
    (part,) = (path for path in (source.datadir / "d").glob("parts#*p1.ibd"))
    part.unlink()
    source.start()
    for allowed in ((), ("d.parts",), ("d.gone",)):
        with pytest.raises(TableFileMissing, match="gone@002d1.ibd of d.gone-1") as caught:
            job.preflight(options_for(source, allow_missing_tables=allowed))
        assert "d.good" not in caught.value.message
        assert ("d.parts" in caught.value.message) is ("d.parts" not in allowed)
        assert "allow_missing_tables: [d.gone-1" in str(caught.value.remedy)
    with pytest.raises(TableFileMissing):
        take(source, workdir / "backup")
    assert not list(workdir.glob("backup*"))

    programs = console.build(workdir)
    words = ("--no-defaults", "--backup", f"--socket={source.socket}", "--user=root", f"--target-dir={workdir}/by_hand")
    refused = console.run(programs / "xtrabackup", *words, "--allow-missing-tables=d.parts")
    assert refused.status == 1
    assert "--allow-missing-tables=d.gone-1" in refused.said
    console.require(console.run(programs / "xtrabackup", *words, "--allow-missing-tables=d.parts,d.gone-1"))

    options = {"dest": str(workdir / "backup"), "allow_missing_tables": ["d.gone-1", "d.parts", "d.good"]}
    record = playbook.run_module("xtrabackup_backup", {**source.login(), **options})["backup"]
    assert record["missing_tables"] == ["d.gone-1", "d.parts"]
    assert manifest.read(workdir / "backup").backup["missing_tables"] == record["missing_tables"]
    assert [text for text in record["warnings"] if "without their data: d.gone-1; d.parts" in text]
    copy = start_copy(make, workdir / "backup")
    assert copy.rows("CHECK TABLE d.good EXTENDED")[0]["Msg_text"] == "OK"
    for server in (source, copy):
        server.execute("DROP TABLE `gone-1`", "DROP TABLE parts", database="d")
    checksums.assert_tables_equal(source, copy)


#: names of undo tablespaces and, on the other family, of a file of every backup
ODD_NAMES = {"mariadb": ("undo001", "xtrabackup_logfile"), "mysql": ("undo_003", "aria_log_control")}


def test_databases_that_are_called_as_files_are_and_links_in_circles_do_no_harm(make: Factory, workdir: Path) -> None:
    source = make("source")
    create_tables(source, "t")
    names = ODD_NAMES[source.flavor]
    for name in names:
        source.execute(f"CREATE DATABASE {name}", f"CREATE TABLE {name}.t SELECT * FROM d.t LIMIT 10")
    for place in (source.datadir, source.datadir / "d"):
        (place / "circle").symlink_to("circle")
    (source.datadir / "d" / "circle.MYD").symlink_to("circle.MYD")
    record = take(source, workdir / "backup")
    assert [text for text in record["warnings"] if "d/circle.MYD" in text]
    copy = start_copy(make, workdir / "backup")
    checksums.assert_tables_equal(source, copy, at_least=3)

    source.execute("CREATE DATABASE xtrabackup_checkpoints")
    with pytest.raises(UnsupportedTable, match="the database xtrabackup_checkpoints"):
        job.preflight(options_for(source))
