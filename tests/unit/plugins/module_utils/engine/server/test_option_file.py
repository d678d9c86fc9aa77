# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option files mean to us what they mean to the servers' own programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption, StorageError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.option_file import read_options, unquote


def options_of(tmp_path: Path, text: str, *groups: str) -> dict[str, str]:
    file = tmp_path / "my.cnf"
    file.write_text(text, encoding="utf-8")
    return read_options(file, groups or ("client",))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plain", "plain"),
        ("  a b   ", "a b"),
        ('"two words"', "two words"),
        ("'single'", "single"),
        ("it''s", "it''s"),
        (r'"p \"q\" \n x\\y \q \s."', 'p "q" \n x\\y \\q  .'),
        (r"/tmp/a\sb", "/tmp/a b"),
        ('"open', '"open'),
        ("", ""),
        ('""', ""),
        ("ends\\", "ends\\"),
    ],
)
def test_values_lose_quotes_and_escapes_as_my_print_defaults_shows_them(written: str, meant: str) -> None:
    assert unquote(written) == meant


def test_a_hash_begins_a_comment_only_outside_quotes(tmp_path: Path) -> None:
    found = options_of(tmp_path, "[client]\nhost=db#1\npassword='p#w' # why\nuser=a \"x # y\" b # out\n")
    assert found == {"host": "db", "password": "p#w", "user": 'a "x # y" b'}


def test_names_are_the_same_with_dashes_underscores_and_the_loose_prefix(tmp_path: Path) -> None:
    found = options_of(tmp_path, "[client]\nssl-ca=/a\nloose-ssl_cert=/b\nskip-ssl\n")
    assert found == {"ssl_ca": "/a", "ssl_cert": "/b", "skip_ssl": ""}


def test_only_the_wanted_groups_count_and_the_last_line_wins(tmp_path: Path) -> None:
    text = "[xtrabackup]\nuser=first\n[mysqld]\nuser=mysql\n; no\n# no\n[client]\nuser=second\n"
    assert options_of(tmp_path, text, "client", "xtrabackup") == {"user": "second"}


def test_included_files_are_read_where_they_stand(tmp_path: Path) -> None:
    directory = tmp_path / "conf.d"
    directory.mkdir()
    (directory / "b.cnf").write_text("[client]\nhost=b\nport=2\n")
    (directory / "a.cnf").write_text("[client]\nhost=a\n")
    (directory / "ignored.txt").write_text("[client]\nhost=ignored\n")
    (tmp_path / "one.cnf").write_text("[client]\nuser=one\n")
    text = f"[client]\nuser=zero\n!include {tmp_path}/one.cnf\n!includedir {directory}\nport=3\n"
    assert options_of(tmp_path, text) == {"user": "one", "host": "b", "port": "3"}


def test_a_file_that_includes_itself_is_an_error_not_a_hang(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="nested"):
        options_of(tmp_path, f"!include {tmp_path}/my.cnf\n")


@pytest.mark.parametrize("text", ["user=x\n", "[client\nuser=x\n", "!nonsense /x\n"])
def test_a_line_that_is_not_understood_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidOption, match=r"my\.cnf, line 1"):
        options_of(tmp_path, text)


def test_a_missing_file_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nosuch"):
        read_options(tmp_path / "nosuch", {"client"})
