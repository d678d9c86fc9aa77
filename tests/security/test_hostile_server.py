# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins to a server that is not ours, or over a network that is not: what the other end gets to see."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import socket
import struct
from pathlib import Path
from typing import Any

import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ConnectionFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.connection import (
    Connection,
    ConnectionParameters,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.login_channel import LoginSocket

from .hostile_server import OK, SCRAMBLE, TLS_REQUEST, HostileServer, packet, switch

SECRET = "kept-to-ourselves"
USER = "backup-account"
CLEAR_TEXT_REQUESTS = (switch("mysql_clear_password"), b"\xfedialog\x00\x04Password: ")


def make_certificate(directory: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, which is its own authority; its key is beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "server")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir(exist_ok=True)
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return directory / "cert.pem"


@pytest.fixture(scope="module", name="certificate")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("ours"))


@pytest.fixture(autouse=True)
def _falls_back_to_clear_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer versions of the driver as the oldest supported one: without TLS in the greeting it does without."""
    falls_back = property(lambda _self: False, lambda _self, _value: None)
    monkeypatch.setattr(pymysql.connections.Connection, "_ssl_required", falls_back, raising=False)


def login(server: HostileServer, **options: Any) -> ConnectionParameters:
    place: dict[str, Any] = {} if "unix_socket" in options else {"host": "127.0.0.1", "port": server.port}
    return ConnectionParameters(user=USER, password=SECRET, config_file="", connect_timeout=10, **place, **options)


def refused(server: HostileServer, **options: Any) -> ConnectionFailed:
    """The error of a login, and that neither the password nor a proof of it has gone out."""
    with server, pytest.raises(ConnectionFailed) as caught:
        Connection(login(server, **options), read_timeout=10)
    assert SECRET.encode() not in server.received
    assert SECRET not in str(caught.value.as_dict())
    return caught.value


def proof(password: str = SECRET) -> bytes:
    """What mysql_native_password sends for the greeting's scramble: enough to guess a weak password at leisure."""
    first = hashlib.sha1(password.encode()).digest()
    mask = hashlib.sha1(SCRAMBLE + hashlib.sha1(first).digest()).digest()
    return bytes(left ^ right for left, right in zip(first, mask))


# --- TLS is asked for ------------------------------------------------------------------------------


@pytest.mark.parametrize("asked_by", ["ca_cert", "client_cert"])
@pytest.mark.parametrize("reply", [OK, *CLEAR_TEXT_REQUESTS])
def test_a_greeting_without_tls_gets_not_one_byte(certificate: Path, asked_by: str, reply: bytes) -> None:
    options = {"ca_cert": str(certificate)}
    if asked_by == "client_cert":
        options = {"client_cert": str(certificate), "client_key": str(certificate.with_name("key.pem"))}
    server = HostileServer([reply, OK])
    error = refused(server, **options)
    assert server.received == b""
    assert "does not offer TLS" in error.message


def test_a_server_that_offers_tls_and_then_speaks_without_it_sees_no_account(certificate: Path) -> None:
    server = HostileServer([OK, OK, OK], offer_tls=True)
    refused(server, ca_cert=str(certificate))
    assert USER.encode() not in server.received
    assert proof() not in server.received


def test_a_certificate_of_somebody_else_sees_no_account(certificate: Path, tmp_path: Path) -> None:
    server = HostileServer(CLEAR_TEXT_REQUESTS, certificate=make_certificate(tmp_path / "theirs"))
    error = refused(server, ca_cert=str(certificate))
    assert "certificate verify failed" in error.message
    assert len(server.received) == TLS_REQUEST


@pytest.mark.parametrize(
    "data",
    [
        packet(1, struct.pack("<IIB23s", 0x00FFFFFF & ~0x800, 1 << 24, 45, b"")),
        packet(1, struct.pack("<IIB23s", 0x00FFFFFF, 1 << 24, 45, b"") + USER.encode()),
        packet(0, b"\x03SELECT 1" + bytes(23)),
        b"",
    ],
    ids=["TLS not asked for", "account in the request", "statement of its length", "nothing"],
)
def test_whatever_the_driver_sends_in_clear_text_is_held_back_by_the_socket(data: bytes) -> None:
    here, there = socket.socketpair()
    with there, LoginSocket(here, "db:3306", tls_only=True) as channel:
        for send in (channel.send, channel.sendall):
            with pytest.raises(ConnectionFailed, match="does not offer TLS"):
                send(data)
        there.setblocking(False)
        with pytest.raises(BlockingIOError):
            there.recv(1)


def test_tls_is_asked_for_once_only() -> None:
    request = packet(1, struct.pack("<IIB23s", 0x00FFFFFF, 1 << 24, 45, b""))
    here, there = socket.socketpair()
    with there, LoginSocket(here, "db:3306", tls_only=True) as channel:
        channel.sendall(request)
        with pytest.raises(ConnectionFailed):
            channel.sendall(request)
        assert there.recv(100) == request


# --- the server asks for the password itself -------------------------------------------------------


@pytest.mark.parametrize("request_", CLEAR_TEXT_REQUESTS)
def test_a_request_for_the_password_over_plain_tcp_is_not_answered(request_: bytes) -> None:
    error = refused(HostileServer([request_, OK]))
    assert "asks for the password itself" in error.message
    assert "ca_cert" in error.remedy


@pytest.mark.parametrize("request_", CLEAR_TEXT_REQUESTS)
def test_a_request_for_the_password_over_tls_that_verifies_nobody_is_not_answered(
    certificate: Path, request_: bytes
) -> None:
    key = str(certificate.with_name("key.pem"))
    server = HostileServer([request_, OK], certificate=certificate)
    error = refused(server, client_cert=str(certificate), client_key=key)
    assert "asks for the password itself" in error.message
    assert USER.encode() in server.received


def test_a_verified_server_may_ask_for_the_password(certificate: Path) -> None:
    asking = HostileServer([CLEAR_TEXT_REQUESTS[0]], certificate=certificate)
    with asking as server, pytest.raises(ConnectionFailed):
        Connection(login(server, ca_cert=str(certificate)), read_timeout=2)
    assert SECRET.encode() in server.received
    assert SECRET.encode() not in server.clear


def test_a_server_at_a_unix_socket_may_ask_for_the_password(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with HostileServer([CLEAR_TEXT_REQUESTS[0]], path=path) as server, pytest.raises(ConnectionFailed):
        Connection(login(server, unix_socket=str(path)), read_timeout=2)
    assert SECRET.encode() in server.received


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["backup", "b", "denied", "nothing-of-it"])
def test_the_error_of_a_login_does_not_tell_a_short_password(password: str) -> None:
    text = f"Access denied for user '{USER}'@'localhost' (using password: YES)"
    answer = b"\xff" + struct.pack("<H", 1045) + b"#28000" + text.encode()
    with HostileServer([answer]) as server, pytest.raises(ConnectionFailed) as caught:
        Connection(ConnectionParameters(user=USER, password=password, host="127.0.0.1", port=server.port))
    assert caught.value.message == (
        f"the server does not accept the login of user '{USER}' at 127.0.0.1:{server.port}: {text}"
    )
