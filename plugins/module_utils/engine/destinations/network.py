# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver on another host, over TLS or over plain TCP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..stream.sink import Sink
from ..transport.tcp_sender import TcpSink, TcpTarget
from ..transport.tls_sender import TlsSink, TlsTarget
from ..units import parse_duration
from .base import Encoding, StreamDestination


@dataclass(frozen=True)
class Tcp(StreamDestination):
    """A listener that is not authenticated, such as socat."""

    listener: TcpTarget
    encoding: Encoding = field(default_factory=Encoding)

    key: ClassVar[str] = "tcp"

    @classmethod
    def from_option(cls, value: Mapping[str, Any], encoding: Encoding) -> Tcp:
        listener = TcpTarget(
            value["host"],
            value["port"],
            timeout=parse_duration(value["timeout"], "stream_to.tcp.timeout"),
            connect_timeout=parse_duration(value["connect_timeout"], "stream_to.tcp.connect_timeout"),
        )
        return cls(listener, encoding)

    def open(self) -> Sink:
        return TcpSink(self.listener, **self.encoding.read())

    def describe(self) -> dict[str, Any]:
        return {"stream_to": f"{self.listener.host}:{self.listener.port}"}

    def warnings(self) -> list[str]:
        receiver = f"{self.listener.host}:{self.listener.port}"
        if self.encoding.encryption is not None:
            return [f"stream_to.tcp: whoever answers at {receiver} is not authenticated and gets the encrypted backup"]
        plain = f"stream_to.tcp: the backup travels unencrypted, to whoever answers at {receiver}"
        return [f"{plain}; with stream_to.tls it is encrypted and both ends prove who they are"]


@dataclass(frozen=True)
class Tls(StreamDestination):
    """A receiver of ours; both ends prove who they are."""

    receiver: TlsTarget
    encoding: Encoding = field(default_factory=Encoding)

    key: ClassVar[str] = "tls"

    @classmethod
    def from_option(cls, value: Mapping[str, Any], encoding: Encoding) -> Tls:
        receiver = TlsTarget(
            value["host"],
            value["port"],
            value["credentials"],
            connections=value["connections"],
            timeout=parse_duration(value["timeout"], "stream_to.tls.timeout"),
            connect_timeout=parse_duration(value["connect_timeout"], "stream_to.tls.connect_timeout"),
        )
        return cls(receiver, encoding)

    def open(self) -> Sink:
        return TlsSink(self.receiver, **self.encoding.read())

    def describe(self) -> dict[str, Any]:
        return {"stream_to": f"{self.receiver.host}:{self.receiver.port}"}
