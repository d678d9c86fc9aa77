# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a login from the side of a server that wants the password, or of somebody on the way."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

CLIENT_SSL = 0x800
_CAPABILITIES = 0x00FFF7FF & ~CLIENT_SSL  # those of a MySQL 8 that matter to a login
SCRAMBLE = b"0123456789abcdefghij"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
TLS_REQUEST = 36  # bytes of the packet that asks for TLS


def packet(sequence: int, payload: bytes) -> bytes:
    """One packet of the protocol."""
    return struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload


def greeting(*, tls: bool, plugin: str = "mysql_native_password") -> bytes:
    """The payload of the first packet."""
    capabilities = _CAPABILITIES | (CLIENT_SSL if tls else 0)
    return (
        b"\x0a8.0.36\x00"
        + struct.pack("<I", 7)
        + SCRAMBLE[:8]
        + b"\x00"
        + struct.pack("<HBHHB", capabilities & 0xFFFF, 45, 2, capabilities >> 16, 21)
        + bytes(10)
        + SCRAMBLE[8:]
        + b"\x00"
        + plugin.encode()
        + b"\x00"
    )


def switch(plugin: str, data: bytes = SCRAMBLE) -> bytes:
    """The payload that asks the client to log in by ``plugin`` instead."""
    return b"\xfe" + plugin.encode() + b"\x00" + data + b"\x00"


class HostileServer:
    """Listens for one client, greets it, and answers its packets of the login with ``replies`` (payloads), one each.

    ``clear`` is what came in clear text, ``received`` what came in all, decrypted.
    """

    def __init__(
        self,
        replies: Sequence[bytes] = (),
        *,
        certificate: Path | None = None,
        offer_tls: bool | None = None,
        path: Path | None = None,
    ) -> None:
        self.clear = self.received = b""
        self._replies = list(replies)
        self._certificate = certificate
        self._offer_tls = certificate is not None if offer_tls is None else offer_tls
        if path is None:
            self._listening = socket.create_server(("127.0.0.1", 0))
            self.port = int(self._listening.getsockname()[1])
        else:
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listening.bind(str(path))
            self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> HostileServer:
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Wait until the client has gone."""
        self._listening.close()
        self._thread.join(20)

    def _serve(self) -> None:
        try:
            channel = self._listening.accept()[0]
        except OSError:
            return
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(channel)
            channel.settimeout(10)
            channel.sendall(packet(0, greeting(tls=self._offer_tls)))
            if self._certificate is not None:
                request = self._take(channel, TLS_REQUEST)
                self.clear = request
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self._certificate, self._certificate.with_name("key.pem"))
                channel = stack.enter_context(context.wrap_socket(channel, server_side=True))
            for reply in self._replies:
                sequence = self._take_packet(channel)
                channel.sendall(packet(sequence + 1, reply))
            while data := channel.recv(1 << 16):
                self._keep(data)

    def _keep(self, data: bytes) -> bytes:
        self.received += data
        if self._certificate is None:
            self.clear += data
        return data

    def _take(self, channel: socket.socket, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            data = channel.recv(count - len(taken))
            if not data:
                raise ConnectionResetError
            taken += self._keep(data)
        return taken

    def _take_packet(self, channel: socket.socket) -> int:
        """Take one packet; returns its sequence number."""
        header = self._take(channel, 4)
        self._take(channel, int.from_bytes(header[:3], "little"))
        return header[3]
