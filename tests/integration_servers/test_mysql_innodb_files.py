# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's files: every page of every kind verifies, all that belong to a server are found, copies of them are whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.copier import (
    READ_SIZE,
    CopierContext,
    UnstableFile,
    copy_plain,
    copy_tablespace,
    read_header,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.inventory import InnodbFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.backup.mysql.inventory import (
    innodb_files,
    plain_files,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.mysql.keyring import FileKey, Keyring
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page import (
    PageVerifier,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    FIRST_PAGE_SIZE,
    TablespaceHeader,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace_values import ChecksumKind
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.layout import ServerLayout, read_layout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.tablespaces import (
    Tablespace,
    read_tablespaces,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.sink import DirectorySink
from ansible_collections.innodb.xtrabackup.tests.support.checksums import table_states
from ansible_collections.innodb.xtrabackup.tests.support.load import WriteLoad
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.mysql_datasets import create_zoo
from ansible_collections.innodb.xtrabackup.tests.support.mysql_keyring import KeyringMySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.servers import OptionValue
from ansible_collections.innodb.xtrabackup.tests.support.tablespace_headers import verified_tablespace_header

PAGE_SIZES = {"4k": 4096, "8k": 8192, "16k": 16384, "32k": 32768, "64k": 65536}
ROWS = 1500
COLUMNS = "id INT PRIMARY KEY, a VARCHAR(300), KEY (a(50))"


def table_options(page_size: int) -> dict[str, str]:
    """Table options by table name."""
    options = {"plain": "", "encrypted": "ENCRYPTION='Y'"}
    if page_size > 4096:  # there is nothing to punch out of a page of one block
        for algorithm in ("zlib", "lz4"):
            options[algorithm] = f"COMPRESSION='{algorithm}'"
            options[f"encrypted_{algorithm}"] = f"COMPRESSION='{algorithm}' ENCRYPTION='Y'"
    if page_size <= 16384:
        sizes = [size for size in (1, 2, 4, 8, 16) if size << 10 <= page_size]
        options.update({f"row{size}": f"ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE={size}" for size in sizes})
        options["encrypted_row"] = "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4 ENCRYPTION='Y'"
    return options


def make_tables(server: MySQLServer, page_size: int) -> None:
    """Tables of every kind."""
    server.execute("CREATE DATABASE d")
    for table, options in table_options(page_size).items():
        server.execute(
            f"CREATE TABLE {table} ({COLUMNS}) {options}",
            f"INSERT INTO {table} SELECT seq, CONCAT(REPEAT('x', 200), SHA2(seq, 256)) FROM {server.numbers(ROWS)}",
            database="d",
        )
    server.execute(
        "CREATE TABLE encrypted_spatial (id INT PRIMARY KEY, g POINT NOT NULL SRID 0, SPATIAL KEY (g)) ENCRYPTION='Y'",
        f"INSERT INTO encrypted_spatial SELECT seq, POINT(seq, seq) FROM {server.numbers(1000)}",
        "CREATE TABLESPACE general ADD DATAFILE 'general.ibd'",
        "CREATE TABLESPACE encrypted_general ADD DATAFILE 'encrypted_general.ibd' ENCRYPTION='Y'",
        "CREATE TABLE inside (id INT PRIMARY KEY) TABLESPACE general",
        "CREATE TABLE inside_encrypted (id INT PRIMARY KEY) TABLESPACE encrypted_general ENCRYPTION='Y'",
        f"INSERT INTO inside_encrypted SELECT seq FROM {server.numbers(3000)}",
        "CREATE UNDO TABLESPACE more ADD DATAFILE 'more.ibu'",
        "ALTER TABLESPACE mysql ENCRYPTION='Y'",
        database="d",
    )


def import_copies(server: MySQLServer) -> None:
    """Tables whose space was imported; the empty pages of the exported files become compressed or encrypted ones."""
    directory = server.datadir / "d"
    tables = [table for table in ("zlib", "encrypted", "encrypted_zlib") if (directory / f"{table}.ibd").exists()]
    for table in tables:
        server.execute(
            f"CREATE TABLE {table}_imported LIKE {table}",
            f"ALTER TABLE {table}_imported DISCARD TABLESPACE",
            database="d",
        )
        with server.session(database="d") as connection, connection.cursor() as cursor:
            cursor.execute(f"FLUSH TABLES {table} FOR EXPORT")
            for exported in directory.glob(f"{table}.*"):
                shutil.copy(exported, directory / f"{table}_imported{exported.suffix}")
            cursor.execute("UNLOCK TABLES")
        server.execute(f"ALTER TABLE {table}_imported IMPORT TABLESPACE", database="d")


def key_of(header: TablespaceHeader, keyring: Keyring, path: Path) -> FileKey | None:
    return keyring.unwrap(header.encryption_info, str(path)) if header.encryption_info else None


@pytest.fixture(name="keyring_server")
def _keyring_server(workdir: Path) -> Iterator[KeyringMySQLServer]:
    server = KeyringMySQLServer.at(workdir / "home")(workdir / "server", {"innodb_undo_log_encrypt": "ON"})
    try:
        yield server
    finally:
        with contextlib.suppress(Exception):
            server.kill()


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_files_of_every_kind_verify_and_damage_is_found(keyring_server: KeyringMySQLServer, page_size: str) -> None:
    server, size = keyring_server, PAGE_SIZES[page_size]
    server.set_options({"innodb_page_size": page_size})
    server.start()
    make_tables(server, size)
    import_copies(server)
    server.stop()
    keyring = Keyring.read(server.home / "keyring")

    kinds = set()
    files = [*server.datadir.rglob("*.ib[du]"), *server.datadir.glob("undo_0*"), server.datadir / "ibdata1"]
    for path in sorted(files):
        data = path.read_bytes()
        header = verified_tablespace_header(data[:FIRST_PAGE_SIZE], str(path), Family.MYSQL)
        types = {int.from_bytes(data[at + 24 : at + 26], "big") for at in range(0, len(data), header.physical_size)}
        kinds |= {(page_type, (header.checksum is ChecksumKind.ZIP)) for page_type in types}
        if path.name == "encrypted_imported.ibd":
            emptied = [at for at in range(0, len(data), size) if data[at + 25] == 15 and not any(data[at : at + 24])]
            assert emptied, "the server left empty pages as they were"
        assert header.page_size == size, path
        assert header.size_in_pages * header.physical_size // 4096 * 4096 == len(data), path
        always = path.name in ("mysql.ibd", "undo_001", "undo_002", "more.ibu")
        assert header.encrypted is (always or path.name.startswith("encrypted")), path
        whole = PageVerifier(header, has_doublewrite=path.name == "ibdata1", key=key_of(header, keyring, path))
        keyless = PageVerifier(header, has_doublewrite=path.name == "ibdata1")
        for verifier in (whole, keyless):
            unseen: list[int] = []
            assert verifier.faults(data, 0, unseen) == [], path
            assert bool(unseen) is (verifier is keyless and header.encrypted), path
        damaged = bytearray(data)
        damaged[3 * header.physical_size + 60] ^= 1
        assert [fault.page_no for fault in whole.faults(damaged, 0)] == [3], path
        opaque = keyless.is_opaque(data[3 * header.physical_size :][: header.physical_size])
        assert [fault.page_no for fault in keyless.faults(damaged, 0)] == ([] if opaque else [3]), path
    assert {page_type for page_type, _row in kinds} >= {0, 5, 15, 17, 17853, 17855}
    if size > 4096:
        assert {page_type for page_type, _row in kinds} >= {14, 16}
    assert size > 16384 or {(15, True), (17855, True)} <= kinds


# --- copies


@dataclass
class Copier:
    """Copies a server's files into a directory as a backup does."""

    layout: ServerLayout
    destination: Path
    keyring: Keyring | None = None
    retried: int = 0
    unstable: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sink = DirectorySink(self.destination)
        self.context = CopierContext(
            self.layout.innodb_page_size,
            self.sink.open,
            threading.Event(),
            Progress("backup"),
            family=Family.MYSQL,
            keyring=self.keyring,
        )

    def copy(self, tablespaces: list[Tablespace], *, plain: bool = False) -> list[InnodbFile]:
        """Copy all files; those that change shape meanwhile are left out, and noted."""
        buffer, copied = memoryview(bytearray(READ_SIZE)), []
        files = innodb_files(self.layout, tablespaces)
        system = [
            file for file in sorted(files, key=lambda file: file.system_index or 0) if file.system_index is not None
        ]
        with open(system[0].source, "rb") as first:
            header = read_header(system[0], first.fileno(), self.context)
        first_page_no = 0
        for file in [*system, *(file for file in files if file.system_index is None)]:
            later = {"first_page_no": first_page_no, "header": header} if file.system_index else {}
            try:
                result = copy_tablespace(file, self.context, buffer, **later)  # type: ignore[arg-type]
            except UnstableFile:
                (self.sink.staging / file.path).unlink(missing_ok=True)
                self.unstable.append(file.path)
                continue
            first_page_no += result.pages
            self.retried += result.retried_pages
            copied.append(file)
        if plain:
            for other in plain_files(self.layout).files:
                copy_plain(other.path, other.source, self.context, buffer)
        return copied


def look_at(server: MySQLServer) -> tuple[ServerLayout, list[Tablespace]]:
    parameters = ConnectionParameters(user="root", unix_socket=str(server.socket), config_file="")
    with Connection(parameters) as connection:
        return read_layout(connection), read_tablespaces(connection)


@pytest.mark.parametrize("with_key", [True, False], ids=["with key", "without key"])
def test_files_copied_under_load_have_no_bad_page(
    keyring_server: KeyringMySQLServer, workdir: Path, with_key: bool
) -> None:
    server = keyring_server
    # a small buffer pool, so that pages are written all the time
    server.set_options({"default_table_encryption": "ON", "innodb_buffer_pool_size": "8M"})
    server.start()
    make_tables(server, 16384)
    keyring = Keyring.read(server.home / "keyring")
    layout, _tablespaces = look_at(server)
    copied: list[str] = []
    # pages that cannot be verified are read a second time after seconds
    attempts = 4 if with_key else 2
    with WriteLoad(server, threads=3, schema_changes=True):
        for attempt in range(attempts):
            if attempt == attempts // 2:  # the keys that were read before do not have this one
                server.execute("ALTER INSTANCE ROTATE INNODB MASTER KEY")
            copier = Copier(layout, workdir / f"copy{attempt}", keyring if with_key else None)
            for file in copier.copy(look_at(server)[1]):
                path = copier.sink.staging / file.path
                data = path.read_bytes()
                header = verified_tablespace_header(data[:FIRST_PAGE_SIZE], str(path), Family.MYSQL)
                key = key_of(header, keyring, path)
                verifier = PageVerifier(header, has_doublewrite=file.system_index == 0, key=key)
                assert verifier.faults(data, 0) == [], path
                copied.append(file.path)
            copier.sink.abort(RuntimeError("looked at"))
    fixed = {"ibdata1", "mysql.ibd", "undo_001", "undo_002", "more.ibu", "d/encrypted_zlib.ibd", "load_test/ledger.ibd"}
    assert all(copied.count(path) == attempts for path in fixed - {"undo_001", "undo_002", "more.ibu"})
    assert fixed <= set(copied)


def places(workdir: Path) -> dict[str, dict[str, OptionValue]]:
    return {
        "usual": {},
        "lower_case": {"lower_case_table_names": 1},
        "elsewhere": {
            "innodb_undo_directory": str(workdir / "undo"),
            "innodb_data_home_dir": str(workdir / "home"),
            "innodb_data_file_path": "ibdata1:12M;ibdata2:10M:autoextend",
        },
    }


@pytest.mark.parametrize("place", ["usual", "lower_case", "elsewhere"])
def test_a_server_starts_on_copies_of_all_files(workdir: Path, place: str) -> None:
    options, far = places(workdir)[place], workdir / "far"
    for directory in ("undo", "home", "far/d", "far/undo"):
        (workdir / directory).mkdir(parents=True)
    server = MySQLServer(workdir / "server", options)
    server.write_option_file()
    server.initialise()
    server.set_options({"innodb_directories": f"{far};{far / 'undo'}"})
    with server:
        if place == "usual":
            create_zoo(server)
        server.execute(
            "CREATE DATABASE d",
            f"CREATE TABLE d.far ({COLUMNS}) DATA DIRECTORY = '{far}'",
            f"INSERT INTO d.far SELECT seq, REPEAT('f', 100) FROM {server.numbers(2000)}",
            f"CREATE TABLE d.far_zlib ({COLUMNS}) DATA DIRECTORY = '{far}' COMPRESSION='zlib'",
            f"INSERT INTO d.far_zlib SELECT seq, REPEAT('f', 200) FROM {server.numbers(20000)}",
            f"CREATE TABLE d.far_parts (id INT PRIMARY KEY) PARTITION BY HASH (id) "
            f"(PARTITION p0, PARTITION P1 DATA DIRECTORY = '{far}')",
            f"INSERT INTO d.far_parts SELECT seq FROM {server.numbers(1000)}",
            f"CREATE TABLESPACE far_general ADD DATAFILE '{far}/far_general.ibd'",
            "CREATE TABLE d.far_inside (id INT PRIMARY KEY) TABLESPACE far_general",
            "INSERT INTO d.far_inside VALUES (1)",
            f"CREATE UNDO TABLESPACE far_undo ADD DATAFILE '{far}/undo/far_undo.ibu'",
            "CREATE UNDO TABLESPACE near_undo ADD DATAFILE 'near_undo.ibu'",
            "CREATE DATABASE Nothing_In_It",
            "CREATE DATABASE Mixed",
            "CREATE TABLE Mixed.Case_1 (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2",
            "INSERT INTO Mixed.Case_1 VALUES (1), (2)",
        )
        before = table_states(server)
        layout, tablespaces = look_at(server)
    copier = Copier(layout, workdir / "copy")
    copied = {file.path: file for file in copier.copy(tablespaces, plain=True)}
    mixed = "mixed" if place == "lower_case" else "Mixed"
    assert {"d/far.ibd", "d/far_parts#p#p0.ibd", "d/far_parts#p#p1.ibd", "far_general.ibd"} <= set(copied)
    assert {path.lower() for path in copied if path.startswith(f"{mixed}/")} == {
        "mixed/case_1#p#p0.ibd",
        "mixed/case_1#p#p1.ibd",
    }
    assert {"far_undo.ibu", "near_undo.ibu", "undo_001", "undo_002", "mysql.ibd", "ibdata1"} <= set(copied)
    assert copied["d/far.ibd"].source == far / "d/far.ibd"
    for path, file in copied.items():
        room = (copier.sink.staging / path).stat().st_blocks
        # the server may have allocated more than it has written
        assert room <= 1.1 * file.source.stat().st_blocks + 16, path
    nothing = "nothing_in_it" if place == "lower_case" else "Nothing_In_It"
    assert nothing in plain_files(layout).empty_databases

    for place_of_files in (server.datadir, far, workdir / "undo", workdir / "home"):
        shutil.rmtree(place_of_files)
    copy = MySQLServer(workdir / "copied", {name: value for name, value in options.items() if "dir" not in name})
    copy.write_option_file()
    shutil.move(os.path.realpath(copier.sink.staging), copy.datadir)
    (copy.datadir / "#innodb_redo").mkdir()
    with copy:
        assert table_states(copy) == before
        copy.execute("INSERT INTO d.far VALUES (100000, 'written')")
    errors = [line for line in copy.log_text().splitlines() if "[ERROR]" in line]
    assert [line for line in errors if "ib_buffer_pool" not in line] == []  # nothing of value, and not copied
