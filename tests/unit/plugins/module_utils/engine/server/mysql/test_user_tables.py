# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions of tables that are not InnoDB's, as they lie in a data directory."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError, UnsupportedServer
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.user_tables import (
    UserTable,
    broken_in,
    tables_in,
)


def define(datadir: Path, directory: str, file: str, schema: str, name: str, engine: str) -> None:
    (datadir / directory).mkdir(exist_ok=True)
    definition = {"schema_ref": schema, "name": name, "engine": engine}
    text = json.dumps({"dd_object_type": "Table", "dd_object": definition})
    (datadir / directory / file).write_text(text, encoding="utf-8")


def test_tables_are_known_by_the_names_in_their_definitions(tmp_path: Path) -> None:
    define(tmp_path, "shop@002d1", "t@002f1_403.sdi", "shop-1", "t/1", "MyISAM")
    define(tmp_path, "shop@002d1", "mem_404.sdi", "shop-1", "mem", "MEMORY")
    define(tmp_path, "mysql", "slow_log_211.sdi", "mysql", "slow_log", "CSV")
    define(tmp_path, "performance_schema", "accounts_1.sdi", "performance_schema", "accounts", "PERFORMANCE_SCHEMA")
    (tmp_path / "shop@002d1" / "trx.ibd").write_bytes(b"")
    (tmp_path / "other.sdi").write_text("not in a database")
    (table,) = tables_in(tmp_path)
    assert table == UserTable("shop-1", "t/1", "MyISAM")
    assert str(table) == "shop-1.t/1"


def test_names_are_quoted_for_statements() -> None:
    assert UserTable("a`b", "c d", "CSV").quoted == "`a``b`.`c d`"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"dd_object": {"name": "t"}}', "\udcff"])
def test_a_definition_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "t_1.sdi").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FormatError, match=r"shop/t_1\.sdi"):
        tables_in(tmp_path)


def test_a_definition_that_is_being_written_is_read_again(tmp_path: Path) -> None:
    define(tmp_path, "shop", "t_1.sdi", "shop", "t", "MyISAM")
    file = tmp_path / "shop" / "t_1.sdi"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    writing = threading.Timer(0.2, file.write_bytes, [whole])
    writing.start()
    assert tables_in(tmp_path) == [UserTable("shop", "t", "MyISAM")]
    writing.join()


def test_a_database_that_is_dropped_meanwhile_has_no_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    define(tmp_path, "a", "t_1.sdi", "a", "t", "MyISAM")
    define(tmp_path, "b", "t_2.sdi", "b", "t", "MyISAM")
    scan = os.scandir

    def dropping(path: str | Path) -> Any:
        if Path(path).name == "a":
            Path(path, "t_1.sdi").unlink()
            Path(path).rmdir()
        return scan(path)

    monkeypatch.setattr(os, "scandir", dropping)
    assert tables_in(tmp_path) == [UserTable("b", "t", "MyISAM")]


def test_a_data_directory_on_another_host_is_said_to_be_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedServer, match="not on this host"):
        tables_in(tmp_path / "nosuch")


def test_tables_whose_files_are_missing_or_damaged_are_told_by_their_names(tmp_path: Path) -> None:
    """The file of a definition has only the beginning of a long name."""
    magic = b"\xfe\xfe\x07\x01 and so on"
    define(tmp_path, "shop", "a@0020name_that_i_1.sdi", "shop", "a name_that_is_long", "MyISAM")
    (tmp_path / "shop" / "a@0020name_that_is_long.MYD").write_bytes(b"")
    (tmp_path / "shop" / "a@0020name_that_is_long.MYI").write_bytes(magic)
    for number, name in enumerate(("no_data", "no_index", "damaged")):
        define(tmp_path, "shop", f"{name}_{number}.sdi", "shop", name, "MyISAM")
    for name in ("no_index", "damaged"):
        (tmp_path / "shop" / f"{name}.MYD").write_bytes(b"")
    (tmp_path / "shop" / "damaged.MYI").write_bytes(b"\0" * 1024)
    for name, parts in (("whole", "a@0020name_that_is_long\n#INSERT_METHOD=LAST\n"), ("torn", "./other/t\n")):
        define(tmp_path, "shop", f"{name}_9.sdi", "shop", name, "MRG_MYISAM")
        (tmp_path / "shop" / f"{name}.MRG").write_text(parts)
    define(tmp_path, "shop", "old_10.sdi", "shop", "old", "ARCHIVE")
    assert broken_in(tmp_path) == [
        "shop.damaged (its .MYI file is damaged)",
        "shop.no_data (its .MYD file is missing)",
        "shop.no_index (its .MYI file is missing)",
        "shop.torn (its table ./other/t is missing or no MyISAM table)",
    ]
