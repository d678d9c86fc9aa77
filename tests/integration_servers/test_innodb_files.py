# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers and pages of every kind of InnoDB file, as a real server wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page import (
    PageVerifier,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.page_checks import CHECKSUM_MISMATCH
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import (
    FIRST_PAGE_SIZE,
    unwritten_tablespace,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace_values import ChecksumKind
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer
from ansible_collections.innodb.xtrabackup.tests.support.tablespace_headers import verified_tablespace_header

ROWS = 3000
PAGE_SIZES = {"4k": 4096, "8k": 8192, "16k": 16384, "32k": 32768, "64k": 65536}


def kinds(page_size: int) -> dict[str, str]:
    """Table options by table name."""
    options = {
        "plain": "",
        "page_compressed": "PAGE_COMPRESSED=1",
        "encrypted": "ENCRYPTED=YES",
        "encrypted_compressed": "ENCRYPTED=YES PAGE_COMPRESSED=1",
        "never_encrypted": "ENCRYPTED=NO",
    }
    if page_size <= 16384:
        sizes = [size for size in (1, 2, 4, 8, 16) if size << 10 <= page_size]
        options.update({f"zip{size}": f"ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE={size}" for size in sizes})
        options["zip_encrypted"] = "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4 ENCRYPTED=YES"
    return options


def make_tables(server: MariaDBServer, database: str, page_size: int) -> None:
    server.execute(f"CREATE DATABASE {database}")
    for table, options in kinds(page_size).items():
        server.execute(
            f"CREATE TABLE {table} (id INT PRIMARY KEY, a VARCHAR(200), KEY (a)) ENGINE=InnoDB {options}",
            f"INSERT INTO {table} SELECT seq, CONCAT(REPEAT('x', 20), MD5(seq)) FROM seq_1_to_{ROWS}",
            database=database,
        )
    server.execute(
        "CREATE TABLE spatial_index (id INT PRIMARY KEY, g GEOMETRY NOT NULL, SPATIAL INDEX (g)) ENGINE=InnoDB",
        f"INSERT INTO spatial_index SELECT seq, POINT(seq, seq) FROM seq_1_to_{ROWS}",
        f"DELETE FROM plain WHERE id > {ROWS // 2}",
        database=database,
    )


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_files_of_every_kind_verify_and_damage_is_found(
    make_server: ServerFactory, workdir: Path, page_size: str
) -> None:
    size = PAGE_SIZES[page_size]
    (workdir / "keys").write_text("1;" + "6d1f" * 16 + "\n", encoding="ascii")
    server = make_server(
        options={
            "innodb_page_size": page_size,
            "plugin_load_add": "file_key_management",
            "file_key_management_filename": str(workdir / "keys"),
        }
    )
    make_tables(server, "full_crc32", size)
    server.restart({"innodb_checksum_algorithm": "crc32"})
    make_tables(server, "crc32", size)
    server.stop()

    found = set()
    for path in sorted(server.datadir.rglob("*.ibd")) + [server.datadir / "ibdata1"]:
        data = path.read_bytes()
        header = verified_tablespace_header(data[:FIRST_PAGE_SIZE], str(path), Family.MARIADB)
        found.add((header.checksum, header.page_compressed, header.encrypted, header.physical_size))
        assert header.page_size == size, path
        # the server extends files in whole blocks of 4 KiB: the last smaller page may not be there yet
        assert header.size_in_pages * header.physical_size // 4096 * 4096 == len(data), path
        assert header.encrypted is (path.stem in ("encrypted", "encrypted_compressed", "zip_encrypted")), path
        assert header.page_compressed is (path.stem in ("page_compressed", "encrypted_compressed")), path
        if path.parent.name in ("full_crc32", "crc32") and header.checksum is not ChecksumKind.ZIP:
            assert header.checksum.value == path.parent.name, path
        verifier = PageVerifier(header, has_doublewrite=path.name == "ibdata1")
        assert verifier.faults(data, 0) == [], path
        if not header.page_compressed and not header.encrypted:
            assert (
                PageVerifier(unwritten_tablespace(size, Family.MARIADB), has_doublewrite=path.name == "ibdata1").faults(
                    data, 0
                )
                == []
            )
        damaged = bytearray(data)
        damaged[3 * header.physical_size + 60] ^= 1
        (fault,) = verifier.faults(damaged, 0)
        assert (fault.page_no, fault.offset) == (3, 3 * header.physical_size), path
        if header.checksum is ChecksumKind.FULL_CRC32:
            assert fault.reason == CHECKSUM_MISMATCH
    assert len(found) >= 8, found
