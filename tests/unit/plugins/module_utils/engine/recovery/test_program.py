# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server recovers, and whether it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    InvalidOption,
    MissingProgram,
    UnsupportedServer,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family, Flavor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import program
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.program import (
    ServerProgram,
    find_server,
    require_version,
)


def fake(place: Path, name: str, script: str) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    path = place / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


MARIADB = "echo 'mariadbd  Ver 11.4.2-MariaDB-log for Linux on x86_64 (Source)'"
MYSQL = "echo '/usr/sbin/mysqld  Ver 9.7.4 for Linux on x86_64 (MySQL Community Server - GPL)'"


def test_an_explicit_program_is_asked_for_its_version(tmp_path: Path) -> None:
    found = find_server(str(fake(tmp_path, "mariadbd", MARIADB)), Family.MARIADB)
    assert (found.version, found.series) == ("11.4.2-MariaDB-log", (11, 4))


def test_the_program_is_found_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(tmp_path / "bin", "mariadbd", MARIADB)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_server(None, Family.MARIADB).path == path


def test_without_one_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(program, "_PLACES", ())
    with pytest.raises(MissingProgram) as caught:
        find_server(None, Family.MARIADB)
    assert "mariadb-server" in caught.value.remedy


def test_mysql_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedServer, match="not MariaDB"):
        find_server(str(fake(tmp_path, "mysqld", MYSQL)), Family.MARIADB)


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense"])
def test_a_program_that_does_not_answer_is_a_wrong_option(tmp_path: Path, script: str) -> None:
    with pytest.raises(InvalidOption, match="--version"):
        find_server(str(fake(tmp_path, "mariadbd", script)), Family.MARIADB)


def test_a_program_that_is_not_there_is_a_wrong_option(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="cannot be executed"):
        find_server(str(tmp_path / "mariadbd"), Family.MARIADB)


HERE = ServerProgram(Path("/usr/sbin/mariadbd"), "10.11.19-MariaDB")


@pytest.mark.parametrize("source", ["10.11.19-MariaDB-log", "10.11.4-MariaDB"])
def test_the_same_series_recovers_without_a_word(source: str) -> None:
    assert require_version(HERE, source, Flavor.MARIADB) == []


@pytest.mark.parametrize("source", ["10.11.20-MariaDB", "10.6.3-MariaDB", ""])
def test_what_may_matter_is_said(source: str) -> None:
    assert len(require_version(HERE, source, Flavor.MARIADB)) == 1


@pytest.mark.parametrize("source", ["11.4.2-MariaDB", "12.0.1-MariaDB-log"])
def test_an_older_server_is_refused_by_name(source: str) -> None:
    with pytest.raises(UnsupportedServer, match="10.11.19.*" + source):
        require_version(HERE, source, Flavor.MARIADB)


def test_a_backup_of_mysql_is_refused() -> None:
    with pytest.raises(UnsupportedServer, match=r"8\.0\.36"):
        require_version(HERE, "8.0.36", Flavor.MARIADB)


# --- MySQL -----------------------------------------------------------------------------------------


def test_a_backup_of_mysql_is_recovered_by_mysql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MariaDB's packages have a mysqld, too."""
    fake(tmp_path / "first", "mysqld", MARIADB)
    right = fake(tmp_path / "second", "mysqld", MYSQL)
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    monkeypatch.setattr(program, "_PLACES", ())
    found = find_server(None, Family.MYSQL)
    assert (found.path, found.version, found.flavor) == (right, "9.7.4", Flavor.MYSQL)
    assert find_server(None, Family.MYSQL).path == right
    with pytest.raises(UnsupportedServer, match="not MySQL"):
        find_server(str(tmp_path / "first" / "mysqld"), Family.MYSQL)
    right.unlink()
    with pytest.raises(UnsupportedServer, match="not MySQL"):
        find_server(None, Family.MYSQL)


def test_percona_server_is_known_by_what_it_says(tmp_path: Path) -> None:
    says = "echo 'mysqld  Ver 8.0.36-28 for Linux on x86_64 (Percona Server (GPL), Release 28, Revision x)'"
    found = find_server(str(fake(tmp_path, "mysqld", says)), Family.MYSQL)
    assert (found.version, found.flavor) == ("8.0.36-28", Flavor.PERCONA)


def test_where_the_program_keeps_its_plugins_is_asked(tmp_path: Path) -> None:
    says = f"case $* in *--help*) printf 'basedir    /usr/\\nplugin-dir  /usr/lib/my sql/\\n';; *) {MYSQL};; esac"
    found = find_server(str(fake(tmp_path, "mysqld", says)), Family.MYSQL)
    assert program.places(found) == {"basedir": "/usr/", "plugin-dir": "/usr/lib/my sql/"}


@pytest.mark.parametrize("source", ["8.0.36", "8.0.30-0ubuntu1", "8.0.35-27"])
def test_the_same_series_of_mysql_recovers_what_is_not_newer(source: str) -> None:
    assert require_version(ServerProgram(Path("/m"), "8.0.36-1", Flavor.MYSQL), source, Flavor.MYSQL) == []


@pytest.mark.parametrize(
    ("here", "source", "age"),
    [
        ("8.0.36", "8.0.37", "older"),
        ("8.4.2", "8.0.36", "newer"),
        ("9.6.0", "9.7.4", "older"),
        ("9.7.4", "9.6.0", "newer"),
    ],
)
def test_any_other_mysql_is_refused_by_name(here: str, source: str, age: str) -> None:
    with pytest.raises(UnsupportedServer, match=f"{here}, {age} than the {source}") as caught:
        require_version(ServerProgram(Path("/m"), here, Flavor.MYSQL), source, Flavor.MYSQL)
    assert f"Install MySQL {source.rpartition('.')[0]}" in caught.value.remedy


def test_the_other_flavor_is_said() -> None:
    [warning] = require_version(ServerProgram(Path("/m"), "8.0.36", Flavor.MYSQL), "8.0.36-28", Flavor.PERCONA)
    assert "Percona Server 8.0.36-28" in warning
