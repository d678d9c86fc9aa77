# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server and account a connection goes to, before anything is connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption, StorageError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import connection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    ConnectionParameters,
    version_numbers,
)


@pytest.fixture(autouse=True)
def _bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without sockets, and a home without an option file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(connection, "DEFAULT_SOCKETS", (str(tmp_path / "server.sock"),))


def option_file(tmp_path: Path, text: str, name: str = "login.cnf") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


def test_without_anything_the_loopback_address_is_used() -> None:
    found = ConnectionParameters().resolved()
    assert (found.unix_socket, found.host, found.port) == (None, "127.0.0.1", 3306)
    assert found.user
    assert found.password == ""


@pytest.mark.parametrize("host", [None, "localhost"])
def test_the_default_socket_is_used_where_it_exists(tmp_path: Path, host: str | None) -> None:
    (tmp_path / "server.sock").touch()
    found = ConnectionParameters(host=host).resolved()
    assert found.unix_socket == str(tmp_path / "server.sock")
    assert found.host is None


def test_localhost_with_a_port_means_tcp(tmp_path: Path) -> None:
    (tmp_path / "server.sock").touch()
    found = ConnectionParameters(host="localhost", port=3307).resolved()
    assert (found.unix_socket, found.host, found.port) == (None, "127.0.0.1", 3307)


def test_explicit_values_win_over_the_option_file(tmp_path: Path) -> None:
    path = option_file(tmp_path, "[client]\nuser=filed\npassword=secret\nhost=db1\nport=3310\nssl-ca=/ca\n")
    found = ConnectionParameters(config_file=path, user="said").resolved()
    assert (found.user, found.password, found.host, found.port, found.ca_cert) == ("said", "secret", "db1", 3310, "/ca")


def test_a_host_that_was_said_is_never_replaced_by_the_files_socket(tmp_path: Path) -> None:
    path = option_file(tmp_path, "[client]\nsocket=/run/other.sock\n")
    found = ConnectionParameters(config_file=path, host="db2").resolved()
    assert (found.unix_socket, found.host) == (None, "db2")


def test_a_socket_that_was_said_is_never_replaced_by_the_files_host(tmp_path: Path) -> None:
    path = option_file(tmp_path, "[client]\nhost=db1\nport=3310\n")
    found = ConnectionParameters(config_file=path, unix_socket="/run/this.sock").resolved()
    assert (found.unix_socket, found.host, found.port) == ("/run/this.sock", None, None)


def test_the_users_own_option_file_is_read_when_none_is_named(tmp_path: Path) -> None:
    option_file(tmp_path, "[client]\nuser=homely\n", ".my.cnf")
    assert ConnectionParameters().resolved().user == "homely"
    assert ConnectionParameters(config_file="").resolved().user != "homely"


def test_a_named_option_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nosuch"):
        ConnectionParameters(config_file=str(tmp_path / "nosuch.cnf")).resolved()


def test_a_port_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="port"):
        ConnectionParameters(config_file=option_file(tmp_path, "[client]\nport=many\n")).resolved()


@pytest.mark.parametrize("line", ["ssl-verify-server-cert=0", "skip-ssl-verify-server-cert"])
def test_the_option_file_can_switch_host_verification_off(tmp_path: Path, line: str) -> None:
    path = option_file(tmp_path, f"[client]\nssl-ca=/ca\n{line}\n")
    assert not ConnectionParameters(config_file=path, host="db").resolved().verify_host
    assert ConnectionParameters(host="db").resolved().verify_host


def test_tls_is_for_tcp_only() -> None:
    assert ConnectionParameters(host="db", ca_cert="/ca").uses_tls
    assert not ConnectionParameters(unix_socket="/s", ca_cert="/ca").uses_tls
    assert not ConnectionParameters(host="db").uses_tls


def test_the_password_is_not_in_the_representation() -> None:
    assert "tell-nobody" not in repr(ConnectionParameters(password="tell-nobody"))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("10.11.19-MariaDB-0+deb12u1-log", (10, 11, 19)), ("8.4.2", (8, 4, 2)), ("strange", ()), ("11.4", (11, 4))],
)
def test_the_numbers_of_a_version_are_its_beginning(text: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(text) == numbers
