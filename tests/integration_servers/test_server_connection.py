# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to real servers: errors that say who and where and never the password; option files; TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    ConnectionFailed,
    InvalidOption,
    ServerError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.option_file import read_options
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, program

SECRET = "kept-to-ourselves"


def over_socket(server: DatabaseServer, user: str = "root", password: str = "") -> ConnectionParameters:
    return ConnectionParameters(unix_socket=str(server.socket), user=user, password=password)


def test_a_session_is_set_up_for_a_long_backup(make_server: ServerFactory) -> None:
    server = make_server(options={"sql_mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "max_statement_time": 5})
    with Connection(over_socket(server)) as connection:
        assert int(connection.scalar("SELECT @@SESSION.wait_timeout")) == 2147483
        assert float(connection.scalar("SELECT @@SESSION.max_statement_time")) == 0
        assert connection.scalar("SELECT @@SESSION.autocommit") == 1
        assert connection.scalar("SELECT %s", ['it\'s a \\ "test" \u20ac']) == 'it\'s a \\ "test" \u20ac'
        assert connection.variables("innodb_page_size", "no_such_variable") == {"innodb_page_size": "16384"}
        assert int(connection.status("Innodb_lsn_current")["Innodb_lsn_current"]) > 0
        assert connection.thread_id == connection.scalar("SELECT CONNECTION_ID()")
        assert connection.query("SELECT 1 AS one UNION SELECT 2") == [{"one": 1}, {"one": 2}]
        assert connection.row("SELECT 1 FROM dual WHERE 1 = 0") is None
        assert connection.ping()
    assert not connection.ping()


def test_a_refused_login_names_account_and_place_but_not_the_password(make_server: ServerFactory) -> None:
    server = make_server()
    with pytest.raises(ConnectionFailed) as caught:
        Connection(over_socket(server, "stranger", SECRET))
    assert "'stranger'" in caught.value.message
    assert str(server.socket) in caught.value.message
    assert "login_password" in caught.value.remedy
    assert SECRET not in str(caught.value.as_dict())


ODD_PASSWORDS = ("ünï€ пароль 😀", " both ends ", "q'uo\"te`s", "%s%%d#;=", "back\\slash\\", "{{ no }} $HOME")


@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_a_password_of_any_characters_logs_in_said_or_from_an_option_file(
    make_server: ServerFactory, make_mysql: MySQLFactory, workdir: Path, flavor: str
) -> None:
    server = make_mysql() if flavor == "mysql" else make_server()
    for password in ODD_PASSWORDS:
        server.create_account("odd", password)
        Connection(over_socket(server, "odd", password)).close()
        written = password.replace("\\", "\\\\").replace('"', '\\"')
        file = workdir / "login.cnf"
        file.write_text(f'[client]\nuser = odd\nsocket = {server.socket}\npassword = "{written}"\n', encoding="utf-8")
        Connection(ConnectionParameters(config_file=str(file))).close()


def test_a_server_that_is_not_there_is_named(workdir: Path) -> None:
    with pytest.raises(ConnectionFailed, match=r"nobody\.sock"):
        Connection(ConnectionParameters(unix_socket=str(workdir / "nobody.sock"), user="root", config_file=""))


def test_an_error_of_a_statement_has_number_and_statement_but_no_secret(make_server: ServerFactory) -> None:
    server = make_server()
    with Connection(over_socket(server)) as connection:
        with pytest.raises(ServerError) as caught:
            connection.query("SELECT * FROM mysql.nosuch")
        assert caught.value.details["errno"] == 1146
        assert caught.value.details["statement"] == "SELECT * FROM mysql.nosuch"
        # the server quotes 80 characters from the place of the error: here they end inside the secret
        beginning = "nonsense, MASTER_PASSWORD = '"
        cut = f"CHANGE MASTER TO nonsense,{' ' * (80 - len(beginning) - 10)} MASTER_PASSWORD = %s"
        for statement in ("SELECT %s FROM mysql.nosuch", cut, "%s"):
            with pytest.raises(ServerError) as caught:
                connection.execute(statement, [SECRET], secrets=[SECRET])
            assert SECRET not in str(caught.value.as_dict())
            assert SECRET[:6] not in str(caught.value.as_dict())
            assert caught.value.__cause__ is None


def test_a_killed_session_is_a_lost_connection(make_server: ServerFactory) -> None:
    server = make_server()
    with Connection(over_socket(server)) as connection:
        server.execute(f"KILL {connection.thread_id}")
        with pytest.raises(ConnectionFailed, match="lost"):
            connection.query("SELECT 1")


def test_the_servers_own_option_file_is_enough_to_log_in(make_server: ServerFactory, workdir: Path) -> None:
    server = make_server()
    server.create_account("filed", SECRET, "PROCESS")
    file = workdir / "login.cnf"
    file.write_text(f"[client]\nuser = filed\npassword = '{SECRET}' # not this\nsocket = \"{server.socket}\"\n")
    with Connection(ConnectionParameters(config_file=str(file))) as connection:
        assert connection.scalar("SELECT CURRENT_USER()") == "filed@localhost"


def test_option_files_mean_to_us_what_they_mean_to_my_print_defaults(workdir: Path) -> None:
    included = workdir / "included.cnf"
    included.write_text("[client]\nuser=inc\nport=99\n")
    file = workdir / "tricky.cnf"
    file.write_text(
        '# c\n[client]\nuser = a b   \npassword = "p#w \\"q\\" x\\\\y \\q \\s."\nhost=unq#comment\n'
        "ssl_ca='/x y/z'  # t\n"
        "socket = /tmp/a\\sb\nconnect-timeout\ndatabase = 'it''s'\nempty=\nbad=\"open\nhalf=a \"quoted # in\" b # out\n"
        f"!include {included}\n  [client] \nuser=second\n[other]\nuser=no\n"
    )
    printed = subprocess.run(
        [program("my_print_defaults"), f"--defaults-file={file}", "client"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    theirs: dict[str, str] = {}
    for line in printed.splitlines():
        name, _equals, value = line[2:].partition("=")
        theirs[name.replace("-", "_")] = value
    assert read_options(file, {"client"}) == theirs
    assert len(theirs) > 8


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, which is its own authority."""
    place = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem"), "-days", "2", "-subj", "/CN=test",
            "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return place


def test_with_an_authority_the_connection_is_encrypted_and_verified(
    make_server: ServerFactory, certificates: Path
) -> None:
    certificate = str(certificates / "cert.pem")
    server = make_server(options={"ssl_cert": certificate, "ssl_key": str(certificates / "key.pem")})
    server.create_account("remote", SECRET, "PROCESS")
    parameters = ConnectionParameters(
        user="remote", password=SECRET, host="127.0.0.1", port=server.port, ca_cert=certificate, config_file=""
    )
    with Connection(parameters) as connection:
        assert connection.row("SHOW SESSION STATUS WHERE Variable_name = 'Ssl_cipher' AND Value <> ''")


def test_a_server_without_tls_is_refused_when_tls_was_asked_for(make_server: ServerFactory, certificates: Path) -> None:
    server = make_server()
    server.create_account("remote", SECRET, "PROCESS")
    parameters = ConnectionParameters(
        user="remote",
        password=SECRET,
        host="127.0.0.1",
        port=server.port,
        ca_cert=str(certificates / "cert.pem"),
        config_file="",
    )
    with pytest.raises(ConnectionFailed, match=r"TLS|SSL"):
        Connection(parameters)


def test_a_certificate_of_another_authority_is_refused(make_server: ServerFactory, certificates: Path) -> None:
    server = make_server(options={"ssl_cert": str(certificates / "cert.pem"), "ssl_key": str(certificates / "key.pem")})
    server.create_account("remote", SECRET, "PROCESS")
    parameters = ConnectionParameters(
        user="remote",
        password=SECRET,
        host="127.0.0.1",
        port=server.port,
        ca_cert="/etc/ssl/certs/ca-certificates.crt",
        config_file="",
    )
    with pytest.raises(ConnectionFailed, match="certificate verify failed"):
        Connection(parameters)


def test_a_missing_tls_file_is_named(make_server: ServerFactory) -> None:
    server = make_server()
    parameters = ConnectionParameters(
        user="root", host="127.0.0.1", port=server.port, ca_cert="/nosuch/ca.pem", config_file=""
    )
    with pytest.raises(InvalidOption, match=r"/nosuch/ca\.pem"):
        Connection(parameters)
