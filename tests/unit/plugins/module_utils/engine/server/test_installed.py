# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that is found on a host, from programs that answer as the real ones do."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption, MissingProgram
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import installed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.installed import ServerRequest

MARIADB = "echo 'mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)'"
MYSQL = "echo '/usr/sbin/mysqld  Ver 8.4.3-0ubuntu1 for Linux on x86_64 ((Ubuntu))'"


@pytest.fixture(autouse=True)
def _only_our_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only programs of the test are installed, and those that a shell needs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installed, "_SYSTEM_DIRECTORIES", ())


def found(directory: Path, programs: dict[str, str], **requested: str) -> dict[str, Any]:
    """What is found where only ``programs`` (shell commands by name) are installed."""
    for name, command in programs.items():
        program = directory / name
        program.write_text(f"#!/bin/sh\n{command}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return installed.find_installed(ServerRequest(**requested)).as_dict()


def test_a_host_without_a_server_has_its_usual_places(tmp_path: Path) -> None:
    assert found(tmp_path, {}) == {
        "installed": False,
        "flavor": "mariadb",
        "version": "",
        "options": {},
        "datadir": "/var/lib/mysql",
        "socket": "/run/mysqld/mysqld.sock",
        "running": False,
        "answers": False,
        "pid": None,
    }


def test_the_last_line_of_an_option_counts_and_secrets_stay_where_they_are(tmp_path: Path) -> None:
    options = (
        "echo --datadir=/a; echo --datadir=/data/b/; echo --server-id=7; echo --ssl-passphrase=secret; echo --skip-x"
    )
    host = found(tmp_path, {"mariadbd": MARIADB, "mysqld": MARIADB, "my_print_defaults": options})
    assert (host["flavor"], host["version"], host["datadir"]) == ("mariadb", "10.11.6", "/data/b")
    assert host["options"] == {"datadir": "/data/b/", "server_id": "7"}


def test_option_files_are_read_as_the_servers_service_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service has another home than we; to an option with ``loose`` it listens."""
    monkeypatch.setenv("HOME", str(tmp_path))
    programs = {"mariadbd": MARIADB, "my_print_defaults": 'echo "--datadir=$HOME"; echo --loose-server-id=7'}
    assert found(tmp_path, programs)["options"] == {"datadir": "/nonexistent", "server_id": "7"}


@pytest.mark.parametrize("said", ["Warning: {} is ignored", "my_print_defaults: [Warning] {} is ignored."])
def test_an_option_file_that_the_server_ignores_is_told_of(tmp_path: Path, said: str) -> None:
    warning = said.format("World-writable config file '/etc/a b.cnf'")
    programs = {"mariadbd": MARIADB, "my_print_defaults": f'echo --port=1; echo "{warning}" >&2'}
    with pytest.raises(InvalidOption) as caught:
        found(tmp_path, programs)
    assert caught.value.remedy == "chmod o-w /etc/a b.cnf"


def test_what_mysql_has_persisted_counts_more_than_option_files(tmp_path: Path) -> None:
    programs = {"mysqld": MYSQL, "my_print_defaults": f"echo --datadir={tmp_path}; echo --server-id=7"}
    assert found(tmp_path, programs)["options"]["server_id"] == "7"
    noted = tmp_path / "mysqld-auto.cnf"
    noted.write_text('{"Version": 2, "mysql_dynamic_variables": {"server_id": {"Value": "9"}, "port": {"Value": "1"}}}')
    assert found(tmp_path, programs)["options"] == {"datadir": str(tmp_path), "server_id": "9"}
    assert found(tmp_path, {**programs, "mariadbd": MARIADB}, flavor="mariadb")["options"]["server_id"] == "7"
    noted.write_text('{"a": {"datadir": {"Value": "/etc"}, "socket": {"Value": "/tmp/mine"}}}')
    host = found(tmp_path, programs)
    assert host["options"] == {"datadir": str(tmp_path), "server_id": "7"}
    assert (host["datadir"], host["socket"]) == (str(tmp_path), "/run/mysqld/mysqld.sock")
    for text in ("[]", "{", '{"server_id": 9}'):
        noted.write_text(text)
        assert found(tmp_path, programs)["options"]["server_id"] == "7"


def test_what_the_inventory_says_counts_more_than_option_files(tmp_path: Path) -> None:
    programs = {"mariadbd": MARIADB, "my_print_defaults": "echo --datadir=/a; echo --socket=/a.sock"}
    host = found(tmp_path, programs, datadir="/mine/", socket="/mine.sock")
    assert (host["datadir"], host["socket"]) == ("/mine", "/mine.sock")


@pytest.mark.parametrize(
    ("programs", "flavor", "expected"),
    [
        ({"mysqld": MYSQL}, "", ("mysql", "8.4.3")),
        ({"mysqld": MYSQL}, "mysql", ("mysql", "8.4.3")),
        ({"mysqld": MYSQL}, "mariadb", ("mariadb", "")),
        ({"mysqld": MARIADB}, "mysql", ("mysql", "")),
        ({"mysqld": MYSQL, "mariadbd": MARIADB}, "", ("mariadb", "10.11.6")),
        ({"mysqld": "exit 1"}, "", ("mariadb", "")),
    ],
)
def test_which_server_it_is(tmp_path: Path, programs: dict[str, str], flavor: str, expected: tuple[str, str]) -> None:
    host = found(tmp_path, {"my_print_defaults": "echo $*", **programs}, flavor=flavor)
    assert (host["flavor"], host["version"]) == expected
    assert host["installed"] is bool(expected[1])


def test_each_family_reads_the_sections_of_its_own(tmp_path: Path) -> None:
    programs = {"my_print_defaults": 'echo "--datadir=$*"', "mariadbd": MARIADB, "mysqld": MYSQL}
    assert found(tmp_path, programs)["options"]["datadir"] == "--mysqld"
    mysql = found(tmp_path, programs, flavor="mysql", defaults_file="/my.cnf")
    assert mysql["options"]["datadir"] == "--defaults-file=/my.cnf mysqld server mysqld-8.4"


def test_a_program_outside_the_path_is_the_server_that_was_named(tmp_path: Path) -> None:
    host = found(tmp_path, {"own": MYSQL, "my_print_defaults": "true"}, program=str(tmp_path / "own"))
    assert (host["flavor"], host["version"]) == ("mysql", "8.4.3")


def test_the_programs_beside_one_that_was_named_come_first(tmp_path: Path) -> None:
    (tmp_path / "other" / "bin").mkdir(parents=True)
    beside = tmp_path / "other" / "sbin"
    beside.mkdir()
    found(tmp_path / "other" / "bin", {"my_print_defaults": "echo --datadir=/theirs"})
    found(beside, {"mysqld": MYSQL})
    host = found(tmp_path, {"my_print_defaults": "echo --datadir=/ours"}, program=str(beside / "mysqld"))
    assert host["datadir"] == "/theirs"


def test_option_files_that_cannot_be_read_are_no_empty_ones(tmp_path: Path) -> None:
    with pytest.raises(MissingProgram, match="my_print_defaults, which reads the server's option files, cannot be run"):
        found(tmp_path, {"mariadbd": MARIADB})
    expected = "my_print_defaults --defaults-file=/my.cnf --mysqld ended with status 1: no such file"
    with pytest.raises(InvalidOption, match=expected):
        found(tmp_path, {"my_print_defaults": "echo no such file >&2; exit 1"}, defaults_file="/my.cnf")
