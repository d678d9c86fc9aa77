# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials as one end of a transfer uses them: from a file, or made for one session and kept in memory only.

In memory only one end has a key: the receiver makes one, and its certificate goes to the sender with a token that both
ends were given. The sender knows by the certificate to whom it gives the token, and the receiver knows the sender by
that. Such a token is as good as a key: it is random, long, and opens one session.
"""

from __future__ import annotations

import abc
import os
import threading
from dataclasses import dataclass, field, replace

from ..errors import InvalidOption, PeerRefused
from . import credentials
from .credentials import Credentials


class SessionCredentials(abc.ABC):
    """The credentials of one end."""

    @abc.abstractmethod
    def load(self, role: str) -> Credentials:
        """The credentials, which are complete for ``role``. Raises as ``credentials.load`` and ``require_complete``."""

    @abc.abstractmethod
    def consume_token(self, used: Credentials) -> None:
        """Note that the token of ``used`` has opened a session. Raises PeerRefused when one was opened before."""


@dataclass(frozen=True)
class StoredCredentials(SessionCredentials):
    """Credentials in the file ``path`` (see the module ``credentials``); each end proves who it is by its key."""

    path: str | os.PathLike[str]

    def load(self, role: str) -> Credentials:
        found = credentials.load(self.path)
        found.require_complete(role, os.fspath(self.path))
        return found

    def consume_token(self, used: Credentials) -> None:
        credentials.consume_token(self.path, used)


@dataclass(frozen=True)
class HeldCredentials(SessionCredentials):
    """Credentials that are in no file."""

    held: Credentials
    _used: threading.Event = field(default_factory=threading.Event, compare=False)

    @classmethod
    def of_receiver(cls, token: str) -> HeldCredentials:
        """A new key and certificate for the receiver; the sender is who knows ``token``. Raises InvalidOption."""
        credentials.require_token(token)
        return cls(replace(credentials.create("receiver"), token=token))

    @classmethod
    def of_sender(cls, certificate: str, token: str) -> HeldCredentials:
        """The sender that knows ``token``, for the receiver with the ``certificate`` (PEM). Raises InvalidOption."""
        credentials.require_token(token)
        credentials.certificate_der(certificate, "receiver_certificate")
        return cls(Credentials("sender", "", "", peer_certificate=certificate, token=token))

    def load(self, role: str) -> Credentials:
        if self.held.role != role:
            raise InvalidOption(f"these are credentials for the {self.held.role}, not for the {role}")
        return self.held

    def consume_token(self, used: Credentials) -> None:
        if self._used.is_set():
            raise PeerRefused("the token of this transfer was used before")
        self._used.set()
