# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``backup-my.cnf`` and the other small files of a backup that somebody else has made."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.dialects import DIALECTS
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.option_files import OptionFiles
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    FormatError,
    InvalidOption,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import metadata, tablespaces
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    read_backup_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import layout
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.option_file import (
    parse_options,
    read_options,
)


@pytest.mark.parametrize("directive", ["!include {}/secret.cnf", "!includedir {}", "!include /dev/zero", "!anything"])
def test_an_include_in_a_backup_reads_a_file_of_this_host(tmp_path: Path, directive: str) -> None:
    (tmp_path / "secret.cnf").write_text("[mysqld]\ninnodb_page_size=4096\n")
    data = f"[mysqld]\n{directive.format(tmp_path)}\n".encode()
    with pytest.raises(FormatError, match="include"):
        parse_options(data, tmp_path / "backup-my.cnf", {"mysqld"})


def test_the_host_s_own_option_files_may_include_others(tmp_path: Path) -> None:
    (tmp_path / "more.cnf").write_text("[client]\nuser=me\n")
    (tmp_path / "my.cnf").write_text(f"!include {tmp_path}/more.cnf\n")
    assert read_options(tmp_path / "my.cnf", {"client"}) == {"user": "me"}


@pytest.fixture(name="everybodys", params=["named", "included"])
def _everybodys(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """An option file, and that one of its files that everybody can write to."""
    top, more = tmp_path / "my.cnf", tmp_path / "more.cnf"
    top.write_text(f"[mysqld]\ndatadir={tmp_path}/data\n!include {more}\n")
    more.write_text("[client]\nuser=me\n[mysqld]\nport=1\n")
    top.chmod(0o644)
    more.chmod(0o644)
    everybodys = top if request.param == "named" else more
    everybodys.chmod(0o646)
    return top, everybodys


def refusal(of: Path) -> str:
    return re.escape(f"the option file {of} can be written to by everybody, so servers and clients ignore it")


def test_an_option_file_that_servers_ignore_says_where_to_restore(everybodys: tuple[Path, Path]) -> None:
    top, ignored = everybodys
    for family, version in ((Family.MARIADB, ""), (Family.MYSQL, "9.7.4")):
        with pytest.raises(InvalidOption, match=refusal(ignored)) as refused:
            layout.read_layout(top, None, family, version)
        assert refused.value.remedy == f"chmod o-w {ignored}"
    ignored.chmod(0o664)
    assert layout.read_layout(top, None, Family.MYSQL, "9.7.4").datadir == top.parent / "data"


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("kind", ["defaults_file", "extra_file"])
def test_an_option_file_that_servers_ignore_says_where_to_connect(
    everybodys: tuple[Path, Path], installed: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    top, ignored = everybodys
    if not installed:
        monkeypatch.setenv("PATH", str(top.parent))
    files = OptionFiles(defaults_file=str(top)) if kind == "defaults_file" else OptionFiles(extra_file=str(top))
    for read in (files.server_words, files.client_words, files.own_words):
        with pytest.raises(InvalidOption, match=refusal(ignored)):
            read(DIALECTS["mariadb-backup"])
    with pytest.raises(InvalidOption, match=refusal(ignored)):
        read_options(top, {"client"})


def test_an_option_file_of_the_usual_places_that_servers_ignore_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "my_print_defaults"
    program.write_text("#!/bin/sh\necho \"Warning: World-writable config file '/etc/mysql/my.cnf' is ignored\" >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for datadir in (None, tmp_path / "data"):
        with pytest.raises(InvalidOption, match=refusal(Path("/etc/mysql/my.cnf"))):
            layout.read_layout(None, datadir, Family.MARIADB)


@pytest.mark.parametrize(
    "line",
    [
        "innodb_page_size=1e999",
        "innodb_page_size=12345",
        "innodb_page_size=-16384",
        f"innodb_page_size={'9' * 5000}",
        "innodb_undo_tablespaces=1000000",
        "innodb_log_file_size=99999999999999999999",
        "lower_case_table_names=3",
        "innodb_data_file_path=..:12M",
        "innodb_data_file_path=a/..:12M",
        "innodb_data_file_path=xtrabackup_restored.json:12M",
        "innodb_data_file_path=ibdata1:12M:autoextend:max:1G/../x",
        "innodb_data_file_path=" + ";".join(f"f{number}:1M" for number in range(2000)),
    ],
)
def test_a_backup_s_options_are_out_of_range(tmp_path: Path, line: str) -> None:
    (tmp_path / "xtrabackup_checkpoints").write_text(
        "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = 2\n"
    )
    (tmp_path / "xtrabackup_info").write_text("uuid = 1\nserver_version = 10.11.19-MariaDB\n")
    (tmp_path / "backup-my.cnf").write_text(f"[mysqld]\n{line}\n")
    with pytest.raises(XtrabackupError):
        read_backup_directory(tmp_path)


@pytest.mark.parametrize("value", ["9" * 5000, "-1", "1e999", "1_0", "18446744073709551616"])
def test_checkpoints_are_out_of_range(value: str) -> None:
    text = f"backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 1\nlast_lsn = {value}\n"
    with pytest.raises(FormatError, match="last_lsn"):
        metadata.parse_checkpoints(text.encode(), "here")


@pytest.mark.parametrize(
    "entry",
    [
        {"file_name": "/victim.ibd", "tablespace_name": "a/b", "tablespace_type": "TABLESPACE"},
        {"file_name": "/srv/../etc/x.ibd", "tablespace_name": "a/b", "tablespace_type": "TABLESPACE"},
        {"file_name": "/srv/xtrabackup_restored.json", "tablespace_name": "u", "tablespace_type": "UNDO_LOG"},
        {"file_name": 7, "tablespace_name": "u", "tablespace_type": "UNDO_LOG"},
    ],
)
def test_a_tablespace_of_a_backup_is_outside_it(entry: dict[str, object]) -> None:
    """At the top of the file system the name in the backup would be an absolute path."""
    data = json.dumps({"version": 2, "external_tablespaces": [entry]}).encode()
    with pytest.raises(FormatError):
        tablespaces.parse(data, "here")


def test_the_list_of_tablespaces_is_nested_deeply() -> None:
    with pytest.raises(FormatError, match="nested"):
        tablespaces.parse(b'{"version": 2, "external_tablespaces": ' + b"[" * 200_000, "here")
