# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of databases and tables as files: what a MariaDB 10.11 server called them."""

from __future__ import annotations

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_names import (
    decode_name,
    encode_name,
    table_of,
)

SEEN = {
    "orders": "orders",
    "Orders_2": "Orders_2",
    "order lines": "order@0020lines",
    "a-b.c": "a@002db@002ec",
    "clock$": "clock@0024",
    "strange näme #1 / $": "strange@0020n@0kme@0020@00231@0020@002f@0020@0024",
    "Ünï": "@1On@0v",
    "таблица": "@y0@g0@h0@r0@o0@i1@g0",
    "表": "@8868",
    "CON": "CON@@@",
    "lpt9": "lpt9@@@",
    "conx": "conx",
}


@pytest.mark.parametrize(("name", "encoded"), SEEN.items())
def test_a_name_is_encoded_as_the_server_does_and_back(name: str, encoded: str) -> None:
    assert encode_name(name) == encoded
    assert decode_name(encoded) == name


def test_every_character_that_a_name_can_have_comes_back() -> None:
    for code in range(1, 0x10000):
        if not 0xD800 <= code < 0xE000:
            assert decode_name(encode_name(chr(code) + "x")) == chr(code) + "x"


@pytest.mark.parametrize("encoded", ["my-shop", "x@ab", "@"])
def test_what_no_server_encodes_so_has_the_prefix_that_servers_show(encoded: str) -> None:
    assert decode_name(encoded) == f"#mysql50#{encoded}"
    assert encode_name(f"#mysql50#{encoded}") == encoded


def test_a_character_that_is_in_no_name_is_refused() -> None:
    with pytest.raises(InvalidOption, match="U\\+1F600"):
        encode_name("\U0001f600")


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("d/t.ibd", "d.t"),
        ("a@002db/t@00231.ibd", "a-b.t#1"),
        ("d/t#P#p0.ibd", "d.t"),
        ("d/t#p#p0#sp#s1.ibd", "d.t"),
        ("/elsewhere/d/t.ibd", "d.t"),
    ],
)
def test_the_table_of_a_file(path: str, table: str) -> None:
    assert table_of(path) == table
