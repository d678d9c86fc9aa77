# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources that connect to this host: a sender over TLS or over plain TCP."""

from __future__ import annotations

import abc
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, ClassVar

from ..progress import Progress
from ..stream.digests import Checksum
from ..transport import tcp_receiver, tls_receiver
from ..transport.admission import AllowedNetworks
from ..transport.intake import Intake, Received
from ..transport.session_credentials import HeldCredentials, StoredCredentials
from ..transport.tcp_receiver import TcpListenOptions
from ..transport.tls_listener import ListenOptions
from ..units import parse_duration
from .base import SourceKind


@dataclass(frozen=True)
class ArrivingSource(abc.ABC):
    """The first sender that connects and may send, named by one key of the module's option ``listen``. A frozen value.

    It cannot be opened, since nothing is there yet: it is received, and an intake takes what comes.
    """

    listen: TcpListenOptions | ListenOptions

    kind: ClassVar[SourceKind] = SourceKind.STREAM
    #: the key in the module's option ``listen``
    key: ClassVar[str] = ""

    @classmethod
    @abc.abstractmethod
    def from_options(cls, listen: Mapping[str, Any]) -> ArrivingSource:
        """The source that the option ``listen`` describes; raises InvalidOption."""

    @property
    def location(self) -> str:
        """Address at which the backup is awaited."""
        return self.listen.where

    def warnings(self) -> list[str]:
        """Returns the warnings to give before anything is received."""
        return []

    @abc.abstractmethod
    def _receiver(self) -> Callable[..., Received]:
        """Returns the function that waits at ``listen`` for the sender, and takes what ``receive`` does."""

    def receive(
        self,
        intake: Intake,
        *,
        digests: Sequence[str] = (),
        checksum: Checksum | None = None,
        progress: Progress | None = None,
    ) -> Received:
        """Wait for the sender; ``intake`` publishes what came once all is verified and durable.

        The ``digests`` of its bytes are told, ``checksum`` is compared. Raises PeerTimeout, PeerFailed, StreamError,
        StorageError and others; nothing is left then."""
        return self._receiver()(intake, digests=digests, checksum=checksum, progress=progress)


def _place(listen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "port": listen["port"],
        "address": listen["address"],
        "timeout": parse_duration(listen["timeout"], "listen.timeout"),
        "accept_timeout": parse_duration(listen["accept_timeout"], "listen.accept_timeout"),
        "sources": AllowedNetworks.parse(listen.get("from", ())),
    }


@dataclass(frozen=True)
class TcpSource(ArrivingSource):
    """A sender that is not authenticated, such as socat."""

    listen: TcpListenOptions

    key: ClassVar[str] = "plain"

    @classmethod
    def from_options(cls, listen: Mapping[str, Any]) -> TcpSource:
        return cls(TcpListenOptions(**_place(listen)))

    def warnings(self) -> list[str]:
        sender = f"listen.plain: whoever reaches port {self.listen.port} of this host can send a backup"
        plain = "what is not encrypted can be read on its way"
        return [f"{sender}, and {plain}; with listen.tls both ends prove who they are"]

    def _receiver(self) -> Callable[..., Received]:
        return functools.partial(tcp_receiver.receive, self.listen)


@dataclass(frozen=True)
class TlsSource(ArrivingSource):
    """A sender of ours; both ends prove who they are."""

    listen: ListenOptions

    key: ClassVar[str] = "tls"

    @classmethod
    def from_options(cls, listen: Mapping[str, Any]) -> TlsSource:
        tls = listen["tls"]
        token = tls.get("token")
        credentials = HeldCredentials.of_receiver(token) if token else StoredCredentials(tls["credentials"])
        return cls(ListenOptions(credentials=credentials, **_place(listen)))

    @property
    def certificate(self) -> str:
        """Certificate (PEM) that the sender has to know. Raises as ``SessionCredentials.load``."""
        return self.listen.credentials.load("receiver").certificate

    def _receiver(self) -> Callable[..., Received]:
        return functools.partial(tls_receiver.receive, self.listen)
