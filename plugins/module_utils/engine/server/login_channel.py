# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket of a login over TCP, and the ways to log in that it allows.

Some versions of the driver go on in clear text when the greeting says that the server has no TLS, and a greeting can be
changed on its way. So the socket is made here, and given to the driver: where TLS is wanted, it sends nothing in clear
text but the request for TLS, whatever the driver does. After that request the driver wraps it in TLS, which takes its
descriptor away.

A server may ask for the password itself instead of a proof that the client knows it. Nobody gets it but a server at the
other end of a Unix domain socket, or one whose certificate was verified.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Any, NoReturn

from ..errors import ConnectionFailed, Option

_REQUEST = struct.Struct("<4sIIB23s")  # packet header (length u24, sequence u8), capabilities, packet size, charset, 0s
_REQUEST_HEADER = b"\x20\x00\x00\x01"
_CLIENT_SSL = 0x800

_CREDENTIALS = struct.Struct("iII")  # struct ucred: process, uid, gid

_PASSWORD_PLUGINS = ("mysql_clear_password", "dialog")
"""The plugins whose answer is the password: in clear text, and as an answer to PAM's question."""


def tls_context(
    ca_cert: str | None,
    client_cert: str | None,
    client_key: str | None,
    *,
    verify_host: bool,
    verify_by_host: bool = False,
) -> ssl.SSLContext:
    """The TLS settings of a connection to a server, whose certificate is verified when ``ca_cert`` is given, or by the
    authorities of this host with ``verify_by_host``.

    ``verify_host``: whether its name must be the host's too. Raises OSError (of which ssl.SSLError is one) for files
    that cannot be used.
    """
    context = ssl.create_default_context(cafile=ca_cert)
    # the certificates that MySQL makes for itself lack extensions that Python 3.13 asks for
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    verified = bool(ca_cert) or verify_by_host
    context.check_hostname = verified and verify_host
    if not verified:
        context.verify_mode = ssl.CERT_NONE
    if client_cert:
        context.load_cert_chain(client_cert, client_key)
    return context


def is_verified(context: ssl.SSLContext | None) -> bool:
    """Returns whether a connection with ``context`` (None: no TLS) proves who the server is."""
    return context is not None and context.verify_mode is ssl.CERT_REQUIRED


class LoginSocket(socket.socket):
    """A connected TCP socket; with ``tls_only`` it sends nothing in clear text but one request for TLS.

    Any other attempt raises ConnectionFailed, and nothing of it is sent. ``where`` is the server in messages.
    """

    def __init__(self, connected: socket.socket, where: str, *, tls_only: bool) -> None:
        timeout = connected.gettimeout()
        super().__init__(fileno=connected.detach())
        self.settimeout(timeout)
        self._where = where
        self._tls_only = tls_only
        self._requested = False

    @property
    def is_taken(self) -> bool:
        """Returns whether TLS has taken the descriptor over (or it is closed): this object can send nothing any
        more."""
        return self.fileno() == -1

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As that of every socket."""
        self._check(data)
        super().sendall(data, flags)

    def send(self, data: Any, flags: int = 0, /) -> int:
        """As that of every socket."""
        self._check(data)
        return super().send(data, flags)

    def sendto(self, *_arguments: Any) -> NoReturn:
        """Not for a connection."""
        raise NotImplementedError

    def sendmsg(self, *_arguments: Any) -> NoReturn:
        """Not used by the driver."""
        raise NotImplementedError

    def sendfile(self, *_arguments: Any) -> NoReturn:
        """Not used by the driver."""
        raise NotImplementedError

    def _check(self, data: Any) -> None:
        if self._tls_only and (self._requested or not _is_tls_request(bytes(data))):
            raise no_tls(self._where)
        self._requested = True


def no_tls(where: str) -> ConnectionFailed:
    """The error for a server at ``where`` that would have been spoken to in clear text."""
    return ConnectionFailed(
        f"the server at {where} does not offer TLS, which {Option('ca_cert')} or {Option('client_cert')} ask "
        "for; nothing was sent to it",
        remedy="Enable TLS on the server, or connect through its socket. If it has TLS, look for what changes its "
        "greeting on the way.",
        where=where,
    )


def connect(host: str, port: int, timeout: float, where: str, *, tls_only: bool) -> LoginSocket:
    """A connection to the server; raises OSError. ``timeout`` in seconds."""
    raw = socket.create_connection((host, port), timeout)
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return LoginSocket(raw, where, tls_only=tls_only)
    except BaseException:
        raw.close()
        raise


def connect_to_process(path: str, pid: int, timeout: float, where: str) -> socket.socket:
    """A connection to the Unix domain socket ``path``, which the process ``pid`` must have made: whoever can change
    that directory may put another server's there. Nothing is sent. Raises ConnectionFailed, OSError."""
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        raw.settimeout(timeout)
        raw.connect(path)
        maker, _uid, _gid = _CREDENTIALS.unpack(
            raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if maker != pid:
            raise ConnectionFailed(f"the {where} is of process {maker}, and not of the server {pid}")
        return raw
    except BaseException:
        raw.close()
        raise


def refused_plugins(where: str) -> dict[str, type]:
    """For the driver's ``auth_plugin_map``: answers to a server at ``where`` that must not get the password."""
    return {name: _refusal(name, where) for name in _PASSWORD_PLUGINS}


def _refusal(plugin: str, where: str) -> type:
    class Refusal:
        """Plugin that refuses, as the driver calls it when the server names the plugin."""

        def __init__(self, _connection: object) -> None:
            pass

        def authenticate(self, _packet: object) -> NoReturn:
            raise ConnectionFailed(
                f"the server at {where} asks for the password itself ({plugin}), and was not given it: nothing proves "
                "who it is",
                remedy=f"Give {Option('ca_cert')}, so that its certificate is verified, or connect through its socket "
                f"({Option('login_unix_socket')}).",
                where=where,
                plugin=plugin,
            )

    return Refusal


def _is_tls_request(data: bytes) -> bool:
    """Returns whether ``data`` is a whole packet that asks for TLS, which holds no account and no secret."""
    if len(data) != _REQUEST.size:
        return False
    header, capabilities, _packet_size, _charset, _filler = _REQUEST.unpack(data)
    return header == _REQUEST_HEADER and bool(capabilities & _CLIENT_SSL)
