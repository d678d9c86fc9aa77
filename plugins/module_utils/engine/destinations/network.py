# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver on another host, over TLS or over plain TCP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from ..stream.sink import Sink
from ..transport.session_credentials import HeldCredentials, StoredCredentials
from ..transport.tcp_sender import TcpSink, TcpTarget
from ..transport.tls_sender import TlsSink, TlsTarget
from ..units import parse_duration
from .base import Encoding, StreamDestination


class _Receiver(Protocol):
    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


@dataclass(frozen=True)
class _Network(StreamDestination):
    receiver: _Receiver
    encoding: Encoding = field(default_factory=Encoding)

    def describe(self) -> dict[str, Any]:
        return {"stream_to": f"{self.receiver.host}:{self.receiver.port}"}

    @classmethod
    def _seconds(cls, value: Mapping[str, Any], name: str) -> float:
        return parse_duration(value[name], f"stream_to.{cls.key}.{name}")


@dataclass(frozen=True)
class Tcp(_Network):
    """A listener that is not authenticated, such as socat."""

    receiver: TcpTarget

    key: ClassVar[str] = "tcp"

    @classmethod
    def from_option(cls, value: Mapping[str, Any], encoding: Encoding) -> Tcp:
        timeout, connect_timeout = cls._seconds(value, "timeout"), cls._seconds(value, "connect_timeout")
        return cls(TcpTarget(value["host"], value["port"], timeout, connect_timeout), encoding)

    def open(self) -> Sink:
        return TcpSink(self.receiver, **self.encoding.read())

    def warnings(self) -> list[str]:
        receiver = f"{self.receiver.host}:{self.receiver.port}"
        if self.encoding.encryption is not None:
            return [f"stream_to.tcp: whoever answers at {receiver} is not authenticated and gets the encrypted backup"]
        plain = f"stream_to.tcp: the backup travels unencrypted, to whoever answers at {receiver}"
        return [f"{plain}; with stream_to.tls it is encrypted and both ends prove who they are"]


@dataclass(frozen=True)
class Tls(_Network):
    """A receiver of ours; both ends prove who they are."""

    receiver: TlsTarget

    key: ClassVar[str] = "tls"

    @classmethod
    def from_option(cls, value: Mapping[str, Any], encoding: Encoding) -> Tls:
        timeout, connect_timeout = cls._seconds(value, "timeout"), cls._seconds(value, "connect_timeout")
        token = value.get("token")
        credentials = (
            HeldCredentials.of_sender(value["receiver_certificate"], token)
            if token
            else StoredCredentials(value["credentials"])
        )
        receiver = TlsTarget(value["host"], value["port"], credentials, value["connections"], timeout, connect_timeout)
        return cls(receiver, encoding)

    def open(self) -> Sink:
        return TlsSink(self.receiver, **self.encoding.read())
